/* rerun_move.c - bytes on their way for a re-run: recorded rows to the device, rows of live caches
 * into scratch memory. All of it in small pieces, with room for appends between them. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/rerun_impl.h"

/* What an append may have to wait for: some 20 us of a GPU's link, 50 us of a CPU. Live caches are
 * read by the engine itself, at the memory's own speed. */
enum {
    UPLOAD_BYTES = 1 << 20,
    LIVE_BYTES_CUDA = 16 << 20,
    LIVE_BYTES_CPU = 256 << 10,
    PLACES_MAX = 64,
    WAY_STEPS = 50, /* of WAY_NS, at most: a busy engine does not stop a verification for good */
    WAY_NS = 20000
};

void tkv_part_make_way(struct rerun_run *run)
{
    const struct timespec step = {.tv_nsec = WAY_NS};
    for (int i = 0; i < WAY_STEPS && tkv_engine_busy_since_ns(run->r->engine) != 0; i++)
        nanosleep(&step, NULL);
    tkv_engine_progress(run->r->checker);
}

/* --- pieces ----------------------------------------------------------------------------------- */

/* Places gathered until they are worth a launch, or as much as may be moved at once. */
struct mover {
    struct rerun_run *run;
    enum tkv_status (*flush)(struct mover *m);
    size_t limit; /* bytes */
    struct tkv_rows places[PLACES_MAX];
    size_t n, bytes;
};

static enum tkv_status flush(struct mover *m)
{
    enum tkv_status st = m->n > 0 ? m->flush(m) : TKV_OK;
    m->n = m->bytes = 0;
    return st;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The first part of *from that still fits goes into *out; *from becomes the rest. One row is cut
 * within, several between. */
static void cut(struct tkv_rows *from, size_t room, struct tkv_rows *out)
{
    *out = *from;
    if (from->rows == 1) {
        out->width = least(from->width, room);
        from->width -= out->width;
        from->src = (const uint8_t *)from->src + out->width;
        from->dst = (uint8_t *)from->dst + out->width;
        return;
    }
    out->rows = least(from->rows, room / from->width > 0 ? room / from->width : 1);
    from->rows -= out->rows;
    from->src = (const uint8_t *)from->src + out->rows * from->src_pitch;
    from->dst = (uint8_t *)from->dst + out->rows * from->dst_pitch;
}

static enum tkv_status move(struct mover *m, struct tkv_rows rows)
{
    enum tkv_status st = TKV_OK;
    while (rows.rows > 0 && rows.width > 0 && st == TKV_OK) {
        struct tkv_rows *place = &m->places[m->n++];
        cut(&rows, m->limit - m->bytes, place);
        m->bytes += place->width * place->rows;
        if (m->n == PLACES_MAX || m->bytes >= m->limit) st = flush(m);
    }
    return st;
}

/* --- recorded rows ---------------------------------------------------------------------------- */

static enum tkv_status flush_upload(struct mover *m)
{
    struct tkv_device *dev = m->run->r->dev;
    enum tkv_status st = tkv_device_gather(dev, m->places, m->n);
    if (st == TKV_OK) st = tkv_device_sync(dev);
    tkv_part_make_way(m->run);
    return st;
}

enum tkv_status tkv_part_upload(struct rerun_run *run, struct part *part)
{
    struct mover m = {.run = run, .flush = flush_upload, .limit = UPLOAD_BYTES};
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        struct part_item *p = &part->items[i];
        uint8_t *to = tkv_part_side(run, part, TKV_SIDE_ROWS) + p->rows_offset;
        struct tkv_rows rows = {to, p->item.rows, 0, 0, p->rows_bytes, 1};
        p->item.rows = to;
        st = move(&m, rows);
    }
    return st == TKV_OK ? flush(&m) : st;
}

/* --- written rows of caches ------------------------------------------------------------------- */

/* Where the written rows of an item lie in a cache of `capacity` positions, as rows of one pitch.
 */
static struct tkv_rows rows_of(const struct rerun_run *run, const struct part *part,
                               const struct part_item *p, const uint8_t *cache, uint32_t capacity,
                               uint32_t layer, uint32_t pos)
{
    const struct tkv_geometry *g = &run->r->batches[part->batch]->model->geom;
    size_t element = tkv_dtype_size(g->dtype);
    size_t from = tkv_plane_offset(g, capacity, layer, TKV_K) + tkv_row_offset(g, capacity, 0, pos);
    size_t width = (size_t)p->item.tokens * g->head_dim * element;
    return (struct tkv_rows){
        .src = cache + from * element,
        .width = width,
        .dst_pitch = width,
        .src_pitch = (size_t)capacity * g->head_dim * element,
        .rows = (size_t)p->item.layer_end * TKV_KV * g->n_kv_heads,
    };
}

