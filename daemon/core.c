#include "daemon/core.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_impl.h"

/* --- lists and answers ------------------------------------------------------------------------ */

void tkv_op_push(struct tkv_op_list *list, struct tkv_op *op)
{
    op->next = NULL;
    op->prev = list->tail;
    if (list->tail != NULL)
        list->tail->next = op;
    else
        list->head = op;
    list->tail = op;
}

void tkv_op_unlink(struct tkv_op_list *list, struct tkv_op *op)
{
    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        list->head = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    else
        list->tail = op->prev;
    op->prev = op->next = NULL;
}

/* What the core allocated for an outcome goes once the edge has seen it. */
static void free_outcome(enum tkv_method method, struct tkv_item_error *item_errors,
                         struct tkv_append_target *targets, uint64_t *lens,
                         struct tkv_seq_state *states)
{
    free(item_errors);
    free(targets);
    if (method == TKV_METHOD_SEQ_APPEND) free(lens);
    if (method == TKV_METHOD_SEQ_LIST) free(states);
}

static void enter(struct tkv_core *core, struct tkv_op *op)
{
    op->newer = NULL;
    op->older = core->newest;
    *(core->newest != NULL ? &core->newest->newer : &core->oldest) = op;
    core->newest = op;
    core->under_way++;
}

static void leave(struct tkv_core *core, struct tkv_op *op)
{
    assert(core->under_way > 0);
    *(op->older != NULL ? &op->older->newer : &core->oldest) = op->newer;
    *(op->newer != NULL ? &op->newer->older : &core->newest) = op->older;
    core->under_way--;
}

static bool only_looks(const struct tkv_op *op)
{
    return op->method == TKV_METHOD_DEBUG_VERIFY || op->method == TKV_METHOD_DEBUG_SELFTEST ||
           op->method == TKV_METHOD_DEBUG_SCRUB;
}

bool tkv_core_is_oldest(const struct tkv_op *op)
{
    for (op = op->older; op != NULL; op = op->older) {
        if (!only_looks(op)) return false;
    }
    return true;
}

void tkv_core_finish(struct tkv_core *core, struct tkv_op *op)
{
    bool listed = op->method == TKV_METHOD_SEQ_LIST, appended = op->method == TKV_METHOD_SEQ_APPEND;
    enum tkv_method method = op->method;
    struct tkv_item_error *item_errors = op->item_errors;
    struct tkv_append_target *targets = op->targets;
    uint64_t *lens = appended ? op->result.appended.lens : NULL;
    struct tkv_seq_state *states = listed ? op->result.list.states : NULL;
    assert(op->waiters == NULL);
    leave(core, op);
    if (op->method == TKV_METHOD_SEQ_APPEND) {
        tkv_staging_unref(op->block);
        op->block = NULL;
    }
    op->done(op); /* the op may be gone from here on */
    free_outcome(method, item_errors, targets, lens, states);
}

void tkv_core_fail(struct tkv_core *core, struct tkv_op *op, enum tkv_status st, const char *fmt,
                   ...)
{
    va_list args;
    char text[200];
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    tkv_error_set(&op->error, st, "%s", text);
    if (st == TKV_ENOMEM) { /* of the host: nobody counts it, but there was less than was needed */
        tkv_error_number(&op->error, needed, 1);
        tkv_error_number(&op->error, available, 0);
    }
    if (op->n_seqs == 1) tkv_error_number(&op->error, seq, op->seqs[0]);
    tkv_core_finish(core, op);
}

/* --- names ------------------------------------------------------------------------------------ */

/* An append names many, and asks for each more than once: it keeps what it finds. */
static bool find_targets(struct tkv_core *core, struct tkv_op *op)
{
    if (op->method != TKV_METHOD_SEQ_APPEND) return true;
    if (op->targets == NULL) op->targets = calloc(op->n_seqs, sizeof *op->targets);
    if (op->targets == NULL) return false;
    for (size_t i = 0; i < op->n_seqs; i++)
        op->targets[i].seq = tkv_sequences_find(core->sequences, op->seqs[i]);
    return true;
}

