/* verify.c - debug.verify, on the loop thread: which recorded items are checked, and what of the
 * findings still stands when the checker has come back.
 *
 * A verification holds references to the batches and caches that it looks at, so that neither
 * journal eviction nor a free takes them away under it. A truncation may let positions be written
 * again while it reads them: then a difference from the live cache proves nothing and is dropped.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_impl.h"
#include "daemon/rerun.h"

struct verify_job {
    struct tkv_job job; /* first */
    struct tkv_op *op;  /* NULL: shadow mode's own */
    uint64_t *seqs;     /* named ones, ascending; n_seqs 0: all */
    bool *seen;         /* [n_seqs] it exists, or is in the journal */
    size_t n_seqs;
    struct tkv_rerun rerun;
    struct tkv_verify_report report;
    uint64_t started_us;
};

static enum tkv_status run_verify_job(struct tkv_job *job, struct tkv_device *dev)
{
    struct verify_job *v = (struct verify_job *)job;
    v->rerun.dev = dev;
    return tkv_rerun_all(&v->rerun);
}

/* --- what is checked -------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool sort_names(struct verify_job *v, const struct tkv_debug_verify *p)
{
    v->n_seqs = p->m;
    v->seqs = malloc((p->m + 1) * sizeof *v->seqs);
    v->seen = calloc(p->m + 1, sizeof *v->seen);
    if (v->seqs == NULL || v->seen == NULL) return false;
    if (p->m > 0) memcpy(v->seqs, p->seqs, p->m * sizeof *v->seqs);
    qsort(v->seqs, v->n_seqs, sizeof *v->seqs, ascending);
    return true;
}

static bool wanted(struct verify_job *v, uint64_t seq)
{
    if (v->n_seqs == 0) return true;
    const uint64_t *found = bsearch(&seq, v->seqs, v->n_seqs, sizeof *v->seqs, ascending);
    if (found == NULL) return false;
    v->seen[found - v->seqs] = true;
    return true;
}

/* The live sequence that an item was written to, or NULL. */
static struct tkv_sequence *written_to(struct tkv_core *core, const struct tkv_item_owner *owner)
{
    struct tkv_sequence *seq = tkv_core_live(core, owner->seq);
    return seq != NULL && seq->cache->generation == owner->generation ? seq : NULL;
}

static void select_item(struct tkv_core *core, struct verify_job *v, const struct tkv_batch *b,
                        uint32_t i, struct tkv_recheck_item *out)
{
    struct tkv_sequence *seq = written_to(core, &b->owners[i]);
    out->selected = true;
    v->report.items_checked++;
    if (seq == NULL) {
        out->freed = true;
        v->report.skipped[TKV_SKIP_FREED]++;
    } else if (tkv_cache_superseded(seq->cache, b->id, b->items[i].pos + b->items[i].tokens)) {
        v->report.skipped[TKV_SKIP_TRUNCATED]++;
    } else {
        out->cache = seq->cache;
        seq->cache->refs++;
    }
}

/* Takes a recorded batch in where it has a wanted item. */
static enum tkv_status add_batch(struct tkv_core *core, struct verify_job *v, struct tkv_batch *b)
{
    struct tkv_rerun *r = &v->rerun;
    struct tkv_recheck_item *items = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        if (!wanted(v, b->owners[i].seq)) continue;
        if (items == NULL) items = calloc(b->n, sizeof *items);
        if (items == NULL) return TKV_ENOMEM;
        select_item(core, v, b, i, &items[i]);
    }
    if (items == NULL) return TKV_OK;
    b->refs++;
    r->batches[r->n_batches] = b;
    r->items[r->n_batches] = items;
    r->n_batches++;
    return TKV_OK;
}

