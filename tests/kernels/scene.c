#include "tests/kernels/scene.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256, GUARD = 192 };

enum tkv_backend test_backend(void)
{
    const char *word = getenv("TKV_TEST_BACKEND");
    if (word == NULL || strcmp(word, "cpu") == 0) return TKV_BACKEND_CPU;
    ck_assert_str_eq(word, "cuda");
    return TKV_BACKEND_CUDA;
}

bool test_small(void)
{
    const char *word = getenv("TKV_TEST_SMALL");
    return word != NULL && strcmp(word, "1") == 0;
}

struct tkv_device *test_device_open(void)
{
    struct tkv_device *dev = NULL;
    const char *why = NULL;
    enum tkv_status st = tkv_device_open(&dev, test_backend(), 0, &why);
    ck_assert_msg(st == TKV_OK, "no device: %s (%s)", tkv_status_reason(st), why ? why : "");
    return dev;
}

uint64_t test_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1DULL;
}

uint32_t test_random_in(uint64_t *state, uint32_t low, uint32_t high)
{
    return low + (uint32_t)((test_random(state) >> 32) % ((uint64_t)high - low + 1));
}

static void fill_random(unsigned char *bytes, size_t n, uint64_t *state)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x = test_random(state);
        memcpy(bytes + i, &x, 8);
    }
    for (; i < n; i++)
        bytes[i] = (unsigned char)test_random(state);
}

static size_t round_up(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void *must_allocate(size_t n)
{
    void *ptr = calloc(n + 1, 1);
    ck_assert_ptr_nonnull(ptr);
    return ptr;
}

/* One item's numbers. Every kind of rows, and a cache with room before and behind. */
static void draw_item(const struct scene_shape *shape, struct tkv_append_item *item, uint64_t *rng)
{
    *item = (struct tkv_append_item){.pos = 3,
                                     .tokens = shape->tokens,
                                     .capacity = shape->tokens + 5,
                                     .layer_end = shape->layers,
                                     .rows_dtype = shape->rows_dtype};
    if (!shape->ragged) return;
    item->tokens = test_random_in(rng, 0, 7) == 0 ? 0 : test_random_in(rng, 1, shape->tokens);
    item->pos = test_random_in(rng, 0, 4);
    item->capacity = item->pos + item->tokens + test_random_in(rng, 0, 3);
    if (item->capacity == 0) item->capacity = 1;
    item->layer_begin = test_random_in(rng, 0, shape->layers - 1);
    item->layer_end = test_random_in(rng, item->layer_begin, shape->layers);
    item->rows_dtype = (enum tkv_dtype)test_random_in(rng, 0, TKV_DTYPE_COUNT - 1);
}

/* Draws the items and lays their caches and blocks out, guard bytes between them. */
static void lay_out(struct scene *s, uint64_t *rng)
{
    size_t arena = 0, rows = 0;
    for (uint32_t i = 0; i < s->shape.m; i++) {
        struct tkv_append_item *item = &s->items[i];
        size_t cache_bytes, block_bytes;
        draw_item(&s->shape, item, rng);
        uint32_t layers = item->layer_end - item->layer_begin;
        ck_assert(tkv_cache_bytes(&s->geom, item->capacity, &cache_bytes));
        ck_assert(tkv_block_bytes(&s->geom, layers, item->tokens, item->rows_dtype, &block_bytes));
        s->cache_at[i] = round_up(arena + GUARD) + s->shape.misaligned;
        s->rows_at[i] = round_up(rows + GUARD) + s->shape.misaligned;
        if (item->rows_dtype == TKV_F32) s->rows_at[i] += s->shape.misaligned; /* still by 4 */
        arena = s->cache_at[i] + cache_bytes;
        rows = s->rows_at[i] + block_bytes;
    }
    s->arena_bytes = arena + GUARD;
    s->rows_bytes = rows + GUARD;
}

void scene_open(struct scene *s, struct tkv_device *dev, const struct scene_shape *shape,
                uint64_t seed)
{
    uint64_t rng = seed * 0x9E3779B97F4A7C15ULL + 1;
    *s = (struct scene){.shape = *shape, .dev = dev};
    s->geom = (struct tkv_geometry){shape->layers, shape->heads, shape->head_dim, shape->dtype};
    s->items = must_allocate(shape->m * sizeof *s->items);
    s->cache_at = must_allocate(shape->m * sizeof *s->cache_at);
    s->rows_at = must_allocate(shape->m * sizeof *s->rows_at);
    lay_out(s, &rng);
    s->expected = must_allocate(s->arena_bytes);
    s->got = must_allocate(s->arena_bytes);
    s->rows = must_allocate(s->rows_bytes);
    fill_random(s->expected, s->arena_bytes, &rng);
    fill_random(s->rows, s->rows_bytes, &rng);
    ck_assert_int_eq(tkv_scratch_alloc(dev, s->rows_bytes, &s->device_rows), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, s->device_rows, s->rows, s->rows_bytes), TKV_OK);
    for (uint32_t i = 0; i < shape->m; i++)
        s->items[i].rows = (const char *)s->device_rows + s->rows_at[i];
}

