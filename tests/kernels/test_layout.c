#include "kernels/layout.h"
#include "tests/support/check_main.h"

/* Goal: offsets enumerate a cache in C order without gap or overlap.
 * Method: count through it by nested loops. */
START_TEST(coordinates_by_brute_force)
{
    const struct tkv_geometry shapes[] = {
        {1, 1, 1, TKV_F16}, {2, 3, 5, TKV_BF16}, {4, 1, 7, TKV_F16}, {3, 8, 2, TKV_F16}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct tkv_geometry *g = &shapes[i];
        const size_t capacity = 6;
        size_t next = 0, bytes;
        for (size_t layer = 0; layer < g->n_layers; layer++) {
            for (size_t kv = 0; kv < TKV_KV; kv++) {
                ck_assert_uint_eq(tkv_plane_offset(g, capacity, layer, kv), next);
                for (size_t head = 0; head < g->n_kv_heads; head++) {
                    for (size_t pos = 0; pos < capacity; pos++, next += g->head_dim) {
                        size_t at = tkv_plane_offset(g, capacity, layer, kv) +
                                    tkv_row_offset(g, capacity, head, pos);
                        ck_assert_uint_eq(at, next);
                    }
                }
            }
        }
        ck_assert(tkv_cache_bytes(g, capacity, &bytes));
        ck_assert_uint_eq(bytes, next * 2);
    }
}
END_TEST

/* Goal: what the batched paths build on: heads counted through all planes are heads of one tall
 * plane. */
START_TEST(planes_follow_each_other)
{
    const struct tkv_geometry g = {3, 5, 7, TKV_F16};
    for (size_t layer = 0; layer < 3; layer++) {
        for (size_t kv = 0; kv < TKV_KV; kv++) {
            for (size_t head = 0; head < 5; head++) {
                size_t run = (layer * TKV_KV + kv) * g.n_kv_heads + head;
                ck_assert_uint_eq(tkv_row_offset(&g, 11, run, 4),
                                  tkv_plane_offset(&g, 11, layer, kv) +
                                      tkv_row_offset(&g, 11, head, 4));
            }
        }
    }
}
END_TEST

/* Goal: no 32-bit arithmetic anywhere, and sizes past 64 bits are refused. */
START_TEST(large_sizes)
{
    const struct tkv_geometry g = {80, 8, 128, TKV_F16};
    const struct tkv_geometry huge = {UINT32_MAX, UINT32_MAX, UINT32_MAX, TKV_F16};
    const size_t capacity = 1 << 20;
    size_t bytes = 0;
    ck_assert_uint_eq(tkv_plane_offset(&g, capacity, 79, 1), (size_t)159 * 8 * 128 * capacity);
    ck_assert_uint_eq(tkv_row_offset(&g, capacity, 7, capacity - 1),
                      ((size_t)8 * capacity - 1) * 128);
    ck_assert_uint_eq(tkv_row_offset(&huge, UINT32_MAX, 0, UINT32_MAX),
                      (size_t)UINT32_MAX * UINT32_MAX);
    ck_assert(tkv_cache_bytes(&g, capacity, &bytes));
    ck_assert_uint_eq(bytes, (size_t)160 * 8 * 128 * 2 * capacity);
    ck_assert(!tkv_cache_bytes(&huge, 1, &bytes));
    ck_assert(!tkv_cache_bytes(&g, (size_t)-1, &bytes));
    ck_assert(tkv_block_bytes(&g, 0, 5, TKV_F32, &bytes) && bytes == 0);
    ck_assert(tkv_block_bytes(&g, 2, 5, TKV_F32, &bytes) &&
              bytes == (size_t)2 * 2 * 8 * 5 * 128 * 4);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("layout");
    TCase *tc = tcase_create("layout");
    tcase_add_test(tc, coordinates_by_brute_force);
    tcase_add_test(tc, planes_follow_each_other);
    tcase_add_test(tc, large_sizes);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
