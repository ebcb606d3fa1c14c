/* The equality suite. Goal: the batched path writes the bytes that the per-item path writes, both
 * write what a naive model says, and no others.
 * Method: the same items through both, into poisoned arenas; whole arenas are compared with the
 * model, guard bytes too, so that a stray write fails as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/scene.h"
#include "tests/support/check_main.h"

static void compare_paths(struct tkv_device *dev, const struct scene_shape *shape, uint64_t seed)
{
    struct scene s;
    uint64_t mismatched = 1;
    scene_open(&s, dev, shape, seed);
    void *one = scene_arena(&s), *batched = scene_arena(&s);
    scene_model(&s);
    scene_aim(&s, one);
    scene_run_one_by_one(&s);
    scene_aim(&s, batched);
    if (seed % 4 != 3) scene_want_sums(&s, seed);
    scene_run_batched(&s);
    scene_check(&s, one, "per item");
    scene_check(&s, batched, "batched");
    if (seed % 4 != 3) scene_check_sums(&s, "batched");
    ck_assert_int_eq(tkv_compare_planes(dev, one, batched, s.arena_bytes, 1, &mismatched), TKV_OK);
    ck_assert_uint_eq(mismatched, 0);
    tkv_scratch_free(dev, batched);
    tkv_scratch_free(dev, one);
    scene_close(&s);
}

/* m, layers, heads, head_dim, tokens, cache, rows, ragged, misaligned */
static const struct scene_shape chosen[] = {
    {1, 1, 1, 1, 1, TKV_F16, TKV_F16, false, 0},
    {1, 1, 1, 1, 700, TKV_BF16, TKV_F32, false, 0},
    {2, 5, 8, 63, 7, TKV_F16, TKV_F16, false, 0},
    {3, 5, 8, 64, 7, TKV_BF16, TKV_BF16, false, 0},
    {3, 1, 8, 80, 700, TKV_F16, TKV_F32, false, 0},
    {33, 5, 1, 63, 7, TKV_BF16, TKV_F16, false, 0},
    {33, 1, 8, 256, 1, TKV_F16, TKV_BF16, false, 0},
    {4, 32, 8, 128, 1, TKV_F16, TKV_F16, false, 0},
    {64, 32, 8, 128, 1, TKV_F16, TKV_F16, false, 0}, /* a decode step */
    {64, 1, 8, 128, 1, TKV_BF16, TKV_F32, false, 0},
    {64, 32, 1, 64, 1, TKV_F16, TKV_F32, false, 0},
    {512, 1, 8, 128, 1, TKV_F16, TKV_F16, false, 0},
    {512, 5, 1, 64, 1, TKV_BF16, TKV_F16, true, 0},
    {512, 32, 1, 1, 1, TKV_F16, TKV_BF16, false, 0},
    {1, 32, 8, 128, 7, TKV_BF16, TKV_F32, false, 0},
    {2, 1, 8, 256, 700, TKV_BF16, TKV_BF16, false, 0},
    {65, 5, 8, 63, 1, TKV_F16, TKV_F32, true, 0},
    {9, 5, 8, 128, 32, TKV_F16, TKV_F16, true, 2},
    {9, 5, 8, 128, 32, TKV_F16, TKV_F16, true, 4},
    {9, 5, 8, 128, 32, TKV_BF16, TKV_F32, true, 8},
    {513, 1, 1, 64, 1, TKV_F16, TKV_F16, false, 0}, /* past what fits a kernel's parameters */
    {700, 5, 2, 40, 3, TKV_BF16, TKV_F32, true, 0},
    {512, 32, 1, 128, 1, TKV_F16, TKV_F32, false, 0},
    {512, 1, 8, 256, 1, TKV_BF16, TKV_BF16, false, 0},
    {1, 32, 1, 80, 700, TKV_F16, TKV_F16, false, 0},
    {2, 32, 8, 64, 7, TKV_BF16, TKV_F32, true, 0},
    {4096, 1, 1, 64, 1, TKV_F16, TKV_F32, false, 0},
};

START_TEST(paths_are_equal_on_chosen_shapes)
{
    struct tkv_device *dev = test_device_open();
    for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++) {
        const struct scene_shape *p = &chosen[i];
        size_t elements = (size_t)p->m * p->layers * p->heads * p->head_dim * p->tokens;
        if (test_small() && elements > 100000) continue;
        compare_paths(dev, p, i);
    }
    tkv_device_close(dev);
}
END_TEST

/* Elements of the largest shape of the grid that is tried: what a test run has time for.
 * TKV_TEST_ELEMENTS says otherwise. */
static size_t elements_max(void)
{
    const char *said = getenv("TKV_TEST_ELEMENTS");
    if (said != NULL) return strtoull(said, NULL, 10);
    return test_small() ? 20000 : 1000000;
}

