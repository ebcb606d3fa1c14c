/* Goal: each broken variant is wrong in the way that its name says, and never unsafe.
 * Method: for even batches the exact wrong image is built from the model; for ragged ones
 * everything outside the caches must stay as it was, and where a fault must show, it does. */
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/scene.h"
#include "tests/support/check_main.h"

/* Item i as the broken variant sees it: the right append of this is the fault's image. */
static struct tkv_append_item seen(const struct scene *s, uint32_t i, enum tkv_fault fault)
{
    uint32_t n = s->shape.m;
    struct tkv_append_item item = s->items[i];
    switch (fault) {
    case TKV_FAULT_SHARED_POINTERS: item.rows = s->items[n - 1].rows; break;
    case TKV_FAULT_SWAP_ITEMS:
        if ((i ^ 1) < n) item.rows = s->items[i ^ 1].rows;
        break;
    case TKV_FAULT_STALE_LENGTHS:
        item.pos -= item.tokens < item.pos ? item.tokens : item.pos;
        break;
    case TKV_FAULT_HALF_LENGTHS:
        if (i >= (n + 1) / 2 || n == 1) item.pos = 0;
        break;
    case TKV_FAULT_OFF_BY_ONE: item.pos++; break;
    default: break;
    }
    return item;
}

/* Where element d of (layer, kv, head, pos) of item i's cache stands in the arena. */
static unsigned char *element(struct scene *s, uint32_t i, size_t layer, size_t kv, size_t head,
                              size_t pos, size_t d)
{
    size_t at = (layer * 2 + kv) * s->shape.heads + head;
    at = (at * s->items[i].capacity + pos) * s->shape.head_dim + d;
    return s->expected + s->cache_at[i] + at * 2;
}

/* One row of an item's block, with its own place in the cache. */
struct row {
    size_t layer, kv, head, t;
    const unsigned char *bytes;
};

/* How the faults that no item can express place a row. */
static void place(struct scene *s, uint32_t i, enum tkv_fault fault, const struct row *r)
{
    size_t heads = s->shape.heads, capacity = s->items[i].capacity, dims = s->shape.head_dim;
    size_t kv = r->kv, head = r->head, pos = s->items[i].pos + r->t;
    if (fault == TKV_FAULT_TOKEN_MAJOR) {
        size_t number = pos * heads + head;
        head = number / capacity;
        pos = number % capacity;
    }
    if (fault == TKV_FAULT_KV_SWAPPED) kv = 1 - kv;
    if (fault == TKV_FAULT_SHORT_GRID) dims /= 2;
    tkv_convert(element(s, i, r->layer, kv, head, pos, 0), s->shape.dtype, r->bytes,
                s->items[i].rows_dtype, dims);
}

static void place_rows(struct scene *s, uint32_t i, enum tkv_fault fault)
{
    const struct tkv_append_item *item = &s->items[i];
    struct row r = {.bytes = scene_rows(s, item)};
    for (r.layer = item->layer_begin; r.layer < item->layer_end; r.layer++) {
        for (r.kv = 0; r.kv < 2; r.kv++) {
            for (r.head = 0; r.head < s->shape.heads; r.head++) {
                for (r.t = 0; r.t < item->tokens; r.t++) {
                    place(s, i, fault, &r);
                    r.bytes += s->shape.head_dim * tkv_dtype_size(item->rows_dtype);
                }
            }
        }
    }
}

