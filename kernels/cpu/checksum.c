/* Checksums from any block or cache on the CPU: where the rows stand in the cache's dtype, or one
 * token's rows at a time converted. */
#include <stdlib.h>

#include "kernels/cpu/cpu.h"

struct source {
    const struct tkv_cpu_device *cpu;
    const struct tkv_geometry *geom;
    const struct tkv_checksum_range *range;
    uint16_t *room; /* of a token's rows, in the cache's dtype; NULL: they are */
};

static uint64_t sum_of(const struct source *s, size_t plane, uint32_t pos)
{
    const struct tkv_geometry *g = s->geom;
    size_t positions = s->range->positions, size = tkv_dtype_size(s->range->dtype);
    size_t first = plane * tkv_plane_elements(g, positions) + tkv_row_offset(g, positions, 0, pos);
    size_t step = tkv_row_offset(g, positions, 1, 0) * size;
    size_t row_bytes = g->head_dim * sizeof(uint16_t);
    const char *rows = (const char *)s->range->block + first * size;
    if (s->room == NULL) return tkv_token_sum(&s->cpu->keys, rows, step);
    for (uint32_t head = 0; head < g->n_kv_heads; head++)
        tkv_converter(s->cpu->convert, g->dtype, s->range->dtype)(
            s->room + (size_t)head * g->head_dim, rows + head * step, g->head_dim);
    return tkv_token_sum(&s->cpu->keys, s->room, row_bytes);
}

enum tkv_status tkv_cpu_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_checksum_range *range, uint64_t *out,
                                  size_t stride)
{
    struct source s = {tkv_cpu(dev), geom, range, NULL};
    enum tkv_status st = tkv_row_keys_set(&tkv_cpu(dev)->keys, geom);
    if (st != TKV_OK) return st;
    if (range->dtype != geom->dtype) {
        s.room = malloc(tkv_plane_elements(geom, 1) * sizeof(uint16_t));
        if (s.room == NULL) return TKV_ENOMEM;
    }
    for (size_t plane = 0; plane < (size_t)range->layers * TKV_KV; plane++) {
        for (uint32_t t = 0; t < range->tokens; t++)
            out[t * stride + plane] = sum_of(&s, plane, range->first + t);
    }
    free(s.room);
    return TKV_OK;
}
