#include "daemon/journal.h"

#include <assert.h>

void tkv_journal_init(struct tkv_journal *journal, size_t max_bytes)
{
    *journal = (struct tkv_journal){.max_bytes = max_bytes};
}

static void evict_oldest(struct tkv_journal *journal)
{
    struct tkv_batch *batch = journal->oldest;
    journal->oldest = batch->newer;
    if (journal->oldest == NULL) journal->newest = NULL;
    journal->n--;
    journal->bytes -= tkv_batch_held_bytes(batch);
    journal->evicted++;
    batch->newer = NULL;
    tkv_batch_unref(batch);
}

void tkv_journal_close(struct tkv_journal *journal)
{
    while (journal->oldest != NULL)
        evict_oldest(journal);
}

void tkv_journal_shrink(struct tkv_journal *journal, size_t max_bytes)
{
    while (journal->bytes > max_bytes)
        evict_oldest(journal);
}

void tkv_journal_record(struct tkv_journal *journal, struct tkv_batch *batch)
{
    assert(batch->newer == NULL && batch->ops == NULL);
    tkv_batch_park(batch);
    if (journal->newest != NULL)
        journal->newest->newer = batch;
    else
        journal->oldest = batch;
    journal->newest = batch;
    journal->n++;
    journal->bytes += tkv_batch_held_bytes(batch);
    tkv_journal_shrink(journal, journal->max_bytes);
}
