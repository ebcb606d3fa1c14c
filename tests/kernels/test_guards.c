/* Goal: an item that would write outside its cache, or has no cache or rows, writes nothing, is
 * reported once, and does not keep its neighbours from being written. */
#include <string.h>

#include "tests/kernels/scene.h"
#include "tests/support/check_main.h"

static const struct scene_shape shape = {6, 2, 2, 24, 3, TKV_F16, TKV_F32, false, 0};

enum { BAD = 3 }; /* the item that is spoilt */

/* X(name, what is done to the item) */
#define SPOILS(X)                                                            \
    X(null_cache, item->cache = NULL)                                        \
    X(null_rows, item->rows = NULL)                                          \
    X(past_capacity, item->pos = item->capacity - item->tokens + 1)          \
    X(pos_at_the_end, item->pos = item->capacity)                            \
    X(sum_overflows_32_bits, (item->pos = UINT32_MAX, item->tokens = 3))     \
    X(too_many_tokens, (item->pos = 0, item->tokens = UINT32_MAX))           \
    X(layers_past_the_end, item->layer_end = 3)                              \
    X(layers_all_past_the_end, (item->layer_begin = 5, item->layer_end = 7)) \
    X(unknown_type, item->rows_dtype = TKV_DTYPE_COUNT)

#define X(name, deed)                              \
    static void name(struct tkv_append_item *item) \
    {                                              \
        deed;                                      \
    }
SPOILS(X)
#undef X

static const struct {
    const char *name;
    void (*spoil)(struct tkv_append_item *item);
} spoils[] = {
#define X(name, deed) {#name, name},
    SPOILS(X)
#undef X
};

typedef enum tkv_status (*append_fn)(struct scene *s);

static enum tkv_status batched(struct scene *s)
{
    return tkv_append_batched(s->dev, &s->geom, s->items, s->shape.m);
}

static enum tkv_status faulty(struct scene *s) /* right but for one row, of the last item */
{
    return append_faulty(s->dev, &s->geom, s->items, s->shape.m, TKV_FAULT_STRAY_WRITE);
}

static enum tkv_status one_by_one(struct scene *s)
{
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < s->shape.m && st == TKV_OK; i++) {
        const struct tkv_append_item *item = &s->items[i];
        for (uint32_t layer = item->layer_begin; layer < item->layer_end; layer++) {
            for (uint32_t kv = 0; kv < TKV_KV && st == TKV_OK; kv++)
                st = tkv_append_one(s->dev, &s->geom, item, layer, kv);
        }
    }
    return st;
}

/* All spoils through one path. An item that names a layer too many writes none of its layers. */
static void check_path(append_fn append, const char *path)
{
    struct tkv_device *dev = test_device_open();
    for (size_t k = 0; k < sizeof spoils / sizeof spoils[0]; k++) {
        struct scene s;
        scene_open(&s, dev, &shape, k + 1);
        void *arena = scene_arena(&s);
        scene_aim(&s, arena);
        for (uint32_t i = 0; i < shape.m; i++) {
            if (i != BAD) scene_model_item(&s, i, &s.items[i]);
        }
        if (append == faulty) { /* its extra row: the last item's first, behind what it appended */
            struct tkv_append_item stray = s.items[shape.m - 1];
            size_t at = s.cache_at[shape.m - 1] + ((size_t)stray.pos + stray.tokens) * 48;
            tkv_convert(s.expected + at, TKV_F16, scene_rows(&s, &stray), TKV_F32, 24);
        }
        spoils[k].spoil(&s.items[BAD]);
        ck_assert_int_eq(append(&s), TKV_OK);
        ck_assert_msg(tkv_device_sync(dev) == TKV_EINTERNAL, "%s not reported", spoils[k].name);
        ck_assert_int_eq(tkv_device_sync(dev), TKV_OK); /* said once */
        if (scene_differences(&s, arena) != 0) ck_abort_msg("%s: %s wrote", path, spoils[k].name);
        tkv_scratch_free(dev, arena);
        scene_close(&s);
    }
    tkv_device_close(dev);
}

START_TEST(batched_refuses)
{
    check_path(batched, "batched");
}
END_TEST

START_TEST(per_item_refuses)
{
    check_path(one_by_one, "per item");
}
END_TEST

START_TEST(broken_variants_refuse)
{
    check_path(faulty, "faulty");
}
END_TEST

/* Goal: an empty item is no error and writes nothing. */
START_TEST(empty_items_are_fine)
{
    struct tkv_device *dev = test_device_open();
    struct scene s;
    scene_open(&s, dev, &shape, 50);
    void *arena = scene_arena(&s);
    scene_aim(&s, arena);
    for (uint32_t i = 0; i < shape.m; i++) {
        if (i % 2 == 0) {
            s.items[i].tokens = 0;
            s.items[i].pos = s.items[i].capacity;
        } else {
            s.items[i].layer_begin = s.items[i].layer_end;
        }
    }
    ck_assert_int_eq(batched(&s), TKV_OK);
    ck_assert_int_eq(one_by_one(&s), TKV_OK);
    for (int fault = TKV_FAULT_NONE + 1; fault < TKV_FAULT_COUNT; fault++) {
        enum tkv_fault f = (enum tkv_fault)fault;
        ck_assert_int_eq(append_faulty(dev, &s.geom, s.items, shape.m, f), TKV_OK);
    }
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    scene_check(&s, arena, "empty items");
    tkv_scratch_free(dev, arena);
    scene_close(&s);
    tkv_device_close(dev);
}
END_TEST

/* Goal: what only the caller can get wrong is refused before anything is queued. */
START_TEST(bad_calls_are_refused)
{
    struct tkv_device *dev = test_device_open();
    struct scene s;
    scene_open(&s, dev, &shape, 51);
    void *arena = scene_arena(&s);
    scene_aim(&s, arena);
    struct tkv_geometry none = s.geom, wide = s.geom;
    none.head_dim = 0;
    wide.dtype = TKV_F32;
    ck_assert_int_eq(tkv_append_batched(dev, &s.geom, s.items, 0), TKV_EINVAL);
    ck_assert_int_eq(tkv_append_batched(dev, &s.geom, s.items, TKV_ITEMS_MAX + 1), TKV_EINVAL);
    ck_assert_int_eq(tkv_append_batched(dev, &none, s.items, 1), TKV_EINVAL);
    ck_assert_int_eq(tkv_append_batched(dev, &wide, s.items, 1), TKV_EINVAL);
    ck_assert_int_eq(tkv_append_one(dev, &wide, s.items, 0, 0), TKV_EINVAL);
    ck_assert_int_eq(tkv_append_one(dev, &s.geom, s.items, 2, 0), TKV_EINVAL);
    ck_assert_int_eq(tkv_append_one(dev, &s.geom, s.items, 0, 2), TKV_EINVAL);
    ck_assert_int_eq(append_faulty(dev, &s.geom, s.items, 1, TKV_FAULT_NONE), TKV_EINVAL);
    ck_assert_int_eq(append_faulty(dev, &s.geom, s.items, 1, TKV_FAULT_COUNT), TKV_EINVAL);
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    scene_check(&s, arena, "bad calls");
    tkv_scratch_free(dev, arena);
    scene_close(&s);
    tkv_device_close(dev);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("guards");
    TCase *tc = tcase_create("guards");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, batched_refuses);
    tcase_add_test(tc, per_item_refuses);
    tcase_add_test(tc, broken_variants_refuse);
    tcase_add_test(tc, empty_items_are_fine);
    tcase_add_test(tc, bad_calls_are_refused);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