/* Method: every combination of sizes around a decode step and a prefill, as far as there is time.
 */
START_TEST(paths_are_equal_on_the_grid)
{
    static const uint32_t m[] = {1, 2, 3, 64, 512}, layers[] = {1, 32}, tokens[] = {1, 700},
                          head_dims[] = {1, 63, 64, 80, 128, 256}, heads[] = {1, 8};
    enum { SHAPES = 5 * 2 * 2 * 6 * 2 };
    struct tkv_device *dev = test_device_open();
    size_t tried = 0, limit = elements_max();
    for (size_t i = 0; i < SHAPES; i++) {
        struct scene_shape shape = {.m = m[i % 5],
                                    .layers = layers[i / 5 % 2],
                                    .tokens = tokens[i / 10 % 2],
                                    .head_dim = head_dims[i / 20 % 6],
                                    .heads = heads[i / 120],
                                    .dtype = i % 3 == 0 ? TKV_BF16 : TKV_F16,
                                    .rows_dtype = (enum tkv_dtype)(i / 3 % TKV_DTYPE_COUNT)};
        size_t elements =
            (size_t)shape.m * shape.layers * shape.heads * shape.head_dim * shape.tokens;
        if (elements > limit) continue;
        compare_paths(dev, &shape, 5000 + i);
        tried++;
    }
    printf("%zu of %d shapes of the grid, up to %zu elements\n", tried, SHAPES, limit);
    ck_assert_uint_gt(tried, SHAPES / 4);
    tkv_device_close(dev);
}
END_TEST

/* Method: every pair of types over the head_dims around the vector widths, ragged and not. */
START_TEST(paths_are_equal_for_all_types_and_head_dims)
{
    static const uint32_t head_dims[] = {1, 2, 3, 4, 8, 12, 63, 64, 80, 96, 100, 128, 256, 576};
    struct tkv_device *dev = test_device_open();
    uint64_t seed = 1000;
    for (size_t i = 0; i < sizeof head_dims / sizeof head_dims[0]; i++) {
        for (int to = TKV_F16; to <= TKV_BF16; to++) {
            for (int from = 0; from < TKV_DTYPE_COUNT; from++) {
                struct scene_shape shape = {3,
                                            2,
                                            3,
                                            head_dims[i],
                                            5,
                                            (enum tkv_dtype)to,
                                            (enum tkv_dtype)from,
                                            seed % 2 == 1,
                                            0};
                compare_paths(dev, &shape, seed++);
            }
        }
    }
    tkv_device_close(dev);
}
END_TEST

/* Method: shapes drawn at random; the seed is the loop's index and printed by the failing check. */
START_TEST(paths_are_equal_on_random_shapes)
{
    static const uint32_t m[] = {1, 2, 3, 31, 32, 33, 64};
    struct tkv_device *dev = test_device_open();
    int rounds = test_small() ? 10 : 120;
    for (int i = 0; i < rounds; i++) {
        uint64_t rng = (uint64_t)i + 77;
        struct scene_shape shape = {.m = m[test_random_in(&rng, 0, 6)],
                                    .layers = test_random_in(&rng, 1, 6),
                                    .heads = test_random_in(&rng, 1, 9),
                                    .head_dim = test_random_in(&rng, 1, 96),
                                    .tokens = test_random_in(&rng, 1, 12),
                                    .dtype = (enum tkv_dtype)test_random_in(&rng, 0, 1),
                                    .ragged = true,
                                    .misaligned = test_random_in(&rng, 0, 3) * 2};
        compare_paths(dev, &shape, (uint64_t)i);
    }
    tkv_device_close(dev);
}
END_TEST

/* Goal: a long prefill beside single tokens. Method: as above, with one item of many tokens. */
START_TEST(prefill_beside_decode)
{
    struct tkv_device *dev = test_device_open();
    struct scene_shape shape = {20, 2, 4, 64, test_small() ? 40 : 2000, TKV_F16, TKV_F16, true, 0};
    struct scene s;
    scene_open(&s, dev, &shape, 5);
    uint32_t longest = 0;
    for (uint32_t i = 1; i < shape.m; i++) {
        if (s.items[i].tokens > s.items[longest].tokens) longest = i;
    }
    ck_assert_uint_gt(s.items[longest].tokens, shape.tokens / 2);
    for (uint32_t i = 0; i < shape.m; i++) {
        if (i != longest && s.items[i].tokens > 1) s.items[i].tokens = 1; /* of a larger block */
    }
    void *one = scene_arena(&s), *batched = scene_arena(&s);
    scene_model(&s);
    scene_aim(&s, one);
    scene_run_one_by_one(&s);
    scene_aim(&s, batched);
    scene_run_batched(&s);
    scene_check(&s, one, "per item");
    scene_check(&s, batched, "batched");
    tkv_scratch_free(dev, batched);
    tkv_scratch_free(dev, one);
    scene_close(&s);
    tkv_device_close(dev);
}
END_TEST

