/* answers_impl.h - between answers.c and answer_op.c. */
#ifndef TKV_TESTS_HISTORIES_ANSWERS_IMPL_H
#define TKV_TESTS_HISTORIES_ANSWERS_IMPL_H

#include <cjson/cJSON.h>

#include "tests/histories/answers.h"

/* What all operations of a request have in common. */
struct h_op h_op_of(const struct h_request *r, enum h_kind kind, uint64_t seq, uint64_t barrier);

/* The outcome that an answer (NULL: there is none) gives the request as a whole. */
enum h_outcome h_outcome_of(const cJSON *answer);

/* Fills in what the request asked of op->seq, and what the answer says of it. */
void h_fill_append(struct h_op *op, const struct h_request *r, const cJSON *answer);
void h_fill_free(struct h_op *op, const struct h_request *r, const cJSON *answer);
void h_fill_state(struct h_op *op, const cJSON *info);

/* The cells of a read's bytes, new memory; NULL: shape or size are not what was asked for. */
uint64_t *h_read_cells(struct h_op *op, const struct h_request *r, const cJSON *answer);

#endif
