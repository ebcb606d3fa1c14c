/* sample.h - one answer of server.stats as numbers, and what two of them say: rates and levels.
 *
 * Rates are growth over the daemon's own time between the two answers (uptime_s), so that neither
 * the way nor a late client bends them. NAN is what the daemon does not say. Pure. */
#ifndef TRUEKV_COMMAND_WATCH_SAMPLE_H
#define TRUEKV_COMMAND_WATCH_SAMPLE_H

#include "clients/c/command/json_in.h"
#include "clients/c/truekv.h"

/* X(name, its place in the answer) */
#define SAMPLE_NUMBERS(X)                                     \
    X(UPTIME_S, "uptime_s")                                   \
    X(APPENDS, "append/requests")                             \
    X(APPEND_TOKENS, "append/tokens")                         \
    X(APPEND_BYTES, "append/bytes")                           \
    X(APPENDS_REFUSED, "append/refused")                      \
    X(BATCHES, "batch/count")                                 \
    X(BATCH_ITEMS, "batch/items")                             \
    X(BATCHES_FAILED, "batch/failed")                         \
    X(BATCH_LARGEST, "batch/largest")                         \
    X(IN_FLIGHT, "batch/in_flight")                           \
    X(RECENT_BATCHES, "recent/batch_size/count")              \
    X(RECENT_BATCH_P50, "recent/batch_size/p50")              \
    X(RECENT_BATCH_P99, "recent/batch_size/p99")              \
    X(RECENT_APPENDS, "recent/seq.append/count")              \
    X(RECENT_P50_US, "recent/seq.append/p50_us")              \
    X(RECENT_P99_US, "recent/seq.append/p99_us")              \
    X(METHOD_P50_US, "methods/seq.append/p50_us")             \
    X(METHOD_P99_US, "methods/seq.append/p99_us")             \
    X(METHOD_MAX_US, "methods/seq.append/max_us")             \
    X(STEP_P50_US, "step/total/p50_us")                       \
    X(STEP_P99_US, "step/total/p99_us")                       \
    X(STEP_MAX_US, "step/total/max_us")                       \
    X(READS, "read/requests")                                 \
    X(READ_BYTES, "read/bytes")                               \
    X(GATHERING, "queue/gathering")                           \
    X(WAITING, "queue/waiting")                               \
    X(SEQUENCES, "sequences/live")                            \
    X(CREATED, "sequences/created")                           \
    X(FREED, "sequences/freed")                               \
    X(EXPIRED, "sequences/expired")                           \
    X(DISCONNECTED, "sequences/disconnected")                 \
    X(CREATING, "sequence_states/creating")                   \
    X(FREEING, "sequence_states/freeing")                     \
    X(BUDGET_BYTES, "memory/budget_bytes")                    \
    X(CACHE_BYTES, "memory/cache_bytes")                      \
    X(CHECKSUM_BYTES, "memory/checksum_bytes")                \
    X(LIVE_BYTES, "memory_states/live")                       \
    X(FREEING_BYTES, "memory_states/freeing")                 \
    X(FREE_BYTES, "memory_states/free")                       \
    X(JOURNAL_BATCHES, "journal/batches")                     \
    X(JOURNAL_BYTES, "journal/bytes")                         \
    X(JOURNAL_EVICTED, "journal/evicted")                     \
    X(VERIFICATIONS, "verify/runs")                           \
    X(DIVERGENT, "verify/divergent_items") /* shadow's too */ \
    X(FAULTS, "verify/faults_injected")                       \
    X(SHADOW_BATCHES, "shadow/batches")                       \
    X(SHADOW_MISSED, "shadow/missed")                         \
    X(SCRUB_PASSES, "scrub/passes")                           \
    X(DAMAGED, "scrub/damaged_tokens")                        \
    X(CONNECTIONS, "connections/open")                        \
    X(ACCEPTED, "connections/accepted")                       \
    X(REFUSED, "connections/refused")                         \
    X(REQUESTS, "requests/received")                          \
    X(ERRORS, "requests/errors")                              \
    X(BYTES_IN, "network/bytes_in")                           \
    X(BYTES_OUT, "network/bytes_out")

enum sample_id {
#define X(name, place) SAMPLE_##name,
    SAMPLE_NUMBERS(X)
#undef X
        SAMPLE_COUNT
};

struct sample {
    double of[SAMPLE_COUNT];
    double reasons[TRUEKV_STATUS_COUNT]; /* requests answered with that error */
};

/* Reads an answer's result. */
void sample_take(struct sample *out, const cJSON *result);

/* Seconds of the daemon's time between them; NAN where it has started anew, or before is NULL. */
double sample_seconds(const struct sample *before, const struct sample *now);

/* Growth a second of a counter; NAN, as above and where it has shrunk. */
double sample_rate(const struct sample *before, const struct sample *now, enum sample_id id);
double sample_reason_rate(const struct sample *before, const struct sample *now,
                          enum truekv_status reason);

/* Latency of seq.append in microseconds: of the last ten seconds where the daemon tells, else since
 * it started. */
struct latency {
    double p50_us, p99_us, max_us; /* max: since it started */
    bool recent;
};
struct latency sample_latency(const struct sample *now);

/* Items of an average batch between the two. */
double sample_batch(const struct sample *before, const struct sample *now);

/* What verifications, shadow mode and scrubs have found wrong since the daemon started. */
double sample_wrong(const struct sample *now);

#endif
