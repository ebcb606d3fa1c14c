/* Goal: the vector code adds up what the plain code adds up, and tokens' sums are what
 * checksum.h says.
 * Method: random rows of all lengths around the vector's, at odd addresses. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/row_sum.h"
#include "tests/support/check_main.h"

START_TEST(vectors_and_plain_agree)
{
    unsigned char bytes[2 * 300 + 2];
    uint64_t keys[160];
    const tkv_row_sum_fn fast[] = {tkv_row_sum_avx2(), tkv_row_sum_avx512()};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 167 + i / 7);
    for (uint32_t w = 0; w < 160; w++)
        keys[w] = tkv_checksum_key(3, w);
    for (size_t i = 0; i < (size_t)2 * 2 * 301; i++) {
        size_t n = i / 4, off = i / 2 % 2;
        if (fast[i % 2] == NULL) continue;
        ck_assert_uint_eq(fast[i % 2](bytes + off, keys, n),
                          tkv_row_sum_plain(bytes + off, keys, n));
    }
}
END_TEST

/* By the formula of checksum.h, element by element. */
static uint64_t naive(const struct tkv_geometry *g, const uint16_t *rows, size_t step)
{
    uint64_t sum = TKV_CHECKSUM_SEED;
    for (uint32_t head = 0; head < g->n_kv_heads; head++) {
        for (uint32_t dim = 0; dim < g->head_dim; dim++)
            sum += (uint64_t)tkv_checksum_key(head, dim / 2) *
                   ((uint64_t)rows[head * step + dim] << dim % 2 * 16);
    }
    return sum;
}

/* One to nine planes in a row, as far as there are rows. */
static void check_planes(const struct tkv_row_keys *k, const struct tkv_geometry *g,
                         const uint16_t *rows)
{
    size_t plane = (size_t)g->n_kv_heads * g->head_dim;
    for (size_t n = 1; n <= 9 && n * plane <= (size_t)4 * 600; n++) {
        uint64_t sums[9];
        tkv_token_sums(k, rows, g->head_dim * sizeof rows[0], n, sums);
        for (size_t i = 0; i < n; i++)
            ck_assert_uint_eq(sums[i], naive(g, rows + i * plane, g->head_dim));
    }
}

START_TEST(tokens_add_up_as_defined)
{
    static const uint32_t dims[] = {1, 2, 5, 15, 16, 17, 63, 64, 80, 128, 576};
    uint16_t rows[4 * 600];
    struct tkv_row_keys k = {0};
    for (size_t i = 0; i < (size_t)4 * 600; i++)
        rows[i] = (uint16_t)(i * 40503 ^ i >> 3);
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        struct tkv_geometry g = {1, 1 + (uint32_t)i % 4, dims[i], TKV_F16};
        ck_assert_int_eq(tkv_row_keys_set(&k, &g), TKV_OK);
        ck_assert_uint_eq(tkv_token_sum(&k, rows, dims[i] * sizeof rows[0]),
                          naive(&g, rows, dims[i]));
        ck_assert_uint_eq(tkv_token_sum(&k, rows, 600 * sizeof rows[0]), naive(&g, rows, 600));
        check_planes(&k, &g, rows);
    }
    tkv_row_keys_close(&k);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("row_sum");
    TCase *tc = tcase_create("row_sum");
    tcase_add_test(tc, vectors_and_plain_agree);
    tcase_add_test(tc, tokens_add_up_as_defined);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