struct tkv_sequence *tkv_core_named(const struct tkv_core *core, const struct tkv_op *op, size_t i)
{
    if (op->targets != NULL) return op->targets[i].seq;
    return tkv_sequences_find(core->sequences, op->seqs[i]);
}

/* --- order ------------------------------------------------------------------------------------ */

void tkv_core_drop_if_unused(struct tkv_core *core, struct tkv_sequence *seq)
{
    if (seq->state == TKV_SEQUENCE_ABSENT && seq->waiters == 0)
        tkv_sequences_remove(core->sequences, seq);
}

static void run(struct tkv_core *core, struct tkv_op *op)
{
    switch (op->method) {
    case TKV_METHOD_SEQ_CREATE: tkv_run_create(core, op); return;
    case TKV_METHOD_SEQ_APPEND: tkv_run_append(core, op); return;
    case TKV_METHOD_SEQ_TRUNCATE: tkv_run_truncate(core, op); return;
    case TKV_METHOD_SEQ_FREE: tkv_run_free(core, op); return;
    case TKV_METHOD_SEQ_INFO: tkv_run_info(core, op); return;
    case TKV_METHOD_SEQ_LIST: tkv_run_list(core, op); return;
    case TKV_METHOD_SEQ_READ: tkv_run_read(core, op); return;
    case TKV_METHOD_DEBUG_VERIFY: tkv_run_verify(core, op); return;
    case TKV_METHOD_DEBUG_LAST: tkv_run_last(core, op); return;
    case TKV_METHOD_DEBUG_SCRUB: tkv_run_scrub(core, op); return;
    case TKV_METHOD_DEBUG_SELFTEST: tkv_run_selftest(core, op); return;
    case TKV_METHOD_DEBUG_INJECT: tkv_run_inject(core, op); return;
    default: assert(false); /* a method that the core does not serve */
    }
}

/* --- operations come in ----------------------------------------------------------------------- */

static void name_one(struct tkv_op *op, uint64_t seq)
{
    op->seq = seq;
    op->seqs = &op->seq;
    op->n_seqs = 1;
}

/* Which sequences the request names. */
static void fill_names(struct tkv_op *op)
{
    const struct tkv_request *r = op->request;
    op->seqs = NULL;
    op->n_seqs = 0;
    switch (r->method) {
    case TKV_METHOD_SEQ_CREATE:
        if (r->params.seq_create.seq.given) name_one(op, r->params.seq_create.seq.value);
        break;
    case TKV_METHOD_SEQ_APPEND:
        op->seqs = r->params.seq_append.seqs;
        op->n_seqs = r->params.seq_append.m;
        break;
    case TKV_METHOD_SEQ_FREE:
        op->seqs = r->params.seq_free.seqs;
        op->n_seqs = r->params.seq_free.m;
        break;
    case TKV_METHOD_SEQ_TRUNCATE: name_one(op, r->params.seq_truncate.seq); break;
    case TKV_METHOD_SEQ_INFO: name_one(op, r->params.seq_info.seq); break;
    case TKV_METHOD_SEQ_READ: name_one(op, r->params.seq_read.seq); break;
    default: break;
    }
}

static void touch(struct tkv_core *core, const struct tkv_op *op)
{
    uint64_t now = tkv_now_ms();
    for (size_t i = 0; i < op->n_seqs; i++) {
        struct tkv_sequence *seq = tkv_core_named(core, op, i);
        if (seq != NULL) seq->named_ms = now;
    }
}

static void start(struct tkv_core *core, struct tkv_op *op)
{
    enter(core, op);
    if (!tkv_waiting_must(core, op))
        run(core, op);
    else if (!tkv_waiting_begin(core, op, TKV_WAITING_LAST))
        tkv_core_finish(core, op);
}

