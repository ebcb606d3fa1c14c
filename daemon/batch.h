/* batch.h - one launch: its items, the blocks that hold their rows, the appends that it serves.
 * After completion the same object is the journal's record of it. Loop thread only, but for the
 * engine's reading of items while it runs and a verification's while it holds a reference. */
#ifndef TKV_DAEMON_BATCH_H
#define TKV_DAEMON_BATCH_H

#include "daemon/engine.h"
#include "daemon/sequences.h"
#include "daemon/staging.h"
#include "kernels/faults.h"

struct tkv_upload; /* upload.h */

/* Whose item it is; a number stays true after the sequence is gone. */
struct tkv_item_owner {
    uint64_t seq, generation;
};

struct tkv_batch {
    struct tkv_job job;   /* first */
    uint64_t id, sent_ns; /* when it was given to the engine */
    uint64_t uploaded_ns; /* when its rows were on the device; 0: they were read in place */
    const struct tkv_model *model;
    struct tkv_upload *upload;  /* borrowed; NULL: rows are read from where they lie */
    struct tkv_fault_plan plan; /* of the variant that served it; n 0: the production one */
    uint32_t n;
    struct tkv_append_item *items; /* [n]; cache is the live one, valid while it runs */
    struct tkv_item_owner *owners; /* [n] */
    struct tkv_staging **blocks;   /* one reference each */
    uint32_t n_blocks;
    size_t bytes; /* source bytes */
    uint32_t refs;
    bool parked;             /* its blocks are not in the account of requests under way */
    struct tkv_op *ops;      /* served by it, until completion */
    struct tkv_batch *newer; /* in the journal */
};

/* Room for n items and n_blocks blocks; one reference. NULL: out of memory. */
struct tkv_batch *tkv_batch_open(const struct tkv_model *model, uint32_t n, uint32_t n_blocks);

/* Drops a reference; the last one releases the blocks. */
void tkv_batch_unref(struct tkv_batch *batch);

/* Takes its blocks out of the account of blocks in use, until the last reference goes: what a
 * record holds must never make a request fail. */
void tkv_batch_park(struct tkv_batch *batch);

/* Bytes that the record keeps from other uses: its blocks and itself. */
size_t tkv_batch_held_bytes(const struct tkv_batch *batch);

#endif
