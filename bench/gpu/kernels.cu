/* The benchmark's kernels. Host code is C in C++ clothes, as in kernels/cuda/: no C++ runtime. */
#include "bench/gpu/kernels.h"

#include "kernels/cuda/device.cuh" /* for the stream alone, which no public header gives away */

cudaStream_t bench_stream(struct tkv_device *dev)
{
    return tkv_cuda(dev)->stream;
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* splitmix64 (G. L. Steele and others, Fast Splittable Pseudorandom Number Generators, 2014). */
__global__ static void random_kernel(uint64_t *dst, size_t n, uint64_t seed)
{
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint64_t x = seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
        dst[i] = (x ^ x >> 31) & UINT64_C(0x3fff3fff3fff3fff);
    }
}

cudaError_t bench_random(void *dst, size_t bytes, uint64_t seed, cudaStream_t stream)
{
    random_kernel<<<1024, 256, 0, stream>>>((uint64_t *)dst, bytes / sizeof(uint64_t), seed);
    return cudaGetLastError();
}

/* --- nothing ---------------------------------------------------------------------------------- */

template <int Bytes> struct params {
    uint32_t words[Bytes / 4];
};

template <int Bytes> __global__ static void empty_kernel(const __grid_constant__ params<Bytes> p)
{
    (void)p;
}

template <int Bytes> __global__ static void patient_kernel(const __grid_constant__ params<Bytes> p)
{
    (void)p;
#if __CUDA_ARCH__ >= 900
    cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
#endif
}

template <int Bytes> static const void *empty_or_patient(bool patient)
{
    return patient ? (const void *)patient_kernel<Bytes> : (const void *)empty_kernel<Bytes>;
}

const void *bench_empty_kernel(uint32_t param_bytes, bool patient)
{
    switch (param_bytes) {
    case BENCH_PARAMS_MIN: return empty_or_patient<BENCH_PARAMS_MIN>(patient);
    case 4096: return empty_or_patient<4096>(patient);
    case 16384: return empty_or_patient<16384>(patient);
    case BENCH_PARAMS_MAX: return empty_or_patient<BENCH_PARAMS_MAX>(patient);
    default: return NULL;
    }
}

/* --- the classic ways ------------------------------------------------------------------------- */

/* One block a row-of-every-head; its threads stride over packs of 16 bytes. */
__device__ static void put_row(const struct bench_row &row, const struct bench_plane &plane)
{
    uint32_t packs = plane.dim / 8;
    for (uint32_t i = threadIdx.x; i < plane.heads * packs; i += blockDim.x) {
        size_t at = (size_t)(i / packs) * plane.capacity * packs + i % packs;
        ((uint4 *)row.dst)[at] = ((const uint4 *)row.src)[i];
    }
}

__global__ static void put_row_kernel(struct bench_row row, struct bench_plane plane)
{
    put_row(row, plane);
}

__global__ static void put_rows_kernel(const struct bench_row *table, struct bench_plane plane)
{
    put_row(table[blockIdx.x], plane);
}

cudaError_t bench_put_row(struct bench_row row, struct bench_plane plane, cudaStream_t stream)
{
    put_row_kernel<<<1, 128, 0, stream>>>(row, plane);
    return cudaGetLastError();
}

cudaError_t bench_put_rows(const struct bench_row *table, uint32_t n, struct bench_plane plane,
                           cudaStream_t stream)
{
    put_rows_kernel<<<n, 128, 0, stream>>>(table, plane);
    return cudaGetLastError();
}
