/* ops.c - what each operation on sequences does, once nothing stands in its way. Appends are in
 * batcher.c, verification in verify.c. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_impl.h"

enum { LINGER_RETRY_MS = 20 };

struct tkv_sequence *tkv_core_live(struct tkv_core *core, uint64_t id)
{
    struct tkv_sequence *seq = tkv_sequences_find(core->sequences, id);
    return seq != NULL && seq->state == TKV_SEQUENCE_LIVE ? seq : NULL;
}

/* The one sequence that op names, LIVE; otherwise op is answered and NULL returned. */
static struct tkv_sequence *live_or_fail(struct tkv_core *core, struct tkv_op *op)
{
    struct tkv_sequence *seq = tkv_core_live(core, op->seq);
    if (seq == NULL)
        tkv_core_fail(core, op, TKV_ENOTFOUND, "there is no sequence %llu",
                      (unsigned long long)op->seq);
    return seq;
}

/* --- create ----------------------------------------------------------------------------------- */

static const struct tkv_model *find_model(const struct tkv_config *cfg, const char *name)
{
    if (name == NULL) return &cfg->models[0];
    for (size_t i = 0; i < cfg->n_models; i++) {
        if (strcmp(cfg->models[i].name, name) == 0) return &cfg->models[i];
    }
    return NULL;
}

/* What a cache takes; false on overflow. */
static bool cache_size(const struct tkv_core *core, const struct tkv_geometry *geom,
                       uint32_t capacity, struct tkv_cache_size *out)
{
    size_t bytes;
    *out = (struct tkv_cache_size){0};
    if (!tkv_cache_bytes(geom, capacity, &bytes)) return false;
    out->all = bytes;
    if (!tkv_add(bytes, core->granularity - 1, &bytes)) return false;
    out->charged = bytes / core->granularity * core->granularity;
    return !core->config->scrub_checksums ||
           tkv_summed_cache_bytes(geom, capacity, &out->sums_at, &out->all);
}

/* What freed caches take that a verification still reads comes back by itself. */
static bool comes_back(struct tkv_core *core, struct tkv_op *op, uint64_t needed,
                       uint64_t available)
{
    if (needed > available + core->lingering_bytes) return false;
    tkv_error_set(&op->error, TKV_EOVERLOADED,
                  "freed caches hold %llu bytes until a verification has done with them",
                  (unsigned long long)core->lingering_bytes);
    tkv_error_number(&op->error, retry_after_ms, LINGER_RETRY_MS);
    tkv_core_finish(core, op);
    return true;
}

static void fail_for_memory(struct tkv_core *core, struct tkv_op *op, size_t needed)
{
    uint64_t available = core->budget > core->cache_bytes ? core->budget - core->cache_bytes : 0;
    if (comes_back(core, op, needed, available)) return;
    tkv_error_set(&op->error, TKV_ENOMEM,
                  "the cache needs %zu bytes of device memory; %llu of the budget are left", needed,
                  (unsigned long long)available);
    tkv_error_number(&op->error, needed, needed);
    tkv_error_number(&op->error, available, available);
    tkv_core_finish(core, op);
}

static bool quota_is_fine(struct tkv_core *core, struct tkv_op *op, size_t needed)
{
    if (tkv_quota_check(&core->accounts, op->principal, needed, &op->error) == TKV_OK) return true;
    tkv_stat_add(&core->stats.quota_refused, 1);
    tkv_core_finish(core, op);
    return false;
}

/* Everything that can be wrong with a create before it touches anything. */
static bool create_is_fine(struct tkv_core *core, struct tkv_op *op, const struct tkv_model **model,
                           uint32_t *capacity, struct tkv_cache_size *size)
{
    const struct tkv_seq_create *p = &op->request->params.seq_create;
    *model = find_model(core->config, p->model);
    if (*model == NULL) {
        tkv_error_param(&op->error, "model", "there is no model \"%.100s\" in the configuration",
                        p->model);
        tkv_core_finish(core, op);
        return false;
    }
    *capacity = p->capacity.given ? (uint32_t)p->capacity.value : (*model)->capacity;
    if (p->seq.given && tkv_core_live(core, op->seq) != NULL) {
        tkv_core_fail(core, op, TKV_EEXISTS, "sequence %llu exists", (unsigned long long)op->seq);
        return false;
    }
    if (tkv_sequences_count(core->sequences) >= core->config->limits_max_sequences) {
        tkv_error_set(&op->error, TKV_EOVERLOADED, "all of limits.max_sequences (%llu) exist",
                      (unsigned long long)core->config->limits_max_sequences);
        tkv_error_number(&op->error, retry_after_ms, 1000);
        tkv_core_finish(core, op);
        return false;
    }
    if (!cache_size(core, &(*model)->geom, *capacity, size)) size->charged = SIZE_MAX;
    if (!quota_is_fine(core, op, size->charged)) return false;
    if (core->cache_bytes > core->budget || size->charged > core->budget - core->cache_bytes) {
        fail_for_memory(core, op, size->charged);
        return false;
    }
    return true;
}

