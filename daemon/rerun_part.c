/* rerun_part.c - one part of a recorded batch: measured, run both ways, compared. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "daemon/classify.h"
#include "daemon/rerun_impl.h"
#include "kernels/compare.h"

/* --- measuring -------------------------------------------------------------------------------- */

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* The item in scratch coordinates: its layers from 0, its positions from the window's first. */
static void set_window(const struct part *part, const struct tkv_append_item *item,
                       struct part_item *out)
{
    uint32_t begin = item->layer_begin > part->layer_begin ? item->layer_begin : part->layer_begin;
    uint32_t end = item->layer_end < part->layer_end ? item->layer_end : part->layer_end;
    uint32_t before = part->whole || item->pos < TKV_WINDOW ? item->pos : TKV_WINDOW;
    uint32_t room = item->capacity - item->pos - item->tokens;
    uint32_t after = part->whole || room < TKV_WINDOW ? room : TKV_WINDOW;
    out->base = item->pos - before;
    out->first_layer = begin;
    out->item = *item;
    out->item.cache = NULL;
    out->item.sums = NULL; /* those are the live cache's */
    out->item.pos = before;
    out->item.capacity = before + item->tokens + after;
    out->item.layer_begin = 0;
    out->item.layer_end = end - begin;
}

/* Bytes of a plane and of all planes of a scratch cache and of the gathered rows. */
static bool measure_item(struct rerun_run *run, const struct part *part, uint32_t index,
                         struct part_item *out, size_t *bytes, size_t *live_bytes)
{
    const struct tkv_batch *b = run->r->batches[part->batch];
    const struct tkv_append_item *item = &b->items[index];
    const struct tkv_geometry *g = &b->model->geom;
    size_t element = tkv_dtype_size(g->dtype);
    set_window(part, item, out);
    out->index = index;
    size_t skipped = tkv_plane_offset(g, item->tokens, out->first_layer - item->layer_begin, TKV_K);
    out->item.rows = (const uint8_t *)item->rows + skipped * tkv_dtype_size(item->rows_dtype);
    out->rows_bytes = tkv_plane_offset(g, item->tokens, out->item.layer_end, TKV_K) *
                      tkv_dtype_size(item->rows_dtype);
    out->plane_bytes = tkv_plane_elements(g, out->item.capacity) * element;
    out->live_plane_bytes = tkv_plane_elements(g, item->tokens) * element;
    size_t planes = (size_t)out->item.layer_end * TKV_KV, sums_bytes;
    const struct tkv_recheck_item *about = &run->r->items[part->batch][index];
    bool compare_live =
        about->selected && about->cache != NULL && (!part->whole || about->kernel_differs);
    if (!compare_live) out->live_plane_bytes = 0;
    if (!tkv_mul(out->plane_bytes, planes, bytes) ||
        !tkv_mul(out->live_plane_bytes, planes, live_bytes) ||
        !tkv_part_sums_bytes(run, part, out, &sums_bytes))
        return false;
    if (item->sums == NULL) return true;
    out->sums_offset = round_up(*bytes, GUARD_BYTES);
    *bytes = out->sums_offset + sums_bytes;
    if (!compare_live) return true;
    out->live_sums_offset = round_up(*live_bytes, GUARD_BYTES);
    *live_bytes = out->live_sums_offset + tkv_part_live_sums_bytes(out);
    return true;
}

bool tkv_part_measure(struct rerun_run *run, struct part *part)
{
    const struct tkv_batch *b = run->r->batches[part->batch];
    part->items = calloc(part->n, sizeof *part->items);
    if (part->items == NULL) return false;
    part->n_items = 0;
    part->span = GUARD_BYTES;
    part->live_span = 0;
    part->rows_span = 0;
    for (uint32_t i = part->first; i < part->first + part->n; i++) {
        const struct tkv_append_item *item = &b->items[i];
        size_t bytes, live_bytes;
        if (item->layer_begin >= part->layer_end || item->layer_end <= part->layer_begin) continue;
        struct part_item *p = &part->items[part->n_items++];
        if (!measure_item(run, part, i, p, &bytes, &live_bytes)) return false;
        p->offset = part->span;
        p->live_offset = part->live_span;
        p->rows_offset = part->rows_span;
        part->span += round_up(bytes, GUARD_BYTES) + GUARD_BYTES;
        part->live_span += round_up(live_bytes, GUARD_BYTES);
        if (run->uploads) part->rows_span += round_up(p->rows_bytes, GUARD_BYTES);
    }
    part->span = round_up(part->span, PIECE);
    part->live_span = round_up(part->live_span, PIECE);
    return true;
}

void tkv_part_close(struct part *part)
{
    free(part->items);
    part->items = NULL;
}

size_t tkv_part_bytes(const struct part *part)
{
    return 2 * (part->span + part->live_span) + part->rows_span;
}

/* --- the two re-runs -------------------------------------------------------------------------- */

