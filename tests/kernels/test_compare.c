#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/scene.h"
#include "tests/support/check_main.h"

/* Goal: differing bytes are counted for every plane, any size, number and alignment of planes.
 * Method: equal random planes, some bytes changed, counted on the host. */
static void check_count(struct tkv_device *dev, size_t plane_bytes, size_t n_planes, size_t offset)
{
    size_t bytes = plane_bytes * n_planes;
    uint64_t rng = bytes * 31 + offset + 1;
    unsigned char *a = malloc(bytes), *b = malloc(bytes);
    uint64_t *expected = calloc(n_planes, sizeof *expected), *got = calloc(n_planes, sizeof *got);
    void *device_a = NULL, *device_b = NULL;
    ck_assert(a != NULL && b != NULL && expected != NULL && got != NULL);
    for (size_t i = 0; i < bytes; i++)
        b[i] = a[i] = (unsigned char)test_random(&rng);
    for (size_t k = 0; k < n_planes / 2 + 2; k++) {
        size_t at = (size_t)(test_random(&rng) % bytes);
        b[at] ^= (unsigned char)test_random_in(&rng, 1, 255);
    }
    for (size_t i = 0; i < bytes; i++)
        expected[i / plane_bytes] += a[i] != b[i];
    memset(got, 0xff, n_planes * sizeof *got);

    ck_assert_int_eq(tkv_scratch_alloc(dev, bytes + offset, &device_a), TKV_OK);
    ck_assert_int_eq(tkv_scratch_alloc(dev, bytes + offset, &device_b), TKV_OK);
    char *x = (char *)device_a + offset, *y = (char *)device_b + offset;
    ck_assert_int_eq(tkv_device_copy(dev, x, a, bytes), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, y, b, bytes), TKV_OK);
    ck_assert_int_eq(tkv_compare_planes(dev, x, y, plane_bytes, n_planes, got), TKV_OK);
    ck_assert_int_eq(memcmp(got, expected, n_planes * sizeof *got), 0);
    tkv_scratch_free(dev, device_b);
    tkv_scratch_free(dev, device_a);
    free(got);
    free(expected);
    free(b);
    free(a);
}

START_TEST(differing_bytes_are_counted)
{
    static const struct {
        size_t plane_bytes, n_planes, offset;
    } rows[] = {{1, 1, 0},     {1, 9000, 1},    {15, 3, 0},     {16, 5, 0},   {16, 5, 8},
                {17, 4, 0},    {4096, 64, 0},   {4096, 64, 1},  {4099, 7, 2}, {160, 4096, 0},
                {32, 4097, 0}, {1 << 20, 2, 0}, {1000003, 1, 0}};
    struct tkv_device *dev = test_device_open();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_count(dev, rows[i].plane_bytes, rows[i].n_planes, rows[i].offset);
    uint64_t untouched = 7;
    ck_assert_int_eq(tkv_compare_planes(dev, NULL, NULL, 16, 0, &untouched), TKV_OK);
    ck_assert_uint_eq(untouched, 7);
    ck_assert_int_eq(tkv_compare_planes(dev, NULL, NULL, 0, 1, &untouched), TKV_OK);
    ck_assert_uint_eq(untouched, 0);
    tkv_device_close(dev);
}
END_TEST

static const struct tkv_geometry plane = {1, 2, 4, TKV_F16}; /* [2][3][4] */

static void set(uint16_t *array, size_t head, size_t pos, size_t dim, float value)
{
    array[(head * 3 + pos) * 4 + dim] = tkv_f32_to_f16(value);
}

/* Goal: equal planes say so, and nonzero elements are counted on both sides. */
START_TEST(stats_of_equal_planes)
{
    uint16_t a[24] = {0};
    struct tkv_plane_stats stats;
    set(a, 0, 1, 2, 1e-7f); /* below 1e-6: counts as zero */
    set(a, 1, 2, 3, -5);
    set(a, 1, 0, 0, NAN);
    tkv_plane_stats(&plane, 3, a, a, &stats);
    ck_assert_uint_eq(stats.mismatched_bytes, 0);
    ck_assert(stats.finite);
    ck_assert(!(stats.max_abs_diff > 0));
    ck_assert_uint_eq(stats.nonzero_expected, 2);
    ck_assert_uint_eq(stats.nonzero_other, 2);
}
END_TEST

