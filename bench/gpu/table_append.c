/* One decode step, all layers, K and V, in one launch, beside its floor: one contiguous copy of as
 * many bytes, by itself or as a graph, whichever is faster. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/gpu/empty.h"
#include "bench/gpu/job.h"

static const struct shape shapes[] = {
    {1, 1, 1, 8, 128, TKV_F16, false, 0},    {8, 1, 1, 8, 128, TKV_F16, false, 0},
    {64, 1, 1, 8, 128, TKV_F16, false, 0},   {256, 1, 1, 8, 128, TKV_F16, false, 0},
    {512, 1, 1, 8, 128, TKV_F16, false, 0},  {1, 32, 1, 8, 128, TKV_F16, false, 0},
    {8, 32, 1, 8, 128, TKV_F16, false, 0},   {64, 32, 1, 8, 128, TKV_F16, false, 0},
    {256, 32, 1, 8, 128, TKV_F16, false, 0}, {512, 32, 1, 8, 128, TKV_F16, false, 0},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Back to back. READY and the rest have the launch's parameters ready: what the host spends on
 * making them is not in those. */
enum { OURS, SUMS, READY, DRIVER, PDL, RING, GRAPH, COPY, COPY_GRAPH, EMPTY, EMPTY_GRAPH, STEPS };
enum { SYNC_OURS, SYNC_SUMS, SYNC_GRAPH, SYNC_COPY, SYNC_COPY_GRAPH, SYNC_EMPTY, SYNCS };
enum { DEV_OURS, DEV_SUMS, DEV_COPY, DEV_EMPTY, DEVS };

struct result {
    double steps[STEPS], syncs[SYNCS], devs[DEVS];
};

struct append {
    struct job job;
    struct empty empty;
    struct relaunch relaunch;
    struct replay graph, copy_graph, empty_graph, chains[DEVS];
    struct way steps[STEPS], syncs[SYNCS], devs[DEVS];
};

static void open_steps(struct append *a, const struct run *r)
{
    struct way *w = a->steps;
    w[OURS] = job_batched(&a->job);
    w[SUMS] = job_summed(&a->job);
    w[COPY] = job_copy(&a->job);
    w[EMPTY] = empty_open(&a->empty, r, BENCH_PARAMS_MIN, 1, false);
    bench_relaunch_open(&a->relaunch, r, &w[OURS]);
    w[READY] = bench_way_plain(&a->relaunch);
    w[DRIVER] = bench_way_driver(&a->relaunch);
    w[PDL] = bench_way_programmatic(&a->relaunch);
    w[RING] = bench_way_updated_ring(&a->relaunch);
    w[GRAPH] = bench_replay_open(&a->graph, r, &w[OURS], CYCLE, 1);
    w[COPY_GRAPH] = bench_replay_open(&a->copy_graph, r, &w[COPY], CYCLE, 1);
    w[EMPTY_GRAPH] = bench_replay_open(&a->empty_graph, r, &w[EMPTY], CYCLE, 1);
}

static struct way timed(struct way way, enum timing timing)
{
    way.timing = timing;
    return way;
}

/* The same ways, waited for step by step, and as chains in one graph. */
static void open_others(struct append *a, const struct run *r)
{
    static const int synced[SYNCS] = {OURS, SUMS, GRAPH, COPY, COPY_GRAPH, EMPTY};
    static const int chained[DEVS] = {OURS, SUMS, COPY, EMPTY};
    for (int i = 0; i < SYNCS; i++)
        a->syncs[i] = timed(a->steps[synced[i]], ONE_BY_ONE);
    for (int i = 0; i < DEVS; i++) {
        struct way chain = bench_replay_open(&a->chains[i], r, &a->steps[chained[i]], 1, CYCLE);
        a->devs[i] = timed(chain, ON_DEVICE);
    }
}

static void verify(struct append *a)
{
    static const int ours[] = {OURS, READY, DRIVER, PDL, RING, GRAPH};
    job_expect(&a->job);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        job_verify(&a->job, &a->steps[ours[i]], false, "append");
    job_verify(&a->job, &a->steps[SUMS], true, "append with checksums");
    job_verify_copy(&a->job, &a->steps[COPY]);
    job_verify_copy(&a->job, &a->steps[COPY_GRAPH]);
}

