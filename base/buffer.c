#include "base/buffer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum { FIRST_CAPACITY = 256 };

void tkv_buffer_init(struct tkv_buffer *b, size_t max)
{
    *b = (struct tkv_buffer){.max = max};
}

void tkv_buffer_close(struct tkv_buffer *b)
{
    free(b->data);
    *b = (struct tkv_buffer){.max = b->max};
}

void tkv_buffer_clear(struct tkv_buffer *b)
{
    b->len = 0;
    b->status = TKV_OK;
}

enum tkv_status tkv_buffer_status(const struct tkv_buffer *b)
{
    return b->status;
}

static enum tkv_status grow(struct tkv_buffer *b, size_t need)
{
    size_t cap = b->cap > 0 ? b->cap : FIRST_CAPACITY;
    while (cap < need && cap <= b->max / 2)
        cap *= 2;
    if (cap < need || cap > b->max) cap = b->max;
    uint8_t *data = realloc(b->data, cap);
    if (data == NULL) return TKV_ENOMEM;
    b->data = data;
    b->cap = cap;
    return TKV_OK;
}

void *tkv_buffer_reserve(struct tkv_buffer *b, size_t n)
{
    size_t need;
    if (b->status != TKV_OK) return NULL;
    if (!tkv_add(b->len, n, &need) || need > b->max) {
        b->status = TKV_ETOOLARGE;
        return NULL;
    }
    if (need > b->cap || b->data == NULL) b->status = grow(b, need);
    return b->status == TKV_OK ? b->data + b->len : NULL;
}

void tkv_buffer_append(struct tkv_buffer *b, const void *bytes, size_t n)
{
    if (n == 0) return;
    void *to = tkv_buffer_reserve(b, n);
    if (to == NULL) return;
    memcpy(to, bytes, n);
    b->len += n;
}

void tkv_buffer_puts(struct tkv_buffer *b, const char *text)
{
    tkv_buffer_append(b, text, strlen(text));
}

void tkv_buffer_vprintf(struct tkv_buffer *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    assert(n >= 0);
    char *to = tkv_buffer_reserve(b, (size_t)n + 1); /* vsnprintf writes a NUL, too */
    if (to != NULL) {
        vsnprintf(to, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void tkv_buffer_printf(struct tkv_buffer *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tkv_buffer_vprintf(b, fmt, args);
    va_end(args);
}

void tkv_buffer_consume(struct tkv_buffer *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0) return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}
