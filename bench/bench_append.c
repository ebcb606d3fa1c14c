/* One decode step's append: batched with and without checksums, per item, and the floor of one
 * contiguous copy of the same bytes, all measured in the same run. Bytes are verified before
 * anything is timed.
 *
 *   bench_append [--backend auto|cuda|cpu] [--tiny]
 *
 * A time is the median over rounds of (queue STEPS steps, wait) / STEPS: what a step costs where
 * steps follow each other. Every step writes the next position. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/compare.h"
#include "kernels/kv_append.h"

enum { CAPACITY_PER_TOKEN = 8, ROUNDS = 9, HEADS = 8, HEAD_DIM = 128 };

struct shape {
    uint32_t m, layers, tokens;
    enum tkv_dtype rows_dtype;
};

static const struct shape shapes[] = {
    {1, 1, 1, TKV_F16},    {64, 1, 1, TKV_F16},   {1, 32, 1, TKV_F16},   {8, 32, 1, TKV_F16},
    {64, 32, 1, TKV_F16},  {64, 32, 1, TKV_BF16}, {64, 32, 1, TKV_F32},  {2, 32, 512, TKV_F16},
    {2, 32, 512, TKV_F32}, {256, 32, 1, TKV_F16}, {512, 32, 1, TKV_F16}, {1024, 8, 1, TKV_F16},
};

struct bench {
    struct tkv_device *dev;
    struct tkv_geometry geom;
    struct shape shape;
    struct tkv_append_item *items;
    size_t cache_bytes, block_bytes; /* of one item */
    void *caches, *others, *rows;    /* others: what is verified against, and copied to */
    size_t pitch;                    /* from one cache to the next: its checksums are behind it */
    bool summed, pinned;             /* rows are in staging memory */
};

typedef enum tkv_status (*step_fn)(struct bench *b, uint32_t step);

static void check(enum tkv_status st, const char *what)
{
    if (st == TKV_OK) return;
    fprintf(stderr, "bench_append: %s: %s\n", what, tkv_status_reason(st));
    exit(1);
}

static void aim(struct bench *b, void *caches, uint32_t step)
{
    for (uint32_t i = 0; i < b->shape.m; i++) {
        char *cache = (char *)caches + i * b->pitch;
        b->items[i].cache = cache;
        b->items[i].pos = step % CAPACITY_PER_TOKEN * b->shape.tokens;
        b->items[i].sums = b->summed ? (uint64_t *)(cache + b->cache_bytes) : NULL;
    }
}

static enum tkv_status step_batched(struct bench *b, uint32_t step)
{
    aim(b, b->caches, step);
    return tkv_append_batched(b->dev, &b->geom, b->items, b->shape.m);
}

static enum tkv_status step_summed(struct bench *b, uint32_t step)
{
    b->summed = true;
    enum tkv_status st = step_batched(b, step);
    b->summed = false;
    return st;
}

static enum tkv_status step_per_item(struct bench *b, uint32_t step)
{
    enum tkv_status st = TKV_OK;
    aim(b, b->others, step);
    for (uint32_t i = 0; i < b->shape.m; i++) {
        for (uint32_t layer = 0; layer < b->shape.layers && st == TKV_OK; layer++) {
            st = tkv_append_one(b->dev, &b->geom, &b->items[i], layer, TKV_K);
            if (st == TKV_OK) st = tkv_append_one(b->dev, &b->geom, &b->items[i], layer, TKV_V);
        }
    }
    return st;
}

/* As many bytes read and written as an append reads and writes together. */
static size_t copied_bytes(const struct bench *b)
{
    size_t size = tkv_dtype_size(b->shape.rows_dtype);
    return b->shape.m * (b->block_bytes + b->block_bytes / size * sizeof(uint16_t)) / 2;
}

static enum tkv_status step_copy(struct bench *b, uint32_t step)
{
    size_t bytes = copied_bytes(b);
    return tkv_device_copy(b->dev, (char *)b->others + step % 2 * bytes, b->rows, bytes);
}