uint8_t *tkv_part_side(const struct rerun_run *run, const struct part *part, enum part_side side)
{
    uint8_t *at = run->scratch;
    switch (side) {
    case TKV_SIDE_EXPECTED: return at;
    case TKV_SIDE_OTHER: return at + part->span;
    case TKV_SIDE_EXPECTED_LIVE: return at + 2 * part->span;
    case TKV_SIDE_LIVE: return at + 2 * part->span + part->live_span;
    default: return at + 2 * (part->span + part->live_span);
    }
}

struct tkv_geometry tkv_part_geometry(const struct rerun_run *run, const struct part *part)
{
    struct tkv_geometry g = run->r->batches[part->batch]->model->geom;
    g.n_layers = part->layer_end - part->layer_begin;
    return g;
}

static enum tkv_status run_per_item(struct rerun_run *run, const struct part *part)
{
    struct tkv_geometry g = tkv_part_geometry(run, part);
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        struct tkv_append_item item = part->items[i].item;
        item.cache = tkv_part_side(run, part, TKV_SIDE_EXPECTED) + part->items[i].offset;
        st = tkv_append_each(run->r->dev, &g, &item);
    }
    return st == TKV_OK ? tkv_part_sum(run, part, TKV_SIDE_EXPECTED) : st;
}

/* What of a plan is the kernel's doing: a flipped bit is damage to the live cache. */
static struct tkv_fault_plan kernel_plan(const struct tkv_fault_plan *served)
{
    struct tkv_fault_plan plan = {0};
    for (uint32_t k = 0; k < served->n; k++) {
        if (served->faults[k].fault != TKV_FAULT_BIT_FLIP)
            plan.faults[plan.n++] = served->faults[k];
    }
    return plan;
}

/* Through the variant that served the batch. */
static enum tkv_status run_batched(struct rerun_run *run, const struct part *part)
{
    const struct tkv_batch *b = run->r->batches[part->batch];
    struct tkv_geometry g = tkv_part_geometry(run, part);
    struct tkv_fault_plan plan = kernel_plan(&b->plan);
    struct tkv_append_item *items = calloc(part->n_items, sizeof *items);
    struct tkv_fault_place *places = calloc(part->n_items, sizeof *places);
    struct tkv_fault_origin origin = {b->items, b->n, b->model->geom.n_layers, places};
    enum tkv_status st = items != NULL && places != NULL ? TKV_OK : TKV_ENOMEM;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        items[i] = p->item;
        items[i].cache = tkv_part_side(run, part, TKV_SIDE_OTHER) + p->offset;
        items[i].sums = tkv_part_sums(run, part, p, TKV_SIDE_OTHER);
        places[i] = (struct tkv_fault_place){p->index, p->first_layer};
    }
    if (st == TKV_OK)
        st = plan.n == 0 ? tkv_append_batched(run->r->dev, &g, items, part->n_items)
                         : tkv_append_faulty(run->r->dev, &g, items, part->n_items, &plan, &origin);
    if (st == TKV_OK && plan.n > 0)
        st = tkv_part_sum(run, part, TKV_SIDE_OTHER); /* as run_batch() */
    free(items);
    free(places);
    return st;
}

static enum tkv_status run_both(struct rerun_run *run, const struct part *part)
{
    struct tkv_device *dev = run->r->dev;
    enum tkv_status st = tkv_device_fill(dev, run->scratch, TKV_POISON, 2 * part->span);
    if (st == TKV_OK) st = run_per_item(run, part);
    if (st == TKV_OK) st = run_batched(run, part);
    return st == TKV_OK ? tkv_device_sync(dev) : st;
}

/* --- comparing -------------------------------------------------------------------------------- */

static bool counts_room(struct rerun_run *run, size_t n)
{
    if (n <= run->n_counts) return true;
    uint64_t *counts = realloc(run->counts, n * sizeof *counts);
    if (counts == NULL) return false;
    run->counts = counts;
    run->n_counts = n;
    return true;
}

enum tkv_status tkv_part_differing(struct rerun_run *run, const uint8_t *a, const uint8_t *b,
                                   size_t bytes, uint64_t *out)
{
    size_t n = bytes / PIECE;
    *out = 0;
    if (!counts_room(run, n)) return TKV_ENOMEM;
    enum tkv_status st = tkv_compare_planes(run->r->dev, a, b, PIECE, n, run->counts);
    for (size_t i = 0; i < n && st == TKV_OK; i++)
        *out += run->counts[i];
    run->r->bytes_compared += bytes;
    return st;
}

bool tkv_host_room(struct rerun_run *run, size_t bytes)
{
    if (bytes <= run->host_bytes) return true;
    uint8_t *host = realloc(run->host, bytes);
    if (host == NULL) return false;
    run->host = host;
    run->host_bytes = bytes;
    return true;
}

