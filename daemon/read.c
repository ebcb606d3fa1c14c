/* read.c - seq.read: rows of a cache into a block of staging, by a job in the engine's order. */
#include <assert.h>
#include <stdlib.h>

#include "daemon/core_impl.h"

struct read_job {
    struct tkv_job job; /* first */
    struct tkv_op *op;
    struct tkv_cache *cache; /* a reference */
    struct tkv_geometry geom;
    uint32_t capacity, layer, layers, pos, tokens;
    enum tkv_dtype dtype;
    struct tkv_staging *raw; /* the cache's dtype */
    struct tkv_staging
        *cooked; /* the dtype asked for; the same block where no conversion is needed */
};

/* Every (layer, K|V, head) of the layers asked for is a row of the same pitch. */
static enum tkv_status run_read_job(struct tkv_job *job, struct tkv_device *dev)
{
    struct read_job *r = (struct read_job *)job;
    size_t element = tkv_dtype_size(r->geom.dtype);
    size_t from = tkv_plane_offset(&r->geom, r->capacity, r->layer, TKV_K) +
                  tkv_row_offset(&r->geom, r->capacity, 0, r->pos);
    size_t width = (size_t)r->tokens * r->geom.head_dim * element;
    size_t pitch = (size_t)r->capacity * r->geom.head_dim * element;
    size_t rows = (size_t)r->layers * TKV_KV * r->geom.n_kv_heads;
    const uint8_t *src = (const uint8_t *)r->cache->mem.ptr + from * element;
    enum tkv_status st = tkv_device_copy_rows(dev, r->raw->ptr, width, src, pitch, width, rows);
    if (st == TKV_OK) st = tkv_device_sync(dev);
    if (st == TKV_OK && r->cooked != r->raw)
        tkv_convert(r->cooked->ptr, r->dtype, r->raw->ptr, r->geom.dtype,
                    rows * r->tokens * r->geom.head_dim);
    return st;
}

static void complete_read(struct tkv_job *job, void *arg)
{
    struct tkv_core *core = arg;
    struct read_job *r = (struct read_job *)job;
    struct tkv_op *op = r->op;
    enum tkv_status st = job->status;
    tkv_core_cache_unref(core, r->cache);
    if (r->raw != r->cooked) tkv_staging_unref(r->raw);
    if (st == TKV_OK) {
        op->result.read.block = r->cooked;
        tkv_stat_add(&core->stats.read_requests, 1);
        tkv_stat_add(&core->stats.read_bytes, op->result.read.bytes);
        tkv_core_finish(core, op);
    } else {
        tkv_staging_unref(r->cooked);
        tkv_core_fail(core, op, st, "the device could not read the cache");
    }
    free(r);
}

/* Layers and positions as asked for, or as absence means; answers what is out of range. */
static bool fill_range(struct tkv_core *core, struct tkv_op *op, const struct tkv_sequence *seq,
                       struct read_job *r)
{
    const struct tkv_seq_read *p = &op->request->params.seq_read;
    uint32_t begin = p->layers.given ? p->layers.begin : 0;
    uint32_t end = p->layers.given ? p->layers.end : r->geom.n_layers;
    if (end > r->geom.n_layers) {
        tkv_error_param(&op->error, "layers", "layers [%u, %u) of a model with %u layers", begin,
                        end, r->geom.n_layers);
        tkv_core_finish(core, op);
        return false;
    }
    uint32_t len = seq->committed[begin];
    for (uint32_t l = begin; l < end; l++)
        len = seq->committed[l] < len ? seq->committed[l] : len;
    uint64_t pos = p->pos.given ? p->pos.value : 0;
    if (pos > len || (p->tokens.given && p->tokens.value > len - pos)) {
        tkv_core_fail(
            core, op, TKV_ERANGE, "positions %llu..%llu are past the length %u of layers [%u, %u)",
            (unsigned long long)pos, (unsigned long long)pos + p->tokens.value, len, begin, end);
        return false;
    }
    r->layer = begin;
    r->layers = end - begin;
    r->pos = (uint32_t)pos;
    r->tokens = p->tokens.given ? (uint32_t)p->tokens.value : len - (uint32_t)pos;
    r->dtype = p->dtype.given ? p->dtype.value : r->geom.dtype;
    return true;
}

static bool too_large(struct tkv_core *core, struct tkv_op *op, size_t bytes)
{
    uint64_t limit = core->config->limits_max_payload_bytes;
    if (bytes <= limit) return false;
    tkv_error_set(&op->error, TKV_ETOOLARGE, "the answer would be %zu bytes, the limit is %llu",
                  bytes, (unsigned long long)limit);
    tkv_error_number(&op->error, limit, limit);
    tkv_error_number(&op->error, size, bytes);
    tkv_core_finish(core, op);
    return true;
}

/* Blocks for the bytes; answers where there are none. */
static bool take_blocks(struct tkv_core *core, struct tkv_op *op, struct read_job *r, size_t bytes)
{
    size_t raw_bytes;
    r->cooked = tkv_core_take_block(core, bytes, &op->error);
    if (r->cooked != NULL && r->dtype != r->geom.dtype) {
        bool fits = tkv_block_bytes(&r->geom, r->layers, r->tokens, r->geom.dtype, &raw_bytes);
        assert(fits);
        r->raw = tkv_core_take_block(core, raw_bytes, &op->error);
    } else {
        r->raw = r->cooked;
    }
    if (r->raw != NULL) return true;
    tkv_staging_unref(r->cooked);
    tkv_core_finish(core, op);
    return false;
}

void tkv_run_read(struct tkv_core *core, struct tkv_op *op)
{
    struct tkv_sequence *seq = tkv_core_live(core, op->seq);
    size_t bytes;
    if (seq == NULL) {
        tkv_core_fail(core, op, TKV_ENOTFOUND, "there is no sequence %llu",
                      (unsigned long long)op->seq);
        return;
    }
    struct read_job *r = calloc(1, sizeof *r);
    if (r == NULL) {
        tkv_core_fail(core, op, TKV_ENOMEM, "no host memory for a read");
        return;
    }
    r->geom = seq->model->geom;
    r->capacity = seq->capacity;
    if (!fill_range(core, op, seq, r)) goto fail;
    if (!tkv_block_bytes(&r->geom, r->layers, r->tokens, r->dtype, &bytes)) bytes = SIZE_MAX;
    if (too_large(core, op, bytes)) goto fail;
    op->result.read.shape = (struct tkv_read_shape){r->layers, r->geom.n_kv_heads, r->tokens,
                                                    r->geom.head_dim, r->dtype};
    op->result.read.block = NULL;
    op->result.read.bytes = bytes;
    if (bytes == 0) {
        tkv_core_finish(core, op);
        goto fail;
    }
    if (!take_blocks(core, op, r, bytes)) goto fail;
    r->op = op;
    r->cache = seq->cache;
    seq->cache->refs++;
    r->job = (struct tkv_job){.run = run_read_job, .complete = complete_read};
    tkv_engine_submit(core->engine, &r->job);
    return;
fail:
    free(r);
}
