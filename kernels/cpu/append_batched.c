/* The batched path on all cores.
 *
 * A run is what one item brings for one (layer, K|V, head): its tokens lie side by side in the
 * block and in the cache, so a run is one contiguous copy. Planes of a cache follow each other
 * without a gap: run r of an item is head r of one tall plane that starts at its first layer.
 * Runs of all items are numbered through (first_run), cut into tasks of about TASK_BYTES, and
 * shared among threads. What is done to a run depends on its item alone, never on the batch. */
#include <string.h>

#include "kernels/cpu/cpu.h"

/* Below HELPED_BYTES of source a helper's wake-up costs what it brings: measured with f16 rows of
 * 256 bytes on two cores, no gain at 256 KiB and 0.6 to 0.8 of the time at 512 KiB. Rows of one
 * token land far apart, each on a page of its own: fetching the places of the runs to come,
 * PREFETCH_RUNS ahead, took such steps to 0.4 (512 KiB) and 0.6 (8 MiB) of their time. */
enum {
    HELPED_BYTES = 512 * 1024,
    TASK_BYTES = 64 * 1024,
    PREFETCH_RUNS = 8,
    PREFETCH_BYTES_MAX = 512, /* of a run; the hardware follows longer ones itself */
    LINE = 64
};

struct batch {
    const struct tkv_geometry *geom;
    const struct tkv_append_item *items;
    const struct tkv_converters *convert;
    const size_t *first_run; /* of each item, and the total behind the last; ascending */
    uint32_t n;
    size_t n_runs, runs_per_task;
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

static void write_run(const struct batch *b, const struct tkv_append_item *it, size_t run)
{
    const struct tkv_geometry *g = b->geom;
    size_t from = tkv_row_offset(g, it->tokens, run, 0);
    size_t n = (size_t)it->tokens * g->head_dim, size = tkv_dtype_size(g->dtype);
    char *dst = run_place(g, it, run);
    const char *src = (const char *)it->rows + from * tkv_dtype_size(it->rows_dtype);

    if (it->rows_dtype == g->dtype) {
        memcpy(dst, src, n * size);
    } else {
        tkv_converter(b->convert, g->dtype, it->rows_dtype)(dst, src, n);
    }
}

/* The item that run r belongs to: the last one whose first run is not behind r. */
static uint32_t item_of_run(const struct batch *b, size_t r)
{
    uint32_t low = 0, high = b->n;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (b->first_run[middle] <= r) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static void do_task(void *ctx, size_t k)
{
    const struct batch *b = ctx;
    size_t run = k * b->runs_per_task;
    size_t left = b->n_runs - run;
    size_t end = left < b->runs_per_task ? b->n_runs : run + b->runs_per_task;
    uint32_t i = item_of_run(b, run);
    for (; run < end; run++) {
        while (run >= b->first_run[i + 1])
            i++;
        const struct tkv_append_item *it = &b->items[i];
        if (run + PREFETCH_RUNS < b->first_run[i + 1])
            prefetch_run(b->geom, it, run + PREFETCH_RUNS - b->first_run[i]);
        write_run(b, it, run - b->first_run[i]);
    }
}

enum tkv_status tkv_cpu_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                       const struct tkv_append_item *items, uint32_t n)
{
    struct tkv_cpu_device *cpu = tkv_cpu(dev);
    size_t runs = 0, bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct tkv_append_item *it = &items[i];
        cpu->first_run[i] = runs;
        if (!guard(geom, it)) {
            cpu->refused = true;
            continue;
        }
        if (it->tokens == 0) continue;
        size_t planes = (size_t)(it->layer_end - it->layer_begin) * TKV_KV;
        runs += planes * geom->n_kv_heads;
        bytes +=
            tkv_plane_offset(geom, it->tokens, planes / TKV_KV, 0) * tkv_dtype_size(it->rows_dtype);
    }
    cpu->first_run[n] = runs;
    if (runs == 0) return TKV_OK;

    size_t runs_per_task = TASK_BYTES / (bytes / runs + 1) + 1;
    struct batch b = {geom, items, cpu->convert, cpu->first_run, n, runs, runs_per_task};
    if (bytes < HELPED_BYTES) {
        b.runs_per_task = runs;
        do_task(&b, 0);
    } else {
        tkv_pool_run(&cpu->pool, do_task, &b, (runs - 1) / runs_per_task + 1);
    }
    return TKV_OK;
}
