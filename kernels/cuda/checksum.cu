/* Checksums from any block or cache on the GPU, plainly: a warp for each (layer, K|V, token), its
 * lanes over the words of every head's row. */
#include "kernels/checksum.h"
#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/device.cuh"

enum { THREADS = 256, WARPS = THREADS / 32 };

struct checksum_args {
    struct tkv_geometry geom;
    struct tkv_checksum_range range;
    uint64_t *out;
    size_t stride;
};

/* Element `at` of the block, as the cache's dtype has it. */
__device__ static uint32_t element(const struct checksum_args &a, size_t at)
{
    enum tkv_dtype from = a.range.dtype;
    if (from == a.geom.dtype) return ((const uint16_t *)a.range.block)[at];
    uint32_t value = from == TKV_F32   ? ((const uint32_t *)a.range.block)[at]
                     : from == TKV_F16 ? tkv_as_f16::load(((const uint16_t *)a.range.block)[at])
                                       : tkv_as_bf16::load(((const uint16_t *)a.range.block)[at]);
    return a.geom.dtype == TKV_F16 ? tkv_as_f16::store(value) : tkv_as_bf16::store(value);
}

/* What this lane's words of the row that begins at `row` add. */
__device__ static uint64_t row_part(const struct checksum_args &a, uint32_t head, size_t row)
{
    uint64_t sum = 0;
    for (uint32_t w = threadIdx.x % 32; 2 * w < a.geom.head_dim; w += 32) {
        uint32_t word = element(a, row + 2 * w);
        if (2 * w + 1 < a.geom.head_dim) word |= element(a, row + 2 * w + 1) << 16;
        sum += (uint64_t)word * tkv_checksum_key(head, w);
    }
    return sum;
}

/* Grid: warps stride over the range's (plane, token), tokens innermost. */
__global__ static void checksum_kernel(struct checksum_args a)
{
    size_t n = (size_t)a.range.layers * TKV_KV * a.range.tokens;
    size_t step = (size_t)gridDim.x * WARPS;
    for (size_t i = (size_t)blockIdx.x * WARPS + threadIdx.x / 32; i < n; i += step) {
        size_t plane = i / a.range.tokens, token = i % a.range.tokens;
        uint64_t sum = 0;
        for (uint32_t head = 0; head < a.geom.n_kv_heads; head++) {
            size_t row = plane * tkv_plane_elements(&a.geom, a.range.positions) +
                         tkv_row_offset(&a.geom, a.range.positions, head, a.range.first + token);
            sum += row_part(a, head, row);
        }
        for (int lanes = 16; lanes > 0; lanes /= 2)
            sum += __shfl_down_sync(0xffffffff, sum, lanes);
        if (threadIdx.x % 32 == 0) a.out[token * a.stride + plane] = TKV_CHECKSUM_SEED + sum;
    }
}

enum tkv_status tkv_cuda_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                                   const struct tkv_checksum_range *range, uint64_t *out,
                                   size_t stride)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    struct checksum_args args = {*geom, *range, out, stride};
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    size_t warps = (size_t)range->layers * TKV_KV * range->tokens;
    size_t blocks = (warps - 1) / WARPS + 1, enough = 32 * (size_t)cuda->multiprocessors;
    if (blocks > enough) blocks = enough;
    checksum_kernel<<<(unsigned)blocks, THREADS, 0, cuda->stream>>>(args);
    return tkv_cuda_launched(cuda, "checksum_kernel");
}
