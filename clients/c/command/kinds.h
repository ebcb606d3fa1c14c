/* kinds.h - the kinds of divergence in words: what was seen, what it means, what to do. Pure. */
#ifndef TRUEKV_COMMAND_KINDS_H
#define TRUEKV_COMMAND_KINDS_H

#include "clients/c/command/findings.h"

/* What the rows of a finding do, such as "hold sequence 7's rows". */
const char *kind_clause(const struct divergence *d, char *text, size_t size);

/* One line each; of a kind that is not known here, that it is not. */
const char *kind_means(const char *kind);
const char *kind_next(const char *kind);

/* Why recorded items were skipped, and what that leaves open. */
const char *skip_means(const char *reason);

/* The same for sequences that a scrub skipped. */
const char *scrub_skip_means(const char *reason);

#endif
