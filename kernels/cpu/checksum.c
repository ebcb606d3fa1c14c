/* Checksums from any block or cache on the CPU: row by row, converted where it must be. */
#include <stdlib.h>

#include "kernels/cpu/cpu.h"

/* One row in the cache's dtype: where it stands, or converted into room. */
static const void *row_bits(const struct tkv_cpu_device *cpu, const struct tkv_geometry *g,
                            const struct tkv_checksum_range *range, size_t at, void *room)
{
    const char *row = (const char *)range->block + at * tkv_dtype_size(range->dtype);
    if (range->dtype == g->dtype) return row;
    tkv_converter(cpu->convert, g->dtype, range->dtype)(room, row, g->head_dim);
    return room;
}

static uint64_t sum_of(const struct tkv_cpu_device *cpu, const struct tkv_geometry *g,
                       const struct tkv_checksum_range *range, size_t plane, uint32_t pos,
                       void *room)
{
    uint64_t sum = TKV_CHECKSUM_SEED;
    for (uint32_t head = 0; head < g->n_kv_heads; head++) {
        size_t at = plane * tkv_plane_elements(g, range->positions) +
                    tkv_row_offset(g, range->positions, head, pos);
        sum += tkv_row_sum(&cpu->keys, head, row_bits(cpu, g, range, at, room));
    }
    return sum;
}

enum tkv_status tkv_cpu_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_checksum_range *range, uint64_t *out,
                                  size_t stride)
{
    struct tkv_cpu_device *cpu = tkv_cpu(dev);
    enum tkv_status st = tkv_row_keys_set(&cpu->keys, geom);
    if (st != TKV_OK) return st;
    void *room = malloc(geom->head_dim * sizeof(uint16_t));
    if (room == NULL) return TKV_ENOMEM;
    for (size_t plane = 0; plane < (size_t)range->layers * TKV_KV; plane++) {
        for (uint32_t t = 0; t < range->tokens; t++)
            out[t * stride + plane] = sum_of(cpu, geom, range, plane, range->first + t, room);
    }
    free(room);
    return TKV_OK;
}
