/* Rows copied to the device in front of a launch: which batches are, and that the caches get the
 * same bytes either way. */
#include <stdlib.h>
#include <string.h>

#include "daemon/upload.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"

enum { LAYERS = 4, HEADS = 2, DIM = 64, CAPACITY = 2048, ITEMS_MAX = 6 };

static const struct tkv_model model = {
    .name = "m", .geom = {LAYERS, HEADS, DIM, TKV_F16}, .capacity = CAPACITY};

/* A batch of blocks with one or two items each, and the caches that they go to. */
struct fixture {
    struct tkv_device *dev;
    struct tkv_staging_pool *pool;
    struct tkv_batch *batch;
    struct tkv_upload upload;
    void *caches[ITEMS_MAX];
    size_t cache_bytes;
};

static enum tkv_backend backend(void)
{
    const char *word = getenv("TKV_TEST_BACKEND");
    return word != NULL && strcmp(word, "cuda") == 0 ? TKV_BACKEND_CUDA : TKV_BACKEND_CPU;
}

static void set_up(struct fixture *f, uint32_t n_blocks)
{
    *f = (struct fixture){0};
    ck_assert_int_eq(tkv_device_open(&f->dev, backend(), 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_staging_pool_open(&f->pool, backend(), (size_t)256 << 20, 0), TKV_OK);
    ck_assert(tkv_cache_bytes(&model.geom, CAPACITY, &f->cache_bytes));
    f->batch = tkv_batch_open(&model, ITEMS_MAX, n_blocks);
    ck_assert_ptr_nonnull(f->batch);
    for (int i = 0; i < ITEMS_MAX; i++)
        ck_assert_int_eq(tkv_scratch_alloc(f->dev, f->cache_bytes, &f->caches[i]), TKV_OK);
}

static void tear_down(struct fixture *f)
{
    tkv_upload_close(&f->upload, f->dev);
    for (int i = 0; i < ITEMS_MAX; i++)
        tkv_scratch_free(f->dev, f->caches[i]);
    tkv_batch_unref(f->batch);
    tkv_staging_pool_close(f->pool);
    tkv_device_close(f->dev);
}

/* A block of so many tokens for each of its items, up to two. */
static void add_block(struct fixture *f, const uint32_t *tokens, int n)
{
    struct tkv_batch *b = f->batch;
    struct tkv_staging *block;
    size_t bytes[2] = {0}, at = 0;
    for (int i = 0; i < n; i++)
        ck_assert(tkv_block_bytes(&model.geom, LAYERS, tokens[i], TKV_F16, &bytes[i]));
    ck_assert_int_eq(tkv_staging_take(f->pool, bytes[0] + bytes[1], &block), TKV_OK);
    for (size_t k = 0; k < block->bytes; k++)
        block->ptr[k] = (uint8_t)(k * 31 + k / 251 + b->n_blocks);
    for (int i = 0; i < n; i++) {
        b->items[b->n] = (struct tkv_append_item){.cache = f->caches[b->n],
                                                  .rows = block->ptr + at,
                                                  .pos = b->n,
                                                  .tokens = tokens[i],
                                                  .capacity = CAPACITY,
                                                  .layer_end = LAYERS,
                                                  .rows_dtype = TKV_F16};
        b->n++;
        at += bytes[i];
    }
    b->blocks[b->n_blocks++] = block;
    b->bytes += block->bytes;
}

static void fill_caches(struct fixture *f)
{
    for (int i = 0; i < ITEMS_MAX; i++)
        ck_assert_int_eq(tkv_device_fill(f->dev, f->caches[i], 0, f->cache_bytes), TKV_OK);
}

/* What the caches hold after a launch of these items, one after the other. The caller frees it. */
static uint8_t *launched(struct fixture *f, const struct tkv_append_item *items)
{
    uint8_t *all = malloc(ITEMS_MAX * f->cache_bytes);
    ck_assert_ptr_nonnull(all);
    ck_assert_int_eq(tkv_append_batched(f->dev, &model.geom, items, f->batch->n), TKV_OK);
    for (size_t i = 0; i < ITEMS_MAX; i++)
        ck_assert_int_eq(
            tkv_device_copy(f->dev, all + i * f->cache_bytes, f->caches[i], f->cache_bytes),
            TKV_OK);
    ck_assert_int_eq(tkv_device_sync(f->dev), TKV_OK);
    return all;
}

/* Goal: uploaded rows end up where rows read in place do, byte for byte. Method: both, three blocks
 * of different sizes, one of them with two items; twice, so that the memory is used again. */
START_TEST(caches_get_the_same)
{
    struct fixture f;
    const struct tkv_append_item *items;
    set_up(&f, 3);
    add_block(&f, (const uint32_t[]){1024}, 1);
    add_block(&f, (const uint32_t[]){513, 700}, 2);
    add_block(&f, (const uint32_t[]){1500}, 1);
    tkv_upload_open(&f.upload, UINT64_C(3) << 20);
    fill_caches(&f);
    uint8_t *expected = launched(&f, f.batch->items);
    for (int round = 0; round < 2; round++) {
        fill_caches(&f);
        ck_assert_int_eq(tkv_upload_rows(&f.upload, f.dev, f.batch, &items), TKV_OK);
        ck_assert_ptr_ne(items, f.batch->items);
        for (uint32_t i = 0; i < f.batch->n; i++)
            ck_assert_ptr_ne(items[i].rows, f.batch->items[i].rows);
        uint8_t *got = launched(&f, items);
        ck_assert_int_eq(memcmp(got, expected, ITEMS_MAX * f.cache_bytes), 0);
        free(got);
    }
    free(expected);
    tear_down(&f);
}
END_TEST

/* Goal: what is too small, too large, in too small pieces, or not to be uploaded at all, stays
 * where it is. Sizes stand around the edges: a token has 2 KiB. */
START_TEST(some_stay)
{
    static const struct {
        uint64_t from;
        uint32_t tokens[2];
        int blocks;
        bool moves;
    } cases[] = {
        {0, {1024}, 1, false},
        {UINT64_C(2) << 20, {1023}, 1, false},
        {UINT64_C(2) << 20, {1024}, 1, true},
        {UINT64_C(2) << 20, {1000, 23}, 2, false},
        {UINT64_C(2) << 20, {1024, 1}, 2, true},
        {1, {511}, 1, false},
        {1, {512}, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        const struct tkv_append_item *items;
        set_up(&f, 2);
        for (int b = 0; b < cases[i].blocks; b++)
            add_block(&f, &cases[i].tokens[b], 1);
        tkv_upload_open(&f.upload, cases[i].from);
        ck_assert_int_eq(tkv_upload_rows(&f.upload, f.dev, f.batch, &items), TKV_OK);
        ck_assert_msg((items != f.batch->items) == cases[i].moves, "case %zu", i);
        ck_assert_int_eq(tkv_device_sync(f.dev), TKV_OK);
        tear_down(&f);
    }
}
END_TEST

/* Goal: a batch over the limit stays, and one at it does not. */
START_TEST(there_is_a_limit)
{
    struct fixture f;
    const struct tkv_append_item *items;
    struct tkv_staging *block;
    set_up(&f, 1);
    tkv_upload_open(&f.upload, 1);
    ck_assert_int_eq(tkv_staging_take(f.pool, TKV_UPLOAD_MAX + 1, &block), TKV_OK);
    f.batch->blocks[f.batch->n_blocks++] = block; /* no items: only its size is asked for */
    f.batch->bytes = block->bytes;
    ck_assert_int_eq(tkv_upload_rows(&f.upload, f.dev, f.batch, &items), TKV_OK);
    ck_assert_ptr_eq(items, f.batch->items);
    f.batch->bytes = block->bytes = TKV_UPLOAD_MAX;
    ck_assert_int_eq(tkv_upload_rows(&f.upload, f.dev, f.batch, &items), TKV_OK);
    ck_assert_ptr_ne(items, f.batch->items);
    ck_assert_int_eq(tkv_device_sync(f.dev), TKV_OK);
    tear_down(&f);
}
END_TEST

/* Goal: without memory rows are read where they lie, and the next batch tries again. Method: each
 * allocation fails in turn. */
START_TEST(memory_may_fail)
{
    struct fixture f;
    const struct tkv_append_item *items;
    bool reached = true;
    set_up(&f, 1);
    add_block(&f, (const uint32_t[]){1024}, 1);
    for (size_t nth = 1; reached; nth++) {
        tkv_upload_open(&f.upload, 1);
        failing_alloc_arm(nth);
        enum tkv_status st = tkv_upload_rows(&f.upload, f.dev, f.batch, &items);
        reached = failing_alloc_disarm();
        ck_assert_int_eq(st, TKV_OK);
        if (reached) ck_assert_ptr_eq(items, f.batch->items);
        ck_assert_int_eq(tkv_upload_rows(&f.upload, f.dev, f.batch, &items), TKV_OK);
        ck_assert_ptr_ne(items, f.batch->items);
        ck_assert_int_eq(tkv_device_sync(f.dev), TKV_OK);
        tkv_upload_close(&f.upload, f.dev);
    }
    tear_down(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("upload");
    TCase *tc = tcase_create("upload");
    tcase_add_test(tc, caches_get_the_same);
    tcase_add_test(tc, some_stay);
    tcase_add_test(tc, there_is_a_limit);
    if (backend() == TKV_BACKEND_CPU) tcase_add_test(tc, memory_may_fail);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