/* The f32 value number i of a sweep over every 16-bit type's neighbourhoods: each upper half with
 * lower halves at and beside the midpoint of bf16, and beside those of f16. */
static uint32_t sweep(size_t i)
{
    static const uint32_t low[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff, 0x0fff, 0x1000,
                                   0x1001, 0x2fff, 0x3000, 0x3001, 0x4fff, 0x5000, 0x5001, 0xd000};
    return (uint32_t)(i / 16) << 16 | low[i % 16];
}

/* Goal: every 16-bit pattern, and f32 at and beside every midpoint, converts alike on both paths
 * and as base/dtype.h says: rounding, subnormals, overflow, NaN payloads.
 * Method: one item whose rows are all of them. */
static void check_patterns(struct tkv_device *dev, enum tkv_dtype to, enum tkv_dtype from)
{
    uint32_t tokens = from == TKV_F32 ? 65536 * 16 / 128 / 2 : 65536 / 128 / 2;
    struct scene_shape shape = {1, 1, 1, 128, tokens, to, from, false, 0};
    struct scene s;
    scene_open(&s, dev, &shape, 9);
    unsigned char *rows = s.rows + s.rows_at[0];
    for (size_t i = 0; i < (size_t)tokens * 128 * 2; i++) {
        uint32_t single = sweep(i);
        uint16_t half = (uint16_t)i;
        if (from == TKV_F32) {
            memcpy(rows + 4 * i, &single, 4);
        } else {
            memcpy(rows + 2 * i, &half, 2);
        }
    }
    ck_assert_int_eq(tkv_device_copy(dev, s.device_rows, s.rows, s.rows_bytes), TKV_OK);
    void *one = scene_arena(&s), *batched = scene_arena(&s);
    scene_model(&s);
    scene_aim(&s, one);
    scene_run_one_by_one(&s);
    scene_aim(&s, batched);
    scene_run_batched(&s);
    scene_check(&s, one, "patterns, per item");
    scene_check(&s, batched, "patterns, batched");
    tkv_scratch_free(dev, batched);
    tkv_scratch_free(dev, one);
    scene_close(&s);
}

START_TEST(every_pattern_converts_alike)
{
    struct tkv_device *dev = test_device_open();
    for (int to = TKV_F16; to <= TKV_BF16; to++) {
        for (int from = 0; from < TKV_DTYPE_COUNT; from++)
            check_patterns(dev, (enum tkv_dtype)to, (enum tkv_dtype)from);
    }
    tkv_device_close(dev);
}
END_TEST

/* Goal: rows may lie in staging memory. */
START_TEST(rows_in_staging)
{
    struct tkv_device *dev = test_device_open();
    struct scene_shape shape = {33, 3, 2, 64, 3, TKV_BF16, TKV_F32, true, 0};
    struct scene s;
    void *staging = NULL;
    scene_open(&s, dev, &shape, 11);
    ck_assert_int_eq(tkv_staging_alloc(test_backend(), s.rows_bytes, &staging), TKV_OK);
    memcpy(staging, s.rows, s.rows_bytes);
    void *arena = scene_arena(&s);
    scene_model(&s);
    scene_aim(&s, arena);
    for (uint32_t i = 0; i < shape.m; i++)
        s.items[i].rows = (const char *)staging + s.rows_at[i];
    scene_run_batched(&s);
    scene_check(&s, arena, "from staging");
    tkv_staging_free(test_backend(), staging, s.rows_bytes);
    tkv_scratch_free(dev, arena);
    scene_close(&s);
    tkv_device_close(dev);
}
END_TEST

/* Goal: launches in flight do not share their item arrays.
 * Method: many launches without a wait, each writing the next position; the caller's array is
 * overwritten as soon as a call returns. */
static void check_many_in_flight(uint32_t m)
{
    struct tkv_device *dev = test_device_open();
    struct scene_shape shape = {m, 1, 1, 16, 40, TKV_F16, TKV_F16, false, 0};
    struct scene s;
    scene_open(&s, dev, &shape, 13);
    void *arena = scene_arena(&s);
    scene_aim(&s, arena);
    struct tkv_append_item *step = calloc(m, sizeof *step);
    ck_assert_ptr_nonnull(step);
    for (uint32_t t = 0; t < shape.tokens; t++) {
        for (uint32_t i = 0; i < m; i++) {
            step[i] = s.items[i];
            step[i].pos += t;
            step[i].tokens = 1;
            step[i].rows = (const char *)s.items[i].rows + (size_t)t * 64; /* K and V of 16 */
            scene_model_item(&s, i, &step[i]);
        }
        ck_assert_int_eq(tkv_append_batched(dev, &s.geom, step, m), TKV_OK);
        memset(step, 0xff, m * sizeof *step);
    }
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    scene_check(&s, arena, "many in flight");
    free(step);
    tkv_scratch_free(dev, arena);
    scene_close(&s);
    tkv_device_close(dev);
}