/* Both planes on the host, one behind the other. */
static enum tkv_status fetch_planes(struct rerun_run *run, const uint8_t *a, const uint8_t *b,
                                    size_t bytes)
{
    if (!tkv_host_room(run, 2 * bytes)) return TKV_ENOMEM;
    enum tkv_status st = tkv_device_copy(run->r->dev, run->host, a, bytes);
    if (st == TKV_OK) st = tkv_device_copy(run->r->dev, run->host + bytes, b, bytes);
    return st == TKV_OK ? tkv_device_sync(run->r->dev) : st;
}

/* Differing bytes of an item's planes into run->counts, and their sum. */
enum tkv_status tkv_part_count(struct rerun_run *run, const struct part_item *p, bool live,
                               const uint8_t *expected, const uint8_t *other, uint64_t *sum)
{
    size_t bytes = live ? p->live_plane_bytes : p->plane_bytes;
    size_t planes = (size_t)p->item.layer_end * TKV_KV;
    if (!counts_room(run, planes)) return TKV_ENOMEM;
    enum tkv_status st =
        tkv_compare_planes(run->r->dev, expected, other, bytes, planes, run->counts);
    for (size_t i = 0; i < planes && st == TKV_OK; i++)
        *sum += run->counts[i];
    return st;
}

/* A plane that differs becomes a finding; past the limit of the list it is only counted. */
enum tkv_status tkv_part_list(struct rerun_run *run, const struct part *part,
                              const struct part_item *p, size_t plane, bool live,
                              const uint8_t *expected, const uint8_t *other)
{
    size_t bytes = live ? p->live_plane_bytes : p->plane_bytes;
    if (run->r->n_found >= run->found_limit) return TKV_OK;
    enum tkv_status st = fetch_planes(run, expected + plane * bytes, other + plane * bytes, bytes);
    return st == TKV_OK ? tkv_explain(run, part, p, plane, live) : st;
}

/* Per item against batched, all planes of one item. Adds its differing bytes to *sum. */
static enum tkv_status compare_item(struct rerun_run *run, const struct part *part,
                                    const struct part_item *p, const uint8_t *expected,
                                    const uint8_t *other, uint64_t *sum)
{
    struct tkv_recheck_item *about = &run->r->items[part->batch][p->index];
    enum tkv_status st = tkv_part_count(run, p, false, expected, other, sum);
    for (size_t i = 0; i < (size_t)p->item.layer_end * TKV_KV && st == TKV_OK; i++) {
        if (run->counts[i] == 0 || !about->selected) continue;
        about->kernel_differs = true;
        st = tkv_part_list(run, part, p, i, false, expected, other);
    }
    return st;
}

/* Something was written outside of every cache of the part. */
static enum tkv_status report_guard(struct rerun_run *run, const struct part *part, uint64_t bytes)
{
    const struct tkv_batch *b = run->r->batches[part->batch];
    const struct part_item *p = &part->items[0];
    for (uint32_t i = 0; i < part->n_items; i++) {
        if (run->r->items[part->batch][part->items[i].index].selected) p = &part->items[i];
    }
    struct tkv_found *f = tkv_new_finding(run->r);
    if (f == NULL) return TKV_ENOMEM;
    f->batch = part->batch;
    f->item = p->index;
    f->divergence.seq = b->owners[p->index].seq;
    f->divergence.batch = b->id;
    f->divergence.layer = p->first_layer + p->item.layer_end - 1;
    f->divergence.is_v = true;
    f->divergence.kind = TKV_KIND_STRAY_WRITE;
    f->divergence.mismatched_bytes = bytes;
    snprintf(f->divergence.detail.text, sizeof f->divergence.detail.text,
             "%llu guard bytes outside of every cache were written", (unsigned long long)bytes);
    run->r->items[part->batch][p->index].kernel_differs = true;
    return TKV_OK;
}

static enum tkv_status compare_paths(struct rerun_run *run, const struct part *part)
{
    uint64_t differing;
    const uint8_t *expected = tkv_part_side(run, part, TKV_SIDE_EXPECTED);
    const uint8_t *other = tkv_part_side(run, part, TKV_SIDE_OTHER);
    enum tkv_status st = tkv_part_differing(run, expected, other, part->span, &differing);
    if (st != TKV_OK || differing == 0) return st;
    uint64_t inside = 0;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        st = compare_item(run, part, p, expected + p->offset, other + p->offset, &inside);
        if (st == TKV_OK) st = tkv_part_compare_sums(run, part, p, &inside);
    }
    return st != TKV_OK || differing <= inside ? st : report_guard(run, part, differing - inside);
}

enum tkv_status tkv_part_run(struct rerun_run *run, struct part *part)
{
    tkv_part_make_way(run);
    enum tkv_status st = run->uploads ? tkv_part_upload(run, part) : TKV_OK;
    if (st == TKV_OK) st = run_both(run, part);
    if (st == TKV_OK) st = compare_paths(run, part);
    if (st == TKV_OK) st = tkv_part_live(run, part);
    return st;
}
