/* selftest.c - debug.selftest: the reference equivalence test of head-major K/V appends, on
 * synthetic data in scratch caches. Per item and batched append the same rows; whole caches are
 * compared. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "daemon/core_impl.h"
#include "kernels/compare.h"

struct selftest_job {
    struct tkv_job job; /* first */
    struct tkv_op *op;
    struct tkv_debug_selftest params;
    struct tkv_geometry geom;
    size_t cache_bytes, rows_bytes; /* of one item */
    struct tkv_selftest_report report;
};

/* --- data ---------------------------------------------------------------------------------------
 */

/* The reference generator: xorshift64, mapped to [-0.3, 0.3]. */
static float next_value(uint64_t *state)
{
    uint64_t s = *state;
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    *state = s;
    return ((float)s / (float)UINT64_MAX * 2 - 1) * 0.3f;
}

/* Rows of all items, item-major, as f16. */
static void generate(const struct selftest_job *t, uint16_t *rows)
{
    uint64_t state = t->params.seed * UINT64_C(0x9E3779B97F4A7C15);
    size_t n = t->params.m * (t->rows_bytes / sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = tkv_f32_to_f16(next_value(&state));
}

/* --- both ways ----------------------------------------------------------------------------------
 */

static void fill_items(const struct selftest_job *t, uint8_t *caches, const uint8_t *rows,
                       struct tkv_append_item *items)
{
    for (uint32_t i = 0; i < t->params.m; i++)
        items[i] = (struct tkv_append_item){.cache = caches + i * t->cache_bytes,
                                            .rows = rows + i * t->rows_bytes,
                                            .pos = t->params.cache_len,
                                            .tokens = 1,
                                            .capacity = t->params.capacity,
                                            .layer_end = t->params.layers,
                                            .rows_dtype = TKV_F16};
}

static enum tkv_status append_both(const struct selftest_job *t, struct tkv_device *dev,
                                   uint8_t *caches, const uint8_t *rows)
{
    struct tkv_append_item *items = calloc(t->params.m, sizeof *items);
    if (items == NULL) return TKV_ENOMEM;
    fill_items(t, caches, rows, items);
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < t->params.m; i++) {
        for (uint32_t l = 0; l < t->params.layers && st == TKV_OK; l++) {
            st = tkv_append_one(dev, &t->geom, &items[i], l, TKV_K);
            if (st == TKV_OK) st = tkv_append_one(dev, &t->geom, &items[i], l, TKV_V);
        }
    }
    fill_items(t, caches + t->params.m * t->cache_bytes, rows, items);
    if (st == TKV_OK) st = tkv_append_batched(dev, &t->geom, items, t->params.m);
    free(items);
    return st == TKV_OK ? tkv_device_sync(dev) : st;
}

/* --- the report ---------------------------------------------------------------------------------
 */

static void merge(struct tkv_selftest_item *out, const struct tkv_plane_stats *s)
{
    bool first = out->mismatched_bytes == 0;
    out->nonzero_per_item += s->nonzero_expected;
    out->nonzero_batched += s->nonzero_other;
    if (s->mismatched_bytes == 0) return;
    bool worse = first || (out->finite && !s->finite) || s->max_abs_diff > out->max_abs_diff;
    out->mismatched_bytes += s->mismatched_bytes;
    out->finite = out->finite && s->finite;
    if (!worse) return;
    out->max_abs_diff = s->max_abs_diff;
    out->worst.kv_head = s->worst.kv_head;
    out->worst.kv_pos = s->worst.kv_pos;
    out->worst.dim = s->worst.dim;
    out->worst.per_item = s->worst.expected;
    out->worst.batched = s->worst.other;
}

/* Both caches of one item, on the host; K and V over all layers. */
static void compare_item(struct selftest_job *t, uint32_t item, const uint8_t *host)
{
    size_t plane = tkv_plane_elements(&t->geom, t->params.capacity) * sizeof(uint16_t);
    for (uint32_t kv = 0; kv < TKV_KV; kv++) {
        struct tkv_selftest_item *out = &t->report.items[item * TKV_KV + kv];
        *out = (struct tkv_selftest_item){.item = item, .is_v = kv == TKV_V, .finite = true};
        for (uint32_t l = 0; l < t->params.layers; l++) {
            struct tkv_plane_stats stats;
            size_t at = (l * TKV_KV + kv) * plane;
            tkv_plane_stats(&t->geom, t->params.capacity, host + at, host + t->cache_bytes + at,
                            &stats);
            merge(out, &stats);
        }
        if (out->mismatched_bytes > 0) t->report.ok = false;
    }
}

