/* model.h - a sequence as the protocol has it, one operation at a time. */
#ifndef TKV_TESTS_HISTORIES_MODEL_H
#define TKV_TESTS_HISTORIES_MODEL_H

#include <xxhash.h>

#include "tests/histories/history.h"

struct h_state {
    bool exists;
    uint64_t incarnation; /* the request that created it */
    uint32_t capacity, lens[H_LAYERS];
    uint64_t appends;
    uint64_t ttl_ns, named_ns; /* EXPIRED: not before the one has passed since the other */
    char label[H_LABEL_MAX];
    uint64_t cells[H_LAYERS][H_KV][H_CAPACITY_MAX]; /* h_cell() of what was written */
};

/* Whether op, with the outcome that it had, may happen in this state; changes the state to the one
 * after it. One whose outcome is unknown happens only where it changes something: where it does
 * not, it may as well never have happened. Where false, *s may be anything. */
bool h_step(struct h_state *s, const struct h_op *op);

/* The earliest instant at which op may take effect in this state. */
uint64_t h_earliest(const struct h_state *s, const struct h_op *op);

/* 128 bits that stand for the whole state. */
XXH128_hash_t h_fingerprint(const struct h_state *s);

/* What is in the way of op in this state, as a text; static memory. For reports. */
const char *h_state_text(const struct h_state *s);

#endif
