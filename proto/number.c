#include "proto/number.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 768 significant digits decide every double; what stands behind them counts as "more". */
enum { DIGITS_MAX = 768, EXPONENT_MAX = 100000000 };

/* A literal taken apart: 0.d1d2d3... with d1 and the last digit not 0, times 10^point. */
struct decimal {
    const char *first, *last; /* significant digits; a '.' may stand among them; NULL: zero */
    int64_t digits;           /* how many of them */
    int64_t point;            /* the decimal point stands behind the first `point` of them */
    bool negative, integer_literal;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* Digits [p, end), which may hold a '.', into *d; exponent is what the literal adds. */
static void take_digits(struct decimal *d, const char *p, const char *end, int64_t exponent)
{
    const char *dot = memchr(p, '.', (size_t)(end - p));
    const char *whole_end = dot != NULL ? dot : end;
    while (p < end && (*p == '0' || *p == '.'))
        p++;
    if (p == end) return; /* zero */
    while (end[-1] == '0' || end[-1] == '.')
        end--;
    d->first = p;
    d->last = end - 1;
    bool has_dot = dot != NULL && dot > p && dot < end;
    d->digits = end - p - has_dot;
    d->point = (p < whole_end ? whole_end - p : whole_end - p + 1) + exponent;
}

/* An exponent, held at a bound that no digits of a text in memory can make up for. */
static int64_t take_exponent(const char *p, const char *end)
{
    bool negative = *p == '-';
    int64_t value = 0;
    if (*p == '-' || *p == '+') p++;
    for (; p < end; p++)
        value = value < EXPONENT_MAX ? value * 10 + (*p - '0') : value;
    return negative ? -value : value;
}

/* Takes the number at [p, end) apart; its length, or 0 where it is none (*bad: the place). */
static size_t take_number(struct decimal *d, const char *start, const char *end, size_t *bad)
{
    const char *p = start, *digits, *digits_end;
    int64_t exponent = 0;
    *d = (struct decimal){.negative = p < end && *p == '-', .integer_literal = true};
    p += d->negative;
    digits = p;
    p = skip_digits(p, end);
    bool padded = p - digits > 1 && *digits == '0'; /* 01 */
    *bad = (size_t)((padded ? digits + 1 : p) - start);
    if (p == digits || padded) return 0;
    if (p < end && *p == '.') {
        const char *fraction = p + 1;
        d->integer_literal = false;
        p = skip_digits(fraction, end);
        *bad = (size_t)(p - start);
        if (p == fraction) return 0;
    }
    digits_end = p;
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *sign = ++p;
        d->integer_literal = false;
        if (p < end && (*p == '-' || *p == '+')) p++;
        const char *power = p;
        p = skip_digits(p, end);
        *bad = (size_t)(p - start);
        if (p == power) return 0;
        exponent = take_exponent(sign, p);
    }
    take_digits(d, digits, digits_end, exponent);
    return (size_t)(p - start);
}

/* strtod() on digits and an exponent alone: the locale's decimal point plays no part. */
static double to_double(const struct decimal *d)
{
    char text[DIGITS_MAX + 32];
    size_t n = 0;
    if (d->first == NULL) return d->negative ? -0.0 : 0.0;
    for (const char *p = d->first; p <= d->last && n < DIGITS_MAX; p++) {
        if (*p != '.') text[n++] = *p;
    }
    int64_t exponent = d->point - (int64_t)n;
    if (d->digits > (int64_t)n) { /* the last digit is not 0: something is behind what fits */
        text[n++] = '1';
        exponent--;
    }
    snprintf(text + n, sizeof text - n, "e%lld", (long long)exponent);
    double value = strtod(text, NULL);
    return d->negative ? -value : value;
}

static enum tkv_number_fault judge(const struct decimal *d)
{
    if (d->integer_literal || d->first == NULL) return TKV_NUMBER_FINE;
    /* 15 digits survive the way through a double, so these cannot become an integer or infinite. */
    if (d->digits <= 15 && d->point > -290 && d->point < 290) return TKV_NUMBER_FINE;
    double value = to_double(d);
    if (isinf(value)) return TKV_NUMBER_TOO_LARGE;
    bool is_integer = d->point >= d->digits;
    return !is_integer && value == floor(value) ? TKV_NUMBER_INEXACT : TKV_NUMBER_FINE;
}

size_t tkv_number_check(const char *text, size_t n, enum tkv_number_fault *fault)
{
    struct decimal d;
    size_t bad, length = take_number(&d, text, text + n, &bad);
    *fault = length > 0 ? judge(&d) : TKV_NUMBER_BROKEN;
    return length > 0 ? length : bad;
}

double tkv_number_read(const char *text, size_t n)
{
    struct decimal d;
    size_t bad, length = take_number(&d, text, text + n, &bad);
    assert(length == n && n > 0);
    (void)length;
    return to_double(&d);
}

static size_t count_digits(uint64_t value)
{
    size_t n = 1;
    for (; value >= 10000; value /= 10000)
        n += 4;
    return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* 00 to 99: two digits a division. */
static const char pairs[] = "0001020304050607080910111213141516171819"
                            "2021222324252627282930313233343536373839"
                            "4041424344454647484950515253545556575859"
                            "6061626364656667686970717273747576777879"
                            "8081828384858687888990919293949596979899";

/* Written where it belongs, from behind. */
size_t tkv_format_uint(uint64_t value, char out[TKV_NUMBER_CHARS])
{
    size_t n = count_digits(value);
    char *to = out + n;
    *to = '\0';
    for (; value >= 10; value /= 100) {
        to -= 2;
        memcpy(to, pairs + 2 * (value % 100), 2);
    }
    if (to > out) *--to = (char)('0' + value);
    assert(to == out);
    return n;
}

/* The locale's decimal point, which may be several bytes, becomes '.'. */
static size_t mend_point(char *text)
{
    size_t n = 0;
    bool point = false;
    for (const char *p = text; *p != '\0'; p++) {
        bool ours = is_digit(*p) || *p == '-' || *p == '+' || *p == 'e';
        if (!ours && point) continue;
        point = !ours;
        text[n++] = (char)(ours ? *p : '.');
    }
    text[n] = '\0';
    return n;
}

size_t tkv_format_double(double value, char out[TKV_NUMBER_CHARS])
{
    if (!isfinite(value)) {
        memcpy(out, "null", 5);
        return 4;
    }
    if (value >= 0 && value < 0x1p53 && value == floor(value) && !signbit(value))
        return tkv_format_uint((uint64_t)value, out);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, TKV_NUMBER_CHARS, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    return mend_point(out);
}
