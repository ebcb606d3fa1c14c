/* fault_rows.h - what each fault does to one row, for the faulty launchers of both backends.
 * Private to kernels/. Any thread, host and device.
 * Rows of an item are numbered as they lie in its block; a fault maps a row to a wrong source or a
 * wrong destination. Sources are clamped to the block that they are read from and destinations stay
 * in the item's own cache, so that a broken variant is memory safe for any batch. Within a pass no
 * two rows of an item land on the same place, and passes run one after the other: what a plan does
 * is the same in every run. Who an item's neighbours are, and whose rows it gets, is asked of the
 * batch as it was served; where its rows go, of the item at hand. */
#ifndef TKV_KERNELS_FAULT_ROWS_H
#define TKV_KERNELS_FAULT_ROWS_H

#include "kernels/faults.h"

/* BIT_FLIP: the bit of the 16-bit element; in the mantissa of both cache dtypes. A second flip of a
 * plan takes the bit below, so that two of them do not undo each other. */
enum { TKV_FAULT_FLIPPED_BIT = 6 };

/* One call of tkv_append_faulty(). */
struct tkv_fault_job {
    struct tkv_geometry geom;
    const struct tkv_append_item *items; /* [n] where rows go */
    uint32_t n;
    const struct tkv_append_item *batch; /* [n_batch] where rows come from */
    uint32_t n_batch, n_layers;
    const struct tkv_fault_place *places; /* [n], or NULL: items are the batch */
    struct tkv_fault_plan plan;
};

struct tkv_fault_row {
    uint32_t src_item;                               /* of the batch: whose block is read */
    uint32_t src_layer, src_kv, src_head, src_token; /* in that block */
    uint32_t dst_layer, dst_kv, dst_head;            /* in the item's own cache */
    size_t dst_pos;
    uint32_t dims; /* elements written, from dim 0 */
};

TKV_HOST_DEVICE static inline bool tkv_fault_item_ok(const struct tkv_geometry *g,
                                                     const struct tkv_append_item *it)
{
    return it->cache != NULL && it->rows != NULL && it->pos <= it->capacity &&
           it->tokens <= it->capacity - it->pos && it->layer_begin <= it->layer_end &&
           it->layer_end <= g->n_layers && (unsigned)it->rows_dtype < TKV_DTYPE_COUNT;
}

TKV_HOST_DEVICE static inline struct tkv_fault_place tkv_fault_place_of(
    const struct tkv_fault_job *job, uint32_t i)
{
    struct tkv_fault_place own = {i, 0};
    return job->places != NULL ? job->places[i] : own;
}

/* Where the part's item begins in the block that the batch's item brought, in layers. */
TKV_HOST_DEVICE static inline uint32_t tkv_fault_skipped_layers(const struct tkv_fault_job *job,
                                                                uint32_t i)
{
    struct tkv_fault_place place = tkv_fault_place_of(job, i);
    return job->items[i].layer_begin + place.layer - job->batch[place.item].layer_begin;
}

TKV_HOST_DEVICE static inline size_t tkv_fault_rows(const struct tkv_fault_job *job, uint32_t i)
{
    const struct tkv_append_item *it = &job->items[i];
    return (size_t)(it->layer_end - it->layer_begin) * TKV_KV * job->geom.n_kv_heads * it->tokens;
}

TKV_HOST_DEVICE static inline bool tkv_fault_moves_rows(enum tkv_fault fault)
{
    return fault != TKV_FAULT_STRAY_WRITE && fault != TKV_FAULT_BIT_FLIP;
}

/* Whether anything is wrong with the rows at all; else the batched path itself serves the batch. */
static inline bool tkv_fault_writes(const struct tkv_fault_plan *plan)
{
    for (uint32_t k = 0; k < plan->n; k++) {
        if (plan->faults[k].fault != TKV_FAULT_BIT_FLIP) return true;
    }
    return false;
}

/* The pass that writes the rows of a layer (of the batch) and a head: 0 right, 1 on the faults. */
TKV_HOST_DEVICE static inline uint32_t tkv_fault_pass(const struct tkv_fault_plan *plan,
                                                      uint32_t layer, uint32_t head, bool last)
{
    uint32_t pass = 0;
    for (uint32_t k = 0; k < plan->n; k++) {
        const struct tkv_planned_fault *f = &plan->faults[k];
        if (tkv_fault_moves_rows(f->fault) && (f->layer == TKV_FAULT_ALL || f->layer == layer) &&
            (f->kv_head == TKV_FAULT_ALL || f->kv_head == head) && (last || !f->last_item))
            pass = k + 1;
    }
    return pass;
}

