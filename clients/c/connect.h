/* connect.h - an address into a socket; for libtruekv, and for a command that speaks for itself.
 * Any thread. */
#ifndef TRUEKV_CONNECT_H
#define TRUEKV_CONNECT_H

#include "clients/c/truekv.h"

/* A connected, non-blocking, close-on-exec socket. timeout_ms negative: no limit.
 * Owner: on success *fd is the caller's. ECONNECT, ETIMEOUT, EARGUMENT: *why says it. */
enum truekv_status tkc_connect(const char *address, int timeout_ms, int *fd,
                               struct truekv_error *why);

/* HOST of "tcp:HOST:PORT", without brackets, in host; false: the address is another one. */
bool tkc_host_of(const char *address, char *host, size_t size);

/* Fills an error found by the client; os_error: errno or 0. Returns its status. */
enum truekv_status tkc_error_set(struct truekv_error *e, enum truekv_status status, int os_error,
                                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
