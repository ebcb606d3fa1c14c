/* tally.h - what became of requests and connections: outcomes by method and reason, how long
 * answers took, why connections were closed. Loop thread writes; any reads (relaxed atomics). */
#ifndef TKV_DAEMON_TALLY_H
#define TKV_DAEMON_TALLY_H

#include "base/histogram.h"
#include "base/status.h"
#include "proto/method.h"

/* Why a connection was closed. X(NAME, word, meaning) */
#define TKV_CLOSED(X)                                                               \
    X(BY_CLIENT, "by_client", "the client closed it")                               \
    X(IDLE, "idle", "nothing was asked for limits.idle_ms")                         \
    X(SLOW_READER, "slow_reader", "it does not read its answers")                   \
    X(SLOW_WRITER, "slow_writer", "a message was not whole within limits.frame_ms") \
    X(BROKEN_STREAM, "broken_stream", "nobody can tell where its next message is")  \
    X(REFUSED, "refused", "there are too many connections")                         \
    X(UNAUTHENTICATED, "unauthenticated", "it may not connect")                     \
    X(NO_MEMORY, "no_memory", "no memory for its requests or answers")              \
    X(STOPPED, "stopped", "the daemon stops")                                       \
    X(FAILED, "failed", "its socket failed")

enum tkv_closed {
#define X(name, word, meaning) TKV_CLOSED_##name,
    TKV_CLOSED(X)
#undef X
        TKV_CLOSED_COUNT
};

/* Of what is no request of a known method. */
enum { TKV_METHOD_NONE = TKV_METHOD_COUNT };

struct tkv_tally {
    _Atomic uint64_t outcomes[TKV_METHOD_COUNT + 1][TKV_STATUS_COUNT]; /* [.][TKV_OK]: done */
    struct tkv_histogram latency[TKV_METHOD_COUNT]; /* from arrival to answer, nanoseconds */
    _Atomic uint64_t closed[TKV_CLOSED_COUNT];
};

/* A request has its answer, `ns` after it arrived. method: or TKV_METHOD_NONE. */
void tkv_tally_answered(struct tkv_tally *tally, unsigned method, enum tkv_status st, uint64_t ns);

void tkv_tally_closed(struct tkv_tally *tally, enum tkv_closed why);

const char *tkv_closed_word(enum tkv_closed why);
const char *tkv_closed_meaning(enum tkv_closed why);

/* Answers of a method, in all; those that were errors; those with a reason, of all methods. */
uint64_t tkv_tally_count(const struct tkv_tally *tally, unsigned method);
uint64_t tkv_tally_errors(const struct tkv_tally *tally, unsigned method);
uint64_t tkv_tally_reason(const struct tkv_tally *tally, enum tkv_status st);

#endif
