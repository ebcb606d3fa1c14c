/* live.h - how a run is doing, on stderr: one line that is written over where it is a terminal,
 * lines one after the other elsewhere. One thread. */
#ifndef TRUEKV_COMMAND_BENCH_LIVE_H
#define TRUEKV_COMMAND_BENCH_LIVE_H

#include "clients/c/command/bench/plan.h"
#include "clients/c/command/histogram.h"

struct live {
    FILE *to; /* borrowed */
    bool terminal;
    unsigned width;
    uint64_t begun_ns, next_ns, last_ns, interval_ns;
    size_t request_bytes, shown; /* columns that the line takes now */
    struct histogram recent;     /* since the last line */
};

void live_init(struct live *l, const struct out *err, const struct bench_plan *plan,
               uint64_t now_ns);

static inline void live_add(struct live *l, uint64_t latency_ns)
{
    histogram_add(&l->recent, latency_ns);
}

/* Writes a line where it is time for one. phase: "" or what to say of it. */
void live_tick(struct live *l, const char *phase, uint64_t overloaded, uint64_t now_ns);

/* Takes the line away. */
void live_end(struct live *l);

#endif
