/* row_index.h - whose row is this? Recorded source rows by their hash, in the cache's dtype.
 *
 * A row is head_dim elements of one (batch, item, layer, K|V, head, token). Where a comparison
 * finds unexpected bytes, the index says which recorded rows have exactly these bytes: evidence of
 * where they came from. Hashes (XXH3, 64 bits) only choose candidates; bytes decide. One thread at
 * a time. */
#ifndef TKV_DAEMON_ROW_INDEX_H
#define TKV_DAEMON_ROW_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/batch.h"

struct tkv_row_index; /* opaque: tkv_row_index_open() .. tkv_row_index_close() */

/* layer is the cache's; token counts from the item's pos. */
struct tkv_row {
    uint32_t batch, item; /* batch: place in the array given to open */
    uint32_t layer, kv, head, token;
};

/* The rows of those of n batches that are of `model`; borrows the batches. Of more than max_rows
 * rows only the first max_rows are known. NULL: out of memory. */
struct tkv_row_index *tkv_row_index_open(const struct tkv_model *model,
                                         struct tkv_batch *const *batches, size_t n,
                                         size_t max_rows);
void tkv_row_index_close(struct tkv_row_index *index); /* NULL is fine */

/* Recorded rows with the bytes of `bytes`, found at `at` (token is not looked at): calls
 * each(row, arg) for them. Where very many rows are equal, those of the same item, layer, K|V and
 * head come first, then those of other items at that place, then the rest, TKV_FOUND_MAX of each
 * at most; a row may come more than once. */
enum { TKV_FOUND_MAX = 256 };
void tkv_row_index_find(const struct tkv_row_index *index, const void *bytes,
                        const struct tkv_row *at,
                        void (*each)(const struct tkv_row *row, void *arg), void *arg);

#endif
