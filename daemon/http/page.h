/* page.h - the dashboard, dashboard.html as it is, made part of the program by the build. */
#ifndef TKV_DAEMON_HTTP_PAGE_H
#define TKV_DAEMON_HTTP_PAGE_H

#include <stddef.h>

extern const unsigned char tkv_page[];
extern const size_t tkv_page_bytes;

#endif
