/* The reference on the GPU: one item, one layer, K or V. One thread an element, by the element's
 * own coordinates; conversions in integer arithmetic after IEEE 754, no conversion instructions.
 * It stays this way: everything faster is measured against it. */
#include "kernels/cuda/device.cuh"

struct append_one_args {
    struct tkv_geometry geom;
    struct tkv_append_item item;
    uint32_t first; /* plane: layer * 2 + kv */
    uint32_t *refused;
};

__device__ static bool writable(const struct tkv_geometry &g, const struct tkv_append_item &it)
{
    if (it.cache == NULL || it.rows == NULL) return false;
    if ((uint64_t)it.pos + it.tokens > it.capacity) return false;
    if (it.layer_begin > it.layer_end || it.layer_end > g.n_layers) return false;
    return (unsigned)it.rows_dtype < TKV_DTYPE_COUNT;
}

/* x / 2^shift to the nearest, ties to even. */
__device__ static uint32_t to_nearest_even(uint32_t x, uint32_t shift)
{
    uint32_t below = x & ((1u << shift) - 1), half = 1u << (shift - 1), whole = x >> shift;
    if (below > half || (below == half && (whole & 1) == 1)) whole++;
    return whole;
}

__device__ static uint16_t f32_to_f16(uint32_t bits)
{
    uint32_t sign = (bits >> 31) << 15, magnitude = bits & 0x7fffffff, exponent = magnitude >> 23;
    uint32_t half;
    if (magnitude > 0x7f800000) {
        half = 0x7e00 | (magnitude >> 13 & 0x3ff); /* NaN: quiet, top of the payload kept */
    } else if (exponent >= 127 + 16) {
        half = 0x7c00; /* too large for f16 before rounding; the rest of them by carry */
    } else if (exponent >= 127 - 14) {
        half = to_nearest_even(magnitude - ((127 - 15) << 23), 13);
    } else if (exponent >= 127 - 25) {
        half = to_nearest_even((magnitude & 0x7fffff) | 0x800000, 126 - exponent);
    } else {
        half = 0;
    }
    return (uint16_t)(sign | half);
}

__device__ static uint16_t f32_to_bf16(uint32_t bits)
{
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)to_nearest_even(bits, 16);
}

/* Exact; the bits of an f32. */
__device__ static uint32_t f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 0x1f;
    uint32_t mantissa = half & 0x3ff;
    if (exponent == 0x1f) {
        return sign | 0x7f800000 | (mantissa != 0 ? 0x400000 : 0) | mantissa << 13;
    }
    if (exponent == 0 && mantissa == 0) return sign;
    exponent += 127 - 15;
    if (exponent == 127 - 15) { /* subnormal: shifted up until its leading one is the hidden bit */
        exponent++;
        while ((mantissa & 0x400) == 0) {
            mantissa <<= 1;
            exponent--;
        }
    }
    return sign | exponent << 23 | (mantissa & 0x3ff) << 13;
}

__device__ static uint32_t load_f32(const void *rows, enum tkv_dtype dtype, size_t i)
{
    if (dtype == TKV_F32) return ((const uint32_t *)rows)[i];
    uint16_t bits = ((const uint16_t *)rows)[i];
    return dtype == TKV_F16 ? f16_to_f32(bits) : (uint32_t)bits << 16;
}

__device__ static void write_element(const struct append_one_args &a, size_t at, size_t from)
{
    uint16_t *cache = (uint16_t *)a.item.cache;
    if (a.item.rows_dtype == a.geom.dtype) {
        cache[at] = ((const uint16_t *)a.item.rows)[from];
    } else {
        uint32_t value = load_f32(a.item.rows, a.item.rows_dtype, from);
        cache[at] = a.geom.dtype == TKV_F16 ? f32_to_f16(value) : f32_to_bf16(value);
    }
}

/* Grid: y is the plane; threads along x stride over the elements [n_kv_heads][tokens][head_dim] of
 * that plane of the block. */
__global__ static void append_one_kernel(struct append_one_args a)
{
    const struct tkv_append_item &it = a.item;
    if (!writable(a.geom, it)) {
        if (blockIdx.x == 0 && threadIdx.x == 0) *a.refused = 1;
        return;
    }
    uint32_t layer = (a.first + blockIdx.y) / TKV_KV, kv = (a.first + blockIdx.y) % TKV_KV;
    size_t cache_plane = tkv_plane_offset(&a.geom, it.capacity, layer, kv);
    size_t rows_plane = tkv_plane_offset(&a.geom, it.tokens, layer - it.layer_begin, kv);
    size_t n = tkv_plane_elements(&a.geom, it.tokens);
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        size_t dim = i % a.geom.head_dim, token = i / a.geom.head_dim % it.tokens;
        size_t head = i / a.geom.head_dim / it.tokens;
        size_t at = cache_plane + tkv_row_offset(&a.geom, it.capacity, head, it.pos + token) + dim;
        size_t from = rows_plane + tkv_row_offset(&a.geom, it.tokens, head, token) + dim;
        write_element(a, at, from);
    }
}

enum tkv_status tkv_cuda_append_one(struct tkv_device *dev, const struct tkv_geometry *geom,
                                    const struct tkv_append_item *item, uint32_t first, uint32_t n)
{
    const size_t threads = 256, blocks_max = 65535;
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    size_t blocks = tkv_plane_elements(geom, item->tokens) / threads + 1;
    if (blocks > blocks_max) blocks = blocks_max;
    for (uint32_t done = 0; done < n && st == TKV_OK;) {
        struct append_one_args args = {*geom, *item, first + done, cuda->refused};
        uint32_t planes = n - done < blocks_max ? n - done : (uint32_t)blocks_max;
        append_one_kernel<<<dim3((unsigned)blocks, planes), (unsigned)threads, 0, cuda->stream>>>(
            args);
        st = tkv_cuda_launched(cuda, "append_one_kernel");
        done += planes;
    }
    return st;
}
