#include "daemon/shadow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/core_impl.h"

void tkv_shadow_init(struct tkv_core *core)
{
    core->shadow = (struct tkv_shadow){.random = tkv_now_ns() | 1};
}

void tkv_shadow_close(struct tkv_core *core)
{
    struct tkv_shadow *s = &core->shadow;
    for (uint32_t i = 0; i < s->n_pending; i++)
        tkv_batch_unref(s->pending[i]);
    s->n_pending = 0;
    free(s->first.report.divergences);
    free(s->newest.report.divergences);
    s->first = s->newest = (struct tkv_kept){0};
}

/* By chance and not every n-th: a step's batches may have a rhythm of their own. */
static bool chosen(struct tkv_core *core)
{
    uint64_t x = core->shadow.random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    core->shadow.random = x;
    return (x >> 11) % TKV_WHOLE < core->config->shadow_sample;
}

void tkv_shadow_offer(struct tkv_core *core, struct tkv_batch *batch)
{
    struct tkv_shadow *s = &core->shadow;
    if (core->config->shadow_sample == 0 || !chosen(core)) return;
    if (s->n_pending == TKV_SHADOW_PENDING_MAX) {
        tkv_stat_add(&core->stats.shadow_missed, 1);
        return;
    }
    batch->refs++;
    s->pending[s->n_pending++] = batch;
}

void tkv_shadow_next(struct tkv_core *core)
{
    struct tkv_shadow *s = &core->shadow;
    if (!core->checker_busy) s->waits_its_turn = false;
    while (!core->checker_busy && s->n_pending > 0) {
        struct tkv_batch *batch = s->pending[0];
        s->n_pending--;
        memmove(s->pending, s->pending + 1, s->n_pending * sizeof(struct tkv_batch *));
        if (!tkv_verify_batch(core, batch)) tkv_stat_add(&core->stats.shadow_missed, 1);
    }
}

bool tkv_shadow_may_log(struct tkv_core *core)
{
    const uint64_t pause_ms = 10000;
    uint64_t now = tkv_now_ms();
    if (core->shadow.logged_ms != 0 && now - core->shadow.logged_ms < pause_ms) return false;
    core->shadow.logged_ms = now;
    return true;
}

void tkv_shadow_checked(struct tkv_core *core, const struct tkv_verify_report *report)
{
    tkv_stat_add(&core->stats.shadow_batches, 1);
    tkv_stat_add(&core->stats.shadow_divergent_items, report->divergent_items);
    if (!report->ok) tkv_core_diverged(core, "shadow mode found a divergence (debug.last has it)");
}

void tkv_shadow_keep(struct tkv_core *core, struct tkv_verify_report *report, bool shadow)
{
    struct tkv_shadow *s = &core->shadow;
    struct tkv_kept *to = s->first.given ? &s->newest : &s->first;
    assert(!report->ok);
    free(to->report.divergences);
    *to = (struct tkv_kept){true, shadow, tkv_now_ms(), *report};
    report->divergences = NULL;
    report->n_divergences = 0;
}

static struct tkv_kept_report kept(const struct tkv_kept *k)
{
    if (!k->given) return (struct tkv_kept_report){0};
    return (struct tkv_kept_report){&k->report, k->shadow, tkv_now_ms() - k->at_ms};
}

void tkv_run_last(struct tkv_core *core, struct tkv_op *op)
{
    const struct tkv_shadow *s = &core->shadow;
    op->result.last.newest = kept(s->newest.given ? &s->newest : &s->first);
    op->result.last.first = kept(s->newest.given ? &s->first : &s->newest);
    tkv_core_finish(core, op);
}
