/* base64.h - writing base64 (RFC 4648, with padding). Reading it: request.h. */
#ifndef TKV_PROTO_BASE64_H
#define TKV_PROTO_BASE64_H

#include <stddef.h>

#include "base/buffer.h"

/* Appends the base64 text of n bytes, or nothing where it does not fit (out's status says so). */
void tkv_base64_write(struct tkv_buffer *out, const void *bytes, size_t n);

#endif
