/* tell.h - what a run has measured: as text for people, as JSON, as a picture. One thread. */
#ifndef TRUEKV_COMMAND_BENCH_TELL_H
#define TRUEKV_COMMAND_BENCH_TELL_H

#include "clients/c/command/bench/plan.h"
#include "clients/c/command/bench/result.h"
#include "clients/c/command/bench/sequences.h"

struct bench_report {
    const struct bench_plan *plan;
    const struct bench_result *result;
    const struct bench_check *check; /* NULL: nothing was verified */
};

/* The percentiles that are told: shares and their names, such as 0.999 and "p99.9". */
struct bench_share {
    double share;
    const char *name, *json_name;
};
extern const struct bench_share bench_shares[];
extern const size_t bench_n_shares;

double bench_seconds(const struct bench_report *r); /* measured; never 0 */

void bench_tell_text(struct out *o, const struct bench_report *r);

/* One line. */
void bench_tell_json(FILE *to, const struct bench_report *r);

/* ---- plot.c */

/* The latencies by percentile and the throughput over time, as one SVG that fetches nothing. */
void bench_plot(FILE *to, const struct bench_report *r);

#endif
