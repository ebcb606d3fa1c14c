/* rerun.h - recorded batches once more, three ways: through the per-item path and through the
 * batched path into scratch caches of their own, and beside them what the live caches hold.
 *
 * Scratch caches cover the item's layers and a window of positions around those written (at first
 * TKV_WINDOW on each side; where something differs and memory allows, the whole capacity, so that
 * coordinates and strides are those of production). They are filled with a pattern before the
 * re-runs, and are compared whole, the guard bytes between them too. Live caches are only read, by
 * jobs in the engine's order. Checker thread only. */
#ifndef TKV_DAEMON_RERUN_H
#define TKV_DAEMON_RERUN_H

#include <stdatomic.h>

#include "daemon/batch.h"
#include "daemon/cache.h"
#include "proto/result.h"

enum { TKV_WINDOW = 2 };

/* What is asked and found out about one item of a recorded batch. */
struct tkv_recheck_item {
    bool selected;           /* differences of it are reported */
    struct tkv_cache *cache; /* its live cache, referenced; NULL: not compared with it */
    bool freed;              /* because it is gone */
    bool kernel_differs, live_differs;
    bool superseded; /* a truncation may explain its live difference: it does not count */
};

struct tkv_found {
    struct tkv_divergence divergence;
    uint32_t batch, item; /* batch: place in batches */
    bool elsewhere;       /* rows differ where the item has none, too */
    bool beside;          /* damage to a live plane that the kernel wrote wrong */
};

struct tkv_rerun {
    struct tkv_device *dev;
    struct tkv_engine *engine;  /* of the live caches */
    struct tkv_engine *checker; /* whose thread this is; it is told of progress */
    const atomic_bool *stop;    /* set: the daemon ends, and so does this (TKV_EDRAINING) */
    size_t scratch_bytes;       /* what scratch memory may take */
    struct tkv_batch **batches;
    struct tkv_recheck_item **items; /* [n_batches][batch's n] */
    size_t n_batches;

    struct tkv_found *found; /* malloc'ed; at most twice TKV_DIVERGENCES_MAX */
    size_t n_found, found_room;
    uint64_t bytes_compared;
    size_t needed_bytes; /* TKV_EINVAL: what scratch_bytes would have to be at least */
};

/* Checks every batch. TKV_OK: all were checked, whatever was found. TKV_EINVAL: scratch_bytes is
 * too small for a single layer of a single item. TKV_ENOMEM, TKV_EDEVICE. */
enum tkv_status tkv_rerun_all(struct tkv_rerun *rerun);

#endif