void scene_close(struct scene *s)
{
    tkv_scratch_free(s->dev, s->device_rows);
    tkv_scratch_free(s->dev, s->device_sums);
    free(s->sums);
    free(s->sums_at);
    free(s->rows);
    free(s->got);
    free(s->expected);
    free(s->rows_at);
    free(s->cache_at);
    free(s->items);
}

void *scene_arena(const struct scene *s)
{
    void *arena = NULL;
    ck_assert_int_eq(tkv_scratch_alloc(s->dev, s->arena_bytes, &arena), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(s->dev, arena, s->expected, s->arena_bytes), TKV_OK);
    return arena;
}

void scene_aim(struct scene *s, void *arena)
{
    for (uint32_t i = 0; i < s->shape.m; i++)
        s->items[i].cache = (char *)arena + s->cache_at[i];
}

const unsigned char *scene_rows(const struct scene *s, const struct tkv_append_item *item)
{
    return s->rows + ((const unsigned char *)item->rows - (const unsigned char *)s->device_rows);
}

void scene_model_item(struct scene *s, uint32_t i, const struct tkv_append_item *item)
{
    const struct scene_shape *shape = &s->shape;
    const unsigned char *rows = scene_rows(s, item);
    size_t size = tkv_dtype_size(item->rows_dtype), from = 0;
    for (size_t layer = item->layer_begin; layer < item->layer_end; layer++) {
        for (size_t kv = 0; kv < 2; kv++) {
            for (size_t head = 0; head < shape->heads; head++) {
                for (size_t t = 0; t < item->tokens; t++) {
                    size_t at = (layer * 2 + kv) * shape->heads + head;
                    at = (at * item->capacity + item->pos + t) * shape->head_dim;
                    tkv_convert(s->expected + s->cache_at[i] + at * 2, shape->dtype,
                                rows + from * size, item->rows_dtype, shape->head_dim);
                    from += shape->head_dim;
                }
            }
        }
    }
}

void scene_model(struct scene *s)
{
    for (uint32_t i = 0; i < s->shape.m; i++)
        scene_model_item(s, i, &s->items[i]);
}

void scene_run_one_by_one(struct scene *s)
{
    for (uint32_t i = 0; i < s->shape.m; i++) {
        const struct tkv_append_item *item = &s->items[i];
        if (i % 4 == 3) {
            ck_assert_int_eq(tkv_append_each(s->dev, &s->geom, item), TKV_OK);
            continue;
        }
        for (uint32_t layer = item->layer_begin; layer < item->layer_end; layer++) {
            for (uint32_t kv = 0; kv < TKV_KV; kv++) {
                ck_assert_int_eq(tkv_append_one(s->dev, &s->geom, item, layer, kv), TKV_OK);
            }
        }
    }
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
}

