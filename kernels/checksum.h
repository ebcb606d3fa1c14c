/* checksum.h - one number for each (layer, K|V, token) of a cache, over all heads: what an append
 * leaves beside the rows, so that damage is found at any age.
 *
 *   sums  [capacity][n_layers][2] of uint64_t      device memory, behind the cache's own planes
 *
 *   sum = SEED + sum over (head, word) of key(head, word) * row[head].word        modulo 2^64
 *
 * where word w of a row is elements 2w (low half) and 2w + 1 (high half; 0 past head_dim), the bits
 * as they stand in the cache's dtype. Keys are odd and below 2^32, so that any change within one
 * word changes the sum, for certain; any other change is missed once in 2^32 at worst. The method
 * is multilinear hashing (J. L. Carter and M. N. Wegman, Universal Classes of Hash Functions, 1979;
 * D. Lemire and O. Kaser, Strongly Universal String Hashing is Fast, 2014), with fixed keys: it
 * finds accidents, not forgers. Being a sum, any order of adding gives it, and whoever moves the
 * rows anyway can leave it behind for next to nothing.
 *
 * The batched append adds it up from the source rows that it has loaded, never from what it has
 * written; tkv_checksums() does it plainly, from any block or cache. */
#ifndef TKV_KERNELS_CHECKSUM_H
#define TKV_KERNELS_CHECKSUM_H

#include "kernels/device.h"
#include "kernels/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TKV_CHECKSUM_SEED UINT64_C(0x9E3779B97F4A7C15)

/* One of a key's two factors; odd. */
TKV_HOST_DEVICE static inline uint32_t tkv_checksum_factor(uint32_t i)
{
    uint32_t x = (i + 1) * 0x9E3779B1u;
    x = (x ^ x >> 15) * 0x85EBCA77u;
    return (x ^ x >> 13) | 1;
}

/* A head's factor; words have those of their own number. */
TKV_HOST_DEVICE static inline uint32_t tkv_checksum_head(uint32_t head)
{
    return tkv_checksum_factor(~head);
}

TKV_HOST_DEVICE static inline uint32_t tkv_checksum_key(uint32_t head, uint32_t word)
{
    return tkv_checksum_head(head) * tkv_checksum_factor(word);
}

/* Which sums: of tokens [first, first + tokens) and `layers` layers of a block or cache. */
struct tkv_checksum_range {
    const void *block;    /* [>= layers][2][n_kv_heads][positions][head_dim] of dtype; device or
                             staging memory */
    enum tkv_dtype dtype; /* converted to geom->dtype before it is added up */
    uint32_t positions, first, tokens, layers;
};

/* Sum (token t, layer l, kv) of the range goes to out[t * stride + l * 2 + kv]: device or staging
 * memory, stride >= 2 * layers. Queues; range->block and out are borrowed until tkv_device_sync().
 * The handle's thread only. TKV_EINVAL: geom, dtype, stride, or first + tokens > positions. */
enum tkv_status tkv_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                              const struct tkv_checksum_range *range, uint64_t *out, size_t stride);

#ifdef __cplusplus
}
#endif

#endif
