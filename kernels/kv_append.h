/* kv_append.h - write new K and V rows into per-sequence caches, one item at a time or by one
 * launch.
 *
 *   cache  [n_layers][2][n_kv_heads][capacity][head_dim]   device memory (see layout.h)
 *   rows   [layers][2][n_kv_heads][tokens][head_dim]       device or staging memory
 *
 * For every layer of the item, K and V, head h and token t:
 *     cache[layer][kv][h][pos + t][:] = convert(rows[layer - layer_begin][kv][h][t][:])
 *
 * The reference is the per-item kernel of head-major K/V appends: cache[h, pos .. pos+n, :] =
 * new[h, 0 .. n, :]. The per-item path and the batched path share layout.h and nothing else: a
 * shared helper would hide a shared bug. Work per row depends on its item, never on the batch, so
 * that the two are equal to the byte.
 *
 * The handle's thread only. Calls queue work and do not wait for it (but the ninth batch of more
 * than 512 items in flight on a GPU waits for the first one's turn); rows and caches are borrowed
 * until tkv_device_sync(). The item array is copied before return, into a place that belongs to
 * this launch alone until it has run. */
#ifndef TKV_KERNELS_KV_APPEND_H
#define TKV_KERNELS_KV_APPEND_H

#include "kernels/device.h"
#include "kernels/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TKV_ITEMS_MAX = 4096 }; /* items in one launch */

/* One item. A kernel skips it and sets the error word (see tkv_device_sync) where cache or rows is
 * NULL, pos + tokens > capacity, layer_end > n_layers, layer_begin > layer_end, or rows_dtype is
 * none. No tokens or no layers: nothing is written, and that is no error. */
struct tkv_append_item {
    void *cache;
    const void *rows;
    uint32_t pos, tokens, capacity;  /* positions; pos + tokens <= capacity */
    uint32_t layer_begin, layer_end; /* [begin, end) of the cache's layers */
    enum tkv_dtype rows_dtype;       /* converted to geom->dtype, round to nearest even */
    uint64_t *sums; /* of the cache (checksum.h): the batched path leaves those of its tokens there;
                       NULL: none */
};

/* The reference: one item, one layer (of the cache, layer_begin <= layer < layer_end), K or V.
 * TKV_EINVAL: layer, kv or geom (a count of 0, dtype not a cache's) is out of range. */
enum tkv_status tkv_append_one(struct tkv_device *dev, const struct tkv_geometry *geom,
                               const struct tkv_append_item *item, uint32_t layer, uint32_t kv);

/* The reference for a whole item: tkv_append_one() for each of its layers, K and V. One launch
 * where launches cost: it has one row of blocks for each of them. */
enum tkv_status tkv_append_each(struct tkv_device *dev, const struct tkv_geometry *geom,
                                const struct tkv_append_item *item);

/* All items, all their layers, K and V, in one launch. Two items may share a cache where their
 * positions do not overlap. TKV_EINVAL: n is not in 1 .. TKV_ITEMS_MAX, or geom as above. */
enum tkv_status tkv_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                   const struct tkv_append_item *items, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