/* The fault of a pass; NONE for the right rows. */
TKV_HOST_DEVICE static inline enum tkv_fault tkv_fault_of(const struct tkv_fault_plan *plan,
                                                          uint32_t pass)
{
    return pass == 0 ? TKV_FAULT_NONE : plan->faults[pass - 1].fault;
}

/* Where token t of an item lands; i and n are its number in the batch and the batch's items. */
TKV_HOST_DEVICE static inline uint32_t tkv_fault_position(enum tkv_fault fault,
                                                          const struct tkv_append_item *it,
                                                          uint32_t n, uint32_t i, uint32_t t)
{
    uint32_t room = it->capacity - it->pos - it->tokens;
    switch (fault) {
    case TKV_FAULT_STALE_LENGTHS:
        /* At position 0 there is no step before: such an item lands one too far, where it fits. */
        if (it->pos == 0) return t + (room > 0);
        return (it->pos > it->tokens ? it->pos - it->tokens : 0) + t;
    case TKV_FAULT_HALF_LENGTHS: return i >= (n + 1) / 2 || n == 1 ? t : it->pos + t;
    case TKV_FAULT_OFF_BY_ONE:
        if (room > 0) return it->pos + 1 + t;
        if (it->pos > 0) return it->pos - 1 + t;
        return (t + 1) % it->tokens; /* a full cache in one go: rotated */
    default: return it->pos + t;
    }
}

/* The item of the batch whose block is read for item i. A fault of the last item alone has nobody
 * behind it to be mistaken for: it gets the rows of the one before. */
TKV_HOST_DEVICE static inline uint32_t tkv_fault_source(const struct tkv_fault_job *job,
                                                        uint32_t pass, uint32_t i)
{
    enum tkv_fault fault = tkv_fault_of(&job->plan, pass);
    uint32_t n = job->n_batch, j = i;
    if (fault != TKV_FAULT_SHARED_POINTERS && fault != TKV_FAULT_SWAP_ITEMS) return i;
    if (job->plan.faults[pass - 1].last_item) {
        j = i > 0 ? i - 1 : i;
    } else if (fault == TKV_FAULT_SHARED_POINTERS) {
        j = n - 1;
    } else if ((i ^ 1) < n) {
        j = i ^ 1;
    }
    const struct tkv_append_item *by = &job->batch[j];
    bool readable = by->rows != NULL && by->tokens > 0 && by->layer_begin < by->layer_end &&
                    by->layer_end <= job->n_layers && by->pos <= by->capacity &&
                    by->tokens <= by->capacity - by->pos &&
                    (unsigned)by->rows_dtype < TKV_DTYPE_COUNT;
    return readable ? j : i;
}

/* The first layer (of item i's cache) and head that a fault which adds to rows is about; false:
 * item i is not the batch's last, or has nothing there. */
TKV_HOST_DEVICE static inline bool tkv_fault_spot(const struct tkv_fault_job *job, uint32_t pass,
                                                  uint32_t i, uint32_t *layer, uint32_t *head)
{
    const struct tkv_planned_fault *f = &job->plan.faults[pass - 1];
    const struct tkv_append_item *it = &job->items[i];
    struct tkv_fault_place place = tkv_fault_place_of(job, i);
    uint32_t first = job->batch[place.item].layer_begin;
    uint32_t of_batch = f->layer == TKV_FAULT_ALL ? first : f->layer;
    *layer = of_batch - place.layer; /* wraps where it is not in this part */
    *head = f->kv_head == TKV_FAULT_ALL ? 0 : f->kv_head;
    return place.item == job->n_batch - 1 && it->tokens > 0 && *layer >= it->layer_begin &&
           *layer < it->layer_end && *head < job->geom.n_kv_heads;
}

/* STRAY_WRITE's extra row: the first one that it is about, once more, just behind what was
 * appended, or just before it where the cache ends there. False: there is none, or no place. */
