/* Goal: the batched path's conversions on the CPU are bit-equal with base/dtype.h, NaN included.
 * Method: all 16-bit patterns; f32 at a stride that is odd, so that every lower half comes by, and
 * in the neighbourhood of every f16 and bf16 value; every length and alignment for the tails. */
#include <string.h>

#include "kernels/cpu/convert.h"
#include "tests/support/check_main.h"

enum { CHUNK = 4096 };

static const struct tkv_converters *set_of(int i)
{
    const struct tkv_converters *avx2 = tkv_converters_avx2();
    return i == 0 || avx2 == NULL ? tkv_converters_plain() : avx2;
}

static void check(const struct tkv_converters *set, enum tkv_dtype dst, enum tkv_dtype src,
                  const void *in, size_t n)
{
    uint16_t fast[CHUNK], reference[CHUNK];
    tkv_converter(set, dst, src)(fast, in, n);
    tkv_convert(reference, dst, in, src, n);
    size_t i = 0;
    if (memcmp(fast, reference, n * sizeof fast[0]) == 0) return;
    while (fast[i] == reference[i])
        i++;
    ck_abort_msg("%s: %s to %s: %04x, not %04x", set->name, tkv_dtype_word(src),
                 tkv_dtype_word(dst), fast[i], reference[i]);
}

START_TEST(all_16_bit_patterns)
{
    uint16_t in[CHUNK];
    for (uint32_t base = 0; base < 65536; base += CHUNK) {
        for (uint32_t i = 0; i < CHUNK; i++)
            in[i] = (uint16_t)(base + i);
        check(set_of(_i), TKV_BF16, TKV_F16, in, CHUNK);
        check(set_of(_i), TKV_F16, TKV_BF16, in, CHUNK);
    }
}
END_TEST

static void check_f32(const struct tkv_converters *set, const uint32_t *in, size_t n)
{
    check(set, TKV_F16, TKV_F32, in, n);
    check(set, TKV_BF16, TKV_F32, in, n);
}

START_TEST(f32_at_a_stride)
{
    uint32_t in[CHUNK];
    for (uint64_t bits = 0; bits <= UINT32_MAX;) {
        for (size_t i = 0; i < CHUNK; i++, bits += 251)
            in[i] = (uint32_t)bits;
        check_f32(set_of(_i), in, CHUNK);
    }
}
END_TEST

START_TEST(f32_beside_every_midpoint)
{
    static const uint32_t low[] = {0x0000, 0x0001, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x2fff,
                                   0x3000, 0x3001, 0x7fff, 0x8000, 0x8001, 0xefff, 0xf000, 0xffff};
    uint32_t in[CHUNK];
    size_t n = 0;
    for (uint32_t i = 0; i < 65536 * 16; i++) {
        in[n++] = i / 16 << 16 | low[i % 16];
        if (n < CHUNK) continue;
        check_f32(set_of(_i), in, n);
        n = 0;
    }
}
END_TEST

/* Method: every length up to three vectors, off by one byte from any alignment; the bytes around
 * the destination stay. */
START_TEST(tails_and_alignment)
{
    const struct tkv_converters *set = set_of(_i);
    static const struct {
        enum tkv_dtype dst, src;
    } pairs[] = {{TKV_F16, TKV_F32}, {TKV_BF16, TKV_F32}, {TKV_BF16, TKV_F16}, {TKV_F16, TKV_BF16}};
    for (size_t n = 0; n <= 24; n++) {
        for (size_t p = 0; p < 4; p++) {
            size_t size = tkv_dtype_size(pairs[p].src);
            unsigned char in[24 * 4 + 1], out[24 * 2 + 3], expected[24 * 2 + 3];
            for (size_t i = 0; i < sizeof in; i++)
                in[i] = (unsigned char)(i * 37 + n);
            memset(out, 0x5a, sizeof out);
            memset(expected, 0x5a, sizeof expected);
            unsigned char *src = in + sizeof in - n * size; /* ASan sees a byte too far */
            tkv_convert(expected + 1, pairs[p].dst, src, pairs[p].src, n);
            tkv_converter(set, pairs[p].dst, pairs[p].src)(out + 1, src, n);
            ck_assert_int_eq(memcmp(out, expected, sizeof out), 0);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("convert");
    TCase *tc = tcase_create("convert");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, all_16_bit_patterns, 0, 2);
    tcase_add_loop_test(tc, f32_at_a_stride, 0, 2);
    tcase_add_loop_test(tc, f32_beside_every_midpoint, 0, 2);
    tcase_add_loop_test(tc, tails_and_alignment, 0, 2);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