static void own_by_client(struct tkv_sequence *seq, struct tkv_client *client)
{
    seq->client = client;
    seq->client_prev = NULL;
    seq->client_next = client->owned;
    if (client->owned != NULL) client->owned->client_prev = seq;
    client->owned = seq;
}

/* Whether the sequence of a lease is still the same. */
static bool is_current(const struct tkv_lease *lease, void *arg)
{
    const struct tkv_sequence *seq = tkv_core_live(arg, lease->seq);
    return seq != NULL && seq->cache->generation == lease->generation;
}

static void add_lease(struct tkv_core *core, struct tkv_sequence *seq)
{
    if (core->leases.n > 2 * tkv_sequences_count(core->sequences) + 1024)
        tkv_leases_keep(&core->leases, is_current, core);
    struct tkv_lease lease = {seq->named_ms + seq->ttl_ms, seq->id, seq->cache->generation};
    if (tkv_leases_add(&core->leases, &lease) == TKV_OK) return;
    seq->ttl_ms = 0;
    tkv_log(TKV_LOG_ERROR, "lease_lost", "seq=%llu reason=out_of_memory",
            (unsigned long long)seq->id);
}

static void create_failed(struct tkv_core *core, struct tkv_op *op, struct tkv_sequence *seq,
                          struct tkv_cache *cache)
{
    enum tkv_status st = cache->job.status;
    size_t bytes = cache->size.charged;
    core->cache_bytes -= bytes;
    tkv_quota_release(&core->accounts, cache->account, bytes, false);
    free(cache);
    tkv_sequence_move(core->sequences, seq, TKV_SEQUENCE_ABSENT);
    tkv_sequence_reset(seq);
    tkv_waiting_look(core, seq);
    tkv_core_drop_if_unused(core, seq);
    if (st != TKV_ENOMEM) {
        tkv_core_fail(core, op, st, "the device could not make a cache of %zu bytes", bytes);
        return;
    }
    tkv_error_set(&op->error, st, "the device has no room for %zu bytes, although the budget has",
                  bytes);
    tkv_error_number(&op->error, needed, bytes);
    tkv_error_number(&op->error, available, 0);
    tkv_core_finish(core, op);
}

static void complete_create(struct tkv_job *job, void *arg)
{
    struct tkv_core *core = arg;
    struct tkv_cache *cache = (struct tkv_cache *)job;
    struct tkv_op *op = cache->owner;
    struct tkv_sequence *seq = tkv_sequences_find(core->sequences, op->seq);
    assert(seq != NULL && seq->state == TKV_SEQUENCE_CREATING);
    if (job->status != TKV_OK) {
        create_failed(core, op, seq, cache);
        return;
    }
    const struct tkv_seq_create *p = &op->request->params.seq_create;
    seq->cache = cache;
    tkv_sequence_move(core->sequences, seq, TKV_SEQUENCE_LIVE);
    seq->ttl_ms = p->ttl_ms.given ? p->ttl_ms.value : 0;
    seq->named_ms = tkv_now_ms();
    if (seq->ttl_ms > 0) add_lease(core, seq);
    tkv_stat_add(&core->stats.sequences_created, 1);
    if (p->free_on_disconnect && op->client != NULL) own_by_client(seq, op->client);
    bool orphan = p->free_on_disconnect && op->client == NULL;
    op->result.created = (struct tkv_created){seq->id, seq->model->name, seq->capacity,
                                              cache->size.charged, core->device.ordinal};
    core->checksum_bytes += cache->mem.bytes - cache->size.charged;
    tkv_waiting_look(core, seq);
    tkv_core_finish(core, op);
    if (orphan) tkv_core_free_later(core, seq, &core->stats.sequences_disconnected);
}

/* The entry of a sequence that is about to be created, ABSENT and initialised, its cache on
 * somebody's account; NULL: no memory. */
