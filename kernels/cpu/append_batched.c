/* The batched path on all cores.
 *
 * A run is what one item brings for one (layer, K|V, head): its tokens lie side by side in the
 * block and in the cache, so a run is one contiguous copy. Planes of a cache follow each other
 * without a gap: run r of an item is head r of one tall plane that starts at its first layer.
 * The planes of all items are numbered through (first_plane), cut into tasks of about TASK_BYTES,
 * and shared among threads; a plane's runs stay together, because a checksum is over all heads.
 * What is done to a run depends on its item alone, never on the batch. */
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "kernels/cpu/cpu.h"

/* Below HELPED_BYTES of source a helper's wake-up costs what it brings: measured with f16 rows of
 * 256 bytes on two cores, no gain at 256 KiB and 0.6 to 0.8 of the time at 512 KiB. Rows of one
 * token land far apart, each on a page of its own: fetching the places of the runs to come,
 * PREFETCH_RUNS ahead, took such steps to 0.4 (512 KiB) and 0.6 (8 MiB) of their time. From
 * STREAMED_BYTES on, whole lines are written past the caches instead, which need not be read first
 * then: one step comes back to a sequence's lines when it has long pushed them out. 0.85 (128 KiB)
 * and 0.77 (8 MiB) of the processor's time of a request. */
enum {
    HELPED_BYTES = 512 * 1024,
    TASK_BYTES = 64 * 1024,
    PREFETCH_RUNS = 8,
    PREFETCH_BYTES_MAX = 512, /* of a run; the hardware follows longer ones itself */
    TOGETHER = 4,             /* planes: copied, then summed while they are at hand */
    PIECE_ELEMENTS = 512,     /* converted at a time; whole groups of keys */
    STREAMED_BYTES = 64 * 1024,
    LINE = 64
};

struct batch {
    const struct tkv_geometry *geom;
    const struct tkv_append_item *items;
    const struct tkv_cpu_device *cpu;
    const size_t *first_plane; /* of each item, and the total behind the last; ascending */
    uint32_t n;
    size_t n_planes, planes_per_task;
    bool streamed; /* past the caches */
};

static bool guard(const struct tkv_geometry *g, const struct tkv_append_item *it)
{
    bool pointers = it->cache != NULL && it->rows != NULL;
    bool positions = it->pos <= it->capacity && it->tokens <= it->capacity - it->pos;
    bool layers = it->layer_begin <= it->layer_end && it->layer_end <= g->n_layers;
    return pointers && positions && layers && (unsigned)it->rows_dtype < TKV_DTYPE_COUNT;
}

static char *run_place(const struct tkv_geometry *g, const struct tkv_append_item *it, size_t run)
{
    size_t first = (size_t)it->layer_begin * TKV_KV * g->n_kv_heads;
    size_t at = tkv_row_offset(g, it->capacity, first + run, it->pos);
    return (char *)it->cache + at * tkv_dtype_size(g->dtype);
}

static void prefetch_run(const struct tkv_geometry *g, const struct tkv_append_item *it, size_t run)
{
    size_t bytes = (size_t)it->tokens * g->head_dim * tkv_dtype_size(g->dtype);
    const char *place = run_place(g, it, run);
    if (bytes > PREFETCH_BYTES_MAX) return;
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(place + i, 1);
}

#ifdef __SSE2__
/* Whole lines, without reading them first to write them. */
static void stream_run(char *dst, const char *src, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += sizeof(__m128i))
        _mm_stream_si128((__m128i *)(dst + i), _mm_loadu_si128((const __m128i *)(src + i)));
}
#else
static void stream_run(char *dst, const char *src, size_t bytes)
{
    memcpy(dst, src, bytes);
}
#endif

static void copy_run(const struct batch *b, char *dst, const char *src, size_t bytes)
{
    if (b->streamed && ((uintptr_t)dst | bytes) % LINE == 0)
        stream_run(dst, src, bytes);
    else
        memcpy(dst, src, bytes);
}

/* n elements of another type. */
static void convert_run(const struct batch *b, enum tkv_dtype dtype, char *dst, const char *src,
                        size_t n)
{
    tkv_convert_fn convert = tkv_converter(b->cpu->convert, b->geom->dtype, dtype);
    size_t size = tkv_dtype_size(dtype);
    uint16_t bits[PIECE_ELEMENTS];
    if (!b->streamed) {
        convert(dst, src, n);
        return;
    }
    for (size_t i = 0; i < n; i += PIECE_ELEMENTS) {
        size_t piece = n - i < PIECE_ELEMENTS ? n - i : PIECE_ELEMENTS;
        convert(bits, src + i * size, piece);
        copy_run(b, dst + i * sizeof bits[0], (const char *)bits, piece * sizeof bits[0]);
    }
}

static void write_run(const struct batch *b, const struct tkv_append_item *it, size_t run)
{
    const struct tkv_geometry *g = b->geom;
    size_t from = tkv_row_offset(g, it->tokens, run, 0);
    size_t n = (size_t)it->tokens * g->head_dim, size = tkv_dtype_size(g->dtype);
    char *dst = run_place(g, it, run);
    const char *src = (const char *)it->rows + from * tkv_dtype_size(it->rows_dtype);

    if (it->rows_dtype == g->dtype) {
        copy_run(b, dst, src, n * size);
    } else {
        convert_run(b, it->rows_dtype, dst, src, n);
    }
}

