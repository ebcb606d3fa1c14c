/* core_impl.h - what the files of the core share: core.c (order and life of operations), ops.c
 * (what each of them does), batcher.c (appends), verify.c. Not for the edge. */
#ifndef TKV_DAEMON_CORE_IMPL_H
#define TKV_DAEMON_CORE_IMPL_H

#include "daemon/batch.h"
#include "daemon/cache.h"
#include "daemon/core.h"
#include "daemon/engine.h"
#include "daemon/journal.h"
#include "daemon/leases.h"
#include "daemon/quota.h"
#include "daemon/scrub.h"
#include "daemon/shadow.h"
#include "daemon/upload.h"

enum { TKV_ARMED_MAX = 16 };

/* A job that has been running for too long when it was last looked at. */
struct tkv_suspicion {
    uint64_t job_since_ns, seen_ns;
};

/* A doubly linked list of operations, in order. */
struct tkv_op_list {
    struct tkv_op *head, *tail;
};

struct tkv_core {
    const struct tkv_config *config;
    struct tkv_engine *engine;  /* live caches */
    struct tkv_engine *checker; /* scratch memory: verification and self tests */
    struct tkv_device_info device;
    size_t granularity; /* of cache memory, bytes */
    struct tkv_staging_pool *pool;
    struct tkv_sequences *sequences;
    struct tkv_leases leases;
    struct tkv_accounts accounts;
    struct tkv_journal journal;
    struct tkv_upload upload; /* the engine's */
    struct tkv_stats stats;
    struct tkv_steps steps;

    struct tkv_op_list ready;     /* they waited for others, and need not any longer */
    size_t waiting_names;         /* of all that wait */
    struct tkv_op_list verifying; /* verifications, the first one perhaps at work */
    bool checker_busy;            /* it is, or a batch of shadow mode */
    struct tkv_op_list scrubbing; /* requests to scrub, but for the one at work */
    struct tkv_shadow shadow;
    struct tkv_scrub scrub;
    struct tkv_op *oldest, *newest; /* operations under way, in order of submission */
    size_t under_way;               /* how many */
    size_t caches_leaving;          /* releases under way ... */
    uint64_t leaving_bytes;         /* ... and what they give back */
    size_t lingering;               /* caches without a sequence that somebody still reads */

    struct tkv_op_list gathering; /* admitted appends without a batch */
    size_t gathering_items;
    uint32_t in_flight;    /* batches */
    uint32_t spin_us;      /* 0: nobody spins */
    size_t here_bytes;     /* of a batch that the loop may write by itself */
    uint64_t sent_ns;      /* when the newest batch went to the engine */
    uint64_t newest_batch; /* the last number handed out */

    struct {
        struct tkv_fault_plan plan;
        uint64_t batches;
    } armed[TKV_ARMED_MAX];
    size_t n_armed;

    uint64_t newest_generation;
    uint64_t budget, cache_bytes;
    uint64_t budget_unset;   /* the budget, where the configuration has none */
    uint64_t checksum_bytes; /* on top of the budget */
    uint64_t
        lingering_bytes; /* of cache_bytes: their sequences are gone, somebody still reads them */
    bool draining;
    atomic_bool stopping;               /* for the checker */
    const char *diverged;               /* why health is latched; NULL: it is not */
    struct tkv_suspicion suspicions[2]; /* of the engine, of the checker */
    bool lost; /* the device hangs, or failed outside of a job: it is not trusted any more */
};

void tkv_op_push(struct tkv_op_list *list, struct tkv_op *op);
void tkv_op_unlink(struct tkv_op_list *list, struct tkv_op *op);

/* Answers an operation; its error is set. The op is the edge's again when this returns. */
void tkv_core_finish(struct tkv_core *core, struct tkv_op *op);

/* Sets the error and answers. */
void tkv_core_fail(struct tkv_core *core, struct tkv_op *op, enum tkv_status st, const char *fmt,
                   ...) __attribute__((format(printf, 4, 5)));

/* Whether everything that was submitted before op is done, but for debug methods: they look, and
 * change nothing. */
bool tkv_core_is_oldest(const struct tkv_op *op);

/* Starts the verification that is next, where it may. */
void tkv_verify_next(struct tkv_core *core);

/* Verifies one completed batch for shadow mode; takes over the reference. False: it could not
 * start. The checker is not busy. */
bool tkv_verify_batch(struct tkv_core *core, struct tkv_batch *batch);

/* A divergence found in passing: latches health, where that is asked for. why: static text. */
void tkv_core_diverged(struct tkv_core *core, const char *why);

/* The LIVE sequence of an id, or NULL. */
struct tkv_sequence *tkv_core_live(struct tkv_core *core, uint64_t id);

/* The entry of op's name number i, in whatever state, or NULL. */
struct tkv_sequence *tkv_core_named(const struct tkv_core *core, const struct tkv_op *op, size_t i);

/* Takes an entry that nobody names any more out of the table. */
void tkv_core_drop_if_unused(struct tkv_core *core, struct tkv_sequence *seq);

/* Frees a LIVE sequence with nothing in flight. */
void tkv_core_free_sequence(struct tkv_core *core, struct tkv_sequence *seq);

/* Frees a sequence by its reaper, an operation of the core's own, behind what was asked before. */
void tkv_core_free_later(struct tkv_core *core, struct tkv_sequence *seq, _Atomic uint64_t *count);

/* Drops a reference; the last one submits the release. */
void tkv_core_cache_unref(struct tkv_core *core, struct tkv_cache *cache);

/* What each method does, once nothing stands in its way. Each answers, now or after a job. */
void tkv_run_create(struct tkv_core *core, struct tkv_op *op);
void tkv_run_append(struct tkv_core *core, struct tkv_op *op); /* batcher.c */
void tkv_run_truncate(struct tkv_core *core, struct tkv_op *op);
void tkv_run_free(struct tkv_core *core, struct tkv_op *op);
void tkv_run_info(struct tkv_core *core, struct tkv_op *op);
void tkv_run_list(struct tkv_core *core, struct tkv_op *op);
void tkv_run_read(struct tkv_core *core, struct tkv_op *op);
void tkv_run_verify(struct tkv_core *core, struct tkv_op *op);   /* verify.c */
void tkv_run_last(struct tkv_core *core, struct tkv_op *op);     /* shadow.c */
void tkv_run_scrub(struct tkv_core *core, struct tkv_op *op);    /* scrub.c */
void tkv_run_selftest(struct tkv_core *core, struct tkv_op *op); /* selftest.c */
void tkv_run_inject(struct tkv_core *core, struct tkv_op *op);

/* Hands gathered appends to the engine as far as it should have them now. Some may have completed
 * when this returns. */
void tkv_batcher_flush(struct tkv_core *core);

/* When the oldest gathered append has waited for company long enough; UINT64_MAX: nothing waits. */
uint64_t tkv_batcher_deadline_us(const struct tkv_core *core);

#endif
