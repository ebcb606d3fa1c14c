/* sequences.h - the table of sequences: who exists, how long each layer is, whose memory it is.
 * Loop thread only.
 *
 * Each layer has two lengths: `committed`, what is in the cache, and `reserved`, what admitted
 * appends will make of it. committed moves only after a batch has completed. */
#ifndef TKV_DAEMON_SEQUENCES_H
#define TKV_DAEMON_SEQUENCES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/layout.h"

/* A model of the configuration. */
struct tkv_model {
    const char *name;
    struct tkv_geometry geom;
    uint32_t capacity; /* default positions of a sequence */
};

struct tkv_cache;  /* cache.h */
struct tkv_client; /* core.h */
struct tkv_op;     /* core.h */
struct tkv_waiter; /* waiting.h */

/* X(state, may become). ABSENT: only requests that wait name it. */
#define TKV_SEQUENCE_STATES(X)                                       \
    X(ABSENT, 1u << TKV_SEQUENCE_CREATING)                           \
    X(CREATING, 1u << TKV_SEQUENCE_LIVE | 1u << TKV_SEQUENCE_ABSENT) \
    X(LIVE, 1u << TKV_SEQUENCE_ABSENT)

enum tkv_sequence_state {
#define X(state, moves) TKV_SEQUENCE_##state,
    TKV_SEQUENCE_STATES(X)
#undef X
};

struct tkv_sequences;

struct tkv_sequence {
    uint64_t id;
    enum tkv_sequence_state state;
    uint32_t waiters;                              /* names of it that wait; they keep the entry */
    struct tkv_waiter *first_waiter, *last_waiter; /* waiting.h */
    uint32_t appending;                            /* items admitted and not yet completed */
    bool broken; /* one of them has failed: those behind it must fail, too */
    const struct tkv_model *model;
    struct tkv_cache *cache; /* NULL unless LIVE */
    uint32_t capacity;
    uint32_t *committed, *reserved; /* [n_layers] */
    char *label;                    /* NULL: none */
    uint64_t ttl_ms;                /* 0: none */
    uint64_t named_ms;              /* when a request last named it */
    uint64_t appends;
    struct tkv_op *reaper;     /* frees it when its time comes; NULL: nobody does */
    struct tkv_client *client; /* frees it when it goes away; NULL: keep */
    struct tkv_sequence *client_prev, *client_next;
    size_t slot;      /* its place in the listing */
    void *table_hook; /* the table's own */
};

/* At most max sequences. TKV_ENOMEM. */
enum tkv_status tkv_sequences_open(struct tkv_sequences **out, size_t max);
void tkv_sequences_close(struct tkv_sequences *table); /* frees entries, not caches */

/* The entry of an id, in whatever state, or NULL. */
struct tkv_sequence *tkv_sequences_find(struct tkv_sequences *table, uint64_t id);

/* A new ABSENT entry of an id that has none. NULL: out of memory. */
struct tkv_sequence *tkv_sequences_add(struct tkv_sequences *table, uint64_t id);

/* Takes an ABSENT entry with no waiters out of the table and frees it. */
void tkv_sequences_remove(struct tkv_sequences *table, struct tkv_sequence *seq);

/* The one function that moves a sequence's state; asserts the table above. */
void tkv_sequence_move(struct tkv_sequences *table, struct tkv_sequence *seq,
                       enum tkv_sequence_state to);

/* Sequences that are CREATING or LIVE. */
size_t tkv_sequences_count(const struct tkv_sequences *table);
size_t tkv_sequences_creating(const struct tkv_sequences *table);

/* The next LIVE sequence whose slot is >= *slot; *slot becomes the one after it. NULL: no more. */
struct tkv_sequence *tkv_sequences_next(struct tkv_sequences *table, size_t *slot);

/* An id that no entry has. */
uint64_t tkv_sequences_fresh_id(struct tkv_sequences *table);

/* Gives a fresh entry its model, capacity and lengths of zero. TKV_ENOMEM. */
enum tkv_status tkv_sequence_init(struct tkv_sequence *seq, const struct tkv_model *model,
                                  uint32_t capacity, const char *label);
void tkv_sequence_reset(struct tkv_sequence *seq); /* undoes tkv_sequence_init() */

/* The smallest committed length of its layers. */
uint32_t tkv_sequence_len(const struct tkv_sequence *seq);

/* Whether all of [begin, end), begin < end, have the same length in lens; that length in *out. */
bool tkv_lens_equal(const uint32_t *lens, uint32_t begin, uint32_t end, uint32_t *out);

/* Rolls every layer longer than len back to it; `batch`: the newest batch handed out so far. */
void tkv_sequence_truncate(struct tkv_sequence *seq, uint32_t len, uint64_t batch);

/* After a failure, with nothing in flight any more: reserved lengths are the committed ones again,
 * and what batches up to `batch` wrote beyond them may be written again. */
void tkv_sequence_roll_back(struct tkv_sequence *seq, uint64_t batch);

#endif
