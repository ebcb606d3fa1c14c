/* measure.h - ways of doing the same thing, timed by turns; launches captured and repeated.
 * What the GPU refuses ends the program: a benchmark has nobody to tell. */
#ifndef TKV_BENCH_GPU_MEASURE_H
#define TKV_BENCH_GPU_MEASURE_H

#include <cuda_runtime_api.h>

#include "kernels/device.h"

/* Every way's steps are numbered 0 .. CYCLE-1, again and again: each has its own position, and as
 * many sources as there is room for, so that all ways touch the same memory. */
enum { CYCLE = 64, WAYS_MAX = 12, ROUNDS_MAX = 9 };

struct run {
    struct tkv_device *dev;
    cudaStream_t stream; /* the device's */
    cudaEvent_t start, stop;
    int rounds;
    double round_us; /* that a round of one way lasts, about */
    bool quick;
    void *large[2]; /* LARGE_BYTES each, for the bandwidth of a copy */
};
enum { LARGE_BYTES = 512 << 20, MIB = 1 << 20 };

void bench_check(enum tkv_status st, const char *what);
void bench_cuda(cudaError_t err, const char *what);
void bench_sync(const struct run *r); /* of a guard's complaint, too */
_Noreturn void bench_die(const char *what);

/* How a way is timed: steps queued one behind the other, then waited for; each waited for; or by
 * the GPU's own clock around the queued steps. */
enum timing { BACK_TO_BACK, ONE_BY_ONE, ON_DEVICE };

struct way {
    void (*step)(void *self, uint32_t step); /* NULL: not to be had; its time is NAN */
    void *self;
    enum timing timing;
    uint32_t steps_each; /* that one call makes; 0 is 1 */
};

/* Microseconds a step of each way: medians over rounds that take turns. */
void bench_measure(const struct run *r, const struct way *ways, int n, double *us);

/* One copy of LARGE_BYTES, device to device: what bandwidths are held against. self: struct run. */
void bench_step_large(void *self, uint32_t step);
double bench_large_gbps(double us); /* bytes read and written */

/* --- a way's steps as graphs ------------------------------------------------------------------ */

/* n graphs, replayed by turns, each of `each` steps of a way. */
struct replay {
    const struct run *run;
    cudaGraphExec_t exec[CYCLE];
    uint32_t n;
};
struct way bench_replay_open(struct replay *g, const struct run *r, const struct way *of,
                             uint32_t n, uint32_t each);
void bench_replay_close(struct replay *g);

/* A way of one kernel launch: the parameters of all its steps, taken from captured graphs, so that
 * they can be launched again by other means, without what the host did to make them. */
enum { RING_MAX = 8 };
struct relaunch {
    const struct run *run;
    cudaGraph_t graphs[CYCLE];
    cudaGraphNode_t nodes[CYCLE];
    struct cudaKernelNodeParams params[CYCLE];
    bool known;              /* params are */
    bool launchable;         /* by what the graph says of its kernel */
    cudaFunction_t function; /* NULL: not to be had */
    cudaGraphExec_t exec[RING_MAX];
    uint32_t turn;
};
void bench_relaunch_open(struct relaunch *l, const struct run *r, const struct way *of);
void bench_relaunch_close(struct relaunch *l);

struct way bench_way_plain(struct relaunch *l);        /* cudaLaunchKernel */
struct way bench_way_driver(struct relaunch *l);       /* cuLaunchKernel */
struct way bench_way_programmatic(struct relaunch *l); /* may start before the last one's end */
struct way bench_way_updated(struct relaunch *l);      /* one graph, given new parameters */
struct way bench_way_updated_ring(struct relaunch *l); /* RING_MAX such graphs by turns */

/* --- tables ----------------------------------------------------------------------------------- */
void bench_head(const char *const *names, int n, int width); /* column heads, as bench_put() */
void bench_put(double x, int width, int decimals);           /* "-" for NAN */
void bench_end_row(void);

void table_append(const struct run *r);
void table_shapes(const struct run *r);
void table_pinned(const struct run *r);
void table_classic(const struct run *r);
void table_launch(const struct run *r);

#endif