static bool make_room(struct verify_job *v, size_t n)
{
    v->rerun.batches = calloc(n + 1, sizeof(struct tkv_batch *));
    v->rerun.items = calloc(n + 1, sizeof(struct tkv_recheck_item *));
    return v->rerun.batches != NULL && v->rerun.items != NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The newest batches of the journal, oldest first. Older ones are looked at for their names only.
 */
static enum tkv_status plan(struct tkv_core *core, struct verify_job *v,
                            const struct tkv_debug_verify *p)
{
    size_t n = core->journal.n;
    size_t skip = p->batches.given && p->batches.value < n ? n - (size_t)p->batches.value : 0;
    enum tkv_status st = TKV_OK;
    if (!make_room(v, n) || !sort_names(v, p)) return TKV_ENOMEM;
    for (struct tkv_batch *b = core->journal.oldest; b != NULL && st == TKV_OK; b = b->newer) {
        for (uint32_t i = 0; skip > 0 && i < b->n; i++)
            (void)wanted(v, b->owners[i].seq);
        if (skip > 0)
            skip--;
        else
            st = add_batch(core, v, b);
    }
    v->report.batches_checked = v->rerun.n_batches;
    if (p->batches.given && p->batches.value > n)
        v->report.skipped[TKV_SKIP_EVICTED] = least(p->batches.value - n, core->journal.evicted);
    return st;
}

static void close_job(struct tkv_core *core, struct verify_job *v)
{
    struct tkv_rerun *r = &v->rerun;
    for (size_t b = 0; b < r->n_batches; b++) {
        struct tkv_batch *batch = r->batches[b];
        assert(batch != NULL && r->items[b] != NULL); /* add_batch() counts whole ones only */
        for (uint32_t i = 0; i < batch->n; i++) {
            if (r->items[b][i].cache != NULL) tkv_core_cache_unref(core, r->items[b][i].cache);
        }
        free(r->items[b]);
        tkv_batch_unref(batch);
    }
    free(v->seqs);
    free(v->seen);
    free(r->batches);
    free(r->items);
    free(r->found);
    free(v->report.divergences);
    free(v);
}

/* A sequence that neither exists nor is in the journal was never ours to check. */
static bool all_known(struct tkv_core *core, const struct verify_job *v)
{
    for (size_t k = 0; k < v->n_seqs; k++) {
        if (v->seen[k] || tkv_core_live(core, v->seqs[k]) != NULL) continue;
        if (k > 0 && v->seqs[k] == v->seqs[k - 1]) continue;
        tkv_error_set(&v->op->error, TKV_ENOTFOUND,
                      "there is no sequence %llu, nor a record of one",
                      (unsigned long long)v->seqs[k]);
        tkv_error_number(&v->op->error, seq, v->seqs[k]);
        return false;
    }
    return true;
}

/* --- what stands ------------------------------------------------------------------------------ */

/* What a finding about the kernel says of a live cache that was not, or not rightly, compared. */
static void say_of_live(struct tkv_divergence *d, const struct tkv_recheck_item *about)
{
    if (about->freed)
        d->detail.live = "freed";
    else if (about->cache == NULL || about->superseded)
        d->detail.live = "truncated";
}

/* A live difference that a truncation since the start explains proves nothing. Asked of the cache
 * and not of the sequence, which may be gone by now. */
static void drop_superseded(struct verify_job *v)
{
    struct tkv_rerun *r = &v->rerun;
    size_t kept = 0;
    for (size_t b = 0; b < r->n_batches; b++) {
        for (uint32_t i = 0; i < r->batches[b]->n; i++) {
            const struct tkv_append_item *item = &r->batches[b]->items[i];
            struct tkv_recheck_item *about = &r->items[b][i];
            if (!about->live_differs) continue;
            if (!tkv_cache_superseded(about->cache, r->batches[b]->id, item->pos + item->tokens))
                continue;
            about->live_differs = false;
            about->superseded = true;
            v->report.skipped[TKV_SKIP_TRUNCATED]++;
        }
    }
    for (size_t f = 0; f < r->n_found; f++) {
        struct tkv_found *found = &r->found[f];
        const struct tkv_recheck_item *about = &r->items[found->batch][found->item];
        if (found->divergence.live && about->superseded) continue;
        if (!found->divergence.live) say_of_live(&found->divergence, about);
        r->found[kept++] = *found;
    }
    r->n_found = kept;
}

/* Divergent items, and in which batches they are. */
static void count_divergent(struct tkv_verify_report *report, const struct tkv_batch *b,
                            const struct tkv_recheck_item *items)
{
    uint64_t before = report->divergent_items;
    for (uint32_t i = 0; i < b->n; i++)
        report->divergent_items += items[i].kernel_differs || items[i].live_differs;
    if (report->divergent_items == before) return;
    if (report->divergent_batches.count++ == 0) report->divergent_batches.first = b->id;
    report->divergent_batches.last = b->id;
}

static enum tkv_status fill_report(struct verify_job *v)
{
    struct tkv_rerun *r = &v->rerun;
    struct tkv_verify_report *report = &v->report;
    size_t n = r->n_found < TKV_DIVERGENCES_MAX ? r->n_found : TKV_DIVERGENCES_MAX;
    report->divergences = calloc(n + 1, sizeof *report->divergences);
    if (report->divergences == NULL) return TKV_ENOMEM;
    for (size_t i = 0; i < n; i++)
        report->divergences[i] = r->found[i].divergence;
    report->n_divergences = n;
    for (size_t b = 0; b < r->n_batches; b++)
        count_divergent(report, r->batches[b], r->items[b]);
    report->bytes_compared = r->bytes_compared;
    report->ok = report->divergent_items == 0;
    report->duration_us = tkv_now_us() - v->started_us;
    return TKV_OK;
}

static void set_error(struct tkv_op *op, const struct verify_job *v, enum tkv_status st)
{
    if (st == TKV_EINVAL) {
        tkv_error_param(&op->error, "scratch_bytes",
                        "scratch_bytes %zu is too small for one layer of one item: it needs %zu",
                        v->rerun.scratch_bytes, v->rerun.needed_bytes);
        tkv_error_number(&op->error, needed, v->rerun.needed_bytes);
        tkv_error_number(&op->error, available, v->rerun.scratch_bytes);
    } else if (st == TKV_ENOMEM) {
        tkv_error_set(&op->error, st, "no memory for %zu scratch bytes", v->rerun.scratch_bytes);
        tkv_error_number(&op->error, needed, v->rerun.scratch_bytes);
    } else {
        tkv_error_set(&op->error, st, "the verification could not run on the device");
    }
}

static void count(struct tkv_core *core, const struct tkv_verify_report *report,
                  const struct tkv_op *by)
{
    tkv_stat_add(&core->stats.verify_runs, by != NULL);
    tkv_stat_add(&core->stats.verify_items, report->items_checked);
    tkv_stat_add(&core->stats.verify_divergent_items, report->divergent_items);

    if (!report->ok && (by != NULL || tkv_shadow_may_log(core)))
        tkv_log(TKV_LOG_ERROR, "divergence",
                "by=%s items=%llu first_batch=%llu first_seq=%llu detail=\"%s\"",
                by != NULL ? "verify" : "shadow", (unsigned long long)report->divergent_items,
                (unsigned long long)(report->n_divergences > 0 ? report->divergences[0].batch : 0),
                (unsigned long long)(report->n_divergences > 0 ? report->divergences[0].seq : 0),
                report->n_divergences > 0 ? report->divergences[0].detail.text : "");
    if (by == NULL) tkv_shadow_checked(core, report);
}

static void complete_verify(struct tkv_job *job, void *arg)
{
    struct tkv_core *core = arg;
    struct verify_job *v = (struct verify_job *)job;
    enum tkv_status st = job->status;
    if (st == TKV_OK) {
        drop_superseded(v);
        st = fill_report(v);
    }
    if (st == TKV_OK) count(core, &v->report, v->op);
    if (v->op == NULL) {
        if (st != TKV_OK) tkv_stat_add(&core->stats.shadow_missed, 1);
    } else if (st == TKV_OK) {
        v->op->result.verify = &v->report;
        tkv_core_finish(core, v->op);
    } else {
        set_error(v->op, v, st);
        tkv_core_finish(core, v->op);
    }
    if (st == TKV_OK && !v->report.ok) tkv_shadow_keep(core, &v->report, v->op == NULL);
    close_job(core, v);
    core->checker_busy = false;
    tkv_verify_next(core);
}

/* --- one at a time ------------------------------------------------------------------------------
 */

static void note_journal(const struct tkv_core *core, struct tkv_verify_report *report)
{
    const struct tkv_journal *journal = &core->journal;
    report->journal.oldest = journal->oldest != NULL ? journal->oldest->id : 0;
    report->journal.newest = journal->newest != NULL ? journal->newest->id : 0;
    report->journal.left = journal->evicted;
}

static struct verify_job *new_job(struct tkv_core *core, struct tkv_op *op)
{
    struct verify_job *v = calloc(1, sizeof *v);
    if (v == NULL) return NULL;
    uint64_t most = core->config->debug_scratch_bytes;
    v->op = op;
    note_journal(core, &v->report);
    v->started_us = tkv_now_us();
    v->rerun.stop = &core->stopping;
    v->rerun.engine = core->engine;
    v->rerun.checker = core->checker;
    v->rerun.scratch_bytes = (size_t)most;
    v->job = (struct tkv_job){.run = run_verify_job, .complete = complete_verify};
    return v;
}

/* Whether the checker got something to do. */
static bool begin(struct tkv_core *core, struct tkv_op *op)
{
    struct verify_job *v = new_job(core, op);
    const struct tkv_debug_verify *p = &op->request->params.debug_verify;
    if (v != NULL && p->scratch_bytes.given && p->scratch_bytes.value < v->rerun.scratch_bytes)
        v->rerun.scratch_bytes = (size_t)p->scratch_bytes.value;
    if (v == NULL || plan(core, v, p) != TKV_OK) {
        tkv_core_fail(core, op, TKV_ENOMEM, "no host memory for a verification");
        if (v != NULL) close_job(core, v);
        return false;
    }
    if (!all_known(core, v)) {
        tkv_core_finish(core, op);
        close_job(core, v);
        return false;
    }
    core->checker_busy = true;
    tkv_engine_submit(core->checker, &v->job);
    return true;
}

bool tkv_verify_batch(struct tkv_core *core, struct tkv_batch *batch)
{
    struct verify_job *v = new_job(core, NULL);
    enum tkv_status st = v != NULL && make_room(v, 1) ? add_batch(core, v, batch) : TKV_ENOMEM;
    tkv_batch_unref(batch);
    if (st != TKV_OK) {
        if (v != NULL) close_job(core, v);
        return false;
    }
    v->report.batches_checked = 1;
    core->checker_busy = true;
    tkv_engine_submit(core->checker, &v->job);
    return true;
}

/* One is planned at a time, and only once all that was submitted before it is done: it must see
 * those appends, and what waits in line must not keep records and caches from leaving. */
void tkv_verify_next(struct tkv_core *core)
{
    struct tkv_op *op;
    if (core->shadow.waits_its_turn) tkv_shadow_next(core);
    while (!core->checker_busy && (op = core->verifying.head) != NULL && tkv_core_is_oldest(op)) {
        tkv_op_unlink(&core->verifying, op);
        core->shadow.waits_its_turn = begin(core, op);
    }
    tkv_shadow_next(core);
}

void tkv_run_verify(struct tkv_core *core, struct tkv_op *op)
{
    tkv_op_push(&core->verifying, op);
    tkv_verify_next(core);
}
