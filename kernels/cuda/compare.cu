/* Counting differing bytes of many planes on the GPU. */
#include <cuda_runtime.h>
#include <string.h>

#include "kernels/cuda/device.cuh"

enum { THREADS = 256 };

__device__ static unsigned differing_bytes(uint32_t a, uint32_t b)
{
    return (unsigned)__popc(__vcmpne4(a, b)) / 8;
}

/* Differing bytes that this thread finds; planes as vectors where alignment allows. */
__device__ static unsigned long long count_words(const uint4 *a, const uint4 *b, size_t n)
{
    unsigned long long count = 0;
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint4 x = a[i], y = b[i];
        count += differing_bytes(x.x, y.x) + differing_bytes(x.y, y.y) + differing_bytes(x.z, y.z) +
                 differing_bytes(x.w, y.w);
    }
    return count;
}

__device__ static unsigned long long count_bytes(const unsigned char *a, const unsigned char *b,
                                                 size_t n)
{
    unsigned long long count = 0;
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        count += a[i] != b[i];
    return count;
}

/* Grid: y is the plane, x strides over it. Counts are integers: any order of adding is right. */
__global__ static void compare_kernel(const unsigned char *a, const unsigned char *b,
                                      size_t plane_bytes, bool wide, unsigned long long *counts)
{
    size_t at = blockIdx.y * plane_bytes;
    unsigned long long count =
        wide ? count_words((const uint4 *)(a + at), (const uint4 *)(b + at), plane_bytes / 16)
             : count_bytes(a + at, b + at, plane_bytes);
    for (int lanes = 16; lanes > 0; lanes /= 2)
        count += __shfl_down_sync(0xffffffff, count, lanes);
    if (threadIdx.x % 32 == 0 && count > 0) atomicAdd(&counts[blockIdx.y], count);
}

/* Up to TKV_CUDA_COUNTS planes. */
static cudaError_t compare_some(struct tkv_cuda_device *cuda, const unsigned char *a,
                                const unsigned char *b, size_t plane_bytes, size_t n)
{
    size_t bytes = n * sizeof cuda->counts[0];
    bool wide = ((uintptr_t)a | (uintptr_t)b | plane_bytes) % 16 == 0;
    size_t units = wide ? plane_bytes / 16 : plane_bytes;
    size_t blocks = (units - 1) / THREADS + 1, enough = 16 * (size_t)cuda->multiprocessors;
    if (blocks > enough) blocks = enough;

    cudaError_t err = cudaMemsetAsync(cuda->counts, 0, bytes, cuda->stream);
    if (err != cudaSuccess) return err;
    compare_kernel<<<dim3((unsigned)blocks, (unsigned)n), THREADS, 0, cuda->stream>>>(
        a, b, plane_bytes, wide, cuda->counts);
    err = cudaGetLastError();
    if (err != cudaSuccess) return err;
    err = cudaMemcpyAsync(cuda->counts_host, cuda->counts, bytes, cudaMemcpyDeviceToHost,
                          cuda->stream);
    return err != cudaSuccess ? err : cudaStreamSynchronize(cuda->stream);
}

enum tkv_status tkv_cuda_compare_planes(struct tkv_device *dev, const void *a, const void *b,
                                        size_t plane_bytes, size_t n_planes, uint64_t *mismatched)
{
    const size_t counts_max = TKV_CUDA_COUNTS;
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    for (size_t done = 0; done < n_planes && st == TKV_OK;) {
        size_t left = n_planes - done, n = left < counts_max ? left : counts_max;
        size_t at = done * plane_bytes;
        cudaError_t err = compare_some(cuda, (const unsigned char *)a + at,
                                       (const unsigned char *)b + at, plane_bytes, n);
        st = tkv_cuda_status(cuda, err, "compare_kernel");
        for (size_t i = 0; i < n && st == TKV_OK; i++)
            mismatched[done + i] = cuda->counts_host[i];
        done += n;
    }
    return st;
}
