/* rerun_impl.h - shared by rerun.c (the ways and their order) and rerun_part.c (one part of one
 * batch). */
#ifndef TKV_DAEMON_RERUN_IMPL_H
#define TKV_DAEMON_RERUN_IMPL_H

#include "daemon/rerun.h"
#include "daemon/row_index.h"

/* One item of a part: its scratch cache and where it lies. */
struct part_item {
    uint32_t index;                       /* in the batch */
    struct tkv_append_item item;          /* in scratch coordinates; cache is set for each way */
    uint32_t base;                        /* position 0 of the scratch cache */
    uint32_t first_layer;                 /* layer 0 of the scratch cache */
    size_t plane_bytes, offset;           /* of the scratch cache */
    size_t live_plane_bytes, live_offset; /* of the gathered written rows */
};

/* Items [first, first + n) and layers [layer_begin, layer_end) of one batch, as far as they have
 * them. Scratch memory: expected | other | live expected | live other. */
struct part {
    uint32_t batch, first, n;
    uint32_t layer_begin, layer_end;
    bool whole; /* the whole capacity instead of a window; no live comparison then */
    struct part_item *items;
    uint32_t n_items;
    size_t span, live_span; /* bytes of one scratch side, of one live side */
};

/* One verification's own memory, beside the public part. */
struct rerun_run {
    struct tkv_rerun *r;
    uint8_t *scratch; /* device memory, r->scratch_bytes */
    uint8_t *host;    /* two planes */
    size_t host_bytes;
    uint64_t *counts;
    size_t n_counts;
    struct tkv_row_index *batch_index; /* of batches[indexed] */
    size_t indexed;
    struct tkv_row_index *all_index; /* of all batches of all_model */
    const struct tkv_model *all_model;
};

enum { PIECE = 64 * 1024, GUARD_BYTES = 256, INDEX_ROWS_MAX = 2 * 1024 * 1024 };

/* Fills items, offsets and sizes; false: out of memory or overflow. */
bool tkv_part_measure(struct rerun_run *run, struct part *part);
void tkv_part_close(struct part *part);
size_t tkv_part_bytes(const struct part *part);

/* Runs a measured part that fits the scratch memory. */
enum tkv_status tkv_part_run(struct rerun_run *run, struct part *part);

#endif
