/* error.h - an error on its way to a client: {code, message, data:{reason, ...}}. */
#ifndef TKV_PROTO_ERROR_H
#define TKV_PROTO_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* X(member of data, C field): the numbers that an error may carry. */
#define TKV_ERROR_NUMBERS(X) \
    X(seq)                   \
    X(expected)              \
    X(len)                   \
    X(capacity)              \
    X(needed)                \
    X(available)             \
    X(retry_after_ms)        \
    X(limit)                 \
    X(size)

/* Which of the numbers are set: bit of each field. */
enum tkv_error_number {
#define X(field) TKV_ERROR_AT_##field,
    TKV_ERROR_NUMBERS(X)
#undef X
        TKV_ERROR_NUMBER_COUNT
};

struct tkv_error {
    enum tkv_status status;
    char message[256]; /* for people; names the value at fault */
    char param[64];    /* data.param, where not empty */
    char method[64];   /* data.method, where not empty */
    uint32_t numbers;  /* bits of enum tkv_error_number */
#define X(field) uint64_t field;
    TKV_ERROR_NUMBERS(X)
#undef X
};

/* One item at fault, for error.data.items of an atomic request over several sequences. */
struct tkv_item_error {
    size_t index;
    struct tkv_error error; /* its seq is set */
};

/* Fills *e with a status and a message; the other members are cleared. Returns st. */
enum tkv_status tkv_error_set(struct tkv_error *e, enum tkv_status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As above, TKV_EINVAL for the parameter `param`. */
enum tkv_status tkv_error_param(struct tkv_error *e, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets a number: tkv_error_number(e, seq, 7). */
#define tkv_error_number(e, field, value) \
    ((void)((e)->field = (value), (e)->numbers |= 1u << TKV_ERROR_AT_##field))

#endif
