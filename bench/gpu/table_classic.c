/* What batching across layers buys: the classic ways of appending, written from their description.
 *
 *   per item    for each item, layer, K|V: the new row copied to the device's scratch, and a small
 *               launch that puts it into the plane
 *   per layer   for each layer, K|V: the table of the items' rows made and uploaded from pinned
 *               memory, and one launch that puts them all
 *   by layer    for each layer: our launch, of that layer alone; no upload
 *
 * All on one stream, with 16-byte vectors, one token an item. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/gpu/job.h"
#include "bench/gpu/kernels.h"

static const uint32_t sequences[] = {1, 8, 64, 256};

enum { LAYERS = 32, PLANES = LAYERS * 2, GRAPHS = 16 };
enum { ITEM, LAYER, LAYER_GRAPH, BY_LAYER, BY_LAYER_GRAPH, OURS, SUMS, COPY, COPY_GRAPH, WAYS };

struct classic {
    struct job job;
    struct bench_row *pinned, *table; /* [CYCLE][planes][m] in pinned memory; [m] on the device */
    void *row;                        /* scratch of one row of every head */
    struct replay layer_graph, by_layer_graph, copy_graph;
    struct way ways[WAYS];
};

static struct bench_plane plane_of(const struct job *j)
{
    return (struct bench_plane){j->shape.heads, j->shape.dim, j->capacity};
}

static size_t row_bytes(const struct job *j)
{
    return tkv_plane_elements(&j->geom, 1) * sizeof(uint16_t);
}

/* Where item i's row of a plane (layer * 2 + kv) lies, and where it goes. */
static struct bench_row row_of(const struct job *j, uint32_t step, uint32_t i, size_t plane)
{
    uint32_t pos = step % j->slots;
    uint16_t *cache = (uint16_t *)(j->caches + i * j->pitch);
    struct bench_row row;
    row.dst = cache + tkv_plane_offset(&j->geom, j->capacity, plane / TKV_KV, plane % TKV_KV) +
              tkv_row_offset(&j->geom, j->capacity, 0, pos);
    row.src = job_rows(j, step) + j->rows_at[i] + plane * row_bytes(j);
    return row;
}

static void step_item(void *self, uint32_t step)
{
    struct classic *c = self;
    const struct job *j = &c->job;
    cudaStream_t stream = j->run->stream;
    for (uint32_t i = 0; i < j->shape.m; i++) {
        for (size_t plane = 0; plane < PLANES; plane++) {
            struct bench_row row = row_of(j, step, i, plane);
            cudaError_t err =
                cudaMemcpyAsync(c->row, row.src, row_bytes(j), cudaMemcpyDeviceToDevice, stream);
            bench_cuda(err, "row");
            row.src = c->row;
            bench_cuda(bench_put_row(row, plane_of(j), stream), "row's kernel");
        }
    }
}

/* A pinned table may still be on its way when its step comes round again: it then gets the very
 * bytes that it has. */
static void step_layer(void *self, uint32_t step)
{
    struct classic *c = self;
    const struct job *j = &c->job;
    cudaStream_t stream = j->run->stream;
    uint32_t m = j->shape.m;
    for (size_t plane = 0; plane < PLANES; plane++) {
        struct bench_row *pinned = c->pinned + ((size_t)step * PLANES + plane) * m;
        for (uint32_t i = 0; i < m; i++)
            pinned[i] = row_of(j, step, i, plane);
        cudaError_t err =
            cudaMemcpyAsync(c->table, pinned, m * sizeof *pinned, cudaMemcpyHostToDevice, stream);
        bench_cuda(err, "table");
        bench_cuda(bench_put_rows(c->table, m, plane_of(j), stream), "rows' kernel");
    }
}

static void step_by_layer(void *self, uint32_t step)
{
    struct classic *c = self;
    struct job *j = &c->job;
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        job_aim(j, step, job_rows(j, step) + row_bytes(j) * TKV_KV * layer, false);
        for (uint32_t i = 0; i < j->shape.m; i++) {
            j->items[i].layer_begin = layer;
            j->items[i].layer_end = layer + 1;
        }
        bench_check(tkv_append_batched(j->run->dev, &j->geom, j->items, j->shape.m), "append");
    }
    for (uint32_t i = 0; i < j->shape.m; i++) {
        j->items[i].layer_begin = 0;
        j->items[i].layer_end = LAYERS;
    }
}

