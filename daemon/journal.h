/* journal.h - the newest completed batches, source rows and positions, within a budget of bytes.
 * Recording copies nothing: the journal keeps the batch and, with it, the blocks that its rows were
 * read from. Loop thread only. */
#ifndef TKV_DAEMON_JOURNAL_H
#define TKV_DAEMON_JOURNAL_H

#include <stddef.h>

#include "daemon/batch.h"

struct tkv_journal {
    struct tkv_batch *oldest, *newest; /* linked by newer */
    size_t n, bytes, max_bytes;
    uint64_t evicted; /* batches that have left it */
};

void tkv_journal_init(struct tkv_journal *journal, size_t max_bytes);
void tkv_journal_close(struct tkv_journal *journal);

/* Takes over the caller's reference to a completed batch; older ones leave as needed. A batch
 * larger than the whole budget is let go at once. */
void tkv_journal_record(struct tkv_journal *journal, struct tkv_batch *batch);

/* Lets the oldest batches go until no more than max_bytes are held. */
void tkv_journal_shrink(struct tkv_journal *journal, size_t max_bytes);

#endif
