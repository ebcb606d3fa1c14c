#include "base/dtype.h"

#include <assert.h>
#include <string.h>

static const char *const words[TKV_DTYPE_COUNT] = {
#define X(name, word, bytes) word,
    TKV_DTYPES(X)
#undef X
};

const char *tkv_dtype_word(enum tkv_dtype dtype)
{
    assert((unsigned)dtype < TKV_DTYPE_COUNT);
    return words[dtype];
}

bool tkv_dtype_from_word(const char *word, enum tkv_dtype *out)
{
    for (int i = 0; i < TKV_DTYPE_COUNT; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *out = (enum tkv_dtype)i;
        return true;
    }
    return false;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* value / 2^shift to the nearest integer, ties to even; 1 <= shift <= 31. A carry out of a mantissa
 * runs into the exponent above it, up to infinity: just what rounding asks for. */
static uint32_t round_shift(uint32_t value, uint32_t shift)
{
    uint32_t half = 1u << (shift - 1), rest = value & ((half << 1) - 1), quotient = value >> shift;
    return quotient + (rest > half || (rest == half && (quotient & 1) != 0));
}

uint16_t tkv_f32_to_f16(float value)
{
    uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t half;
    if (magnitude > 0x7f800000) { /* NaN, as F16C does it: quiet, the top of the payload kept */
        half = 0x7e00 | ((magnitude >> 13) & 0x3ff);
    } else if (magnitude >= 0x477ff000) { /* 65520 and above, the tie goes to even: infinity */
        half = 0x7c00;
    } else if (magnitude >= 0x38800000) { /* normal in f16: 2^-14 and above */
        half = round_shift(magnitude - 0x38000000, 13);
    } else if (magnitude >= 0x33000000) { /* subnormal in f16: multiples of 2^-24 */
        half = round_shift((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >> 23));
    } else { /* below 2^-25, half of the least subnormal */
        half = 0;
    }
    return (uint16_t)(sign | half);
}

uint16_t tkv_f32_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)((bits >> 16) | 0x40); /* quiet NaN */
    return (uint16_t)round_shift(bits, 16);
}

float tkv_f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
    if (magnitude > 0x7c00) return float_of(sign | 0x7fc00000 | magnitude << 13); /* as F16C */
    if (magnitude == 0x7c00) return float_of(sign | 0x7f800000);
    if (magnitude >= 0x0400) return float_of(sign | ((magnitude << 13) + 0x38000000));
    float value = (float)magnitude * 0x1p-24f; /* zero and subnormals: exact */
    return sign != 0 ? -value : value;
}

float tkv_bf16_to_f32(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

float tkv_element(const void *array, enum tkv_dtype dtype, size_t i)
{
    float value;
    uint16_t bits;
    const char *at = (const char *)array + i * tkv_dtype_size(dtype); /* maybe not aligned */
    if (dtype == TKV_F32) {
        memcpy(&value, at, sizeof value);
        return value;
    }
    memcpy(&bits, at, sizeof bits);
    return dtype == TKV_F16 ? tkv_f16_to_f32(bits) : tkv_bf16_to_f32(bits);
}

static void put_element(void *array, enum tkv_dtype dtype, size_t i, float value)
{
    char *at = (char *)array + i * tkv_dtype_size(dtype);
    if (dtype == TKV_F32) {
        memcpy(at, &value, sizeof value);
        return;
    }
    uint16_t bits = dtype == TKV_F16 ? tkv_f32_to_f16(value) : tkv_f32_to_bf16(value);
    memcpy(at, &bits, sizeof bits);
}

void tkv_convert(void *dst, enum tkv_dtype dst_dtype, const void *src, enum tkv_dtype src_dtype,
                 size_t n)
{
    if (n == 0) return;
    if (dst_dtype == src_dtype) {
        memcpy(dst, src, n * tkv_dtype_size(dst_dtype));
        return;
    }
    for (size_t i = 0; i < n; i++)
        put_element(dst, dst_dtype, i, tkv_element(src, src_dtype, i));
}
