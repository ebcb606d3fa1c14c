/* history.h - what happened to one sequence, as its clients saw it: operations with the instants at
 * which each was asked for and answered. A request that names several sequences is one operation in
 * the history of each. */
#ifndef TKV_TESTS_HISTORIES_HISTORY_H
#define TKV_TESTS_HISTORIES_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/histories/content.h"

enum { H_ITEMS_MAX = 4, H_LABEL_MAX = 12, H_TEXT_MAX = 512 };
#define H_NEVER UINT64_MAX

/* GONE and EXPIRED are the daemon's own: it frees what a client that went has created with
 * on_disconnect, and what nobody has named for its ttl_ms. LISTED: an entry of seq.list, or (not
 * found) none in a whole walk through the list. */
#define H_KINDS(X)       \
    X(CREATE, "create")  \
    X(APPEND, "append")  \
    X(TRUNCATE, "trunc") \
    X(FREE, "free")      \
    X(INFO, "info")      \
    X(READ, "read")      \
    X(LISTED, "listed")  \
    X(GONE, "gone")      \
    X(EXPIRED, "expired")

enum h_kind {
#define X(name, word) H_##name,
    H_KINDS(X)
#undef X
};

/* X(name, word): what an answer says of the sequence. UNKNOWN: there is no answer. BUSY, too little
 * memory of some kind: nothing was done, whatever the state. */
#define H_OUTCOMES(X)           \
    X(OK, "ok")                 \
    X(NOT_FOUND, "not_found")   \
    X(EXISTS, "already_exists") \
    X(POSITION, "position")     \
    X(CAPACITY, "capacity")     \
    X(UNEVEN, "layers differ")  \
    X(RANGE, "out_of_range")    \
    X(UNKNOWN, "?")             \
    X(BUSY, "busy")             \
    X(STRANGE, "strange outcome")

enum h_outcome {
#define X(name, word) H_OUT_##name,
    H_OUTCOMES(X)
#undef X
};

/* A block of an append. outcome is its own: OK in a refused request means that it would have been
 * fine. */
struct h_item {
    uint32_t tokens;
    bool has_pos;
    uint64_t pos, tag;
    enum h_outcome outcome;
    uint64_t told; /* OK: the length after it; POSITION: expected; CAPACITY: the length */
};

struct h_op {
    enum h_kind kind;
    enum h_outcome outcome;
    uint64_t seq;
    uint64_t invoke, ret; /* ns of one clock; it took effect in between */
    uint64_t settled;     /* 0: ret. Else, when a list must show it, too, which waits for nobody */
    bool maybe;           /* it may as well never have taken effect */
    bool missing; /* refused because of a sequence that is not there, perhaps not this one */
    uint32_t client, conn; /* conn 0: none, no order among them */
    uint64_t request;     /* its number; the same in each sequence that it names. Order on a conn */
    uint64_t incarnation; /* GONE, EXPIRED: the request that created what they free */
    uint32_t layer_begin, layer_end; /* append, read */
    size_t n_items;
    struct h_item items[H_ITEMS_MAX];
    uint32_t capacity;       /* create; info, listed */
    uint32_t ttl_ms;         /* create; EXPIRED */
    bool mortal;             /* create: on_disconnect free */
    char label[H_LABEL_MAX]; /* create; info, listed; "": none */
    uint64_t len;            /* truncate: asked for */
    uint64_t told;           /* truncate, info, listed: the length */
    uint32_t lens[H_LAYERS]; /* info, listed */
    uint64_t appends;        /* info, listed */
    uint64_t pos;            /* read */
    uint32_t tokens;         /* read: asked for; OK: got */
    bool to_the_end;         /* read: tokens were absent */
    const uint64_t *cells;   /* read: [layers][2][tokens]; borrowed */
};

/* Whether it may leave the sequence other than it was. */
bool h_may_change(const struct h_op *op);

/* By seq, then invoke, then request. */
int h_compare(const void *a, const void *b);

/* A line about it, times from `zero` on; in out, which is returned. */
const char *h_describe(const struct h_op *op, uint64_t zero, char out[H_TEXT_MAX]);

#endif
