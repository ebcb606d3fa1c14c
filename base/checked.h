/* checked.h - size arithmetic that says when it overflows. Any thread. */
#ifndef TKV_BASE_CHECKED_H
#define TKV_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

/* *out = a * b; false on overflow, and *out is then unspecified. */
static inline bool tkv_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* *out = a + b; false on overflow, and *out is then unspecified. */
static inline bool tkv_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* The product of n factors; false on overflow. */
static inline bool tkv_mul_all(const size_t *factors, size_t n, size_t *out)
{
    size_t product = 1;
    for (size_t i = 0; i < n; i++) {
        if (!tkv_mul(product, factors[i], &product)) return false;
    }
    *out = product;
    return true;
}

#endif
