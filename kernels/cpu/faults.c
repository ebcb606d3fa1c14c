/* The broken variants on the CPU: rows go where fault_rows.h says, one after the other. */
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/fault_rows.h"

static void write_row(const struct tkv_geometry *g, const struct tkv_append_item *to,
                      const struct tkv_append_item *from, const struct tkv_fault_row *row)
{
    size_t at = tkv_plane_offset(g, to->capacity, row->dst_layer, row->dst_kv) +
                tkv_row_offset(g, to->capacity, row->dst_head, row->dst_pos);
    size_t src = tkv_plane_offset(g, from->tokens, row->src_layer, row->src_kv) +
                 tkv_row_offset(g, from->tokens, row->src_head, row->src_token);
    tkv_convert((char *)to->cache + at * tkv_dtype_size(g->dtype), g->dtype,
                (const char *)from->rows + src * tkv_dtype_size(from->rows_dtype), from->rows_dtype,
                row->dims);
}

static void flip_bit(const struct tkv_geometry *g, const struct tkv_append_item *it)
{
    if (!tkv_fault_item_ok(g, it) || tkv_fault_row_count(TKV_FAULT_BIT_FLIP, g, it, 1, 0) == 0)
        return;
    size_t at = tkv_plane_offset(g, it->capacity, it->layer_begin, TKV_K) +
                tkv_row_offset(g, it->capacity, 0, it->pos);
    uint16_t bits;
    char *element = (char *)it->cache + at * sizeof bits;
    memcpy(&bits, element, sizeof bits);
    bits ^= 1u << TKV_FAULT_FLIPPED_BIT;
    memcpy(element, &bits, sizeof bits);
}

enum tkv_status tkv_cpu_append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                                      const struct tkv_append_item *items, uint32_t n,
                                      enum tkv_fault fault)
{
    if (fault == TKV_FAULT_BIT_FLIP) {
        enum tkv_status st = tkv_cpu_append_batched(dev, geom, items, n);
        if (st == TKV_OK) flip_bit(geom, &items[n - 1]);
        return st;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!tkv_fault_item_ok(geom, &items[i])) {
            tkv_cpu(dev)->refused = true;
            continue;
        }
        size_t rows = tkv_fault_row_count(fault, geom, items, n, i);
        for (size_t r = 0; r < rows; r++) {
            struct tkv_fault_row row;
            if (!tkv_fault_map(fault, geom, items, n, i, r, &row)) continue;
            write_row(geom, &items[i], &items[row.src_item], &row);
        }
    }
    return TKV_OK;
}
