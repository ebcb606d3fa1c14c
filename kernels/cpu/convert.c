/* Plain-C conversions of the batched path, and the choice among the sets. They go about it in
 * another way than base/dtype.c does, on purpose: the tests compare the two, and they must not
 * share a bug. f32 to f16 lets the adder round: a subnormal is aligned by adding a magic float, as
 * in F. Giesen's float_to_half_fast3_rtne (public domain). */
#include "kernels/cpu/convert.h"

#include <assert.h>
#include <string.h>

union f32_bits {
    uint32_t u;
    float f;
};

static uint16_t half_of(union f32_bits x)
{
    const union f32_bits magic = {.u = (127 - 15 + 23 - 10 + 1) << 23};
    uint32_t sign = x.u & 0x80000000u, out;
    x.u ^= sign;
    if (x.u >= (127u + 16) << 23) {
        out = x.u > 255u << 23 ? 0x7e00 | (x.u >> 13 & 0x1ff) : 0x7c00;
    } else if (x.u < 113u << 23) {
        x.f += magic.f;
        out = x.u - magic.u;
    } else {
        uint32_t odd = x.u >> 13 & 1;
        out = (x.u - ((127u - 15) << 23) + 0xfff + odd) >> 13;
    }
    return (uint16_t)(out | sign >> 16);
}

static uint16_t bfloat_of(union f32_bits x)
{
    uint32_t top = x.u >> 16, rest = x.u & 0xffff;
    if (x.f != x.f) return (uint16_t)(top | 0x40);
    return (uint16_t)(top + (rest > 0x8000 || (rest == 0x8000 && (top & 1))));
}

/* Multiplying by 2^112 moves a half's bits to the place of a float's, subnormals included. */
static union f32_bits float_of_half(uint16_t half)
{
    const union f32_bits scale = {.u = (254 - 15) << 23};
    union f32_bits x = {.u = (half & 0x7fffu) << 13};
    x.f *= scale.f;
    if ((half & 0x7c00) == 0x7c00) {
        x.u = 255u << 23 | (half & 0x3ffu) << 13 | ((half & 0x3ff) != 0 ? 1u << 22 : 0);
    }
    x.u |= (half & 0x8000u) << 16;
    return x;
}

static void plain_f32_to_f16(void *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        union f32_bits x;
        memcpy(&x, (const char *)src + 4 * i, 4);
        uint16_t half = half_of(x);
        memcpy((char *)dst + 2 * i, &half, 2);
    }
}

static void plain_f32_to_bf16(void *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        union f32_bits x;
        memcpy(&x, (const char *)src + 4 * i, 4);
        uint16_t half = bfloat_of(x);
        memcpy((char *)dst + 2 * i, &half, 2);
    }
}

static void plain_f16_to_bf16(void *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, (const char *)src + 2 * i, 2);
        half = bfloat_of(float_of_half(half));
        memcpy((char *)dst + 2 * i, &half, 2);
    }
}

static void plain_bf16_to_f16(void *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, (const char *)src + 2 * i, 2);
        half = half_of((union f32_bits){.u = (uint32_t)half << 16});
        memcpy((char *)dst + 2 * i, &half, 2);
    }
}

const struct tkv_converters *tkv_converters_plain(void)
{
    static const struct tkv_converters plain = {"plain", plain_f32_to_f16, plain_f32_to_bf16,
                                                plain_f16_to_bf16, plain_bf16_to_f16};
    return &plain;
}

const struct tkv_converters *tkv_converters_best(void)
{
    const struct tkv_converters *avx2 = tkv_converters_avx2();
    return avx2 != NULL ? avx2 : tkv_converters_plain();
}

tkv_convert_fn tkv_converter(const struct tkv_converters *set, enum tkv_dtype dst,
                             enum tkv_dtype src)
{
    assert(dst != src && dst != TKV_F32);
    if (src == TKV_F32) return dst == TKV_F16 ? set->f32_to_f16 : set->f32_to_bf16;
    return dst == TKV_F16 ? set->bf16_to_f16 : set->f16_to_bf16;
}