static struct tkv_sequence *fresh_entry(struct tkv_core *core, struct tkv_op *op,
                                        const struct tkv_model *model, uint32_t capacity,
                                        struct tkv_cache *cache)
{
    struct tkv_sequence *seq = tkv_sequences_find(core->sequences, op->seq);
    if (seq == NULL) seq = tkv_sequences_add(core->sequences, op->seq);
    if (seq == NULL) return NULL;
    const struct tkv_seq_create *p = &op->request->params.seq_create;
    bool mortal = p->free_on_disconnect || p->ttl_ms.given;
    if (tkv_sequence_init(seq, model, capacity, p->label) == TKV_OK) {
        /* taken now, so that no lack of memory can keep it alive later */
        seq->reaper = mortal ? calloc(1, sizeof *seq->reaper) : NULL;
        if (!mortal || seq->reaper != NULL)
            cache->account = tkv_quota_charge(&core->accounts, op->principal, cache->size.charged);
        if (cache->account != NULL) return seq;
        tkv_sequence_reset(seq);
    }
    tkv_core_drop_if_unused(core, seq);
    return NULL;
}

void tkv_run_create(struct tkv_core *core, struct tkv_op *op)
{
    const struct tkv_model *model;
    uint32_t capacity;
    struct tkv_cache_size size;
    if (!create_is_fine(core, op, &model, &capacity, &size)) return;
    if (!op->request->params.seq_create.seq.given) {
        op->seq = tkv_sequences_fresh_id(core->sequences);
        op->seqs = &op->seq; /* named from here on */
        op->n_seqs = 1;
    }
    struct tkv_cache *cache = tkv_cache_open(&size, core->newest_generation + 1);
    struct tkv_sequence *seq = cache != NULL ? fresh_entry(core, op, model, capacity, cache) : NULL;
    if (seq == NULL) {
        free(cache);
        tkv_core_fail(core, op, TKV_ENOMEM, "no host memory for one more sequence");
        return;
    }
    core->newest_generation++;
    core->cache_bytes += size.charged;
    tkv_sequence_move(core->sequences, seq, TKV_SEQUENCE_CREATING);
    cache->owner = op;
    cache->job.complete = complete_create;
    tkv_engine_submit(core->engine, &cache->job);
}

/* --- free and truncate ------------------------------------------------------------------------ */

static void complete_release(struct tkv_job *job, void *arg)
{
    struct tkv_core *core = arg;
    struct tkv_cache *cache = (struct tkv_cache *)job;
    core->caches_leaving--;
    core->leaving_bytes -= cache->size.charged;
    free(job);
}

void tkv_core_cache_unref(struct tkv_core *core, struct tkv_cache *cache)
{
    assert(cache->refs > 0);
    if (--cache->refs > 0) return;
    if (cache->lingers) core->lingering_bytes -= cache->size.charged;
    if (cache->lingers) core->lingering--;
    if (cache->account != NULL)
        tkv_quota_release(&core->accounts, cache->account, cache->size.charged, cache->lingers);
    /* the engine works in order: whatever is allocated from now on finds this memory free */
    core->cache_bytes -= cache->size.charged;
    core->checksum_bytes -= cache->mem.bytes - cache->size.charged;
    core->caches_leaving++;
    core->leaving_bytes += cache->size.charged;
    struct tkv_job *job = tkv_cache_release_job(cache);
    job->complete = complete_release;
    tkv_engine_submit(core->engine, job);
}

static void disown(struct tkv_sequence *seq)
{
    if (seq->client == NULL) return;
    if (seq->client_prev != NULL)
        seq->client_prev->client_next = seq->client_next;
    else
        seq->client->owned = seq->client_next;
    if (seq->client_next != NULL) seq->client_next->client_prev = seq->client_prev;
    seq->client = NULL;
    seq->client_prev = seq->client_next = NULL;
}

void tkv_core_free_sequence(struct tkv_core *core, struct tkv_sequence *seq)
{
    assert(seq->state == TKV_SEQUENCE_LIVE && seq->appending == 0);
    disown(seq);
    seq->cache->lingers = seq->cache->refs > 1;
    if (seq->cache->lingers) core->lingering_bytes += seq->cache->size.charged;
    if (seq->cache->lingers) core->lingering++;
    if (seq->cache->lingers) tkv_quota_linger(seq->cache->account, seq->cache->size.charged);
    tkv_core_cache_unref(core, seq->cache);
    seq->cache = NULL;
    tkv_sequence_move(core->sequences, seq, TKV_SEQUENCE_ABSENT);
    tkv_sequence_reset(seq);
    tkv_core_drop_if_unused(core, seq);
    tkv_stat_add(&core->stats.sequences_freed, 1);
}

