/* An append's memory, its steps, and whether they write the right bytes. */
#include "bench/gpu/job.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/gpu/kernels.h"
#include "kernels/checksum.h"
#include "kernels/compare.h"

enum { SLOTS_MIN = 4, ALIGNMENT = 256 };

static size_t aligned_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t at_most(size_t x, size_t limit)
{
    return x < limit ? x : limit;
}

static size_t at_least(size_t x, size_t limit)
{
    return x > limit ? x : limit;
}

static void *scratch(const struct run *r, size_t bytes)
{
    void *ptr;
    bench_check(tkv_scratch_alloc(r->dev, bytes, &ptr), "device memory");
    return ptr;
}

static void *host(size_t n, size_t size)
{
    void *ptr = calloc(n, size);
    if (ptr == NULL) bench_die("out of memory");
    return ptr;
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint32_t tokens_of(const struct shape *shape, uint32_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return shape->ragged ? 1 + (uint32_t)(x >> 33) % shape->tokens : shape->tokens;
}

/* The items' sizes; returns the bytes that a step writes. */
static size_t size_items(struct job *j)
{
    const struct shape *shape = &j->shape;
    size_t written = 0, read = 0;
    for (uint32_t i = 0; i < shape->m; i++) {
        struct tkv_append_item *it = &j->items[i];
        size_t in, out;
        it->tokens = tokens_of(shape, i);
        it->layer_end = shape->layers;
        it->rows_dtype = shape->rows_dtype;
        if (!tkv_block_bytes(&j->geom, shape->layers, it->tokens, shape->rows_dtype, &in) ||
            !tkv_block_bytes(&j->geom, shape->layers, it->tokens, TKV_F16, &out))
            bench_die("sizes overflow");
        j->rows_at[i] = j->set_bytes;
        j->set_bytes += aligned_up(in);
        read += in;
        written += out;
    }
    j->moved = read + written;
    return written;
}

/* Pinned rows are made on the GPU, too: a host takes its time over 128 MiB. */
static void fill_rows(struct job *j)
{
    const struct run *r = j->run;
    size_t bytes = j->sets * j->set_bytes;
    if (!j->pinned) {
        bench_cuda(bench_random(j->rows, bytes, bytes, r->stream), "rows");
        return;
    }
    bench_cuda(bench_random(r->large[0], LARGE_BYTES, bytes, r->stream), "rows");
    bench_check(tkv_device_copy(r->dev, j->rows, r->large[0], bytes), "rows");
    bench_sync(r);
}

static void open_caches(struct job *j)
{
    size_t sums = tkv_sum_offset(&j->geom, j->capacity, 0, 0) * sizeof(uint64_t);
    if (!tkv_cache_bytes(&j->geom, j->capacity, &j->cache_bytes)) bench_die("sizes overflow");
    j->pitch = aligned_up(j->cache_bytes + sums);
    j->caches = scratch(j->run, j->pitch * j->shape.m);
    j->others = scratch(j->run, j->pitch * j->shape.m);
    for (uint32_t i = 0; i < j->shape.m; i++)
        j->items[i].capacity = j->capacity;
}

void job_open(struct job *j, const struct run *r, const struct shape *shape, void *pinned)
{
    const size_t caches_max = (size_t)2 << 30, rows_max = PINNED_BYTES;
    *j = (struct job){.run = r, .shape = *shape, .rows = pinned, .pinned = pinned != NULL};
    j->geom = (struct tkv_geometry){shape->layers, shape->heads, shape->dim, TKV_F16};
    j->items = host(shape->m, sizeof *j->items);
    j->rows_at = host(shape->m, sizeof *j->rows_at);
    size_t written = size_items(j);
    if (written == 0) bench_die("nothing to append");
    j->slots = (uint32_t)at_least(at_most(caches_max / written, CYCLE), SLOTS_MIN);
    j->sets = (uint32_t)at_least(at_most(rows_max / j->set_bytes, CYCLE), 2);
    if (j->pinned && j->sets * j->set_bytes > PINNED_BYTES) bench_die("rows too large to pin");
    j->capacity = (uint32_t)at_least(shape->capacity, (size_t)j->slots * shape->tokens);
    open_caches(j);
    if (j->pinned)
        j->scratch = scratch(r, j->set_bytes);
    else
        j->rows = scratch(r, j->sets * j->set_bytes);
    fill_rows(j);
}

void job_close(struct job *j)
{
    struct tkv_device *dev = j->run->dev;
    bench_sync(j->run);
    tkv_scratch_free(dev, j->pinned ? j->scratch : j->rows);
    tkv_scratch_free(dev, j->others);
    tkv_scratch_free(dev, j->caches);
    free(j->rows_at);
    free(j->items);
}

/* --- steps ------------------------------------------------------------------------------------ */

char *job_rows(const struct job *j, uint32_t step)
{
    return j->rows + step % j->sets * j->set_bytes;
}

static uint64_t *sums_of(const struct job *j, void *cache)
{
    return (uint64_t *)((char *)cache + j->cache_bytes);
}

void job_aim(struct job *j, uint32_t step, const char *rows, bool summed)
{
    uint32_t pos = step % j->slots * j->shape.tokens;
    for (uint32_t i = 0; i < j->shape.m; i++) {
        struct tkv_append_item *it = &j->items[i];
        it->cache = j->caches + i * j->pitch;
        it->rows = rows + j->rows_at[i];
        it->pos = pos;
        it->sums = summed ? sums_of(j, it->cache) : NULL;
    }
}

static void step_batched(void *self, uint32_t step)
{
    struct job *j = self;
    job_aim(j, step, job_rows(j, step), false);
    bench_check(tkv_append_batched(j->run->dev, &j->geom, j->items, j->shape.m), "append");
}

static void step_summed(void *self, uint32_t step)
{
    struct job *j = self;
    job_aim(j, step, job_rows(j, step), true);
    bench_check(tkv_append_batched(j->run->dev, &j->geom, j->items, j->shape.m), "append");
}

/* Where a step's copy goes: as many places as there are positions, if they fit. */
static char *copy_target(const struct job *j, uint32_t step)
{
    size_t each = aligned_up(j->moved / 2), all = j->pitch * j->shape.m;
    return j->others + step % at_most(all / each, CYCLE) * each;
}

static void step_copy(void *self, uint32_t step)
{
    struct job *j = self;
    cudaError_t err = cudaMemcpyAsync(copy_target(j, step), job_rows(j, step), j->moved / 2,
                                      cudaMemcpyDefault, j->run->stream);
    bench_cuda(err, "copy");
}

struct way job_batched(struct job *j)
{
    return (struct way){step_batched, j, BACK_TO_BACK, 1};
}

struct way job_summed(struct job *j)
{
    return (struct way){step_summed, j, BACK_TO_BACK, 1};
}

struct way job_copy(struct job *j)
{
    return (struct way){step_copy, j, BACK_TO_BACK, 1};
}

/* --- right bytes ------------------------------------------------------------------------------ */

enum { VERIFIED = 4 };

static void verified_steps(const struct job *j, uint32_t out[VERIFIED])
{
    out[0] = 0;
    out[1] = 1;
    out[2] = j->slots / 2;
    out[3] = j->slots - 1;
}

static void expect_step(struct job *j, uint32_t step)
{
    struct tkv_device *dev = j->run->dev;
    job_aim(j, step, job_rows(j, step), false);
    for (uint32_t i = 0; i < j->shape.m; i++) {
        struct tkv_append_item it = j->items[i];
        struct tkv_checksum_range range = {.dtype = TKV_F16,
                                           .positions = it.capacity,
                                           .first = it.pos,
                                           .tokens = it.tokens,
                                           .layers = it.layer_end};
        it.cache = j->others + i * j->pitch;
        range.block = it.cache;
        uint64_t *sums = sums_of(j, it.cache) + tkv_sum_offset(&j->geom, it.pos, 0, 0);
        bench_check(tkv_append_each(dev, &j->geom, &it), "reference");
        bench_check(tkv_checksums(dev, &j->geom, &range, sums, tkv_sums_each(&j->geom)), "sums");
    }
}

static void clear(struct job *j, char *caches)
{
    bench_check(tkv_device_fill(j->run->dev, caches, 0, j->pitch * j->shape.m), "fill");
}

void job_expect(struct job *j)
{
    uint32_t steps[VERIFIED];
    verified_steps(j, steps);
    clear(j, j->others);
    for (int i = 0; i < VERIFIED; i++)
        expect_step(j, steps[i]);
    bench_sync(j->run);
}

static void must_equal(const struct job *j, const void *a, const void *b, size_t bytes,
                       const char *what)
{
    uint64_t differing = 0;
    bench_check(tkv_compare_planes(j->run->dev, a, b, bytes, 1, &differing), "compare");
    if (differing == 0) return;
    fprintf(stderr, "bench_gpu: %llu bytes differ: ", (unsigned long long)differing);
    bench_die(what);
}

void job_verify(struct job *j, const struct way *way, bool summed, const char *what)
{
    uint32_t steps[VERIFIED];
    if (way->step == NULL) return;
    verified_steps(j, steps);
    clear(j, j->caches);
    bench_sync(j->run); /* a programmatic launch might not wait for it */
    for (int i = 0; i < VERIFIED; i++)
        way->step(way->self, steps[i]);
    bench_sync(j->run);
    size_t compared = summed ? j->pitch : j->cache_bytes;
    for (uint32_t i = 0; i < j->shape.m; i++)
        must_equal(j, j->caches + i * j->pitch, j->others + i * j->pitch, compared, what);
}

void job_verify_copy(struct job *j, const struct way *way)
{
    clear(j, j->others);
    for (uint32_t step = 0; step < 2; step++) {
        way->step(way->self, step);
        must_equal(j, copy_target(j, step), job_rows(j, step), j->moved / 2, "copy");
    }
}