static void close_append(struct append *a)
{
    for (int i = 0; i < DEVS; i++)
        bench_replay_close(&a->chains[i]);
    bench_replay_close(&a->empty_graph);
    bench_replay_close(&a->copy_graph);
    bench_replay_close(&a->graph);
    bench_relaunch_close(&a->relaunch);
    job_close(&a->job);
}

static void print_shape(const struct shape *s)
{
    printf("%4u %3u", s->m, s->layers);
}

static void print_steps(const struct append *a, const struct result *x)
{
    double floor_us = fmin(x->steps[COPY], x->steps[COPY_GRAPH]), best = INFINITY;
    print_shape(&a->job.shape);
    bench_put((double)a->job.moved / 2 / MIB, 7, 3);
    for (int i = 0; i < STEPS; i++)
        bench_put(x->steps[i], 7, 2);
    for (int i = READY; i <= RING; i++)
        best = fmin(best, x->steps[i]);
    bench_put(x->steps[OURS] / floor_us, 7, 2);
    bench_put(x->steps[SUMS] / floor_us, 7, 2);
    bench_put(best / floor_us, 7, 2);
    bench_end_row();
}

static void measure_shape(const struct run *r, const struct shape *shape, struct result *out)
{
    static struct append a; /* large */
    memset(&a, 0, sizeof a);
    job_open(&a.job, r, shape, NULL);
    open_steps(&a, r);
    verify(&a);
    open_others(&a, r);
    bench_measure(r, a.steps, STEPS, out->steps);
    print_steps(&a, out);
    bench_measure(r, a.syncs, SYNCS, out->syncs);
    bench_measure(r, a.devs, DEVS, out->devs);
    close_append(&a);
}

static void print_others(const struct result *results)
{
    static const char *const devs[] = {"ours", "sums", "copy", "empty", "o/copy", "s/copy"};
    static const char *const syncs[] = {"ours",    "sums",  "graph",  "copy",
                                        "c.graph", "empty", "o/floor"};
    printf("\n1b. The same. Left: on the GPU alone, by its clock (one graph of %d steps in a row);"
           " target: ours/copy\n"
           "<= 1.08. Right: launched and waited for, one step at a time. Microseconds.\n"
           "   M   L",
           CYCLE);
    bench_head(devs, DEVS + 2, 7);
    printf(" |");
    bench_head(syncs, SYNCS + 1, 7);
    bench_end_row();
    for (int i = 0; i < SHAPES; i++) {
        const struct result *x = &results[i];
        print_shape(&shapes[i]);
        for (int w = 0; w < DEVS; w++)
            bench_put(x->devs[w], 7, 2);
        bench_put(x->devs[DEV_OURS] / x->devs[DEV_COPY], 7, 2);
        bench_put(x->devs[DEV_SUMS] / x->devs[DEV_COPY], 7, 2);
        printf(" |");
        for (int w = 0; w < SYNCS; w++)
            bench_put(x->syncs[w], 7, 2);
        bench_put(x->syncs[SYNC_OURS] / fmin(x->syncs[SYNC_COPY], x->syncs[SYNC_COPY_GRAPH]), 7, 2);
        bench_end_row();
    }
}

void table_append(const struct run *r)
{
    static const char *const names[] = {"MiB",   "ours",    "sums",    "ready",   "driver",
                                        "pdl",   "ring-8",  "graph",   "copy",    "c.graph",
                                        "empty", "e.graph", "o/floor", "s/floor", "b/floor"};
    struct result results[SHAPES];
    printf("\n1a. One decode step back to back, 8 heads x 128, f16, rows in device memory;"
           " microseconds a step.\n"
           "ours: tkv_append_batched; sums: with checksums. That launch with its parameters ready:"
           " ready:\n"
           "cudaLaunchKernel, driver: cuLaunchKernel, pdl: programmatic stream serialization,"
           " ring-8: eight\n"
           "graphs given new parameters; graph: replayed as captured. Floor: the faster of copy and"
           " its graph\n"
           "(c.graph). b: best of ready .. ring-8. Target: o/floor <= 1.05.\n"
           "   M   L");
    bench_head(names, sizeof names / sizeof names[0], 7);
    bench_end_row();
    for (int i = 0; i < SHAPES; i++)
        measure_shape(r, &shapes[i], &results[i]);
    print_others(results);
}