/* A part of a converted row: it is converted once more for this, a piece at a time. */
static uint64_t sum_converted(const struct batch *b, const struct tkv_append_item *it,
                              const char *row, uint32_t head)
{
    const struct tkv_row_keys *k = &b->cpu->keys;
    tkv_convert_fn convert = tkv_converter(b->cpu->convert, b->geom->dtype, it->rows_dtype);
    size_t size = tkv_dtype_size(it->rows_dtype), dim = b->geom->head_dim;
    uint16_t bits[PIECE_ELEMENTS];
    uint64_t sum = 0;
    for (size_t i = 0; i < dim; i += PIECE_ELEMENTS) {
        size_t n = dim - i < PIECE_ELEMENTS ? dim - i : PIECE_ELEMENTS;
        convert(bits, row + i * size, n);
        sum += k->sum(bits, k->keys + head * k->row_keys + i / 2, n);
    }
    return sum;
}

/* The checksums of one token of planes [plane, plane + n), from its source rows. */
static void sum_token(const struct batch *b, const struct tkv_append_item *it, size_t plane,
                      size_t n, uint32_t token, uint64_t *out)
{
    const struct tkv_geometry *g = b->geom;
    size_t size = tkv_dtype_size(it->rows_dtype), step = (size_t)it->tokens * g->head_dim * size;
    const char *rows =
        (const char *)it->rows + tkv_row_offset(g, it->tokens, plane * g->n_kv_heads, token) * size;
    if (it->rows_dtype == g->dtype) {
        tkv_token_sums(&b->cpu->keys, rows, step, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++, rows += g->n_kv_heads * step) {
        out[i] = TKV_CHECKSUM_SEED;
        for (uint32_t head = 0; head < g->n_kv_heads; head++)
            out[i] += sum_converted(b, it, rows + head * step, head);
    }
}

static void sum_planes(const struct batch *b, const struct tkv_append_item *it, size_t plane,
                       size_t n)
{
    uint64_t *sums = it->sums + tkv_sum_offset(b->geom, it->pos, it->layer_begin, 0) + plane;
    for (uint32_t t = 0; t < it->tokens; t++)
        sum_token(b, it, plane, n, t, sums + t * tkv_sums_each(b->geom));
}

/* The item that a plane belongs to: the last one whose first plane is not behind it. */
static uint32_t item_of_plane(const struct batch *b, size_t plane)
{
    uint32_t low = 0, high = b->n;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (b->first_plane[middle] <= plane) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Planes [plane, plane + n) of an item that has `planes`. */
static void write_planes(const struct batch *b, const struct tkv_append_item *it, size_t plane,
                         size_t n, size_t planes)
{
    uint32_t heads = b->geom->n_kv_heads;
    for (size_t run = plane * heads; run < (plane + n) * heads; run++) {
        if (!b->streamed && run + PREFETCH_RUNS < planes * heads)
            prefetch_run(b->geom, it, run + PREFETCH_RUNS);
        write_run(b, it, run);
    }
    if (it->sums != NULL) sum_planes(b, it, plane, n);
}

static size_t least(size_t x, size_t y)
{
    return x < y ? x : y;
}

static void do_task(void *ctx, size_t k)
{
    const struct batch *b = ctx;
    size_t plane = k * b->planes_per_task;
    size_t end = plane + least(b->n_planes - plane, b->planes_per_task);
    uint32_t i = item_of_plane(b, plane);
    while (plane < end) {
        while (plane >= b->first_plane[i + 1])
            i++;
        size_t first = b->first_plane[i], planes = b->first_plane[i + 1] - first;
        size_t n = least(least(end - plane, first + planes - plane), TOGETHER);
        write_planes(b, &b->items[i], plane - first, n, planes);
        plane += n;
    }
#ifdef __SSE2__
    if (b->streamed) _mm_sfence();
#endif
}

/* Numbers the planes of the items that pass the guard; the source bytes of all, and whether any
 * wants checksums. */
static size_t plan(struct tkv_cpu_device *cpu, const struct tkv_geometry *geom,
                   const struct tkv_append_item *items, uint32_t n, bool *summed)
{
    size_t planes = 0, bytes = 0;
    *summed = false;
    for (uint32_t i = 0; i < n; i++) {
        const struct tkv_append_item *it = &items[i];
        cpu->first_plane[i] = planes;
        if (!guard(geom, it)) {
            cpu->refused = true;
            continue;
        }
        if (it->tokens == 0) continue;
        size_t layers = it->layer_end - it->layer_begin;
        planes += layers * TKV_KV;
        bytes += tkv_plane_offset(geom, it->tokens, layers, 0) * tkv_dtype_size(it->rows_dtype);
        *summed = *summed || it->sums != NULL;
    }
    cpu->first_plane[n] = planes;
    return bytes;
}

enum tkv_status tkv_cpu_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                       const struct tkv_append_item *items, uint32_t n)
{
    struct tkv_cpu_device *cpu = tkv_cpu(dev);
    bool summed;
    size_t bytes = plan(cpu, geom, items, n, &summed), planes = cpu->first_plane[n];
    if (planes == 0) return TKV_OK;
    enum tkv_status st = summed ? tkv_row_keys_set(&cpu->keys, geom) : TKV_OK;
    if (st != TKV_OK) return st;

    size_t planes_per_task = TASK_BYTES / (bytes / planes + 1) / TOGETHER * TOGETHER + TOGETHER;
    bool whole_lines = geom->head_dim * tkv_dtype_size(geom->dtype) % LINE == 0;
    struct batch b = {geom,
                      items,
                      cpu,
                      cpu->first_plane,
                      n,
                      planes,
                      planes_per_task,
                      whole_lines && bytes >= STREAMED_BYTES};
    if (bytes < HELPED_BYTES) {
        b.planes_per_task = planes;
        do_task(&b, 0);
    } else {
        tkv_pool_run(&cpu->pool, do_task, &b, (planes - 1) / planes_per_task + 1);
    }
    return TKV_OK;
}