static enum tkv_status compare_all(struct selftest_job *t, struct tkv_device *dev,
                                   const uint8_t *caches)
{
    enum tkv_status st = TKV_OK;
    uint8_t *host = malloc(2 * t->cache_bytes);
    if (host == NULL) return TKV_ENOMEM;
    t->report.ok = true;
    for (uint32_t i = 0; i < t->params.m && st == TKV_OK; i++) {
        const uint8_t *one = caches + i * t->cache_bytes;
        const uint8_t *batched = one + t->params.m * t->cache_bytes;
        st = tkv_device_copy(dev, host, one, t->cache_bytes);
        if (st == TKV_OK) st = tkv_device_copy(dev, host + t->cache_bytes, batched, t->cache_bytes);
        if (st == TKV_OK) st = tkv_device_sync(dev);
        if (st == TKV_OK) compare_item(t, i, host);
    }
    free(host);
    return st;
}

static enum tkv_status run_on_scratch(struct selftest_job *t, struct tkv_device *dev,
                                      uint8_t *scratch)
{
    size_t caches_bytes = (size_t)2 * t->params.m * t->cache_bytes;
    size_t rows_bytes = t->params.m * t->rows_bytes;
    uint16_t *rows = malloc(rows_bytes);
    if (rows == NULL) return TKV_ENOMEM;
    generate(t, rows);
    enum tkv_status st = tkv_device_fill(dev, scratch, 0, caches_bytes);
    if (st == TKV_OK) st = tkv_device_copy(dev, scratch + caches_bytes, rows, rows_bytes);
    if (st == TKV_OK) st = append_both(t, dev, scratch, scratch + caches_bytes);
    if (st == TKV_OK) st = compare_all(t, dev, scratch);
    free(rows);
    return st;
}

static enum tkv_status run_selftest_job(struct tkv_job *job, struct tkv_device *dev)
{
    struct selftest_job *t = (struct selftest_job *)job;
    void *scratch;
    size_t bytes = (size_t)t->params.m * (2 * t->cache_bytes + t->rows_bytes);
    enum tkv_status st = tkv_scratch_alloc(dev, bytes, &scratch);
    if (st != TKV_OK) return st;
    st = run_on_scratch(t, dev, scratch);
    tkv_scratch_free(dev, scratch);
    return st;
}

static void complete_selftest(struct tkv_job *job, void *arg)
{
    struct tkv_core *core = arg;
    struct selftest_job *t = (struct selftest_job *)job;
    t->op->result.selftest = &t->report;
    if (job->status == TKV_OK)
        tkv_core_finish(core, t->op);
    else
        tkv_core_fail(core, t->op, job->status, "the self test could not run on the device");
    free(t->report.items);
    free(t);
}

/* Sizes within the scratch budget, or the error. */
static bool sizes_fit(const struct tkv_core *core, struct tkv_op *op, struct selftest_job *t)
{
    const struct tkv_debug_selftest *p = &t->params;
    size_t limit = core->config->debug_scratch_bytes, bytes;
    if (p->cache_len >= p->capacity) {
        tkv_error_param(&op->error, "cache_len", "cache_len %u leaves no room in capacity %u",
                        p->cache_len, p->capacity);
        return false;
    }
    bool fits = tkv_cache_bytes(&t->geom, p->capacity, &t->cache_bytes) &&
                tkv_block_bytes(&t->geom, p->layers, 1, TKV_F16, &t->rows_bytes) &&
                tkv_mul(2, t->cache_bytes, &bytes) && tkv_add(bytes, t->rows_bytes, &bytes) &&
                tkv_mul(p->m, bytes, &bytes);
    if (!fits) bytes = SIZE_MAX;
    if (bytes <= limit) return true;
    tkv_error_set(&op->error, TKV_ETOOLARGE,
                  "the test needs %zu bytes of scratch memory, debug.scratch_bytes is %zu", bytes,
                  limit);
    tkv_error_number(&op->error, limit, limit);
    tkv_error_number(&op->error, size, bytes);
    return false;
}

void tkv_run_selftest(struct tkv_core *core, struct tkv_op *op)
{
    struct selftest_job *t = calloc(1, sizeof *t);
    if (t == NULL) {
        tkv_core_fail(core, op, TKV_ENOMEM, "no host memory for a self test");
        return;
    }
    t->op = op;
    t->params = op->request->params.debug_selftest;
    t->geom =
        (struct tkv_geometry){t->params.layers, t->params.n_kv_heads, t->params.head_dim, TKV_F16};
    t->report.n_items = (size_t)t->params.m * TKV_KV;
    t->report.items = calloc(t->report.n_items, sizeof *t->report.items);
    if (t->report.items == NULL)
        tkv_error_set(&op->error, TKV_ENOMEM, "no host memory for a self test");
    if (op->error.status != TKV_OK || !sizes_fit(core, op, t)) {
        tkv_core_finish(core, op);
        free(t->report.items);
        free(t);
        return;
    }
    t->job = (struct tkv_job){.run = run_selftest_job, .complete = complete_selftest};
    tkv_engine_submit(core->checker, &t->job);
}
