/* epoch.h - a run of clients from nothing to nothing: the daemon is empty at its beginning and at
 * its end, so that its histories stand for themselves. */
#ifndef TKV_TESTS_HISTORIES_EPOCH_H
#define TKV_TESTS_HISTORIES_EPOCH_H

#include "tests/e2e/wire.h"
#include "tests/histories/agree.h"
#include "tests/histories/answers.h"

/* A configuration whose budgets are reached often: 26 caches, 28 sequences, 16 blocks of staging.
 * Static memory. */
const char *h_config(void);

struct h_epoch {
    uint64_t seed;
    size_t n_clients, operations;
    const char
        *fault; /* NULL: none. Else armed when the clients have gone, and met by appends then */
};

struct h_totals {
    uint64_t operations, sequences, unknown, states, searches, undecided;
};

/* Runs it through the daemon; w: a connection of its own, the only one that is open. Adds to
 * *totals. True: every history is right. Else what is wrong is told on stderr, unless there is a
 * fault. Fails the Check test where the daemon finds itself wrong, or keeps something. */
bool h_epoch_run(const struct h_epoch *e, const struct daemon *d, struct wire *w,
                 struct h_totals *totals);

#endif
