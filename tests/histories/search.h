/* search.h - whether a history is linearizable: whether there is an order of its operations, each
 * at some instant between its request and its answer, in which a sequence that is served one
 * operation at a time would have given the same answers.
 *
 * The method is that of J. M. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (1993):
 * depth first, always one of the operations that no other one wholly precedes. Gavin Lowe's
 * "Testing for linearizability" (2017) adds the memory of (operations done, state) that have been
 * tried, and with it A. Athalye's Porcupine checks partitioned histories, as we do: by sequence.
 *
 * Beyond theirs: operations of one connection keep their order; operations without an answer may
 * never have happened, and are tried last, few at a time before many; the daemon's own frees are
 * operations whose earliest instant depends on the state. What has been tried is remembered by 128
 * bits of hash, which no history is long enough to make collide. */
#ifndef TKV_TESTS_HISTORIES_SEARCH_H
#define TKV_TESTS_HISTORIES_SEARCH_H

#include "tests/histories/history.h"
#include "tests/histories/model.h"

/* Orders to look among, by request number; 0: no such limit. */
struct h_limits {
    uint64_t in;            /* this one, also where it has no answer, did happen, */
    uint64_t from, until;   /* not before, and not after (0: whenever) */
    uint64_t out;           /* this one, likewise, did not */
    uint64_t first, second; /* this one took effect before that one */
};

struct h_found {
    bool linearizable;
    bool given_up;   /* it took too long: neither yes nor no */
    uint64_t states; /* that were entered */
    size_t *order;   /* [n_order] indices: such an order, or the longest beginning of one */
    size_t n_order;
    struct h_state state; /* after it */
};

/* ops: of one sequence, sorted by h_compare(). The caller frees found->order. */
void h_search(const struct h_op *ops, size_t n, const struct h_limits *limits,
              struct h_found *found);

/* Whether it is; adds to *states. */
bool h_linearizable(const struct h_op *ops, size_t n, const struct h_limits *limits,
                    uint64_t *states);

#endif
