/* faults.h - deliberately broken variants of the batched append, to show that verification finds
 * them. Nothing here is reached unless debug.inject armed it.
 *
 * Every variant stays inside the memory of the batch's own caches and blocks: it is wrong, never
 * unsafe. Each is a mapping of a row's coordinates (item, layer, kv, head, token) to a wrong source
 * or a wrong destination. */
#ifndef TKV_KERNELS_FAULTS_H
#define TKV_KERNELS_FAULTS_H

#include <stdbool.h>

#include "kernels/kv_append.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, word on the wire, what it does) */
#define TKV_FAULTS(X)                                                                    \
    X(SHARED_POINTERS, "shared_pointers", "every item reads the last item's rows")       \
    X(STALE_LENGTHS, "stale_lengths", "positions are those of the step before")          \
    X(HALF_LENGTHS, "half_lengths", "the second half of the items gets length 0")        \
    X(SWAP_ITEMS, "swap_items", "neighbouring items get each other's rows")              \
    X(TOKEN_MAJOR, "token_major", "rows are placed as [capacity][n_kv_heads][head_dim]") \
    X(OFF_BY_ONE, "off_by_one", "rows land one position too far")                        \
    X(SHORT_GRID, "short_grid", "the second half of each row is not written")            \
    X(STRAY_WRITE, "stray_write", "one more row is written beside the right ones")       \
    X(KV_SWAPPED, "kv_swapped", "K rows land in V and V rows in K")                      \
    X(BIT_FLIP, "bit_flip", "one bit of the live cache flips after a right write")

enum tkv_fault {
    TKV_FAULT_NONE,
#define X(name, word, text) TKV_FAULT_##name,
    TKV_FAULTS(X)
#undef X
        TKV_FAULT_COUNT
};

const char *tkv_fault_word(enum tkv_fault fault); /* "none" for NONE */
bool tkv_fault_from_word(const char *word, enum tkv_fault *out);

enum { TKV_FAULTS_MAX = 2 };     /* in one plan */
#define TKV_FAULT_ALL UINT32_MAX /* every layer, every head */

/* A fault, and the rows that it is about. A layer or head that the model has not: none of them. */
struct tkv_planned_fault {
    enum tkv_fault fault;
    uint32_t layer, kv_head; /* or TKV_FAULT_ALL */
    bool last_item;          /* the batch's last item only */
};

/* What goes wrong in one batch; n 0: nothing. Each row is written by the last fault that is about
 * it, and rightly where none is. STRAY_WRITE and BIT_FLIP leave rows alone and add to them, at the
 * first layer and head that they are about, of the last item. */
struct tkv_fault_plan {
    uint32_t n;
    struct tkv_planned_fault faults[TKV_FAULTS_MAX];
};

struct tkv_fault_plan tkv_fault_plan_of(enum tkv_fault fault); /* that one, everywhere */

/* Where an item stands that is a part of a served batch, in coordinates of its own. */
struct tkv_fault_place {
    uint32_t item;  /* in the batch */
    uint32_t layer; /* of the batch's item: layer 0 of the part's cache */
};

/* The batch that items are a part of, when it is run again: the same rows then go wrong in the same
 * way, whatever the part. Its caches are not touched, its rows are read. */
struct tkv_fault_origin {
    const struct tkv_append_item *items;  /* [n] as they were served */
    uint32_t n, n_layers;                 /* n_layers of the model */
    const struct tkv_fault_place *places; /* one for each item of the part */
};

/* The batch, through the broken variant that the plan describes: right rows first, then those of
 * each fault in order, a launch each, so that what collides does so in the same way every time.
 * BIT_FLIP comes last: one bit of an element that was to be written flips in place. origin NULL:
 * items are the batch. TKV_EINVAL: as tkv_append_batched(), or a plan of no or unknown faults. */
enum tkv_status tkv_append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_append_item *items, uint32_t n,
                                  const struct tkv_fault_plan *plan,
                                  const struct tkv_fault_origin *origin);

#ifdef __cplusplus
}
#endif

#endif
