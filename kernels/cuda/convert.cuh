/* convert.cuh - conversions of the batched path (and of its broken variants), by the GPU's own
 * instructions where they do what base/dtype.h asks for. They turn every NaN into one canonical
 * NaN, so NaN goes another way: sign and top payload bits kept, quiet bit set. */
#ifndef TKV_KERNELS_CUDA_CONVERT_CUH
#define TKV_KERNELS_CUDA_CONVERT_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "base/dtype.h"

/* What a type is stored as, and its value as the bits of an f32. Of a pack's words: element() takes
 * out one, values() two; pair() makes a word of two. values() and pair() are for what is no NaN. */
struct tkv_as_f32 {
    typedef uint32_t bits;
    __device__ static bits element(const uint32_t *words, int e)
    {
        return words[e];
    }
    __device__ static float2 values(const uint32_t *words, int w)
    {
        return {__uint_as_float(words[2 * w]), __uint_as_float(words[2 * w + 1])};
    }
    __device__ static uint32_t load(bits x)
    {
        return x;
    }
};

struct tkv_as_f16 {
    typedef uint16_t bits;
    __device__ static bits element(const uint32_t *words, int e)
    {
        return (bits)(words[e / 2] >> e % 2 * 16);
    }
    __device__ static float2 values(const uint32_t *words, int w)
    {
        return __half22float2(*(const __half2 *)&words[w]);
    }
    __device__ static uint32_t pair(float2 two)
    {
        __half2 pair = __floats2half2_rn(two.x, two.y);
        return *(const uint32_t *)&pair;
    }
    __device__ static uint32_t load(bits x)
    {
        uint32_t nan = (uint32_t)(x & 0x8000) << 16 | 0x7fc00000 | (uint32_t)(x & 0x3ff) << 13;
        uint32_t value = __float_as_uint(__half2float(__ushort_as_half(x)));
        return (x & 0x7fff) > 0x7c00 ? nan : value;
    }
    __device__ static bits store(uint32_t x)
    {
        uint32_t nan = (x >> 16 & 0x8000) | 0x7e00 | (x >> 13 & 0x3ff);
        uint32_t value = __half_as_ushort(__float2half_rn(__uint_as_float(x)));
        return (bits)((x & 0x7fffffff) > 0x7f800000 ? nan : value);
    }
};

struct tkv_as_bf16 {
    typedef uint16_t bits;
    __device__ static bits element(const uint32_t *words, int e)
    {
        return (bits)(words[e / 2] >> e % 2 * 16);
    }
    __device__ static float2 values(const uint32_t *words, int w)
    {
        return {__uint_as_float(words[w] << 16), __uint_as_float(words[w] & 0xffff0000)};
    }
    __device__ static uint32_t pair(float2 two)
    {
        __nv_bfloat162 pair = __floats2bfloat162_rn(two.x, two.y);
        return *(const uint32_t *)&pair;
    }
    __device__ static uint32_t load(bits x)
    {
        return (uint32_t)x << 16;
    }
    __device__ static bits store(uint32_t x)
    {
        uint32_t nan = x >> 16 | 0x40, value = (x + 0x7fff + (x >> 16 & 1)) >> 16;
        return (bits)((x & 0x7fffffff) > 0x7f800000 ? nan : value);
    }
};

/* From Src to Dst; equal types (Src and Dst the same) are moved bit by bit. */
template <class Src, class Dst> struct tkv_conversion {
    __device__ static typename Dst::bits apply(typename Src::bits x)
    {
        return Dst::store(Src::load(x));
    }
};

template <class Same> struct tkv_conversion<Same, Same> {
    __device__ static typename Same::bits apply(typename Same::bits x)
    {
        return x;
    }
};

#endif