START_TEST(launches_in_flight_are_independent)
{
    check_many_in_flight(3);
    check_many_in_flight(64);
    check_many_in_flight(600);
}
END_TEST

/* Goal: one cache twice in a batch, the second block behind the first. */
START_TEST(one_cache_twice_in_a_batch)
{
    struct tkv_device *dev = test_device_open();
    struct scene_shape shape = {2, 3, 2, 64, 4, TKV_F16, TKV_F32, false, 0};
    struct scene s;
    scene_open(&s, dev, &shape, 15);
    void *arena = scene_arena(&s);
    for (uint32_t i = 0; i < 2; i++) {
        s.items[i].pos = i * 4;
        s.items[i].cache = (char *)arena + s.cache_at[0];
        scene_model_item(&s, 0, &s.items[i]);
    }
    scene_run_batched(&s);
    scene_check(&s, arena, "one cache twice");
    tkv_scratch_free(dev, arena);
    scene_close(&s);
    tkv_device_close(dev);
}
END_TEST

/* Goal: offsets past 2^32 elements reach the right place.
 * Method: a cache larger than that (on the CPU its untouched pages take no memory); the last
 * positions of the last plane are written, and read back with their neighbours. */
static void check_far_rows(struct tkv_device *dev, bool batched)
{
    const struct tkv_geometry g = {2, 4, 256, TKV_F16};
    const uint32_t capacity = (1u << 20) + 9, pos = capacity - 3;
    struct tkv_memory mem;
    size_t bytes, row = sizeof(uint16_t) * g.head_dim;
    unsigned char block[2 * 4 * 2 * 256 * 2], got[4 * 256 * 2], zeros[256 * 2] = {0};
    void *rows = NULL;
    uint64_t rng = 17;
    ck_assert(tkv_cache_bytes(&g, capacity, &bytes) && bytes / 2 > (size_t)1 << 32);
    ck_assert_int_eq(tkv_memory_alloc(dev, bytes, &mem), TKV_OK);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (unsigned char)test_random(&rng);
    ck_assert_int_eq(tkv_scratch_alloc(dev, sizeof block, &rows), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, rows, block, sizeof block), TKV_OK);

    struct tkv_append_item item = {mem.ptr, rows, pos, 2, capacity, 1, 2, TKV_F16, NULL};
    if (batched) {
        ck_assert_int_eq(tkv_append_batched(dev, &g, &item, 1), TKV_OK);
    } else {
        for (uint32_t kv = 0; kv < TKV_KV; kv++)
            ck_assert_int_eq(tkv_append_one(dev, &g, &item, 1, kv), TKV_OK);
    }
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    for (size_t plane = 0; plane < 8; plane++) { /* (kv, head) of layer 1 */
        size_t at = ((8 + plane) * capacity + pos - 1) * row;
        ck_assert_int_eq(tkv_device_copy(dev, got, (const char *)mem.ptr + at, 4 * row), TKV_OK);
        ck_assert_int_eq(memcmp(got, zeros, row), 0);
        ck_assert_int_eq(memcmp(got + row, block + plane * 2 * row, 2 * row), 0);
        ck_assert_int_eq(memcmp(got + 3 * row, zeros, row), 0);
    }
    tkv_scratch_free(dev, rows);
    tkv_memory_free(dev, &mem);
}

START_TEST(offsets_past_32_bits)
{
    struct tkv_device *dev = test_device_open();
    check_far_rows(dev, false);
    check_far_rows(dev, true);
    tkv_device_close(dev);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("append");
    TCase *tc = tcase_create("append");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, paths_are_equal_on_chosen_shapes);
    tcase_add_test(tc, paths_are_equal_on_the_grid);
    tcase_add_test(tc, paths_are_equal_for_all_types_and_head_dims);
    tcase_add_test(tc, paths_are_equal_on_random_shapes);
    tcase_add_test(tc, prefill_beside_decode);
    tcase_add_test(tc, every_pattern_converts_alike);
    tcase_add_test(tc, rows_in_staging);
    tcase_add_test(tc, launches_in_flight_are_independent);
    tcase_add_test(tc, one_cache_twice_in_a_batch);
    tcase_add_test(tc, offsets_past_32_bits);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