static void open_classic(struct classic *c, const struct run *r, uint32_t m)
{
    const struct shape shape = {m, LAYERS, 1, 8, 128, TKV_F16, false, 0};
    size_t table = m * sizeof *c->table;
    void *ptr;
    job_open(&c->job, r, &shape, NULL);
    bench_check(tkv_staging_alloc(TKV_BACKEND_CUDA, table * PLANES * CYCLE, &ptr), "pinned tables");
    c->pinned = ptr;
    bench_check(tkv_scratch_alloc(r->dev, table, &ptr), "table");
    c->table = ptr;
    bench_check(tkv_scratch_alloc(r->dev, row_bytes(&c->job), &c->row), "row");
    struct way *w = c->ways;
    w[ITEM] = (struct way){step_item, c, BACK_TO_BACK, 1};
    w[LAYER] = (struct way){step_layer, c, BACK_TO_BACK, 1};
    w[BY_LAYER] = (struct way){step_by_layer, c, BACK_TO_BACK, 1};
    w[OURS] = job_batched(&c->job);
    w[SUMS] = job_summed(&c->job);
    w[COPY] = job_copy(&c->job);
    w[LAYER_GRAPH] = bench_replay_open(&c->layer_graph, r, &w[LAYER], GRAPHS, 1);
    w[BY_LAYER_GRAPH] = bench_replay_open(&c->by_layer_graph, r, &w[BY_LAYER], GRAPHS, 1);
    w[COPY_GRAPH] = bench_replay_open(&c->copy_graph, r, &w[COPY], CYCLE, 1);
}

static void close_classic(struct classic *c)
{
    struct tkv_device *dev = c->job.run->dev;
    size_t tables = sizeof *c->pinned * c->job.shape.m * PLANES * CYCLE;
    bench_replay_close(&c->copy_graph);
    bench_replay_close(&c->by_layer_graph);
    bench_replay_close(&c->layer_graph);
    tkv_scratch_free(dev, c->row);
    tkv_scratch_free(dev, c->table);
    tkv_staging_free(TKV_BACKEND_CUDA, c->pinned, tables);
    job_close(&c->job);
}

static void measure_row(const struct run *r, uint32_t m)
{
    static const int verified[] = {ITEM, LAYER, BY_LAYER, OURS};
    static struct classic c; /* large */
    double us[WAYS];
    memset(&c, 0, sizeof c);
    open_classic(&c, r, m);
    job_expect(&c.job);
    for (size_t i = 0; i < sizeof verified / sizeof verified[0]; i++)
        job_verify(&c.job, &c.ways[verified[i]], false, "classic way");
    job_verify(&c.job, &c.ways[SUMS], true, "append with checksums");
    job_verify_copy(&c.job, &c.ways[COPY]);
    bench_measure(r, c.ways, WAYS, us);
    printf("%4u", m);
    for (int i = 0; i < WAYS; i++)
        bench_put(us[i], 8, us[i] < 1000 ? 2 : 0);
    for (int i = 0; i < OURS; i++)
        bench_put(us[i] / us[OURS], 8, 1);
    bench_put(us[OURS] / fmin(us[COPY], us[COPY_GRAPH]), 8, 2);
    bench_end_row();
    close_classic(&c);
}

void table_classic(const struct run *r)
{
    static const char *const names[] = {"item",    "layer",   "graph", "ours/L",  "graph",
                                        "ours",    "sums",    "copy",  "c.graph", "item/o",
                                        "layer/o", "graph/o", "o/L/o", "graph/o", "o/floor"};
    printf("\n4. The classic ways, %d layers, 8 heads x 128, f16; microseconds a step back to back,"
           " and how many\n"
           "times ours. item: a copy and a launch each item, layer, K|V; layer: a pointer table"
           " uploaded and a\n"
           "launch each layer, K|V; ours/L: our launch, one a layer; graph: the way before it,"
           " replayed.\n"
           "   M",
           LAYERS);
    bench_head(names, sizeof names / sizeof names[0], 8);
    bench_end_row();
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++)
        measure_row(r, sequences[i]);
}
