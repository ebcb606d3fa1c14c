#include "daemon/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/upload.h"
#include "kernels/checksum.h"

/* The checksums of an item from its source rows: what a broken variant of the append, which knows
 * nothing of them, has to leave, too. */
static enum tkv_status leave_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                                       const struct tkv_append_item *item)
{
    struct tkv_checksum_range rows = {.block = item->rows,
                                      .dtype = item->rows_dtype,
                                      .positions = item->tokens,
                                      .tokens = item->tokens,
                                      .layers = item->layer_end - item->layer_begin};
    if (item->sums == NULL) return TKV_OK;
    return tkv_checksums(dev, geom, &rows,
                         item->sums + tkv_sum_offset(geom, item->pos, item->layer_begin, TKV_K),
                         tkv_sums_each(geom));
}

/* Where rows were uploaded, both are queued before either is waited for. */
static enum tkv_status append(struct tkv_device *dev, struct tkv_batch *b)
{
    const struct tkv_append_item *items = b->items;
    enum tkv_status st = TKV_OK;
    if (b->upload != NULL) st = tkv_upload_rows(b->upload, dev, b, &items);
    bool uploads = items != b->items;
    if (st == TKV_OK && uploads) st = tkv_device_mark(dev);
    if (st == TKV_OK) st = tkv_append_batched(dev, &b->model->geom, items, b->n);
    if (st == TKV_OK && uploads) st = tkv_device_reach_mark(dev);
    if (st == TKV_OK && uploads) b->uploaded_ns = tkv_now_ns();
    return st;
}

/* The job's work: one launch. A flipped bit is damage after a right launch, so that it, too, is a
 * variant of its own. */
static enum tkv_status run_batch(struct tkv_job *job, struct tkv_device *dev)
{
    struct tkv_batch *b = (struct tkv_batch *)job;
    const struct tkv_geometry *geom = &b->model->geom;
    enum tkv_status st = b->plan.n == 0
                             ? append(dev, b)
                             : tkv_append_faulty(dev, geom, b->items, b->n, &b->plan, NULL);
    for (uint32_t i = 0; i < b->n && st == TKV_OK && b->plan.n > 0; i++)
        st = leave_checksums(dev, geom, &b->items[i]);
    return st == TKV_OK ? tkv_device_sync(dev) : st;
}

struct tkv_batch *tkv_batch_open(const struct tkv_model *model, uint32_t n, uint32_t n_blocks)
{
    struct tkv_batch *b = calloc(1, sizeof *b);
    if (b == NULL) return NULL;
    b->items = calloc(n, sizeof *b->items);
    b->owners = calloc(n, sizeof *b->owners);
    b->blocks = calloc(n_blocks, sizeof(struct tkv_staging *));
    b->job.run = run_batch;
    b->model = model;
    b->refs = 1;
    if (b->items != NULL && b->owners != NULL && b->blocks != NULL) return b;
    tkv_batch_unref(b);
    return NULL;
}

void tkv_batch_unref(struct tkv_batch *batch)
{
    assert(batch->refs > 0);
    if (--batch->refs > 0) return;
    for (uint32_t i = 0; i < batch->n_blocks; i++) {
        if (batch->parked) tkv_staging_unpark(batch->blocks[i]);
        tkv_staging_unref(batch->blocks[i]);
    }
    free(batch->items);
    free(batch->owners);
    free(batch->blocks);
    free(batch);
}

size_t tkv_batch_held_bytes(const struct tkv_batch *batch)
{
    size_t bytes = sizeof *batch;
    bytes += batch->n * (sizeof *batch->items + sizeof *batch->owners);
    for (uint32_t i = 0; i < batch->n_blocks; i++)
        bytes += batch->blocks[i]->room;
    return bytes;
}

void tkv_batch_park(struct tkv_batch *batch)
{
    assert(!batch->parked);
    for (uint32_t i = 0; i < batch->n_blocks; i++)
        tkv_staging_park(batch->blocks[i]);
    batch->parked = true;
}