static void open_shape(struct bench *b)
{
    const struct shape *shape = &b->shape;
    uint32_t capacity = CAPACITY_PER_TOKEN * shape->tokens;
    uint64_t state = 1;
    b->geom = (struct tkv_geometry){shape->layers, HEADS, HEAD_DIM, TKV_F16};
    b->items = calloc(shape->m, sizeof *b->items);
    check(b->items == NULL ? TKV_ENOMEM : TKV_OK, "items");
    if (!tkv_cache_bytes(&b->geom, capacity, &b->cache_bytes) ||
        !tkv_block_bytes(&b->geom, shape->layers, shape->tokens, shape->rows_dtype,
                         &b->block_bytes))
        check(TKV_ENOMEM, "sizes");
    b->pitch = b->cache_bytes + tkv_sum_offset(&b->geom, capacity, 0, 0) * sizeof(uint64_t);
    size_t caches = b->pitch * shape->m, rows = b->block_bytes * shape->m;
    check(tkv_scratch_alloc(b->dev, caches, &b->caches), "caches");
    check(tkv_scratch_alloc(b->dev, caches, &b->others), "other caches");
    if (b->pinned)
        check(tkv_staging_alloc(tkv_device_backend(b->dev), rows, &b->rows), "rows");
    else
        check(tkv_scratch_alloc(b->dev, rows, &b->rows), "rows");
    check(tkv_device_fill(b->dev, b->caches, 0, caches), "fill");
    check(tkv_device_fill(b->dev, b->others, 0, caches), "fill");

    uint64_t *host = malloc(rows);
    check(host == NULL ? TKV_ENOMEM : TKV_OK, "rows");
    for (size_t i = 0; i < rows / sizeof *host; i++) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        host[i] = state >> 1 & 0x3fff3fff3fff3fffULL; /* finite in every type */
    }
    check(tkv_device_copy(b->dev, b->rows, host, rows), "upload");
    free(host);
    for (uint32_t i = 0; i < shape->m; i++) {
        b->items[i] = (struct tkv_append_item){.rows = (char *)b->rows + i * b->block_bytes,
                                               .tokens = shape->tokens,
                                               .capacity = capacity,
                                               .layer_end = shape->layers,
                                               .rows_dtype = shape->rows_dtype};
    }
}

static void close_shape(struct bench *b)
{
    size_t rows = b->block_bytes * b->shape.m;
    if (b->pinned)
        tkv_staging_free(tkv_device_backend(b->dev), b->rows, rows);
    else
        tkv_scratch_free(b->dev, b->rows);
    tkv_scratch_free(b->dev, b->others);
    tkv_scratch_free(b->dev, b->caches);
    free(b->items);
}

