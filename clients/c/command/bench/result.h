/* result.h - what a run of truekv bench has measured. One thread. */
#ifndef TRUEKV_COMMAND_BENCH_RESULT_H
#define TRUEKV_COMMAND_BENCH_RESULT_H

#include <stdbool.h>

#include "clients/c/command/histogram.h"

/* Requests answered in each span of time. There are at most SERIES_SPANS of them: when they are
 * full, each two become one, and a span is twice as long from there on. */
enum { SERIES_SPANS = 256, SERIES_FIRST_NS = 10 * 1000 * 1000 };

struct bench_series {
    uint64_t span_ns, counts[SERIES_SPANS];
    size_t n; /* spans begun */
};

struct bench_result {
    struct histogram latency; /* of requests that were begun while it was measured */
    struct bench_series series;
    uint64_t elapsed_ns; /* from the first of these to the answer of the last */
    uint64_t overloaded; /* refusals that were tried again; the wait is in the latency */
    bool interrupted;    /* by SIGINT */
};

void bench_result_init(struct bench_result *r);

/* An answer, at_ns after the start. */
void bench_series_add(struct bench_series *s, uint64_t at_ns);

#endif
