/* rerun_live.c - the third way: what the live caches hold where a part's rows were written. */
#include <string.h>

#include "daemon/classify.h"
#include "daemon/rerun_impl.h"
#include "kernels/compare.h"

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
    if (st == TKV_OK) st = tkv_part_fetch_batched(run, part, p, plane, b);
    if (st == TKV_OK) st = tkv_device_sync(dev);
    if (st != TKV_OK || !is_damaged(e, l, b, bytes)) return st;
    if (run->r->n_found >= run->found_limit) return TKV_OK;
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
    uint8_t *expected = tkv_part_side(run, part, TKV_SIDE_EXPECTED_LIVE);
    uint8_t *live = tkv_part_side(run, part, TKV_SIDE_LIVE);
    if (part->live_span == 0) return TKV_OK;
    enum tkv_status st = tkv_device_fill(run->r->dev, expected, 0, 2 * part->live_span);
    if (st == TKV_OK) st = tkv_device_sync(run->r->dev);
    if (st == TKV_OK) st = tkv_part_gather(run, part);
    if (st == TKV_OK) st = tkv_part_read_live(run, part);
    if (st == TKV_OK) st = tkv_part_differing(run, expected, live, part->live_span, &differing);
    if (st != TKV_OK || (differing == 0 && !any_differs(run, part))) return st;
    for (uint32_t i = 0; i < part->n_items && st == TKV_OK; i++) {
        const struct part_item *p = &part->items[i];
        if (p->live_plane_bytes == 0) continue;
        st = compare_live_item(run, part, p, expected + p->live_offset, live + p->live_offset);
        if (st == TKV_OK) st = tkv_part_compare_live_sums(run, part, p);
    }
    return st;
}
