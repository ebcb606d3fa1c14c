/* agree.h - whether the histories of all sequences are right: each by itself, and together.
 *
 * Linearizability is local (M. Herlihy and J. Wing, "Linearizability: A Correctness Condition for
 * Concurrent Objects", 1990), so each sequence is searched alone. But a request that names several
 * sequences is one operation, and must be whole:
 * - where it was answered, the same answer stands in the history of each of them;
 * - where it was not, it has happened in all of them or in none: one of the two must leave every
 * one of their histories linearizable;
 * - where it has happened, it did so at one instant: the earliest that one of the histories allows
 *   must not come after the latest that another one does;
 * - any two that were done and share two sequences or more took effect in one order: that order
 * must leave all the histories that they share linearizable. Longer circles (a before b here, b
 * before c there, c before a elsewhere) are not looked for.
 *
 * seq.list waits for nobody: it shows lengths as they are committed, while a refused append is told
 * of lengths that count what is still on its way. So entries of lists are searched in a history
 * of their own, with what changes the sequence and without those who only look. */
#ifndef TKV_TESTS_HISTORIES_AGREE_H
#define TKV_TESTS_HISTORIES_AGREE_H

#include "tests/histories/history.h"

struct h_verdict {
    uint64_t sequences, states, searches;
    uint64_t unknown;   /* operations without an answer */
    uint64_t undecided; /* histories whose search was given up */
    struct h_op *wrong; /* [n_wrong]: of one sequence, not linearizable; NULL: none. Reduced */
    size_t n_wrong;
    char text[256]; /* what is wrong otherwise; "": nothing */
};

/* ops: of all sequences, sorted by h_compare(). True: all is right. The caller frees wrong. */
bool h_check_all(struct h_op *ops, size_t n, struct h_verdict *verdict);

#endif
