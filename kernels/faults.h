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

/* The batch, through the broken variant (not NONE). BIT_FLIP: a right batched append, then one bit
 * of the last item's first written element flips in place. */
enum tkv_status tkv_append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_append_item *items, uint32_t n,
                                  enum tkv_fault fault);

#ifdef __cplusplus
}
#endif

#endif