void tkv_core_submit(struct tkv_core *core, struct tkv_op *op)
{
    assert(op->request->error.status == TKV_OK && op->done != NULL);
    op->method = op->request->method;
    op->error.status = TKV_OK;
    op->item_errors = NULL;
    op->n_item_errors = 0;
    op->targets = NULL;
    op->generation = 0;
    op->principal = op->client != NULL ? op->client->principal : TKV_NO_UID;
    op->waiters = NULL;
    op->wants_quiet = op->method != TKV_METHOD_SEQ_APPEND;
    if (op->method == TKV_METHOD_SEQ_APPEND) op->result.appended.lens = NULL;
    if (op->method == TKV_METHOD_SEQ_LIST) op->result.list.states = NULL;
    fill_names(op);
    if (core->draining || tkv_core_failed(core)) {
        enter(core, op);
        if (tkv_core_failed(core))
            tkv_core_fail(core, op, TKV_EDEVICE, "the device is lost; the daemon is going down");
        else
            tkv_core_fail(core, op, TKV_EDRAINING, "the daemon is shutting down");
        return;
    }
    if (!find_targets(core, op)) {
        enter(core, op);
        tkv_core_fail(core, op, TKV_ENOMEM, "no host memory for %zu items", op->n_seqs);
        return;
    }
    touch(core, op);
    start(core, op);
}

/* What an append of the sequence will touch. */
static void bring_near(const struct tkv_sequence *seq)
{
    const size_t line = 64; /* bytes of a cache line */
    if (seq->state != TKV_SEQUENCE_LIVE) return;
    size_t bytes = seq->model->geom.n_layers * sizeof *seq->committed;
    __builtin_prefetch(seq->cache);
    for (size_t at = 0; at < bytes; at += line) {
        __builtin_prefetch((const char *)seq->reserved + at, 1);
        __builtin_prefetch((const char *)seq->committed + at, 1);
    }
}

void tkv_core_alert(struct tkv_core *core)
{
    tkv_engine_alert(core->engine);
}

void tkv_core_expect(struct tkv_core *core, const struct tkv_request *append)
{
    assert(append->method == TKV_METHOD_SEQ_APPEND);
    for (size_t i = 0; i < append->params.seq_append.m; i++) {
        const struct tkv_sequence *seq =
            tkv_sequences_find(core->sequences, append->params.seq_append.seqs[i]);
        if (seq != NULL) bring_near(seq);
    }
}

/* --- operations of the core's own ------------------------------------------------------------- */

static void free_op(struct tkv_op *op)
{
    free(op);
}

void tkv_core_free_later(struct tkv_core *core, struct tkv_sequence *seq, _Atomic uint64_t *count)
{
    struct tkv_op *op = seq->reaper;
    if (op == NULL) return; /* it is on its way already */
    seq->reaper = NULL;
    op->method = TKV_METHOD_SEQ_FREE;
    op->wants_quiet = true;
    op->done = free_op;
    op->generation = seq->cache->generation;
    name_one(op, seq->id);
    tkv_stat_add(count, 1);
    start(core, op);
}

static void expire(struct tkv_core *core, uint64_t now_ms)
{
    struct tkv_lease lease;
    while (tkv_leases_take(&core->leases, now_ms, &lease)) {
        struct tkv_sequence *seq = tkv_core_live(core, lease.seq);
        if (seq == NULL || seq->cache->generation != lease.generation) continue;
        lease.deadline_ms = seq->named_ms + seq->ttl_ms;
        if (seq->appending > 0 || seq->waiters > 0) lease.deadline_ms = now_ms + seq->ttl_ms;
        if (lease.deadline_ms <= now_ms)
            tkv_core_free_later(core, seq, &core->stats.sequences_expired);
        else if (tkv_leases_add(&core->leases, &lease) != TKV_OK)
            tkv_log(TKV_LOG_ERROR, "lease_lost", "seq=%llu", (unsigned long long)lease.seq);
    }
}

void tkv_core_client_gone(struct tkv_core *core, struct tkv_client *client)
{
    struct tkv_sequence *seq;
    while ((seq = client->owned) != NULL) {
        client->owned = seq->client_next;
        if (client->owned != NULL) client->owned->client_prev = NULL;
        seq->client = NULL;
        seq->client_prev = seq->client_next = NULL;
        tkv_core_free_later(core, seq, &core->stats.sequences_disconnected);
    }
}

