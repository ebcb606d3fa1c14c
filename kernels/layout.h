/* layout.h - where an element of a cache or of a block lies. Strides live here and nowhere else.
 *
 *   cache  [n_layers][2][n_kv_heads][capacity][head_dim]   2 = {K, V}, head_dim fastest
 *   block  [layers]  [2][n_kv_heads][tokens]  [head_dim]   what one item of an append brings
 *
 * Head-major: each head's tokens are contiguous, so that a (layer, K|V) plane is exactly the
 * [n_kv_heads, capacity, head_dim] buffer of the reference attention kernels.
 * Any thread, host and device. All offsets are size_t; sizes are checked. */
#ifndef TKV_KERNELS_LAYOUT_H
#define TKV_KERNELS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"
#include "base/dtype.h"

#ifdef __CUDACC__
#define TKV_HOST_DEVICE __host__ __device__
#else
#define TKV_HOST_DEVICE
#endif

enum { TKV_K = 0, TKV_V = 1, TKV_KV = 2 };

/* The shape of a model's caches. dtype is TKV_F16 or TKV_BF16. All counts >= 1. */
struct tkv_geometry {
    uint32_t n_layers, n_kv_heads, head_dim;
    enum tkv_dtype dtype;
};

/* Elements from the start of a plane of `positions` positions to (head, pos, dim 0). A cache's
 * plane has `capacity` positions, a block's has `tokens`. */
TKV_HOST_DEVICE static inline size_t tkv_row_offset(const struct tkv_geometry *g, size_t positions,
                                                    size_t head, size_t pos)
{
    return (head * positions + pos) * g->head_dim;
}

/* Elements of one (layer, K|V) plane of `positions` positions. */
TKV_HOST_DEVICE static inline size_t tkv_plane_elements(const struct tkv_geometry *g,
                                                        size_t positions)
{
    return (size_t)g->n_kv_heads * positions * g->head_dim;
}

/* Elements from the start of a cache or block to the plane (layer, kv); a block's layers count
 * from its own first one. */
TKV_HOST_DEVICE static inline size_t tkv_plane_offset(const struct tkv_geometry *g,
                                                      size_t positions, size_t layer, size_t kv)
{
    return (layer * TKV_KV + kv) * tkv_plane_elements(g, positions);
}

/* Bytes of [layers][2][n_kv_heads][positions][head_dim] of a dtype; false on overflow. */
static inline bool tkv_block_bytes(const struct tkv_geometry *g, size_t layers, size_t positions,
                                   enum tkv_dtype dtype, size_t *out)
{
    size_t factors[] = {layers,    TKV_KV,      g->n_kv_heads,
                        positions, g->head_dim, tkv_dtype_size(dtype)};
    return tkv_mul_all(factors, sizeof factors / sizeof factors[0], out);
}

/* Checksums of one position: one for each plane (checksum.h). */
TKV_HOST_DEVICE static inline size_t tkv_sums_each(const struct tkv_geometry *g)
{
    return (size_t)g->n_layers * TKV_KV;
}

/* Index in sums[capacity][n_layers][2]. */
TKV_HOST_DEVICE static inline size_t tkv_sum_offset(const struct tkv_geometry *g, size_t pos,
                                                    size_t layer, size_t kv)
{
    return pos * tkv_sums_each(g) + layer * TKV_KV + kv;
}

/* Bytes of a whole cache of `capacity` positions; false on overflow. */
static inline bool tkv_cache_bytes(const struct tkv_geometry *g, size_t capacity, size_t *out)
{
    return tkv_block_bytes(g, g->n_layers, capacity, g->dtype, out);
}

/* A cache with its checksums behind it: where they begin, and the bytes of both; false on
 * overflow. */
static inline bool tkv_summed_cache_bytes(const struct tkv_geometry *g, size_t capacity,
                                          size_t *sums_at, size_t *out)
{
    const size_t alignment = 256;
    size_t factors[] = {capacity, g->n_layers, TKV_KV, sizeof(uint64_t)}, cache, sums;
    if (!tkv_cache_bytes(g, capacity, &cache) || !tkv_add(cache, alignment - 1, &cache) ||
        !tkv_mul_all(factors, sizeof factors / sizeof factors[0], &sums))
        return false;
    *sums_at = cache / alignment * alignment;
    return tkv_add(*sums_at, sums, out);
}

#endif
