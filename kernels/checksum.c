/* The public call: checks that need no device, then the backend. */
#include "kernels/checksum.h"

#include "kernels/backend.h"

enum tkv_status tkv_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                              const struct tkv_checksum_range *range, uint64_t *out, size_t stride)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    if (!tkv_geometry_valid(geom) || (unsigned)range->dtype >= TKV_DTYPE_COUNT) return TKV_EINVAL;
    if ((uint64_t)range->first + range->tokens > range->positions) return TKV_EINVAL;
    if (stride < (size_t)range->layers * TKV_KV) return TKV_EINVAL;
    if (range->tokens == 0 || range->layers == 0) return TKV_OK;
    return tkv_device_settle(dev, dev->ops->checksums(dev, geom, range, out, stride));
}
