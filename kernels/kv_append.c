/* The public append calls: checks that need no device, then the backend. */
#include "kernels/kv_append.h"

#include "kernels/backend.h"

bool tkv_geometry_valid(const struct tkv_geometry *geom)
{
    return geom->n_layers >= 1 && geom->n_kv_heads >= 1 && geom->head_dim >= 1 &&
           (geom->dtype == TKV_F16 || geom->dtype == TKV_BF16);
}

enum tkv_status tkv_append_one(struct tkv_device *dev, const struct tkv_geometry *geom,
                               const struct tkv_append_item *item, uint32_t layer, uint32_t kv)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    if (!tkv_geometry_valid(geom) || kv >= TKV_KV) return TKV_EINVAL;
    if (layer < item->layer_begin || layer >= item->layer_end) return TKV_EINVAL;
    return tkv_device_settle(dev, dev->ops->append_one(dev, geom, item, layer * TKV_KV + kv, 1));
}

enum tkv_status tkv_append_each(struct tkv_device *dev, const struct tkv_geometry *geom,
                                const struct tkv_append_item *item)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    if (!tkv_geometry_valid(geom) || item->layer_begin > item->layer_end) return TKV_EINVAL;
    if (item->layer_end > INT32_MAX / TKV_KV) return TKV_EINVAL;
    uint32_t first = item->layer_begin * TKV_KV, n = item->layer_end * TKV_KV - first;
    if (n == 0) return TKV_OK;
    return tkv_device_settle(dev, dev->ops->append_one(dev, geom, item, first, n));
}

enum tkv_status tkv_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                   const struct tkv_append_item *items, uint32_t n)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    if (!tkv_geometry_valid(geom) || n < 1 || n > TKV_ITEMS_MAX) return TKV_EINVAL;
    return tkv_device_settle(dev, dev->ops->append_batched(dev, geom, items, n));
}
