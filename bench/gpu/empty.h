/* empty.h - launches of a kernel that does nothing: what a launch costs by itself. */
#ifndef TKV_BENCH_GPU_EMPTY_H
#define TKV_BENCH_GPU_EMPTY_H

#include "bench/gpu/kernels.h"
#include "bench/gpu/measure.h"

struct empty {
    const struct run *run;
    const void *kernel;
    uint32_t blocks;
    uint32_t params[BENCH_PARAMS_MAX / 4];
};

/* param_bytes, patient: as for bench_empty_kernel(). Parameters differ from step to step. */
struct way empty_open(struct empty *e, const struct run *r, uint32_t param_bytes, uint32_t blocks,
                      bool patient);

#endif
