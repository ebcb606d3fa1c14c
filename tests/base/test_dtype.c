#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "tests/support/check_main.h"

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Goal: words and sizes. */
START_TEST(words)
{
    for (int i = 0; i < TKV_DTYPE_COUNT; i++) {
        enum tkv_dtype dtype;
        ck_assert(tkv_dtype_from_word(tkv_dtype_word((enum tkv_dtype)i), &dtype));
        ck_assert_int_eq(dtype, i);
        ck_assert_uint_eq(tkv_dtype_size(dtype), i == TKV_F32 ? 4 : 2);
    }
    enum tkv_dtype untouched = TKV_BF16;
    ck_assert(!tkv_dtype_from_word("F16", &untouched));
    ck_assert(!tkv_dtype_from_word("", &untouched));
    ck_assert_int_eq(untouched, TKV_BF16);
}
END_TEST

/* Goal: every 16-bit pattern survives the way to f32 and back; a NaN stays a NaN, made quiet. */
START_TEST(all_16_bit_patterns)
{
    for (uint32_t i = 0; i <= 0xffff; i++) {
        uint16_t bits = (uint16_t)i;
        bool nan16 = (i & 0x7fff) > 0x7c00, nanb16 = (i & 0x7fff) > 0x7f80;
        ck_assert_uint_eq(tkv_f32_to_f16(tkv_f16_to_f32(bits)), nan16 ? i | 0x200 : i);
        ck_assert_uint_eq(tkv_f32_to_bf16(tkv_bf16_to_f32(bits)), nanb16 ? i | 0x40 : i);
        ck_assert_int_eq(isnan(tkv_f16_to_f32(bits)) != 0, nan16);
    }
}
END_TEST

/* Goal: to the nearest, ties to even, for every value of f16.
 * Method: between two neighbours stand the midpoint and one f32 step to its left and right. */
START_TEST(f16_rounds_to_nearest_even)
{
    for (uint32_t lo = 0; lo < 0x7bff; lo++) {
        float a = tkv_f16_to_f32((uint16_t)lo), b = tkv_f16_to_f32((uint16_t)(lo + 1));
        float middle = a + (b - a) / 2; /* exact in f32 */
        uint32_t even = (lo & 1) == 0 ? lo : lo + 1;
        ck_assert_uint_eq(tkv_f32_to_f16(middle), even);
        ck_assert_uint_eq(tkv_f32_to_f16(-middle), even | 0x8000);
        ck_assert_uint_eq(tkv_f32_to_f16(nextafterf(middle, a)), lo);
        ck_assert_uint_eq(tkv_f32_to_f16(nextafterf(middle, b)), lo + 1);
    }
}
END_TEST

/* Goal: the same for bf16, whose midpoints are bit patterns: 0x8000 below the kept bits. */
START_TEST(bf16_rounds_to_nearest_even)
{
    for (uint32_t lo = 0; lo < 0x7f80; lo++) {
        uint32_t even = (lo & 1) == 0 ? lo : lo + 1;
        ck_assert_uint_eq(tkv_f32_to_bf16(from_bits(lo << 16 | 0x8000)), even);
        ck_assert_uint_eq(tkv_f32_to_bf16(from_bits(lo << 16 | 0x7fff)), lo);
        ck_assert_uint_eq(tkv_f32_to_bf16(from_bits(lo << 16 | 0x8001)), lo + 1);
        ck_assert_uint_eq(tkv_f32_to_bf16(from_bits(lo << 16 | 0x80008000)), even | 0x8000);
    }
}
END_TEST

/* Goal: the edges: overflow, infinity, NaN payloads, the least subnormals, signed zeros. */
START_TEST(edges)
{
    static const struct {
        uint32_t f32;
        uint16_t f16, bf16;
    } rows[] =
        {
            {0x00000000, 0x0000, 0x0000}, {0x80000000, 0x8000, 0x8000},
            {0x7f800000, 0x7c00, 0x7f80}, {0xff800000, 0xfc00, 0xff80},
            {0x477fefff, 0x7bff, 0x4780}, /* just under 65520 */
            {0x477ff000, 0x7c00, 0x4780}, /* 65520 */
            {0x7f7fffff, 0x7c00, 0x7f80}, /* the largest f32 */
            {0x33000000, 0x0000, 0x3300}, /* 2^-25: a tie, to 0 */
            {0x33000001, 0x0001, 0x3300}, {0x32ffffff, 0x0000, 0x3300},
            {0x00000001, 0x0000, 0x0000}, {0x00018000, 0x0000, 0x0002},
            {0x7f800001, 0x7e00, 0x7fc0}, /* signalling NaN, payload below what is kept */
            {0xffc12345, 0xfe09, 0xffc1}, {0x7fbfffff, 0x7fff, 0x7fff},
        };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_uint_eq(tkv_f32_to_f16(from_bits(rows[i].f32)), rows[i].f16);
        ck_assert_uint_eq(tkv_f32_to_bf16(from_bits(rows[i].f32)), rows[i].bf16);
    }
}
END_TEST

/* Goal: arrays convert element by element, also where they are not aligned; equal types bit by bit.
 */
START_TEST(arrays)
{
    static const float values[] = {1.0f, -2.5f, 0x1p-24f, 1e30f};
    unsigned char half[9], brain[9], back[17], same[8];
    tkv_convert(half + 1, TKV_F16, values, TKV_F32, 4);
    tkv_convert(brain + 1, TKV_BF16, half + 1, TKV_F16, 3);
    tkv_convert(back + 1, TKV_F32, half + 1, TKV_F16, 4);
    ck_assert(tkv_element(half + 1, TKV_F16, 1) == -2.5f);
    ck_assert(tkv_element(brain + 1, TKV_BF16, 2) == 0x1p-24f);
    ck_assert_uint_eq(to_bits(tkv_element(back + 1, TKV_F32, 3)), 0x7f800000);
    uint16_t signalling[] = {0x7c01, 0x7f81, 0, 0xffff};
    tkv_convert(same, TKV_F16, signalling, TKV_F16, 4);
    ck_assert_int_eq(memcmp(same, signalling, sizeof same), 0);
    tkv_convert(NULL, TKV_F16, NULL, TKV_F32, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dtype");
    TCase *tc = tcase_create("dtype");
    tcase_add_test(tc, words);
    tcase_add_test(tc, all_16_bit_patterns);
    tcase_add_test(tc, f16_rounds_to_nearest_even);
    tcase_add_test(tc, bf16_rounds_to_nearest_even);
    tcase_add_test(tc, edges);
    tcase_add_test(tc, arrays);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