/* Goal: the first of the largest differences is named, with both values. */
START_TEST(stats_name_the_worst)
{
    uint16_t a[24] = {0}, b[24] = {0};
    struct tkv_plane_stats stats;
    set(a, 0, 1, 1, 1);
    set(b, 0, 1, 1, 2);
    set(a, 1, 2, 0, 3);
    set(b, 1, 2, 0, -1);
    set(b, 1, 2, 3, 4); /* as large, but later */
    tkv_plane_stats(&plane, 3, a, b, &stats);
    ck_assert(stats.finite && stats.max_abs_diff == 4);
    ck_assert_uint_eq(stats.worst.kv_head, 1);
    ck_assert_uint_eq(stats.worst.kv_pos, 2);
    ck_assert_uint_eq(stats.worst.dim, 0);
    ck_assert(stats.worst.expected == 3 && stats.worst.other == -1);
    ck_assert_uint_eq(stats.nonzero_expected, 2);
    ck_assert_uint_eq(stats.nonzero_other, 3);
}
END_TEST

/* Goal: bytes are compared, not values: the two zeros differ, by 0; a NaN is worse than any number,
 * also where both sides hold one. */
START_TEST(stats_forgive_nothing)
{
    uint16_t a[24] = {0}, b[24] = {0};
    struct tkv_plane_stats stats;
    b[5] = 0x8000;
    tkv_plane_stats(&plane, 3, a, b, &stats);
    ck_assert_uint_eq(stats.mismatched_bytes, 1);
    ck_assert(stats.finite && !(stats.max_abs_diff > 0));
    ck_assert(stats.worst.kv_head == 0 && stats.worst.kv_pos == 1 && stats.worst.dim == 1);

    set(b, 0, 0, 0, 60000);
    a[20] = 0x7e01;
    b[20] = 0x7e02;
    tkv_plane_stats(&plane, 3, a, b, &stats);
    ck_assert(!stats.finite && stats.max_abs_diff == 60000);
    ck_assert(stats.worst.kv_head == 1 && stats.worst.kv_pos == 2 && stats.worst.dim == 0);
    ck_assert(isnan(stats.worst.expected) && isnan(stats.worst.other));
}
END_TEST

/* Goal: the map counts every differing byte once by head and once by position, from the first
 * position that differs to the last. */
START_TEST(map_of_mismatches)
{
    uint16_t a[24] = {0}, b[24] = {0};
    struct tkv_plane_map map;
    tkv_plane_mismatch(&plane, 3, a, b, &map);
    ck_assert(map.n_heads == 2 && map.n_positions == 0 && map.heads[0] == 0 && map.heads[1] == 0);
    b[4] = 0x0101;  /* head 0, position 1 */
    b[20] = 0x0100; /* head 1, position 2 */
    tkv_plane_mismatch(&plane, 3, a, b, &map);
    ck_assert(map.heads_per_cell == 1 && map.heads[0] == 2 && map.heads[1] == 1);
    ck_assert(map.pos == 1 && map.n_positions == 2 && map.positions_per_cell == 1);
    ck_assert(map.positions[0] == 2 && map.positions[1] == 1);
}
END_TEST

/* Goal: large planes fit the cells, and nothing is lost. */
START_TEST(map_of_large_planes)
{
    static const struct tkv_geometry wide = {1, 130, 1, TKV_F16};
    enum { POSITIONS = 200 };
    uint16_t *a = calloc((size_t)130 * POSITIONS, sizeof *a);
    uint16_t *b = calloc((size_t)130 * POSITIONS, sizeof *b);
    struct tkv_plane_map map;
    uint64_t heads = 0, positions = 0;
    for (uint32_t head = 0; head < 130; head++) {
        for (uint32_t pos = 10; pos < 139; pos++) /* 129 positions: 3 to a cell */
            b[tkv_row_offset(&wide, POSITIONS, head, pos)] = 1;
    }
    tkv_plane_mismatch(&wide, POSITIONS, a, b, &map);
    ck_assert(map.heads_per_cell == 3 && map.n_heads == 44);
    ck_assert(map.pos == 10 && map.positions_per_cell == 3 && map.n_positions == 43);
    for (uint32_t i = 0; i < map.n_heads; i++)
        heads += map.heads[i];
    for (uint32_t i = 0; i < map.n_positions; i++)
        positions += map.positions[i];
    ck_assert_uint_eq(heads, (uint64_t)130 * 129);
    ck_assert_uint_eq(positions, (uint64_t)130 * 129);
    ck_assert_uint_eq(map.heads[43], 129); /* the last cell has one head */
    free(a);
    free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("compare");
    TCase *tc = tcase_create("compare");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, differing_bytes_are_counted);
    tcase_add_test(tc, stats_of_equal_planes);
    tcase_add_test(tc, stats_name_the_worst);
    tcase_add_test(tc, stats_forgive_nothing);
    tcase_add_test(tc, map_of_mismatches);
    tcase_add_test(tc, map_of_large_planes);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
