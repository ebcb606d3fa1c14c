/* blame.h - of a history that is not linearizable, the part that shows why, as text. */
#ifndef TKV_TESTS_HISTORIES_BLAME_H
#define TKV_TESTS_HISTORIES_BLAME_H

#include <stdio.h>

#include "tests/histories/history.h"

/* Leaves in ops, a history that is not linearizable, as little as still is not: nothing after the
 * answer that makes it so, nothing before an instant at which the sequence surely did not exist, no
 * answers that only look and are not needed. Returns how many are left. */
size_t h_reduce(struct h_op *ops, size_t n);

/* Writes it, and how far an order can be found. */
void h_blame(FILE *out, const struct h_op *ops, size_t n);

#endif
