/* load.h - the load itself: connections, requests in flight on them, and how long each takes. One
 * thread, one epoll; nothing is allocated once the requests fly.
 *
 * A closed loop: a slot sends its next request when the last one is answered. So the daemon decides
 * how fast requests come, and while it stands still, one request a slot waits, and not all that
 * would have come meanwhile: the tail looks better than a client of a fixed rate would see it. */
#ifndef TRUEKV_COMMAND_BENCH_LOAD_H
#define TRUEKV_COMMAND_BENCH_LOAD_H

#include "clients/c/command/bench/plan.h"
#include "clients/c/command/bench/result.h"

/* Opens the connections, warms up, measures, waits for the last answers.
 * seqs: plan->sequences of them, borrowed. *out: initialised here. On failure it has been said. */
enum exit_code bench_load_run(struct app *app, const struct bench_plan *plan, const uint64_t *seqs,
                              struct bench_result *out);

#endif