static void verify(struct bench *b)
{
    for (uint32_t step = 0; step < CAPACITY_PER_TOKEN; step += 3) {
        check(step_summed(b, step), "batched");
        check(step_per_item(b, step), "per item");
    }
    check(tkv_device_sync(b->dev), "sync");
    for (uint32_t i = 0; i < b->shape.m; i++) {
        uint64_t differing = 0;
        check(tkv_compare_planes(b->dev, (char *)b->caches + i * b->pitch,
                                 (char *)b->others + i * b->pitch, b->cache_bytes, 1, &differing),
              "compare");
        if (differing == 0) continue;
        fprintf(stderr, "bench_append: %llu bytes of item %u differ\n",
                (unsigned long long)differing, i);
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double run_steps(struct bench *b, step_fn fn, uint32_t steps)
{
    uint64_t start = tkv_now_ns();
    for (uint32_t i = 0; i < steps; i++)
        check(fn(b, i), "step");
    check(tkv_device_sync(b->dev), "sync");
    return (double)(tkv_now_ns() - start) / 1e3 / steps;
}

enum { BATCHED, SUMMED, PER_ITEM, COPY, WAYS };

/* Microseconds of one step of each way: medians over rounds that take turns, so that what the
 * machine does meanwhile hits all of them alike. A round lasts about round_us, by a first guess. */
static void measure(struct bench *b, double round_us, double *out)
{
    static const step_fn ways[WAYS] = {step_batched, step_summed, step_per_item, step_copy};
    double us[WAYS][ROUNDS];
    uint32_t steps[WAYS];
    for (int w = 0; w < WAYS; w++) {
        (void)run_steps(b, ways[w], 1); /* wakes what sleeps */
        double first = run_steps(b, ways[w], 1);
        steps[w] = first < round_us ? (uint32_t)(round_us / first) : 1;
    }
    for (int i = 0; i < ROUNDS; i++) {
        for (int w = 0; w < WAYS; w++)
            us[w][i] = run_steps(b, ways[w], steps[w]);
    }
    for (int w = 0; w < WAYS; w++) {
        qsort(us[w], ROUNDS, sizeof us[w][0], by_value);
        out[w] = us[w][ROUNDS / 2];
    }
}

static void bench_shape(struct tkv_device *dev, const struct shape *shape, bool pinned,
                        double round_us)
{
    struct bench b = {.dev = dev, .shape = *shape, .pinned = pinned};
    open_shape(&b);
    verify(&b);
    double us[WAYS];
    measure(&b, round_us, us);
    double batched = us[BATCHED], summed = us[SUMMED], one = us[PER_ITEM], copy = us[COPY];
    double gbps = 2.0 * (double)copied_bytes(&b) / batched / 1e3;
    printf("%5u %4u %6u %5s %6s %9.2f %9.2f %11.1f %9.2f %7.2f %7.2f %8.1f %8.1f\n", shape->m,
           shape->layers, shape->tokens, tkv_dtype_word(shape->rows_dtype),
           pinned ? "pinned" : "device", batched, summed, one, copy, summed / batched,
           batched / copy, one / batched, gbps);
    fflush(stdout);
    close_shape(&b);
}

static bool parse(int argc, char **argv, enum tkv_backend *backend, bool *tiny)
{
    static const struct option options[] = {
        {"backend", required_argument, NULL, 'b'}, {"tiny", no_argument, NULL, 't'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't') {
            *tiny = true;
            continue;
        }
        if (c != 'b') return false;
        for (*backend = TKV_BACKEND_AUTO; strcmp(optarg, tkv_backend_word(*backend)) != 0;
             *backend = (enum tkv_backend)(*backend + 1)) {
            if (*backend == TKV_BACKEND_CPU) return false;
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    enum tkv_backend backend = TKV_BACKEND_AUTO;
    struct tkv_device *dev = NULL;
    struct tkv_device_info info;
    const char *why = NULL;
    bool tiny = false;
    if (!parse(argc, argv, &backend, &tiny)) {
        fprintf(stderr, "usage: bench_append [--backend auto|cuda|cpu] [--tiny]\n");
        return 2;
    }
    enum tkv_status st = tkv_device_open(&dev, backend, 0, &why);
    if (why != NULL) fprintf(stderr, "bench_append: no GPU: %s\n", why);
    check(st, "open");
    check(tkv_device_info(dev, &info), "info");
    printf("append of %d heads x %d, cache f16, on %s (%s); microseconds a step\n", HEADS, HEAD_DIM,
           tkv_backend_word(info.backend), info.name);
    printf("    m    L tokens  type   from   batched   +sums    per item      copy   +sums  b/copy"
           "    one/b     GB/s\n");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        bool small = shapes[i].m * shapes[i].layers * shapes[i].tokens <= 64;
        if (tiny && !small) continue;
        if (info.backend == TKV_BACKEND_CPU && shapes[i].m > 64) continue;
        bench_shape(dev, &shapes[i], false, tiny ? 100 : 20000);
        if (info.backend == TKV_BACKEND_CUDA)
            bench_shape(dev, &shapes[i], true, tiny ? 100 : 20000);
    }
    tkv_device_close(dev);
    return 0;
}
