/* watch.h - a daemon's numbers over time: answers of server.stats, and the rates between two of
 * them. One thread. */
#ifndef TRUEKV_COMMAND_WATCH_H
#define TRUEKV_COMMAND_WATCH_H

#include "clients/c/command/command.h"
#include "clients/c/command/json_in.h"

/* What is shown of one answer. */
struct watch_sample {
    double uptime_s;
    double appends, items, tokens, bytes, batches, errors; /* since the daemon started */
    double p50_us, p99_us;                                 /* of seq.append, the last seconds */
    double batch_p99;                                      /* items, likewise */
    double sequences, connections, waiting, in_flight;
    double live_bytes, freeing_bytes, checksum_bytes, free_bytes, budget_bytes;
    double journal_batches, journal_bytes, evicted;
    double divergent, damaged, latched;
};

/* A second, of the time between two samples. */
struct watch_rates {
    bool known; /* false: there is nothing to compare with, or the daemon has started anew */
    double appends, items, tokens, bytes, batches, errors;
    double mean_items; /* in a batch; 0: there was none */
};

/* Members that an older daemon does not have are 0. stats: the result of server.stats. */
void watch_take(struct watch_sample *s, const cJSON *stats);
void watch_compare(struct watch_rates *r, const struct watch_sample *before,
                   const struct watch_sample *now);

/* The daemon's numbers now; it connects anew where the connection is gone. The caller deletes them.
 * NULL: no daemon answers; why is in error. */
cJSON *watch_ask(struct app *app, struct truekv_error *error);

/* Sleeps until `seconds` after *next, which moves on; false: the process has been told to end (see
 * watch_until_signal()). */
bool watch_wait(double seconds, uint64_t *next_ns);

/* SIGINT and SIGTERM no longer end the process: watch_wait() hears of them. */
void watch_until_signal(void);
bool watch_told_to_end(void);

#endif
