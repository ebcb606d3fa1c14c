/* The reference: one item, one layer, K or V, element by element, each by its own coordinates and
 * the conversions of base/dtype.h. It stays this way: everything faster is measured against it. */
#include <string.h>

#include "kernels/cpu/cpu.h"

static bool writable(const struct tkv_geometry *geom, const struct tkv_append_item *item)
{
    if (item->cache == NULL || item->rows == NULL) return false;
    if ((uint64_t)item->pos + item->tokens > item->capacity) return false;
    if (item->layer_begin > item->layer_end || item->layer_end > geom->n_layers) return false;
    return (unsigned)item->rows_dtype < TKV_DTYPE_COUNT;
}

static void write_element(void *cache, enum tkv_dtype dtype, size_t at, const void *rows,
                          enum tkv_dtype rows_dtype, size_t from)
{
    uint16_t bits;
    if (rows_dtype == dtype) {
        memcpy(&bits, (const char *)rows + from * sizeof bits, sizeof bits);
    } else {
        float value = tkv_element(rows, rows_dtype, from);
        bits = dtype == TKV_F16 ? tkv_f32_to_f16(value) : tkv_f32_to_bf16(value);
    }
    memcpy((char *)cache + at * sizeof bits, &bits, sizeof bits);
}

static void append_one(const struct tkv_geometry *geom, const struct tkv_append_item *item,
                       uint32_t layer, uint32_t kv)
{
    size_t cache_plane = tkv_plane_offset(geom, item->capacity, layer, kv);
    size_t rows_plane = tkv_plane_offset(geom, item->tokens, layer - item->layer_begin, kv);
    for (uint32_t head = 0; head < geom->n_kv_heads; head++) {
        for (uint32_t token = 0; token < item->tokens; token++) {
            size_t pos = (size_t)item->pos + token;
            size_t at = cache_plane + tkv_row_offset(geom, item->capacity, head, pos);
            size_t from = rows_plane + tkv_row_offset(geom, item->tokens, head, token);
            for (uint32_t dim = 0; dim < geom->head_dim; dim++) {
                write_element(item->cache, geom->dtype, at + dim, item->rows, item->rows_dtype,
                              from + dim);
            }
        }
    }
}

enum tkv_status tkv_cpu_append_one(struct tkv_device *dev, const struct tkv_geometry *geom,
                                   const struct tkv_append_item *item, uint32_t first, uint32_t n)
{
    if (!writable(geom, item)) {
        tkv_cpu(dev)->refused = true;
        return TKV_OK;
    }
    for (uint32_t plane = first; plane < first + n; plane++)
        append_one(geom, item, plane / TKV_KV, plane % TKV_KV);
    return TKV_OK;
}
