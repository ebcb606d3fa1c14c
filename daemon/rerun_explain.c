/* rerun_explain.c - a plane that differs becomes a finding: where, how far, and of what kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/classify.h"
#include "daemon/rerun_impl.h"
#include "kernels/compare.h"

struct tkv_found *tkv_new_finding(struct tkv_rerun *r)
{
    if (r->n_found == r->found_room) {
        size_t room = r->found_room > 0 ? r->found_room * 2 : 64;
        struct tkv_found *found = realloc(r->found, room * sizeof *found);
        if (found == NULL) return NULL;
        r->found = found;
        r->found_room = room;
    }
    struct tkv_found *f = &r->found[r->n_found++];
    memset(f, 0, sizeof *f);
    return f;
}

/* The kernel's doing is in the batch's own rows; damage to a live cache may come from any. */
static const struct tkv_row_index *index_for(struct rerun_run *run, uint32_t batch, bool live)
{
    struct tkv_rerun *r = run->r;
    const struct tkv_model *model = r->batches[batch]->model;
    tkv_engine_progress(r->checker);
    if (live && run->all_model != model) {
        tkv_row_index_close(run->all_index);
        run->all_index = tkv_row_index_open(model, r->batches, r->n_batches, INDEX_ROWS_MAX);
        run->all_model = model;
    }
    if (!live && run->indexed != batch) {
        tkv_row_index_close(run->batch_index);
        run->batch_index = tkv_row_index_open(model, &r->batches[batch], 1, INDEX_ROWS_MAX);
        run->indexed = batch;
    }
    return live ? run->all_index : run->batch_index;
}

static void fill_map(struct tkv_divergence_map *to, const struct tkv_plane_map *from, uint32_t base)
{
    _Static_assert((int)TKV_PLANE_CELLS == (int)TKV_MAP_CELLS, "one cell is one cell");
    to->n_heads = from->n_heads;
    to->heads_per_cell = from->heads_per_cell;
    to->n_positions = from->n_positions;
    to->positions_per_cell = from->positions_per_cell;
    to->pos = from->pos + base;
    memcpy(to->heads, from->heads, sizeof to->heads);
    memcpy(to->positions, from->positions, sizeof to->positions);
}

/* The numbers of a plane, per item against other. */
static void fill_numbers(struct tkv_divergence *d, const struct tkv_suspect *s,
                         const struct tkv_geometry *g, const void *expected)
{
    struct tkv_plane_stats numbers, *stats = &numbers;
    struct tkv_plane_map map;
    uint32_t base = s->base;
    tkv_plane_stats(g, s->positions, expected, s->other, stats);
    tkv_plane_mismatch(g, s->positions, expected, s->other, &map);
    fill_map(&d->map, &map, base);
    d->finite = stats->finite;
    d->max_abs_diff = stats->max_abs_diff;
    d->mismatched_bytes = stats->mismatched_bytes;
    d->worst.kv_head = stats->worst.kv_head;
    d->worst.kv_pos = stats->worst.kv_pos + base;
    d->worst.dim = stats->worst.dim;
    d->worst.per_item = stats->worst.expected;
    d->worst.other = stats->worst.other;
    d->nonzero_per_item = stats->nonzero_expected;
    d->nonzero_other = stats->nonzero_other;
}

/* What a plane of an item is compared as. */
static struct tkv_suspect suspect_of(const struct rerun_run *run, const struct part *part,
                                     const struct part_item *p, size_t plane, bool live)
{
    struct tkv_rerun *r = run->r;
    return (struct tkv_suspect){
        .batches = live ? r->batches : &r->batches[part->batch],
        .batch = live ? part->batch : 0,
        .item = p->index,
        .layer = p->first_layer + (uint32_t)(plane / TKV_KV),
        .kv = (uint32_t)(plane % TKV_KV),
        .base = live ? p->base + p->item.pos : p->base,
        .positions = live ? p->item.tokens : p->item.capacity,
        .expected = run->host,
        .other = run->host + (live ? p->live_plane_bytes : p->plane_bytes),
        .live = live,
    };
}

/* Whether rows differ where the item has none: then it matters how large the scratch cache is. */
static bool differs_elsewhere(const struct tkv_geometry *g, const struct tkv_suspect *s,
                              const struct part_item *p)
{
    size_t size = tkv_dtype_size(g->dtype), bytes = g->head_dim * size;
    for (uint32_t h = 0; h < g->n_kv_heads; h++) {
        for (uint32_t pos = 0; pos < s->positions; pos++) {
            if (pos >= p->item.pos && pos - p->item.pos < p->item.tokens) continue;
            size_t at = tkv_row_offset(g, s->positions, h, pos) * size;
            if (memcmp((const uint8_t *)s->expected + at, (const uint8_t *)s->other + at, bytes) !=
                0)
                return true;
        }
    }
    return false;
}

/* The checker is at work, and does not hang. */
static void go_on(void *checker)
{
    tkv_engine_progress(checker);
}

static struct tkv_found *add_finding(struct rerun_run *run, const struct part *part,
                                     struct tkv_suspect *s, const void *expected)
{
    const struct tkv_batch *b = run->r->batches[part->batch];
    s->index = index_for(run, part->batch, s->live);
    struct tkv_found *f = s->index != NULL ? tkv_new_finding(run->r) : NULL;
    if (f == NULL) return NULL;
    s->progress = go_on;
    s->arg = run->r->checker;
    f->batch = part->batch;
    f->item = s->item;
    f->divergence.seq = b->owners[s->item].seq;
    f->divergence.batch = b->id;
    f->divergence.layer = s->layer;
    f->divergence.is_v = s->kv == TKV_V;
    f->divergence.live = s->live;
    fill_numbers(&f->divergence, s, &b->model->geom, expected);
    tkv_classify(s, &f->divergence);
    return f;
}

enum tkv_status tkv_explain(struct rerun_run *run, const struct part *part,
                            const struct part_item *p, size_t plane, bool live)
{
    struct tkv_suspect s = suspect_of(run, part, p, plane, live);
    struct tkv_found *f = add_finding(run, part, &s, s.expected);
    if (f == NULL) return TKV_ENOMEM;
    if (!live) f->elsewhere = differs_elsewhere(&run->r->batches[part->batch]->model->geom, &s, p);
    return TKV_OK;
}

enum tkv_status tkv_explain_beside(struct rerun_run *run, const struct part *part,
                                   const struct part_item *p, size_t plane, const void *batched)
{
    struct tkv_suspect s = suspect_of(run, part, p, plane, true);
    const void *expected = s.expected;
    s.expected = batched;
    struct tkv_found *f = add_finding(run, part, &s, expected);
    if (f == NULL) return TKV_ENOMEM;
    f->beside = true;
    char *text = f->divergence.detail.text;
    size_t len = strlen(text);
    snprintf(text + len, sizeof f->divergence.detail.text - len,
             "; this the kernel's own bug does not explain");
    return TKV_OK;
}

struct tkv_found *tkv_kernel_finding(struct rerun_run *run, uint32_t item, uint32_t layer,
                                     bool is_v)
{
    struct tkv_rerun *r = run->r;
    for (size_t i = r->n_found; i-- > run->first_found;) {
        const struct tkv_divergence *d = &r->found[i].divergence;
        if (r->found[i].item == item && d->layer == layer && d->is_v == is_v && !d->live)
            return &r->found[i];
    }
    return NULL;
}
