/* rerun_sums.c - checksums are recomputed like rows: plainly from the source, by the batched
 * append, and as the live caches have them. A batched append that loads the wrong rows sums the
 * wrong rows: a scrub alone would never know. */
#include <stdio.h>

#include "base/checked.h"
#include "daemon/rerun_impl.h"
#include "kernels/checksum.h"
#include "kernels/compare.h"

bool tkv_part_sums_bytes(const struct rerun_run *run, const struct part *part,
                         const struct part_item *p, size_t *out)
{
    struct tkv_geometry g = tkv_part_geometry(run, part);
    return tkv_mul(p->item.capacity, tkv_sums_each(&g) * sizeof(uint64_t), out);
}

size_t tkv_part_live_sums_bytes(const struct part_item *p)
{
    return (size_t)p->item.tokens * p->item.layer_end * TKV_KV * sizeof(uint64_t);
}

uint64_t *tkv_part_sums(const struct rerun_run *run, const struct part *part,
                        const struct part_item *p, enum part_side side)
{
    if (p->sums_offset == 0) return NULL;
    return (uint64_t *)(void *)(tkv_part_side(run, part, side) + p->offset + p->sums_offset);
}

enum tkv_status tkv_part_sum(struct rerun_run *run, const struct part *part, enum part_side side)
{
    struct tkv_geometry g = tkv_part_geometry(run, part);
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        uint64_t *sums = tkv_part_sums(run, part, p, side);
        struct tkv_checksum_range rows = {.block = p->item.rows,
                                          .dtype = p->item.rows_dtype,
                                          .positions = p->item.tokens,
                                          .tokens = p->item.tokens,
                                          .layers = p->item.layer_end};
        if (sums == NULL) continue;
        st = tkv_checksums(run->r->dev, &g, &rows, sums + tkv_sum_offset(&g, p->item.pos, 0, TKV_K),
                           tkv_sums_each(&g));
    }
    return st;
}

/* Wrong checksums beside right rows are a finding of their own; beside wrong rows they go without
 * saying. */
static enum tkv_status add_finding(struct rerun_run *run, const struct part *part,
                                   const struct part_item *p, bool live, uint64_t bytes)
{
    const struct tkv_batch *b = run->r->batches[part->batch];
    if (run->r->n_found >= run->found_limit) return TKV_OK;
    struct tkv_found *f = tkv_new_finding(run->r);
    if (f == NULL) return TKV_ENOMEM;
    f->batch = part->batch;
    f->item = p->index;
    f->divergence.seq = b->owners[p->index].seq;
    f->divergence.batch = b->id;
    f->divergence.layer = p->first_layer;
    f->divergence.live = live;
    f->divergence.kind = TKV_KIND_UNKNOWN;
    f->divergence.mismatched_bytes = bytes;
    snprintf(f->divergence.detail.text, sizeof f->divergence.detail.text,
             live ? "the rows are right, the checksums beside them are not those of their source"
                  : "the batched append sums other rows than those that it was given");
    return TKV_OK;
}

enum tkv_status tkv_part_compare_sums(struct rerun_run *run, const struct part *part,
                                      const struct part_item *p, uint64_t *sum)
{
    struct tkv_recheck_item *about = &run->r->items[part->batch][p->index];
    size_t bytes;
    uint64_t differing = 0;
    if (p->sums_offset == 0 || !tkv_part_sums_bytes(run, part, p, &bytes)) return TKV_OK;
    enum tkv_status st =
        tkv_compare_planes(run->r->dev, tkv_part_sums(run, part, p, TKV_SIDE_EXPECTED),
                           tkv_part_sums(run, part, p, TKV_SIDE_OTHER), bytes, 1, &differing);
    *sum += differing;
    if (st != TKV_OK || differing == 0 || !about->selected || about->kernel_differs) return st;
    about->kernel_differs = true;
    return add_finding(run, part, p, false, differing);
}

enum tkv_status tkv_part_compare_live_sums(struct rerun_run *run, const struct part *part,
                                           const struct part_item *p)
{
    struct tkv_recheck_item *about = &run->r->items[part->batch][p->index];
    size_t at = p->live_offset + p->live_sums_offset;
    uint64_t differing = 0;
    if (p->live_sums_offset == 0) return TKV_OK;
    enum tkv_status st = tkv_compare_planes(
        run->r->dev, tkv_part_side(run, part, TKV_SIDE_EXPECTED_LIVE) + at,
        tkv_part_side(run, part, TKV_SIDE_LIVE) + at, tkv_part_live_sums_bytes(p), 1, &differing);
    if (st != TKV_OK || differing == 0 || about->live_differs || about->kernel_differs) return st;
    about->live_differs = true;
    return add_finding(run, part, p, true, differing);
}
