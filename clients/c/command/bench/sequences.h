/* sequences.h - the sequences of a run: made on the command's own connection, and gone with it,
 * also where the run is killed. One thread. */
#ifndef TRUEKV_COMMAND_BENCH_SEQUENCES_H
#define TRUEKV_COMMAND_BENCH_SEQUENCES_H

#include "clients/c/command/bench/plan.h"

/* Creates plan->sequences of them; to be read, they have plan->tokens tokens.
 * Owner: *seqs is the caller's, free(). On failure it has been said. */
enum exit_code bench_sequences_make(struct app *app, const struct bench_plan *plan,
                                    uint64_t **seqs);

/* What the daemon says of them after the run. */
struct bench_check {
    struct truekv_verdict verify;
    struct truekv_scrub scrub;
    bool scrubbed; /* false: its configuration keeps no checksums */
    bool denied;   /* we may not ask for either */
};

static inline bool bench_check_ok(const struct bench_check *c)
{
    if (c->denied) return true; /* as without a check */
    return c->verify.ok && c->verify.divergent_items == 0 && (!c->scrubbed || c->scrub.ok);
}

/* debug.verify and debug.scrub; of all sequences where they are too many for one request. */
enum exit_code bench_sequences_check(struct app *app, const struct bench_plan *plan,
                                     const uint64_t *seqs, struct bench_check *out);

#endif
