/* core.h - the daemon without its sockets: sequences, batches, journal, verification.
 *
 * The edge hands in operations; each is answered exactly once through its `done`. Nothing here
 * waits: work for the device goes to the engine thread, whose wake-up makes the edge call
 * tkv_core_poll(). No sockets and no event loop inside, so that tests drive it by hand. Loop thread
 * only, all of it.
 *
 * Order: operations that name the same sequence take effect in the order in which they were
 * submitted. Appends to a sequence may be in flight together; every other operation on it waits
 * until they have completed, and what was submitted after it waits behind it. */
#ifndef TKV_DAEMON_CORE_H
#define TKV_DAEMON_CORE_H

#include <stdbool.h>

#include "daemon/config.h"
#include "daemon/sequences.h"
#include "daemon/staging.h"
#include "daemon/stats.h"
#include "daemon/steps.h"
#include "daemon/waiting.h"
#include "proto/error.h"
#include "proto/request.h"
#include "proto/result.h"

struct tkv_core; /* opaque: tkv_core_open() .. tkv_core_close() */

/* Who asks. Embedded in the edge's connection; zeroed at start, but for what the edge knows. */
struct tkv_client {
    uint32_t principal;         /* the user; the edge's word for one, TKV_NO_UID: no user of here */
    struct tkv_sequence *owned; /* created with on_disconnect "free" */
};

/* Where an item goes. The sequence stays while the append waits for another operation on it, and
 * while it is in flight. */
struct tkv_append_target {
    struct tkv_sequence *seq; /* NULL: there is none */
    uint32_t pos;             /* once admitted */
};

/* One operation. The edge fills the first part and keeps the whole until done. The method must be
 * one of seq.create, append, truncate, free, info, list, read, and of debug.*. */
struct tkv_op {
    const struct tkv_request *request; /* borrowed; error.status is TKV_OK */
    struct tkv_client *client;         /* NULL: nobody (any more) */
    struct tkv_staging *block; /* append: the source rows, one reference that the core takes */
    void (*done)(struct tkv_op *op); /* may be called before tkv_core_submit() returns */
    void *owner;                     /* the edge's */
    struct tkv_step step;            /* append: arrived_ns (0: not measured) and parse_ns */

    /* The outcome, valid in done. */
    struct tkv_error error; /* error.status TKV_OK: it was done */
    struct tkv_item_error *item_errors;
    size_t n_item_errors;
    union {
        struct tkv_created created;
        struct { /* lens[m]: after each item */
            uint64_t *lens;
            uint64_t batch;
        } appended;
        uint64_t truncated_len;
        uint64_t freed;
        struct tkv_seq_state state;
        struct {
            struct tkv_seq_state *states;
            size_t n;
            struct tkv_maybe cursor;
        } list;
        struct { /* the bytes are in block (NULL: none); take it or leave it */
            struct tkv_read_shape shape;
            struct tkv_staging *block;
            size_t bytes;
        } read;
        struct tkv_verify_report *verify;
        struct tkv_last_report last;
        struct tkv_scrub_report *scrub;
        struct tkv_selftest_report *selftest;
        struct {
            const char *faults[32];
            size_t n;
        } armed;
    } result;

    /* The core's own. */
    uint64_t seq;         /* the one sequence that it names, where it is one */
    const uint64_t *seqs; /* all that it names */
    size_t n_seqs;
    uint64_t generation; /* an internal free: of this sequence and no successor; else 0 */
    enum tkv_method method;
    uint32_t principal;         /* the client's, also when it has gone */
    struct tkv_waiter *waiters; /* [n_seqs] while it waits, else NULL */
    struct tkv_waiter one;      /* those of an operation with one name */
    size_t n_blocked;           /* names that hold it back */
    bool wants_quiet;           /* append: not while others are in flight; the rest never do */
    uint64_t admitted_us;
    struct tkv_append_target *targets; /* append: [n_seqs] */
    size_t token_bytes;                /* append: of one token's rows */
    uint32_t first_item;               /* append: in its batch */
    uint32_t layer_begin, layer_end;
    enum tkv_dtype dtype;         /* append: of the source */
    struct tkv_op *prev, *next;   /* in the list that it waits in */
    struct tkv_op *older, *newer; /* among all that are under way, as submitted */
};

/* Starts the engine on dev, which the core owns from here on (also when this fails). wake(arg) is
 * called on other threads when tkv_core_poll() has something to do. config is borrowed. */
enum tkv_status tkv_core_open(struct tkv_core **out, const struct tkv_config *config,
                              struct tkv_device *dev, void (*wake)(void *arg), void *arg);

/* All operations have been answered (see tkv_core_idle()); frees every cache. */
void tkv_core_close(struct tkv_core *core);

void tkv_core_submit(struct tkv_core *core, struct tkv_op *op);

/* Takes finished work: commits lengths, answers, starts what waited. Call after a wake-up. */
void tkv_core_poll(struct tkv_core *core);

/* Once a turn of the loop, after all that arrived was submitted: hands gathered appends to the
 * engine, frees expired sequences. */
void tkv_core_turn(struct tkv_core *core);

/* When tkv_core_turn() wants to be called again though nothing arrives, as tkv_now_us();
 * UINT64_MAX: not. */
uint64_t tkv_core_deadline_us(const struct tkv_core *core);

/* Whether a batch is about to come back, so that the loop had better look out for it (by
 * tkv_core_poll()) than sleep. */
bool tkv_core_spins(const struct tkv_core *core);

/* For a loop that spins and has heard of nothing else: waits a moment (20 us at most) for a batch
 * to come back. */
void tkv_core_linger(struct tkv_core *core);

/* An append is on its way: the engine looks out for it. */
void tkv_core_alert(struct tkv_core *core);

/* It is about to be submitted, its payload is nearly all there: what it names is brought near.
 * append: a request without error. */
void tkv_core_expect(struct tkv_core *core, const struct tkv_request *append);

/* The configuration has other values now, of those that may change while it runs (settings.h). */
void tkv_core_reconfigured(struct tkv_core *core);

/* The client is gone: its sequences with on_disconnect "free" are freed. Its operations under way
 * go on (done is still called); the edge has set their client to NULL before. The struct is the
 * edge's again. */
void tkv_core_client_gone(struct tkv_core *core, struct tkv_client *client);

/* From now on every new operation is refused with TKV_EDRAINING. */
void tkv_core_drain(struct tkv_core *core);

/* Whether no operation is under way. */
bool tkv_core_idle(const struct tkv_core *core);

/* Whether the device is lost (or hangs): everything is answered TKV_EDEVICE, the process must exit.
 */
bool tkv_core_failed(struct tkv_core *core);

/* Why clients should not rely on it: the device has failed, or a divergence has latched health
 * (shadow.on_divergence). NULL: they may. Static text. */
const char *tkv_core_unhealthy(struct tkv_core *core);

/* Since when, tkv_now_ns(), the device has been busy with one job; 0: it is not. Any thread. */
uint64_t tkv_core_busy_since_ns(const struct tkv_core *core);

/* Where the time of appends goes; the edge tells it when answers have been written. */
struct tkv_steps *tkv_core_steps(struct tkv_core *core);

struct tkv_stats *tkv_core_stats(struct tkv_core *core);

/* The device as it was at start; memory_used is what caches take now. */
const struct tkv_device_info *tkv_core_device(struct tkv_core *core);

/* A block of `bytes` for a payload; fills *error (TKV_EOVERLOADED, TKV_ENOMEM) where it fails. */
struct tkv_staging *tkv_core_take_block(struct tkv_core *core, size_t bytes,
                                        struct tkv_error *error);

#endif
