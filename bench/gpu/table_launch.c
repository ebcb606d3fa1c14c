/* What a launch costs by itself: kernels that do nothing, by size of parameters, size of grid and
 * method of launching. The batched append's parameters are 0.3 KB for up to 8 items that are
 * alike, 1.4 KB for up to 64, 10 KB for up to 512; 64 items of 32 layers are 1024 blocks. */
#include <stdio.h>

#include "bench/gpu/empty.h"

enum { PLAIN, DRIVER, PDL, PDL_PATIENT, GRAPH, UPDATED, RING, METHODS };

struct launches {
    struct empty empty, patient;
    struct relaunch relaunch, patient_relaunch;
    struct replay replay;
    struct way ways[METHODS];
};

static void step_empty(void *self, uint32_t step)
{
    struct empty *e = self;
    void *args[] = {e->params};
    e->params[0] = step;
    dim3 grid = {e->blocks, 1, 1}, block = {128, 1, 1};
    bench_cuda(cudaLaunchKernel(e->kernel, grid, block, args, 0, e->run->stream), "empty kernel");
}

struct way empty_open(struct empty *e, const struct run *r, uint32_t param_bytes, uint32_t blocks,
                      bool patient)
{
    *e = (struct empty){.run = r, .blocks = blocks};
    e->kernel = bench_empty_kernel(param_bytes, patient);
    if (e->kernel == NULL) bench_die("no empty kernel has parameters of that size");
    return (struct way){step_empty, e, BACK_TO_BACK, 1};
}

static void open_methods(struct launches *l, const struct run *r, uint32_t bytes, uint32_t blocks)
{
    struct way patient = empty_open(&l->patient, r, bytes, blocks, true);
    l->ways[PLAIN] = empty_open(&l->empty, r, bytes, blocks, false);
    bench_relaunch_open(&l->relaunch, r, &l->ways[PLAIN]);
    bench_relaunch_open(&l->patient_relaunch, r, &patient);
    l->ways[DRIVER] = bench_way_driver(&l->relaunch);
    l->ways[PDL] = bench_way_programmatic(&l->relaunch);
    l->ways[PDL_PATIENT] = bench_way_programmatic(&l->patient_relaunch);
    l->ways[GRAPH] = bench_replay_open(&l->replay, r, &l->ways[PLAIN], CYCLE, 1);
    l->ways[UPDATED] = bench_way_updated(&l->relaunch);
    l->ways[RING] = bench_way_updated_ring(&l->relaunch);
}

static void close_methods(struct launches *l)
{
    bench_replay_close(&l->replay);
    bench_relaunch_close(&l->patient_relaunch);
    bench_relaunch_close(&l->relaunch);
}

static void print_times(const struct run *r, struct launches *l, enum timing timing)
{
    double us[METHODS];
    for (int i = 0; i < METHODS; i++)
        l->ways[i].timing = timing;
    bench_measure(r, l->ways, METHODS, us);
    for (int i = 0; i < METHODS; i++)
        bench_put(us[i], 8, 2);
}

static void print_row(const struct run *r, uint32_t bytes, uint32_t blocks)
{
    struct launches l;
    open_methods(&l, r, bytes, blocks);
    printf("%5.1f %6u |", bytes / 1024.0, blocks);
    print_times(r, &l, BACK_TO_BACK);
    printf(" |");
    print_times(r, &l, ONE_BY_ONE);
    bench_end_row();
    close_methods(&l);
}

void table_launch(const struct run *r)
{
    static const uint32_t sizes[] = {BENCH_PARAMS_MIN, 4096, 16384, BENCH_PARAMS_MAX};
    static const uint32_t grids[] = {1, 1024};
    static const char *const names[METHODS] = {"plain", "driver",  "pdl",   "pdl+wait",
                                               "graph", "updated", "ring-8"};
    printf(
        "\n5. Launch overhead: an empty kernel with P KB of parameters; microseconds.\n"
        "plain: cudaLaunchKernel; driver: cuLaunchKernel; pdl: programmatic stream serialization;"
        "\npdl+wait: and the kernel triggers and waits; graph: replayed; updated: one graph,"
        " given new\n"
        "parameters each step; ring-8: eight such by turns. Left: back to back; right: each waited"
        " for.\n"
        "    P blocks |");
    bench_head(names, METHODS, 8);
    printf(" |");
    bench_head(names, METHODS, 8);
    bench_end_row();
    for (size_t g = 0; g < sizeof grids / sizeof grids[0]; g++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            print_row(r, sizes[i], grids[g]);
    }
}