TKV_HOST_DEVICE static inline bool tkv_fault_stray(const struct tkv_fault_job *job, uint32_t pass,
                                                   uint32_t i, struct tkv_fault_row *out)
{
    const struct tkv_append_item *it = &job->items[i];
    uint32_t layer, head;
    if (tkv_fault_of(&job->plan, pass) != TKV_FAULT_STRAY_WRITE) return false;
    if (!tkv_fault_spot(job, pass, i, &layer, &head)) return false;
    bool behind = it->capacity - it->pos > it->tokens;
    out->src_item = tkv_fault_place_of(job, i).item;
    out->src_layer = layer - it->layer_begin + tkv_fault_skipped_layers(job, i);
    out->src_kv = TKV_K;
    out->src_head = head;
    out->src_token = 0;
    out->dst_layer = layer;
    out->dst_kv = TKV_K;
    out->dst_head = head;
    out->dst_pos = behind ? (size_t)it->pos + it->tokens : (size_t)it->pos - 1;
    out->dims = job->geom.head_dim;
    return behind || it->pos > 0;
}

/* Row r of item i (tkv_fault_item_ok) in a pass; r = tkv_fault_rows() is the stray one. False: not
 * written, or not by this pass. */
TKV_HOST_DEVICE static inline bool tkv_fault_map(const struct tkv_fault_job *job, uint32_t pass,
                                                 uint32_t i, size_t r, struct tkv_fault_row *out)
{
    const struct tkv_append_item *it = &job->items[i];
    const struct tkv_geometry *g = &job->geom;
    struct tkv_fault_place place = tkv_fault_place_of(job, i);
    if (r >= tkv_fault_rows(job, i)) return tkv_fault_stray(job, pass, i, out);

    uint32_t token = (uint32_t)(r % it->tokens), head = (uint32_t)(r / it->tokens % g->n_kv_heads);
    size_t plane = r / it->tokens / g->n_kv_heads;
    uint32_t kv = (uint32_t)(plane % TKV_KV), layer = (uint32_t)(plane / TKV_KV) + it->layer_begin;
    bool last = place.item == job->n_batch - 1;
    if (tkv_fault_pass(&job->plan, layer + place.layer, head, last) != pass) return false;

    enum tkv_fault fault = tkv_fault_of(&job->plan, pass);
    uint32_t j = tkv_fault_source(job, pass, place.item);
    uint32_t layers = job->batch[j].layer_end - job->batch[j].layer_begin;
    uint32_t tokens = job->batch[j].tokens;
    uint32_t of_block = layer - it->layer_begin + tkv_fault_skipped_layers(job, i);
    out->src_item = j;
    out->src_layer = of_block < layers ? of_block : layers - 1;
    out->src_kv = kv;
    out->src_head = head;
    out->src_token = token < tokens ? token : tokens - 1;
    out->dst_layer = layer;
    out->dst_kv = fault == TKV_FAULT_KV_SWAPPED ? 1 - kv : kv;
    out->dst_head = head;
    out->dst_pos = tkv_fault_position(fault, it, job->n_batch, place.item, token);
    if (fault == TKV_FAULT_TOKEN_MAJOR) { /* the row's number in [capacity][n_kv_heads] */
        out->dst_pos = out->dst_pos * g->n_kv_heads + head;
        out->dst_head = 0;
    }
    out->dims = fault == TKV_FAULT_SHORT_GRID ? g->head_dim / 2 : g->head_dim;
    return out->dims > 0;
}

/* The element of item i's cache whose bit a BIT_FLIP of this pass flips. False: none of it. */
TKV_HOST_DEVICE static inline bool tkv_fault_flip(const struct tkv_fault_job *job, uint32_t pass,
                                                  uint32_t i, size_t *element)
{
    const struct tkv_append_item *it = &job->items[i];
    uint32_t layer, head;
    if (tkv_fault_of(&job->plan, pass) != TKV_FAULT_BIT_FLIP) return false;
    if (!tkv_fault_item_ok(&job->geom, it)) return false;
    if (!tkv_fault_spot(job, pass, i, &layer, &head)) return false;
    *element = tkv_plane_offset(&job->geom, it->capacity, layer, TKV_K) +
               tkv_row_offset(&job->geom, it->capacity, head, it->pos);
    return true;
}

#endif
