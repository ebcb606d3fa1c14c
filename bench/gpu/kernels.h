/* kernels.h - what of the benchmark runs on the GPU, for C programs: kernels that do nothing, the
 * classic ways' kernels, and bytes to move. All queue work on a stream and do not wait. */
#ifndef TKV_BENCH_GPU_KERNELS_H
#define TKV_BENCH_GPU_KERNELS_H

#include <cuda_runtime_api.h>

#include "kernels/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The stream on which a device queues its work: what is measured beside it must be on the same. */
cudaStream_t bench_stream(struct tkv_device *dev);

/* Bytes that are finite numbers in every type; a multiple of 8. */
cudaError_t bench_random(void *dst, size_t bytes, uint64_t seed, cudaStream_t stream);

/* A kernel that takes this many bytes of parameters and does nothing; NULL: there is none of that
 * size. Patient: it lets the next launch start at once, and waits for the one before it. */
enum { BENCH_PARAMS_MAX = 29 * 1024, BENCH_PARAMS_MIN = 512 };
const void *bench_empty_kernel(uint32_t param_bytes, bool patient);

/* The classic ways: n rows-of-every-head, from [heads][dim] to a plane [heads][capacity][dim] at a
 * position that dst points at. f16, dim a multiple of 8. */
struct bench_row {
    void *dst;
    const void *src;
};
struct bench_plane {
    uint32_t heads, dim, capacity;
};

cudaError_t bench_put_row(struct bench_row row, struct bench_plane plane, cudaStream_t stream);

/* table: n entries in device memory. */
cudaError_t bench_put_rows(const struct bench_row *table, uint32_t n, struct bench_plane plane,
                           cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
