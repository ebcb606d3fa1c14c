/* fault_rows.h - what each fault does to one row, for the faulty launchers of both backends.
 * Private to kernels/. Any thread, host and device.
 * Rows of an item are numbered as they lie in its block; a fault maps a row to a wrong source or a
 * wrong destination. Sources are clamped to the block that they are read from and destinations stay
 * in the item's own cache, so that a broken variant is memory safe for any batch. No two rows of
 * an item land on the same place: what a fault does is the same in every run. */
#ifndef TKV_KERNELS_FAULT_ROWS_H
#define TKV_KERNELS_FAULT_ROWS_H

#include "kernels/faults.h"

/* BIT_FLIP: the bit of the 16-bit element; in the mantissa of both cache dtypes. */
enum { TKV_FAULT_FLIPPED_BIT = 6 };

struct tkv_fault_row {
    uint32_t src_item;                               /* whose block is read */
    uint32_t src_layer, src_kv, src_head, src_token; /* in that block */
    uint32_t dst_layer, dst_kv, dst_head;            /* in the item's own cache */
    size_t dst_pos;
    uint32_t dims; /* elements written, from dim 0 */
};

TKV_HOST_DEVICE static inline bool tkv_fault_item_ok(const struct tkv_geometry *g,
                                                     const struct tkv_append_item *it)
{
    return it->cache != NULL && it->rows != NULL && it->pos <= it->capacity &&
           it->tokens <= it->capacity - it->pos && it->layer_begin <= it->layer_end &&
           it->layer_end <= g->n_layers && (unsigned)it->rows_dtype < TKV_DTYPE_COUNT;
}

/* Rows of item i under a fault. STRAY_WRITE brings one more: the last item's last row number. */
TKV_HOST_DEVICE static inline size_t tkv_fault_row_count(enum tkv_fault fault,
                                                         const struct tkv_geometry *g,
                                                         const struct tkv_append_item *items,
                                                         uint32_t n, uint32_t i)
{
    const struct tkv_append_item *it = &items[i];
    size_t rows = (size_t)(it->layer_end - it->layer_begin) * TKV_KV * g->n_kv_heads * it->tokens;
    return rows + (fault == TKV_FAULT_STRAY_WRITE && i == n - 1 && rows > 0);
}

/* Where token t of item i lands. */
TKV_HOST_DEVICE static inline uint32_t tkv_fault_position(enum tkv_fault fault,
                                                          const struct tkv_append_item *it,
                                                          uint32_t n, uint32_t i, uint32_t t)
{
    uint32_t room = it->capacity - it->pos - it->tokens;
    switch (fault) {
    case TKV_FAULT_STALE_LENGTHS:
        /* At position 0 there is no step before: such an item lands one too far, where it fits. */
        if (it->pos == 0) return t + (room > 0);
        return (it->pos > it->tokens ? it->pos - it->tokens : 0) + t;
    case TKV_FAULT_HALF_LENGTHS: return i >= (n + 1) / 2 || n == 1 ? t : it->pos + t;
    case TKV_FAULT_OFF_BY_ONE:
        if (room > 0) return it->pos + 1 + t;
        if (it->pos > 0) return it->pos - 1 + t;
        return (t + 1) % it->tokens; /* a full cache in one go: rotated */
    default: return it->pos + t;
    }
}

/* The item whose block is read for item i. */
TKV_HOST_DEVICE static inline uint32_t tkv_fault_source(enum tkv_fault fault,
                                                        const struct tkv_geometry *g,
                                                        const struct tkv_append_item *items,
                                                        uint32_t n, uint32_t i)
{
    uint32_t j = i;
    if (fault == TKV_FAULT_SHARED_POINTERS) j = n - 1;
    if (fault == TKV_FAULT_SWAP_ITEMS && (i ^ 1) < n) j = i ^ 1;
    bool readable = tkv_fault_item_ok(g, &items[j]) && items[j].tokens > 0 &&
                    items[j].layer_begin < items[j].layer_end;
    return readable ? j : i;
}

/* STRAY_WRITE's extra row: the last item's first row, once more, just behind what was appended, or
 * just before it where the cache ends there. False: no place is left. */
TKV_HOST_DEVICE static inline bool tkv_fault_stray_row(const struct tkv_geometry *g,
                                                       const struct tkv_append_item *it, uint32_t i,
                                                       struct tkv_fault_row *out)
{
    bool behind = it->capacity - it->pos > it->tokens;
    size_t pos = behind ? (size_t)it->pos + it->tokens : (size_t)it->pos - 1;
    *out = (struct tkv_fault_row){i, 0, 0, 0, 0, it->layer_begin, 0, 0, pos, g->head_dim};
    return behind || it->pos > 0;
}

/* Row r of item i (tkv_fault_item_ok, r < tkv_fault_row_count) under a fault. False: not written.
 */
TKV_HOST_DEVICE static inline bool tkv_fault_map(enum tkv_fault fault, const struct tkv_geometry *g,
                                                 const struct tkv_append_item *items, uint32_t n,
                                                 uint32_t i, size_t r, struct tkv_fault_row *out)
{
    const struct tkv_append_item *it = &items[i];
    uint32_t token = (uint32_t)(r % it->tokens), head = (uint32_t)(r / it->tokens % g->n_kv_heads);
    size_t plane = r / it->tokens / g->n_kv_heads;
    uint32_t kv = (uint32_t)(plane % TKV_KV), layer = (uint32_t)(plane / TKV_KV);

    if (layer >= it->layer_end - it->layer_begin) return tkv_fault_stray_row(g, it, i, out);

    uint32_t j = tkv_fault_source(fault, g, items, n, i);
    uint32_t layers = items[j].layer_end - items[j].layer_begin, tokens = items[j].tokens;
    out->src_item = j;
    out->src_layer = layer < layers ? layer : layers - 1;
    out->src_kv = kv;
    out->src_head = head;
    out->src_token = token < tokens ? token : tokens - 1;
    out->dst_layer = it->layer_begin + layer;
    out->dst_kv = fault == TKV_FAULT_KV_SWAPPED ? 1 - kv : kv;
    out->dst_head = head;
    out->dst_pos = tkv_fault_position(fault, it, n, i, token);
    if (fault == TKV_FAULT_TOKEN_MAJOR) { /* the row's number in [capacity][n_kv_heads] */
        out->dst_pos = out->dst_pos * g->n_kv_heads + head;
        out->dst_head = 0;
    }
    out->dims = fault == TKV_FAULT_SHORT_GRID ? g->head_dim / 2 : g->head_dim;
    return out->dims > 0;
}

#endif
