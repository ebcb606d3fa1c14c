#include "proto/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/text.h"

static void set_message(struct tkv_error *e, enum tkv_status st, const char *fmt, va_list args)
{
    memset(e, 0, sizeof *e);
    e->status = st;
    int n = vsnprintf(e->message, sizeof e->message, fmt, args);
    assert(n >= 0);
    if ((size_t)n < sizeof e->message) return;
    e->message[tkv_utf8_whole(e->message, sizeof e->message - 1)] = '\0';
}

enum tkv_status tkv_error_set(struct tkv_error *e, enum tkv_status st, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_message(e, st, fmt, args);
    va_end(args);
    return st;
}

enum tkv_status tkv_error_param(struct tkv_error *e, const char *param, const char *fmt, ...)
{
    char name[sizeof e->param]; /* param may be a member of *e */
    size_t n = strnlen(param, sizeof name - 1);
    memcpy(name, param, n);
    n = tkv_utf8_whole(name, n);
    va_list args;
    va_start(args, fmt);
    set_message(e, TKV_EINVAL, fmt, args);
    va_end(args);
    memcpy(e->param, name, n);
    return TKV_EINVAL;
}
