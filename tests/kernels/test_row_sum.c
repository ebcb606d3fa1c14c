/* Goal: the vector code adds up what the plain code adds up, and keys are what checksum.h says.
 * Method: random rows of all lengths around the vector's, at odd addresses. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/row_sum.h"
#include "tests/support/check_main.h"

START_TEST(vectors_and_plain_agree)
{
    unsigned char bytes[2 * 300 + 2];
    uint32_t keys[150];
    tkv_row_sum_fn fast = tkv_row_sum_avx2();
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 167 + i / 7);
    for (uint32_t w = 0; w < 150; w++)
        keys[w] = tkv_checksum_key(3, w);
    for (size_t n = 0; n <= 300 && fast != NULL; n++) {
        for (size_t off = 0; off < 2; off++)
            ck_assert_uint_eq(fast(bytes + off, keys, n), tkv_row_sum_plain(bytes + off, keys, n));
    }
}
END_TEST

START_TEST(keys_follow_the_geometry)
{
    struct tkv_row_keys k = {0};
    const struct tkv_geometry small = {1, 2, 5, TKV_F16}, large = {4, 8, 128, TKV_BF16};
    ck_assert_int_eq(tkv_row_keys_set(&k, &small), TKV_OK);
    ck_assert_uint_eq(k.keys[3 + 2], tkv_checksum_key(1, 2));
    ck_assert_int_eq(tkv_row_keys_set(&k, &large), TKV_OK);
    ck_assert_uint_eq(k.keys[7 * 64 + 63], tkv_checksum_key(7, 63));
    for (uint32_t i = 0; i < 8 * 64; i++)
        ck_assert_uint_eq(k.keys[i] % 2, 1);
    tkv_row_keys_close(&k);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("row_sum");
    TCase *tc = tcase_create("row_sum");
    tcase_add_test(tc, vectors_and_plain_agree);
    tcase_add_test(tc, keys_follow_the_geometry);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