void scene_run_batched(struct scene *s)
{
    ck_assert_int_eq(tkv_append_batched(s->dev, &s->geom, s->items, s->shape.m), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
}

/* What checksum.h says, from the host's copy of the source, by index arithmetic of its own. */
static uint64_t model_sum(const struct scene *s, const struct tkv_append_item *item, size_t plane,
                          size_t token)
{
    const struct scene_shape *shape = &s->shape;
    size_t size = tkv_dtype_size(item->rows_dtype);
    uint64_t sum = TKV_CHECKSUM_SEED;
    for (size_t head = 0; head < shape->heads; head++) {
        size_t row = (plane * shape->heads + head) * item->tokens + token;
        const unsigned char *from = scene_rows(s, item) + row * shape->head_dim * size;
        for (size_t dim = 0; dim < shape->head_dim; dim++) {
            uint16_t bits;
            uint64_t key = tkv_checksum_key((uint32_t)head, (uint32_t)(dim / 2));
            tkv_convert(&bits, shape->dtype, from + dim * size, item->rows_dtype, 1);
            sum += key * ((uint64_t)bits << dim % 2 * 16);
        }
    }
    return sum;
}

static void model_sums(struct scene *s, uint32_t i)
{
    const struct tkv_append_item *item = &s->items[i];
    size_t planes = (size_t)(item->layer_end - item->layer_begin) * 2;
    for (size_t token = 0; token < item->tokens; token++) {
        for (size_t plane = 0; plane < planes; plane++) {
            size_t at = (item->pos + token) * s->shape.layers * 2 + plane;
            at += (size_t)item->layer_begin * 2;
            s->sums[s->sums_at[i] + at] = model_sum(s, item, plane, token);
        }
    }
}

void scene_want_sums(struct scene *s, uint64_t seed)
{
    uint64_t rng = seed * 0x9E3779B97F4A7C15ULL + 7;
    s->sums_at = must_allocate(s->shape.m * sizeof *s->sums_at);
    s->n_sums = GUARD;
    for (uint32_t i = 0; i < s->shape.m; i++) {
        s->sums_at[i] = s->n_sums;
        s->n_sums += (size_t)s->items[i].capacity * s->shape.layers * 2 + 1;
    }
    size_t bytes = s->n_sums * sizeof *s->sums;
    s->sums = must_allocate(bytes);
    fill_random((unsigned char *)s->sums, bytes, &rng);
    ck_assert_int_eq(tkv_scratch_alloc(s->dev, bytes, &s->device_sums), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(s->dev, s->device_sums, s->sums, bytes), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
    for (uint32_t i = 0; i < s->shape.m; i++) {
        s->items[i].sums = (uint64_t *)s->device_sums + s->sums_at[i];
        model_sums(s, i);
    }
}

void scene_check_sums(struct scene *s, const char *what)
{
    size_t bytes = s->n_sums * sizeof *s->sums, at = 0;
    uint64_t *got = must_allocate(bytes);
    ck_assert_int_eq(tkv_device_copy(s->dev, got, s->device_sums, bytes), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
    while (at < s->n_sums && got[at] == s->sums[at])
        at++;
    ck_assert_msg(at == s->n_sums, "%s: checksum %zu of %zu is %016llx, not %016llx", what, at,
                  s->n_sums, (unsigned long long)got[at < s->n_sums ? at : 0],
                  (unsigned long long)s->sums[at < s->n_sums ? at : 0]);
    free(got);
}

size_t scene_differences(struct scene *s, const void *arena)
{
    size_t n = 0;
    ck_assert_int_eq(tkv_device_copy(s->dev, s->got, arena, s->arena_bytes), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(s->dev), TKV_OK);
    if (memcmp(s->got, s->expected, s->arena_bytes) == 0) return 0;
    for (size_t i = 0; i < s->arena_bytes; i++)
        n += s->got[i] != s->expected[i];
    return n;
}

void scene_check(struct scene *s, const void *arena, const char *what)
{
    size_t wrong = scene_differences(s, arena), at = 0;
    const struct scene_shape *p = &s->shape;
    if (wrong == 0) return;
    while (s->got[at] == s->expected[at])
        at++;
    ck_abort_msg("%s: %zu bytes wrong, the first at %zu: m %u layers %u heads %u head_dim %u "
                 "tokens %u %s from %s ragged %d misaligned %u",
                 what, wrong, at, p->m, p->layers, p->heads, p->head_dim, p->tokens,
                 tkv_dtype_word(p->dtype), tkv_dtype_word(p->rows_dtype), p->ragged, p->misaligned);
}

enum tkv_status append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                              const struct tkv_append_item *items, uint32_t n, enum tkv_fault fault)
{
    struct tkv_fault_plan plan = tkv_fault_plan_of(fault);
    return tkv_append_faulty(dev, geom, items, n, &plan, NULL);
}