/* --- turns ------------------------------------------------------------------------------------ */

static void complete_all(struct tkv_core *core, struct tkv_engine *engine)
{
    struct tkv_job *job = tkv_engine_done(engine);
    while (job != NULL) {
        struct tkv_job *next = job->next;
        job->complete(job, core);
        job = next;
    }
}

/* Whoever waited and need not any more, batches, verifications. A batch that has completed at once
 * may have been what somebody waited for, and so on. */
static void go_on(struct tkv_core *core)
{
    size_t names = TKV_WAITING_NAMES_TURN;
    do {
        tkv_waiting_run(core, &names, run);
        tkv_batcher_flush(core);
    } while (core->ready.head != NULL && names > 0);
    tkv_verify_next(core);
}

void tkv_core_poll(struct tkv_core *core)
{
    complete_all(core, core->engine);
    complete_all(core, core->checker);
    go_on(core);
}

void tkv_core_linger(struct tkv_core *core)
{
    const uint64_t slice_ns = 20000; /* of a loop that has nothing else to do */
    uint64_t until = tkv_now_ns() + slice_ns;
    while (!tkv_engine_has_done(core->engine) && tkv_now_ns() < until)
        tkv_relax();
}

void tkv_core_turn(struct tkv_core *core)
{
    if (tkv_leases_deadline_ms(&core->leases) != UINT64_MAX) expire(core, tkv_now_ms());
    go_on(core);
    tkv_scrub_turn(core);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t tkv_core_deadline_us(const struct tkv_core *core)
{
    if (core->ready.head != NULL) return 0;
    uint64_t lease = tkv_leases_deadline_ms(&core->leases);
    lease = lease < UINT64_MAX / 1000 ? lease * 1000 : UINT64_MAX;
    return earlier(earlier(tkv_batcher_deadline_us(core), lease), tkv_scrub_deadline_us(core));
}

bool tkv_core_spins(const struct tkv_core *core)
{
    const uint64_t patience = 10; /* of a batch, in times of a pause between two */
    if (core->in_flight == 0 || core->spin_us == 0) return false;
    return tkv_now_ns() - core->sent_ns < (uint64_t)core->spin_us * 1000 * patience;
}

void tkv_core_drain(struct tkv_core *core)
{
    core->draining = true;
}

bool tkv_core_idle(const struct tkv_core *core)
{
    return core->under_way == 0;
}

/* A job that is too old is looked at once more a while later: where the whole process was stopped
 * (by a debugger, a frozen container), the device may just not have had the time. */
enum { SECOND_LOOK_MS = 500 };

static bool hangs(const struct tkv_core *core, const struct tkv_engine *engine,
                  struct tkv_suspicion *suspicion)
{
    uint64_t since = tkv_engine_busy_since_ns(engine), now = tkv_now_ns();
    uint64_t limit_ns = (uint64_t)core->config->limits_device_ms * 1000000u;
    bool old = since != 0 && now > since && now - since > limit_ns;
    if (!old || suspicion->job_since_ns != since) {
        *suspicion = (struct tkv_suspicion){old ? since : 0, now};
        return false;
    }
    return now - suspicion->seen_ns > (uint64_t)SECOND_LOOK_MS * 1000000u;
}

bool tkv_core_failed(struct tkv_core *core)
{
    if (tkv_engine_failed(core->engine) || tkv_engine_failed(core->checker)) return true;
    if (!core->lost)
        core->lost = hangs(core, core->engine, &core->suspicions[0]) ||
                     hangs(core, core->checker, &core->suspicions[1]);
    return core->lost;
}

uint64_t tkv_core_busy_since_ns(const struct tkv_core *core)
{
    uint64_t live = tkv_engine_busy_since_ns(core->engine);
    uint64_t checking = tkv_engine_busy_since_ns(core->checker);
    if (live == 0 || checking == 0) return live + checking;
    return live < checking ? live : checking;
}

const char *tkv_core_unhealthy(struct tkv_core *core)
{
    if (tkv_core_failed(core)) return "the device is lost; the daemon is going down";
    return core->diverged;
}

void tkv_core_diverged(struct tkv_core *core, const char *why)
{
    if (core->config->shadow_on_divergence != TKV_DIVERGENCE_LATCH || core->diverged != NULL)
        return;
    core->diverged = why;
    tkv_log(TKV_LOG_ERROR, "health_latched", "why=\"%s\"", why);
    tkv_stat_set(&core->stats.health_latched, 1);
}

struct tkv_steps *tkv_core_steps(struct tkv_core *core)
{
    return &core->steps;
}

/* One gauge a state: a sum of two would hide where memory stays. */
static void set_states(struct tkv_core *core)
{
    struct tkv_stats *s = &core->stats;
    size_t creating = tkv_sequences_creating(core->sequences);
    uint64_t budget = core->budget, taken = core->cache_bytes;
    tkv_stat_set(&s->sequence_states_creating, creating);
    tkv_stat_set(&s->sequence_states_live, tkv_sequences_count(core->sequences) - creating);
    tkv_stat_set(&s->sequence_states_freeing, core->lingering + core->caches_leaving);
    tkv_stat_set(&s->memory_states_live, taken - core->lingering_bytes);
    tkv_stat_set(&s->memory_states_freeing, core->lingering_bytes + core->leaving_bytes);
    tkv_stat_set(&s->memory_states_checksums, core->checksum_bytes);
    tkv_stat_set(&s->memory_states_free, budget > taken ? budget - taken : 0);
}

struct tkv_stats *tkv_core_stats(struct tkv_core *core)
{
    tkv_stat_set(&core->stats.sequences_live, tkv_sequences_count(core->sequences));
    tkv_stat_set(&core->stats.memory_cache_bytes, core->cache_bytes);
    tkv_stat_set(&core->stats.memory_checksum_bytes, core->checksum_bytes);
    set_states(core);
    tkv_stat_set(&core->stats.quota_users, tkv_quota_users(&core->accounts));
    tkv_stat_set(&core->stats.memory_staging_bytes, tkv_staging_used(core->pool));
    tkv_stat_set(&core->stats.batch_in_flight, core->in_flight);
    tkv_stat_set(&core->stats.queue_gathering, core->gathering_items);
    tkv_stat_set(&core->stats.journal_batches, core->journal.n);
    tkv_stat_set(&core->stats.journal_bytes, core->journal.bytes);
    tkv_stat_set(&core->stats.journal_evicted, core->journal.evicted);
    return &core->stats;
}

const struct tkv_device_info *tkv_core_device(struct tkv_core *core)
{
    core->device.memory_used = core->cache_bytes;
    return &core->device;
}

struct tkv_staging *tkv_core_take_block(struct tkv_core *core, size_t bytes,
                                        struct tkv_error *error)
{
    struct tkv_staging *block = NULL;
    enum tkv_status st = tkv_staging_take(core->pool, bytes, &block);
    while (st == TKV_ENOMEM && core->journal.n > 0) { /* history gives way to service */
        tkv_journal_shrink(&core->journal, core->journal.bytes / 2);
        st = tkv_staging_take(core->pool, bytes, &block);
    }
    if (st == TKV_OK) return block;
    core->lost = core->lost || st == TKV_EDEVICE;
    if (st == TKV_EOVERLOADED) {
        tkv_error_set(error, st, "requests under way hold all of limits.staging_bytes (%llu)",
                      (unsigned long long)core->config->limits_staging_bytes);
        tkv_error_number(error, retry_after_ms, 10);
    } else if (st == TKV_ENOMEM) {
        tkv_error_set(error, st, "no host memory for a payload of %zu bytes", bytes);
        tkv_error_number(error, needed, bytes);
        tkv_error_number(error, available, 0);
    } else {
        tkv_error_set(error, st, "the device gave no memory for a payload of %zu bytes", bytes);
    }
    return NULL;
}
