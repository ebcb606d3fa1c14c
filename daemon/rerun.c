#include "daemon/rerun.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "daemon/rerun_impl.h"

/* On a CPU parts that stay in its caches are quicker than those that memory allows, and appends get
 * their turn between them. */
enum { PART_BYTES_CPU = 4 << 20 };

/* A part that does not fit is halved: by layers first, because items next to each other are
 * evidence of what a batched launch mixes up. */
static enum tkv_status run_range(struct rerun_run *run, struct part part)
{
    part.items = NULL;
    if (atomic_load(run->r->stop)) return TKV_EDRAINING;
    if (!tkv_part_measure(run, &part)) return TKV_ENOMEM;
    size_t bytes = tkv_part_bytes(&part), limit = run->r->scratch_bytes;
    bool divisible = part.layer_end - part.layer_begin > 1;
    if (!run->uploads && divisible && limit > PART_BYTES_CPU) limit = PART_BYTES_CPU;
    if (bytes <= limit) {
        enum tkv_status st = part.n_items > 0 ? tkv_part_run(run, &part) : TKV_OK;
        tkv_part_close(&part);
        return st;
    }
    tkv_part_close(&part);
    struct part half = part, rest = part;
    if (part.layer_end - part.layer_begin > 1) {
        half.layer_end = rest.layer_begin =
            part.layer_begin + (part.layer_end - part.layer_begin) / 2;
    } else if (part.n > 1) {
        half.n = part.n / 2 + (part.n / 2 > 1 ? part.n / 2 % 2 : 0); /* pairs stay together */
        rest.first += half.n;
        rest.n -= half.n;
    } else {
        return TKV_EINVAL;
    }
    enum tkv_status st = run_range(run, half);
    return st == TKV_OK ? run_range(run, rest) : st;
}

static bool kernel_differs(const struct tkv_rerun *r, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (!r->found[i].divergence.live) return true;
    }
    return false;
}

/* Whether the whole capacity of every item is worth a second look: one layer must fit, and all of
 * them must not take forever. */
static bool affordable(struct rerun_run *run, struct part part)
{
    part.whole = true;
    part.items = NULL;
    uint32_t layers = part.layer_end - part.layer_begin;
    part.layer_end = part.layer_begin + 1;
    size_t bytes = 0, limit = run->r->scratch_bytes;
    bool fits = tkv_part_measure(run, &part) && tkv_part_bytes(&part) <= limit &&
                tkv_mul(tkv_part_bytes(&part), layers, &bytes);
    tkv_part_close(&part);
    return fits && bytes / 4 <= limit;
}

static bool same_plane(const struct tkv_found *a, const struct tkv_found *b)
{
    return a->item == b->item && a->divergence.layer == b->divergence.layer &&
           a->divergence.is_v == b->divergence.is_v && a->divergence.live == b->divergence.live;
}

static struct tkv_found *find_plane(struct tkv_rerun *r, size_t from, size_t to,
                                    const struct tkv_found *of)
{
    for (size_t i = from; i < to; i++) {
        if (same_plane(&r->found[i], of)) return &r->found[i];
    }
    return NULL;
}

/* Whether the second look was at the plane of a finding and did not see it again: what is said of
 * damage beside the kernel's bug takes whole caches to be right. */
static bool is_refuted(struct tkv_rerun *r, const struct tkv_found *f, size_t to)
{
    struct tkv_found kernel = *f;
    kernel.divergence.live = false;
    return f->beside && find_plane(r, to, r->n_found, &kernel) != NULL &&
           find_plane(r, to, r->n_found, f) == NULL;
}

/* Findings of the windows, [from, to), give way to those of whole caches about the same plane, but
 * for what they know of the live ones; whatever the second look did not come to stays. */
static void replace_findings(struct tkv_rerun *r, size_t from, size_t to)
{
    size_t kept = from, added = to;
    for (size_t i = from; i < to; i++) {
        if (!is_refuted(r, &r->found[i], to)) r->found[kept++] = r->found[i];
    }
    for (size_t i = to; i < r->n_found; i++) {
        struct tkv_found *old = find_plane(r, from, kept, &r->found[i]);
        if (old == NULL) {
            r->found[added++] = r->found[i];
            continue;
        }
        const char *live = old->divergence.detail.live;
        *old = r->found[i];
        if (live != NULL) old->divergence.detail.live = live;
    }
    memmove(r->found + kept, r->found + to, (added - to) * sizeof *r->found);
    r->n_found = kept + added - to;
}

static enum tkv_status check_batch(struct rerun_run *run, uint32_t at)
{
    struct tkv_rerun *r = run->r;
    const struct tkv_batch *b = r->batches[at];
    struct part part = {.batch = at, .n = b->n, .layer_end = b->model->geom.n_layers};
    size_t before = run->first_found = r->n_found;
    enum tkv_status st = run_range(run, part);
    size_t after = r->n_found;
    if (st != TKV_OK || !kernel_differs(r, before, after) || !affordable(run, part)) return st;
    part.whole = true;
    run->first_found = after;
    run->found_limit += after - before; /* they replace each other */
    st = run_range(run, part);
    run->found_limit -= after - before;
    if (st == TKV_OK && r->n_found > after) replace_findings(r, before, after);
    return st;
}

/* The smallest part of every item: what scratch memory must hold for all of them. */
static size_t needed_for_all(struct rerun_run *run)
{
    size_t needed = 0;
    for (uint32_t at = 0; at < run->r->n_batches; at++) {
        const struct tkv_batch *b = run->r->batches[at];
        for (uint32_t i = 0; i < b->n; i++) {
            uint32_t layer = b->items[i].layer_begin;
            struct part part = {.batch = at, .first = i, .n = 1, .layer_begin = layer};
            part.layer_end = layer + 1;
            if (tkv_part_measure(run, &part) && tkv_part_bytes(&part) > needed)
                needed = tkv_part_bytes(&part);
            tkv_part_close(&part);
        }
    }
    return needed;
}

enum tkv_status tkv_rerun_all(struct tkv_rerun *rerun)
{
    struct rerun_run run = {.r = rerun, .indexed = SIZE_MAX};
    run.found_limit = (size_t)2 * TKV_DIVERGENCES_MAX;
    run.uploads = tkv_device_backend(rerun->dev) == TKV_BACKEND_CUDA;
    void *scratch = NULL;
    enum tkv_status st = TKV_OK;
    if (rerun->n_batches == 0) return TKV_OK;
    st = tkv_scratch_kept(rerun->dev, rerun->scratch_bytes, &scratch);
    if (st != TKV_OK) return st;
    run.scratch = scratch;
    for (uint32_t b = 0; b < rerun->n_batches && st == TKV_OK; b++)
        st = check_batch(&run, b);
    if (st == TKV_EINVAL) rerun->needed_bytes = needed_for_all(&run);
    tkv_row_index_close(run.batch_index);
    tkv_row_index_close(run.all_index);
    free(run.host);
    free(run.counts);
    return st;
}