/* Where the checksums of an item's tokens lie in sums[][n_layers][2], from a layer on. */
static struct tkv_rows sums_of(const struct part_item *p, const struct tkv_geometry *g,
                               const uint64_t *sums, uint32_t layer, uint32_t pos)
{
    size_t width = tkv_part_live_sums_bytes(p) / p->item.tokens;
    return (struct tkv_rows){
        .src = sums + tkv_sum_offset(g, pos, layer, TKV_K),
        .width = width,
        .dst_pitch = width,
        .src_pitch = tkv_sums_each(g) * sizeof *sums,
        .rows = p->item.tokens,
    };
}

static enum tkv_status flush_gather(struct mover *m)
{
    return tkv_device_gather(m->run->r->dev, m->places, m->n);
}

enum tkv_status tkv_part_gather(struct rerun_run *run, const struct part *part)
{
    struct mover m = {.run = run, .flush = flush_gather, .limit = SIZE_MAX};
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        const uint8_t *cache = tkv_part_side(run, part, TKV_SIDE_EXPECTED) + p->offset;
        if (p->live_plane_bytes == 0) continue;
        struct tkv_rows rows = rows_of(run, part, p, cache, p->item.capacity, 0, p->item.pos);
        rows.dst = tkv_part_side(run, part, TKV_SIDE_EXPECTED_LIVE) + p->live_offset;
        st = move(&m, rows);
        if (p->live_sums_offset == 0 || st != TKV_OK) continue;
        struct tkv_geometry g = tkv_part_geometry(run, part);
        uint64_t *sums = tkv_part_sums(run, part, p, TKV_SIDE_EXPECTED);
        struct tkv_rows also = sums_of(p, &g, sums, 0, p->item.pos);
        also.dst = (uint8_t *)rows.dst + p->live_sums_offset;
        st = move(&m, also);
    }
    if (st == TKV_OK) st = flush(&m);
    return st == TKV_OK ? tkv_device_sync(run->r->dev) : st;
}

enum tkv_status tkv_part_fetch_batched(struct rerun_run *run, const struct part *part,
                                       const struct part_item *p, size_t plane, uint8_t *to)
{
    const uint8_t *cache = tkv_part_side(run, part, TKV_SIDE_OTHER) + p->offset;
    uint32_t layer = (uint32_t)(plane / TKV_KV), capacity = p->item.capacity;
    struct tkv_rows r = rows_of(run, part, p, cache, capacity, layer, p->item.pos);
    const uint8_t *src = (const uint8_t *)r.src + plane % TKV_KV * p->plane_bytes;
    return tkv_device_copy_rows(run->r->dev, to, r.dst_pitch, src, r.src_pitch, r.width,
                                run->r->batches[part->batch]->model->geom.n_kv_heads);
}

/* Reads that the engine does for us, in its order, and the wait for them. */
struct live_read {
    struct tkv_job job; /* first */
    const struct mover *places;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished;
};

static enum tkv_status run_live_read(struct tkv_job *job, struct tkv_device *dev)
{
    const struct mover *m = ((struct live_read *)job)->places;
    enum tkv_status st = tkv_device_gather(dev, m->places, m->n);
    return st == TKV_OK ? tkv_device_sync(dev) : st;
}

static void finish_live_read(struct tkv_job *job)
{
    struct live_read *read = (struct live_read *)job;
    pthread_mutex_lock(&read->lock);
    read->finished = true;
    pthread_cond_signal(&read->done);
    pthread_mutex_unlock(&read->lock);
}

static enum tkv_status flush_live(struct mover *m)
{
    struct live_read read = {.job = {.run = run_live_read, .finish = finish_live_read},
                             .places = m};
    tkv_part_make_way(m->run);
    pthread_mutex_init(&read.lock, NULL);
    pthread_cond_init(&read.done, NULL);
    tkv_engine_submit(m->run->r->engine, &read.job);
    pthread_mutex_lock(&read.lock);
    while (!read.finished)
        pthread_cond_wait(&read.done, &read.lock);
    pthread_mutex_unlock(&read.lock);
    pthread_cond_destroy(&read.done);
    pthread_mutex_destroy(&read.lock);
    return read.job.status;
}

enum tkv_status tkv_part_read_live(struct rerun_run *run, const struct part *part)
{
    size_t limit = run->uploads ? LIVE_BYTES_CUDA : LIVE_BYTES_CPU;
    struct mover m = {.run = run, .flush = flush_live, .limit = limit};
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        const struct tkv_recheck_item *about = &run->r->items[part->batch][p->index];
        const struct tkv_append_item *item = &run->r->batches[part->batch]->items[p->index];
        if (p->live_plane_bytes == 0) continue;
        struct tkv_rows rows =
            rows_of(run, part, p, about->cache->mem.ptr, item->capacity, p->first_layer, item->pos);
        rows.dst = tkv_part_side(run, part, TKV_SIDE_LIVE) + p->live_offset;
        st = move(&m, rows);
        if (p->live_sums_offset == 0 || st != TKV_OK) continue;
        const struct tkv_geometry *g = &run->r->batches[part->batch]->model->geom;
        struct tkv_rows also = sums_of(p, g, item->sums, p->first_layer, item->pos);
        also.dst = (uint8_t *)rows.dst + p->live_sums_offset;
        st = move(&m, also);
    }
    return st == TKV_OK ? flush(&m) : st;
}
