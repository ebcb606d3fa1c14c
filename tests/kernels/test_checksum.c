/* Goal: the plain checksums are those that the batched append leaves and those of the rows that it
 * wrote, and any damage to a cache changes them.
 * Method: a scene's model has the numbers by arithmetic of its own; tkv_checksums() must find them
 * in the source blocks and in the caches; then bits of the caches are flipped, one at a time. */
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/scene.h"
#include "tests/support/check_main.h"

/* Sums of an item's tokens, from its source block or from its cache, as [tokens][layers][2]. */
static uint64_t *sums_of(struct scene *s, const struct tkv_append_item *item, bool cache)
{
    size_t each = (size_t)(item->layer_end - item->layer_begin) * 2;
    size_t n = item->tokens * each, skipped = 0;
    void *out = NULL;
    if (cache) skipped = tkv_plane_offset(&s->geom, item->capacity, item->layer_begin, 0) * 2;
    struct tkv_checksum_range range = {
        .block = cache ? (const char *)item->cache + skipped : item->rows,
        .dtype = cache ? s->geom.dtype : item->rows_dtype,
        .positions = cache ? item->capacity : item->tokens,
        .first = cache ? item->pos : 0,
        .tokens = item->tokens,
        .layers = item->layer_end - item->layer_begin,
    };
    uint64_t *host = calloc(n + 1, sizeof *host);
    ck_assert_ptr_nonnull(host);
    ck_assert_int_eq(tkv_scratch_alloc(s->dev, (n + 1) * sizeof *host, &out), TKV_OK);
    ck_assert_int_eq(tkv_checksums(s->dev, &s->geom, &range, out, each > 0 ? each : 1), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(s->dev, host, out, n * sizeof *host), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
    tkv_scratch_free(s->dev, out);
    return host;
}

/* Sums that differ from the model's. */
static size_t differing(const struct scene *s, uint32_t i, const uint64_t *got)
{
    const struct tkv_append_item *item = &s->items[i];
    size_t each = (size_t)(item->layer_end - item->layer_begin) * 2, n = 0;
    for (size_t t = 0; t < item->tokens; t++) {
        size_t at = tkv_sum_offset(&s->geom, item->pos + t, item->layer_begin, 0);
        for (size_t plane = 0; plane < each; plane++)
            n += got[t * each + plane] != s->sums[s->sums_at[i] + at + plane];
    }
    return n;
}

static void check_item(struct scene *s, uint32_t i, bool cache, size_t expected)
{
    uint64_t *got = sums_of(s, &s->items[i], cache);
    ck_assert_msg(differing(s, i, got) == expected, "item %u %s: %zu differ", i,
                  cache ? "cache" : "block", differing(s, i, got));
    free(got);
}

static const struct scene_shape shapes[] = {
    {3, 2, 8, 128, 1, TKV_F16, TKV_F16, false, 0},  {5, 3, 2, 80, 7, TKV_BF16, TKV_F32, true, 0},
    {4, 2, 1, 576, 3, TKV_F16, TKV_BF16, true, 0},  {6, 4, 3, 63, 9, TKV_F16, TKV_F32, true, 2},
    {2, 1, 5, 1, 33, TKV_BF16, TKV_BF16, false, 2}, {2, 1, 40, 8, 40, TKV_F16, TKV_F16, true, 0},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

START_TEST(source_cache_and_model_agree)
{
    struct tkv_device *dev = test_device_open();
    for (size_t k = 0; k < SHAPES; k++) {
        struct scene s;
        scene_open(&s, dev, &shapes[k], 40 + k);
        void *arena = scene_arena(&s);
        scene_aim(&s, arena);
        scene_want_sums(&s, k);
        scene_run_batched(&s);
        scene_check_sums(&s, "batched");
        for (uint32_t i = 0; i < shapes[k].m; i++) {
            check_item(&s, i, false, 0);
            check_item(&s, i, true, 0);
        }
        tkv_scratch_free(dev, arena);
        scene_close(&s);
    }
    tkv_device_close(dev);
}
END_TEST

/* Flips one bit of the byte at `at` of the item's cache. */
static void flip(struct scene *s, const struct tkv_append_item *item, size_t at, unsigned bit)
{
    unsigned char byte;
    ck_assert_int_eq(tkv_device_copy(s->dev, &byte, (char *)item->cache + at, 1), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
    byte ^= (unsigned char)(1u << bit);
    ck_assert_int_eq(tkv_device_copy(s->dev, (char *)item->cache + at, &byte, 1), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
}

START_TEST(every_flipped_bit_shows)
{
    static const struct scene_shape shape = {1, 2, 3, 63, 2, TKV_F16, TKV_F16, false, 0};
    struct tkv_device *dev = test_device_open();
    struct scene s;
    scene_open(&s, dev, &shape, 5);
    void *arena = scene_arena(&s);
    scene_aim(&s, arena);
    scene_want_sums(&s, 5);
    scene_run_batched(&s);
    const struct tkv_append_item *item = &s.items[0];
    uint64_t rng = 99;
    for (int k = 0; k < 200; k++) {
        uint32_t plane = test_random_in(&rng, 0, 3), head = test_random_in(&rng, 0, 2);
        uint32_t token = test_random_in(&rng, 0, 1), byte = test_random_in(&rng, 0, 125);
        size_t at = tkv_plane_offset(&s.geom, item->capacity, plane / 2, plane % 2) +
                    tkv_row_offset(&s.geom, item->capacity, head, item->pos + token);
        flip(&s, item, at * 2 + byte, (unsigned)k % 8);
        check_item(&s, 0, true, 1);
        flip(&s, item, at * 2 + byte, (unsigned)k % 8);
    }
    check_item(&s, 0, true, 0);
    tkv_scratch_free(dev, arena);
    scene_close(&s);
    tkv_device_close(dev);
}
END_TEST

START_TEST(arguments_are_checked)
{
    static const struct tkv_geometry g = {2, 2, 8, TKV_F16};
    struct tkv_device *dev = test_device_open();
    void *room = NULL;
    ck_assert_int_eq(tkv_scratch_alloc(dev, 65536, &room), TKV_OK);
    struct tkv_checksum_range range = {room, TKV_F16, 4, 2, 3, 2};
    ck_assert_int_eq(tkv_checksums(dev, &g, &range, room, 4), TKV_EINVAL); /* 2 + 3 > 4 */
    range.tokens = 2;
    ck_assert_int_eq(tkv_checksums(dev, &g, &range, room, 3), TKV_EINVAL); /* stride */
    range.dtype = TKV_DTYPE_COUNT;
    ck_assert_int_eq(tkv_checksums(dev, &g, &range, room, 4), TKV_EINVAL);
    range.dtype = TKV_F16;
    range.tokens = 0;
    ck_assert_int_eq(tkv_checksums(dev, &g, &range, room, 4), TKV_OK); /* nothing */
    tkv_scratch_free(dev, room);
    tkv_device_close(dev);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("checksum");
    TCase *tc = tcase_create("checksum");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, source_cache_and_model_agree);
    tcase_add_test(tc, every_flipped_bit_shows);
    tcase_add_test(tc, arguments_are_checked);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
