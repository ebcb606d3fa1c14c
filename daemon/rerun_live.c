/* rerun_live.c - the third way: what the live caches hold where a part's rows were written. They
 * are only read, by jobs in the engine's order. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/classify.h"
#include "daemon/rerun_impl.h"
#include "kernels/compare.h"

/* Reads that the engine does for us, and the wait for them. */
struct live_reads {
    pthread_mutex_t lock;
    pthread_cond_t all_done;
    size_t pending;
    enum tkv_status status;
};

struct live_read {
    struct tkv_job job; /* first */
    struct live_reads *reads;
    const uint8_t *src;
    uint8_t *dst;
    size_t width, pitch, rows;
};

static enum tkv_status run_live_read(struct tkv_job *job, struct tkv_device *dev)
{
    struct live_read *l = (struct live_read *)job;
    enum tkv_status st =
        tkv_device_copy_rows(dev, l->dst, l->width, l->src, l->pitch, l->width, l->rows);
    return st == TKV_OK ? tkv_device_sync(dev) : st;
}

static void finish_live_read(struct tkv_job *job)
{
    struct live_reads *reads = ((struct live_read *)job)->reads;
    pthread_mutex_lock(&reads->lock);
    if (reads->status == TKV_OK) reads->status = job->status;
    if (--reads->pending == 0) pthread_cond_signal(&reads->all_done);
    pthread_mutex_unlock(&reads->lock);
}

/* Where the written rows of an item lie in a cache, as rows of one pitch. */
static struct live_read rows_of(const struct rerun_run *run, const struct part *part,
                                const struct part_item *p, const uint8_t *cache, uint32_t capacity,
                                uint32_t layer, uint32_t pos)
{
    const struct tkv_geometry *g = &run->r->batches[part->batch]->model->geom;
    size_t element = tkv_dtype_size(g->dtype);
    size_t from = tkv_plane_offset(g, capacity, layer, TKV_K) + tkv_row_offset(g, capacity, 0, pos);
    return (struct live_read){
        .src = cache + from * element,
        .width = (size_t)p->item.tokens * g->head_dim * element,
        .pitch = (size_t)capacity * g->head_dim * element,
        .rows = (size_t)p->item.layer_end * TKV_KV * g->n_kv_heads,
    };
}

static uint8_t *live_side(const struct rerun_run *run, const struct part *part, int side)
{
    return run->scratch + 2 * part->span + (size_t)side * part->live_span;
}

static enum tkv_status read_live(struct rerun_run *run, const struct part *part)
{
    struct live_reads reads = {.status = TKV_OK};
    struct live_read *jobs = calloc(part->n_items, sizeof *jobs);
    if (jobs == NULL) return TKV_ENOMEM;
    pthread_mutex_init(&reads.lock, NULL);
    pthread_cond_init(&reads.all_done, NULL);
    for (uint32_t i = 0; i < part->n_items; i++) {
        const struct part_item *p = &part->items[i];
        if (p->live_plane_bytes == 0) continue;
        const struct tkv_recheck_item *about = &run->r->items[part->batch][p->index];
        const struct tkv_append_item *item = &run->r->batches[part->batch]->items[p->index];
        jobs[i] =
            rows_of(run, part, p, about->cache->mem.ptr, item->capacity, p->first_layer, item->pos);
        jobs[i].job = (struct tkv_job){.run = run_live_read, .finish = finish_live_read};
        jobs[i].reads = &reads;
        jobs[i].dst = live_side(run, part, 1) + p->live_offset;
        pthread_mutex_lock(&reads.lock);
        reads.pending++;
        pthread_mutex_unlock(&reads.lock);
        tkv_engine_submit(run->r->engine, &jobs[i].job);
    }
    pthread_mutex_lock(&reads.lock);
    while (reads.pending > 0)
        pthread_cond_wait(&reads.all_done, &reads.lock);
    pthread_mutex_unlock(&reads.lock);
    pthread_cond_destroy(&reads.all_done);
    pthread_mutex_destroy(&reads.lock);
    free(jobs);
    return reads.status;
}

static enum tkv_status gather_expected(struct rerun_run *run, const struct part *part)
{
    struct tkv_device *dev = run->r->dev;
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        if (p->live_plane_bytes == 0) continue;
        struct live_read l = rows_of(run, part, p, tkv_part_expected(run) + p->offset,
                                     p->item.capacity, 0, p->item.pos);
        st = tkv_device_copy_rows(dev, live_side(run, part, 0) + p->live_offset, l.width, l.src,
                                  l.pitch, l.width, l.rows);
    }
    return st == TKV_OK ? tkv_device_sync(dev) : st;
}

/* --- against both re-runs ----------------------------------------------------------------------
 */

/* The rows that the batched re-run wrote where the item's belong, of one plane, to the host. */
static enum tkv_status fetch_batched(struct rerun_run *run, const struct part *part,
                                     const struct part_item *p, size_t plane, uint8_t *to)
{
    uint32_t layer = (uint32_t)(plane / TKV_KV);
    struct live_read l = rows_of(run, part, p, tkv_part_other(run, part) + p->offset,
                                 p->item.capacity, layer, p->item.pos);
    l.src += plane % TKV_KV * p->plane_bytes;
    return tkv_device_copy_rows(run->r->dev, to, l.width, l.src, l.pitch, l.width,
                                run->r->batches[part->batch]->model->geom.n_kv_heads);
}

