/* number.h - decimal text and doubles, never locale dependent. Any thread; allocates nothing. */
#ifndef TKV_PROTO_NUMBER_H
#define TKV_PROTO_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TKV_NUMBER_CHARS = 32 }; /* room for any of the texts below, with its NUL */

enum tkv_number_fault {
    TKV_NUMBER_FINE,
    TKV_NUMBER_BROKEN,    /* not a number of JSON's grammar */
    TKV_NUMBER_TOO_LARGE, /* a fraction or exponent whose double is infinite */
    TKV_NUMBER_INEXACT    /* not an integer, but its double is one */
};

/* Length of the number that starts at text, by JSON's grammar; *fault says what is wrong with it.
 * An integer literal (no fraction, no exponent) is fine however long it is. */
size_t tkv_number_check(const char *text, size_t n, enum tkv_number_fault *fault);

/* The double nearest to a literal that tkv_number_check() took whole. */
double tkv_number_read(const char *text, size_t n);

/* Decimal text with a NUL; returns its length. A finite double gets the fewest of 15 to 17 digits
 * that read back as the same double; one that is not finite is "null". */
size_t tkv_format_uint(uint64_t value, char out[TKV_NUMBER_CHARS]);
size_t tkv_format_double(double value, char out[TKV_NUMBER_CHARS]);

#endif
