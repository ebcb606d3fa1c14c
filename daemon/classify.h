/* classify.h - what kind of bug a divergence is, by evidence alone: the two planes, and the
 * recorded source rows. What was armed, or which kernel ran, is not looked at. Pure; any thread. */
#ifndef TKV_DAEMON_CLASSIFY_H
#define TKV_DAEMON_CLASSIFY_H

#include <stdbool.h>

#include "daemon/row_index.h"
#include "proto/result.h"

enum { TKV_POISON = 0xA5 }; /* what scratch caches hold before the re-run */

/* One divergent (layer, K|V) plane of one item. Both planes are [n_kv_heads][positions][head_dim]
 * in the cache's dtype, host memory; position 0 of them is position `base` of the sequence. */
struct tkv_suspect {
    struct tkv_batch *const *batches; /* as given to the index */
    const struct tkv_row_index *index;
    uint32_t batch, item, layer, kv;
    uint32_t base, positions;
    const void *expected, *other;
    bool live;                   /* other is the live cache: what was unwritten is not known */
    void (*progress)(void *arg); /* called for each row: a large plane takes seconds; may be NULL */
    void *arg;
};

/* Fills kind and detail of *out. */
void tkv_classify(const struct tkv_suspect *suspect, struct tkv_divergence *out);

#endif
