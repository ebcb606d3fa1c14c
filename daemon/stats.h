/* stats.h - the daemon's counters and gauges, in one list.
 * Written by the loop thread, read by any (relaxed atomics): a reader sees each number whole, not
 * all of them of one instant. */
#ifndef TKV_DAEMON_STATS_H
#define TKV_DAEMON_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/histogram.h"

/* X(group, field, meaning). Counters only grow; gauges are marked so in their meaning. */
#define TKV_STATS(X)                                                                        \
    X(sequences, live, "gauge: sequences that exist")                                       \
    X(sequences, created, "sequences created")                                              \
    X(sequences, freed, "sequences freed, for whatever reason")                             \
    X(sequences, expired, "sequences freed because their ttl_ms had passed")                \
    X(sequences, disconnected, "sequences freed because their client went away")            \
    X(sequence_states, creating, "gauge: sequences whose memory is being made ready")       \
    X(sequence_states, live, "gauge: sequences that exist")                                 \
    X(sequence_states, freeing, "gauge: freed ones whose memory is not free yet")           \
    X(memory, budget_bytes, "gauge: device bytes that caches may take")                     \
    X(memory, cache_bytes, "gauge: device bytes taken by live caches")                      \
    X(memory, checksum_bytes, "gauge: device bytes taken by their checksums, not budgeted") \
    X(memory, staging_bytes, "gauge: staging bytes held by requests under way")             \
    X(memory_states, live, "gauge: device bytes of the caches of sequences that exist")     \
    X(memory_states, freeing, "gauge: those of freed sequences, still read or on the way")  \
    X(memory_states, checksums, "gauge: those of checksums, not budgeted")                  \
    X(memory_states, free, "gauge: those that the budget has left")                         \
    X(quota, users, "gauge: users on whose account sequences are")                          \
    X(quota, refused, "seq.create requests refused by a quota")                             \
    X(append, requests, "seq.append requests admitted")                                     \
    X(append, items, "items written")                                                       \
    X(append, tokens, "positions written, summed over items")                               \
    X(append, bytes, "source bytes written")                                                \
    X(append, refused, "seq.append requests refused")                                       \
    X(batch, count, "device batches completed")                                             \
    X(batch, items, "items in those batches")                                               \
    X(batch, failed, "device batches that failed")                                          \
    X(batch, largest, "gauge: most items seen in one batch")                                \
    X(batch, in_flight, "gauge: batches on the device or queued for it")                    \
    X(read, requests, "seq.read requests answered with data")                               \
    X(read, bytes, "bytes read back")                                                       \
    X(queue, gathering, "gauge: admitted appends that wait for a batch")                    \
    X(queue, waiting, "gauge: requests that wait for an earlier one on their sequence")     \
    X(journal, batches, "gauge: batches in the journal")                                    \
    X(journal, bytes, "gauge: bytes held by the journal")                                   \
    X(journal, evicted, "batches that left the journal")                                    \
    X(verify, runs, "verifications completed")                                              \
    X(verify, items, "items that verifications have checked")                               \
    X(verify, divergent_items, "items that verifications have found divergent")             \
    X(verify, faults_injected, "batches that ran through a deliberately broken variant")    \
    X(shadow, batches, "production batches that shadow mode has verified")                  \
    X(shadow, missed, "batches chosen for it while too many waited already")                \
    X(shadow, divergent_items, "items of production that it has found divergent")           \
    X(scrub, runs, "debug.scrub requests completed")                                        \
    X(scrub, passes, "times that the background scrub has been through all caches")         \
    X(scrub, bytes, "bytes of live caches read to check them")                              \
    X(scrub, damaged_tokens, "checksums found wrong, each time that they were looked at")   \
    X(health, latched, "gauge: 1 after a divergence with shadow.on_divergence latch")       \
    X(connections, open, "gauge: open connections")                                         \
    X(connections, accepted, "connections accepted")                                        \
    X(connections, refused, "connections refused at the limit")                             \
    X(requests, received, "requests received, notifications included")                      \
    X(requests, errors, "requests answered with an error")                                  \
    X(network, bytes_in, "bytes read from clients")                                         \
    X(network, bytes_out, "bytes written to clients")

struct tkv_stats {
#define X(group, field, meaning) _Atomic uint64_t group##_##field;
    TKV_STATS(X)
#undef X
    struct tkv_histogram batch_size; /* items in a batch */
};

static inline void tkv_stat_add(_Atomic uint64_t *stat, uint64_t n)
{
    atomic_fetch_add_explicit(stat, n, memory_order_relaxed);
}

static inline void tkv_stat_sub(_Atomic uint64_t *stat, uint64_t n)
{
    atomic_fetch_sub_explicit(stat, n, memory_order_relaxed);
}

static inline void tkv_stat_set(_Atomic uint64_t *stat, uint64_t value)
{
    atomic_store_explicit(stat, value, memory_order_relaxed);
}

static inline uint64_t tkv_stat_get(const _Atomic uint64_t *stat)
{
    return atomic_load_explicit((_Atomic uint64_t *)stat, memory_order_relaxed);
}

#endif