/* The item errors of a request that names sequences which do not exist; answers it. */
static bool all_live_or_fail(struct tkv_core *core, struct tkv_op *op)
{
    size_t missing = 0;
    for (size_t i = 0; i < op->n_seqs; i++)
        missing += tkv_core_live(core, op->seqs[i]) == NULL;
    if (missing == 0) return true;
    op->item_errors = calloc(missing, sizeof *op->item_errors);
    for (size_t i = 0; i < op->n_seqs; i++) {
        if (tkv_core_live(core, op->seqs[i]) != NULL) continue;
        struct tkv_error e;
        tkv_error_set(&e, TKV_ENOTFOUND, "there is no sequence %llu",
                      (unsigned long long)op->seqs[i]);
        tkv_error_number(&e, seq, op->seqs[i]);
        if (op->error.status == TKV_OK) op->error = e;
        if (op->item_errors == NULL) break;
        op->item_errors[op->n_item_errors++] = (struct tkv_item_error){i, e};
    }
    tkv_core_finish(core, op);
    return false;
}

void tkv_run_free(struct tkv_core *core, struct tkv_op *op)
{
    if (op->generation != 0) { /* the core's own: this sequence or none */
        struct tkv_sequence *seq = tkv_core_live(core, op->seq);
        if (seq != NULL && seq->cache->generation == op->generation)
            tkv_core_free_sequence(core, seq);
        tkv_core_finish(core, op);
        return;
    }
    if (!all_live_or_fail(core, op)) return;
    for (size_t i = 0; i < op->n_seqs; i++)
        tkv_core_free_sequence(core, tkv_core_live(core, op->seqs[i]));
    op->result.freed = op->n_seqs;
    tkv_core_finish(core, op);
}

void tkv_run_truncate(struct tkv_core *core, struct tkv_op *op)
{
    struct tkv_sequence *seq = live_or_fail(core, op);
    if (seq == NULL) return;
    uint64_t len = op->request->params.seq_truncate.len;
    uint32_t cut = len < seq->capacity ? (uint32_t)len : seq->capacity;
    tkv_sequence_truncate(seq, cut, core->newest_batch);
    op->result.truncated_len = tkv_sequence_len(seq);
    tkv_core_finish(core, op);
}

/* --- info and list ---------------------------------------------------------------------------- */

static struct tkv_seq_state state_of(const struct tkv_core *core, const struct tkv_sequence *seq)
{
    uint32_t same, n_layers = seq->model->geom.n_layers;
    uint64_t now = tkv_now_ms();
    return (struct tkv_seq_state){
        .seq = seq->id,
        .model = seq->model->name,
        .label = seq->label,
        .capacity = seq->capacity,
        .len = tkv_sequence_len(seq),
        .layer_lens = tkv_lens_equal(seq->committed, 0, n_layers, &same) ? NULL : seq->committed,
        .n_layers = n_layers,
        .bytes = seq->cache->size.charged,
        .device = core->device.ordinal,
        .idle_ms = now > seq->named_ms ? now - seq->named_ms : 0,
        .appends = seq->appends,
    };
}

void tkv_run_info(struct tkv_core *core, struct tkv_op *op)
{
    struct tkv_sequence *seq = live_or_fail(core, op);
    if (seq == NULL) return;
    op->result.state = state_of(core, seq);
    tkv_core_finish(core, op);
}

enum { LIST_LIMIT = 100, LIST_LIMIT_MAX = 1000 };

void tkv_run_list(struct tkv_core *core, struct tkv_op *op)
{
    const struct tkv_seq_list *p = &op->request->params.seq_list;
    size_t slot = p->cursor.given ? (size_t)p->cursor.value : 0;
    uint64_t limit = p->limit.given ? p->limit.value : LIST_LIMIT;
    if (limit > LIST_LIMIT_MAX) limit = LIST_LIMIT_MAX;
    struct tkv_seq_state *states = calloc(limit, sizeof *states);
    if (states == NULL) {
        tkv_core_fail(core, op, TKV_ENOMEM, "no host memory for a list");
        return;
    }
    struct tkv_sequence *seq;
    size_t n = 0;
    op->result.list.states = states;
    while (n < limit && (seq = tkv_sequences_next(core->sequences, &slot)) != NULL)
        states[n++] = state_of(core, seq);
    size_t ahead = slot;
    bool more = tkv_sequences_next(core->sequences, &ahead) != NULL;
    op->result.list.n = n;
    op->result.list.cursor = (struct tkv_maybe){more, slot};
    tkv_core_finish(core, op);
}