static void model_fault(struct scene *s, enum tkv_fault fault)
{
    uint32_t last = s->shape.m - 1;
    const struct tkv_append_item *item = &s->items[last];
    for (uint32_t i = 0; i < s->shape.m; i++) {
        struct tkv_append_item wrong = seen(s, i, fault);
        if (fault == TKV_FAULT_TOKEN_MAJOR || fault == TKV_FAULT_KV_SWAPPED ||
            fault == TKV_FAULT_SHORT_GRID) {
            place_rows(s, i, fault);
        } else {
            scene_model_item(s, i, &wrong);
        }
    }
    if (fault == TKV_FAULT_STRAY_WRITE) {
        tkv_convert(element(s, last, item->layer_begin, 0, 0, item->pos + item->tokens, 0),
                    s->shape.dtype, scene_rows(s, item), item->rows_dtype, s->shape.head_dim);
    }
    if (fault == TKV_FAULT_BIT_FLIP) *element(s, last, item->layer_begin, 0, 0, item->pos, 0) ^= 64;
}

static void check_image(struct tkv_device *dev, const struct scene_shape *shape,
                        enum tkv_fault fault)
{
    struct scene s;
    scene_open(&s, dev, shape, 21);
    void *arena = scene_arena(&s);
    scene_aim(&s, arena);
    model_fault(&s, fault);
    ck_assert_int_eq(append_faulty(dev, &s.geom, s.items, shape->m, fault), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    scene_check(&s, arena, tkv_fault_word(fault));
    tkv_scratch_free(dev, arena);
    scene_close(&s);
}

START_TEST(faults_are_what_they_say)
{
    static const struct scene_shape shapes[] = {
        {1, 1, 1, 2, 1, TKV_F16, TKV_F16, false, 0},
        {2, 2, 4, 80, 1, TKV_F16, TKV_F16, false, 0},
        {3, 1, 2, 63, 2, TKV_BF16, TKV_F32, false, 0},
        {4, 5, 8, 64, 1, TKV_BF16, TKV_F16, false, 0},
        {33, 2, 3, 16, 2, TKV_F16, TKV_BF16, false, 0},
    };
    struct tkv_device *dev = test_device_open();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int fault = TKV_FAULT_NONE + 1; fault < TKV_FAULT_COUNT; fault++)
            check_image(dev, &shapes[i], (enum tkv_fault)fault);
    }
    tkv_device_close(dev);
}
END_TEST

/* Goal: a fault shows wherever it can: the image differs from the right one. */
START_TEST(faults_differ_from_the_right_result)
{
    struct tkv_device *dev = test_device_open();
    struct scene_shape shape = {4, 2, 2, 32, 2, TKV_F16, TKV_F16, false, 0};
    for (int fault = TKV_FAULT_NONE + 1; fault < TKV_FAULT_COUNT; fault++) {
        struct scene s;
        scene_open(&s, dev, &shape, 23);
        void *arena = scene_arena(&s);
        scene_aim(&s, arena);
        scene_model(&s);
        enum tkv_fault f = (enum tkv_fault)fault;
        ck_assert_int_eq(append_faulty(dev, &s.geom, s.items, shape.m, f), TKV_OK);
        ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
        size_t wrong = scene_differences(&s, arena);
        ck_assert_msg(wrong > 0, "%s changed nothing", tkv_fault_word(f));
        if (f == TKV_FAULT_BIT_FLIP) ck_assert_uint_eq(wrong, 1);
        if (f == TKV_FAULT_STRAY_WRITE) ck_assert_uint_le(wrong, 64);
        tkv_scratch_free(dev, arena);
        scene_close(&s);
    }
    tkv_device_close(dev);
}
END_TEST

/* Bytes of the arena that belong to no cache must be what they were. */
static void check_outside(const struct scene *s)
{
    size_t at = 0;
    for (uint32_t i = 0; i < s->shape.m; i++) {
        size_t bytes;
        ck_assert(tkv_cache_bytes(&s->geom, s->items[i].capacity, &bytes));
        ck_assert_int_eq(memcmp(s->got + at, s->expected + at, s->cache_at[i] - at), 0);
        at = s->cache_at[i] + bytes;
    }
    ck_assert_int_eq(memcmp(s->got + at, s->expected + at, s->arena_bytes - at), 0);
}

