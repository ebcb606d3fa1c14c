/* buffer.h - a growing byte buffer with a maximum, set where it is initialised.
 * One thread at a time. Errors stick: after a failed append every later one fails too, and
 * tkv_buffer_status() says why, so that a writer checks once at its end. */
#ifndef TKV_BASE_BUFFER_H
#define TKV_BASE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct tkv_buffer {
    uint8_t *data; /* owned; NULL while empty */
    size_t len;    /* bytes in use */
    size_t cap;    /* bytes allocated */
    size_t max;    /* bytes allowed */
    enum tkv_status status;
};

/* An empty buffer that never grows past max bytes. Allocates nothing. */
void tkv_buffer_init(struct tkv_buffer *b, size_t max);

/* Frees the bytes; the buffer is empty and usable again. */
void tkv_buffer_close(struct tkv_buffer *b);

/* Forgets the content and a sticky error, keeps the memory. */
void tkv_buffer_clear(struct tkv_buffer *b);

/* TKV_OK, or what went wrong first: TKV_ETOOLARGE (past max), TKV_ENOMEM. */
enum tkv_status tkv_buffer_status(const struct tkv_buffer *b);

/* Room for n more bytes; returns where they go, or NULL (status is set). len is unchanged. */
void *tkv_buffer_reserve(struct tkv_buffer *b, size_t n);

/* Appends bytes, a string without its NUL, or formatted text. */
void tkv_buffer_append(struct tkv_buffer *b, const void *bytes, size_t n);
void tkv_buffer_puts(struct tkv_buffer *b, const char *text);
void tkv_buffer_printf(struct tkv_buffer *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void tkv_buffer_vprintf(struct tkv_buffer *b, const char *fmt, va_list args);

/* Drops the first n bytes, n <= len. */
void tkv_buffer_consume(struct tkv_buffer *b, size_t n);

#endif