/* Makes `batched` what the kernel's bug explains of the live rows: whatever is right all the same,
 * and where the re-run wrote nothing nobody knows what was there before. Whether a byte is left
 * that it does not explain. */
static bool is_damaged(const uint8_t *expected, const uint8_t *live, uint8_t *batched, size_t bytes)
{
    bool damaged = false;
    for (size_t i = 0; i < bytes; i += 2) {
        bool unwritten = batched[i] == TKV_POISON && batched[i + 1] == TKV_POISON;
        bool explained = unwritten || memcmp(live + i, expected + i, 2) == 0;
        if (explained) memcpy(batched + i, live + i, 2);
        damaged = damaged || memcmp(live + i, batched + i, 2) != 0;
    }
    return damaged;
}

/* A plane that the kernel wrote wrong may have been damaged besides: then the live rows are those
 * of neither re-run. Where the re-run's rows strayed from their places, only whole caches put them
 * where production did. */
static enum tkv_status look_beside(struct rerun_run *run, const struct part *part,
                                   const struct part_item *p, size_t plane, const uint8_t *expected,
                                   const uint8_t *live)
{
    struct tkv_device *dev = run->r->dev;
    size_t bytes = p->live_plane_bytes;
    if (!tkv_host_room(run, 3 * bytes)) return TKV_ENOMEM;
    uint8_t *e = run->host, *l = e + bytes, *b = l + bytes;
    enum tkv_status st = tkv_device_copy(dev, e, expected + plane * bytes, bytes);
    if (st == TKV_OK) st = tkv_device_copy(dev, l, live + plane * bytes, bytes);
    if (st == TKV_OK) st = fetch_batched(run, part, p, plane, b);
    if (st == TKV_OK) st = tkv_device_sync(dev);
    if (st != TKV_OK || !is_damaged(e, l, b, bytes)) return st;
    if (run->r->n_found >= (size_t)2 * TKV_DIVERGENCES_MAX) return TKV_OK;
    return tkv_explain_beside(run, part, p, plane, b);
}

/* Where the kernel differs already, its finding says so of the live cache; whole caches are run
 * for the kernel's sake only. */
static enum tkv_status compare_live_plane(struct rerun_run *run, const struct part *part,
                                          const struct part_item *p, size_t plane,
                                          const uint8_t *expected, const uint8_t *live)
{
    bool differs = run->counts[plane] > 0;
    struct tkv_found *kernel = tkv_kernel_finding(
        run, p->index, p->first_layer + (uint32_t)(plane / TKV_KV), plane % TKV_KV == TKV_V);
    if (kernel == NULL)
        return differs && !part->whole ? tkv_part_list(run, part, p, plane, true, expected, live)
                                       : TKV_OK;
    kernel->divergence.detail.live = differs ? "differs" : "right";
    if (!differs || (kernel->elsewhere && !part->whole)) return TKV_OK;
    return look_beside(run, part, p, plane, expected, live);
}

static enum tkv_status compare_live_item(struct rerun_run *run, const struct part *part,
                                         const struct part_item *p, const uint8_t *expected,
                                         const uint8_t *live)
{
    struct tkv_recheck_item *about = &run->r->items[part->batch][p->index];
    uint64_t sum = 0;
    enum tkv_status st = tkv_part_count(run, p, true, expected, live, &sum);
    about->live_differs = about->live_differs || sum > 0;
    for (size_t i = 0; i < (size_t)p->item.layer_end * TKV_KV && st == TKV_OK; i++)
        st = compare_live_plane(run, part, p, i, expected, live);
    return st;
}

static bool any_differs(const struct rerun_run *run, const struct part *part)
{
    for (uint32_t i = 0; i < part->n_items; i++) {
        if (run->r->items[part->batch][part->items[i].index].kernel_differs) return true;
    }
    return false;
}

enum tkv_status tkv_part_live(struct rerun_run *run, const struct part *part)
{
    uint64_t differing;
    uint8_t *expected = live_side(run, part, 0), *live = live_side(run, part, 1);
    if (part->live_span == 0) return TKV_OK;
    enum tkv_status st = tkv_device_fill(run->r->dev, expected, 0, 2 * part->live_span);
    if (st == TKV_OK) st = tkv_device_sync(run->r->dev);
    if (st == TKV_OK) st = gather_expected(run, part);
    if (st == TKV_OK) st = read_live(run, part);
    if (st == TKV_OK) st = tkv_part_differing(run, expected, live, part->live_span, &differing);
    if (st != TKV_OK || (differing == 0 && !any_differs(run, part))) return st;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        if (p->live_plane_bytes == 0) continue;
        st = compare_live_item(run, part, p, expected + p->live_offset, live + p->live_offset);
    }
    return st;
}