/* Moves every item's block to an allocation of its own, so that sanitizers see a read beside it. */
static void **isolate_blocks(struct scene *s)
{
    void **blocks = calloc(s->shape.m, sizeof *blocks);
    ck_assert_ptr_nonnull(blocks);
    for (uint32_t i = 0; i < s->shape.m; i++) {
        struct tkv_append_item *item = &s->items[i];
        size_t bytes, layers = item->layer_end - item->layer_begin;
        ck_assert(tkv_block_bytes(&s->geom, layers, item->tokens, item->rows_dtype, &bytes));
        ck_assert_int_eq(tkv_scratch_alloc(s->dev, bytes, &blocks[i]), TKV_OK);
        ck_assert_int_eq(tkv_device_copy(s->dev, blocks[i], item->rows, bytes), TKV_OK);
        item->rows = blocks[i];
    }
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
    return blocks;
}

static void check_inside(struct tkv_device *dev, const struct scene_shape *shape,
                         enum tkv_fault fault, uint32_t spoilt)
{
    struct scene s;
    scene_open(&s, dev, shape, spoilt + 1);
    void *arena = scene_arena(&s);
    scene_aim(&s, arena);
    void **blocks = isolate_blocks(&s);
    if (spoilt < shape->m) s.items[spoilt].rows = NULL;
    ck_assert_int_eq(append_faulty(dev, &s.geom, s.items, shape->m, fault), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(dev), spoilt < shape->m ? TKV_EINTERNAL : TKV_OK);
    (void)scene_differences(&s, arena);
    check_outside(&s);
    for (uint32_t i = 0; i < shape->m; i++)
        tkv_scratch_free(dev, blocks[i]);
    free(blocks);
    tkv_scratch_free(dev, arena);
    scene_close(&s);
}

/* Goal: memory safe for any batch: ragged tokens, layers, capacities, row types; refused and empty
 * items among them; full caches. */
START_TEST(faults_stay_inside)
{
    static const uint32_t m[] = {1, 2, 3, 8, 33};
    struct tkv_device *dev = test_device_open();
    int rounds = test_small() ? 4 : 30;
    for (int k = 0; k < rounds * TKV_FAULT_COUNT; k++) {
        uint64_t rng = (uint64_t)k + 1;
        int fault = k % TKV_FAULT_COUNT;
        struct scene_shape shape = {m[test_random_in(&rng, 0, 4)],
                                    test_random_in(&rng, 1, 4),
                                    test_random_in(&rng, 1, 5),
                                    test_random_in(&rng, 1, 70),
                                    test_random_in(&rng, 1, 9),
                                    (enum tkv_dtype)test_random_in(&rng, 0, 1),
                                    TKV_F16,
                                    true,
                                    0};
        if (fault == TKV_FAULT_NONE) continue;
        check_inside(dev, &shape, (enum tkv_fault)fault, test_random_in(&rng, 0, 2 * shape.m));
    }
    tkv_device_close(dev);
}
END_TEST

/* Goal: words lead to faults and back. */
START_TEST(words)
{
    enum tkv_fault fault = TKV_FAULT_NONE;
    for (int i = TKV_FAULT_NONE + 1; i < TKV_FAULT_COUNT; i++) {
        ck_assert(tkv_fault_from_word(tkv_fault_word((enum tkv_fault)i), &fault));
        ck_assert_int_eq(fault, i);
    }
    ck_assert(!tkv_fault_from_word("none", &fault));
    ck_assert(!tkv_fault_from_word("Off_By_One", &fault));
    ck_assert_int_eq(fault, TKV_FAULT_COUNT - 1);
    ck_assert_str_eq(tkv_fault_word(TKV_FAULT_NONE), "none");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("faults");
    TCase *tc = tcase_create("faults");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, faults_are_what_they_say);
    tcase_add_test(tc, faults_differ_from_the_right_result);
    tcase_add_test(tc, faults_stay_inside);
    tcase_add_test(tc, words);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
