/* The numbers of a divergence, on the host; counting differing bytes of many planes is the
 * device's work. */
#include "kernels/compare.h"

#include <math.h>
#include <string.h>

#include "kernels/backend.h"

enum tkv_status tkv_compare_planes(struct tkv_device *dev, const void *a, const void *b,
                                   size_t plane_bytes, size_t n_planes, uint64_t *mismatched)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK || n_planes == 0) return st;
    if (plane_bytes == 0) {
        memset(mismatched, 0, n_planes * sizeof mismatched[0]);
        return TKV_OK;
    }
    st = dev->ops->compare_planes(dev, a, b, plane_bytes, n_planes, mismatched);
    return tkv_device_settle(dev, st);
}

/* Differing bytes of one element. */
static unsigned differing_bytes(const unsigned char *a, const unsigned char *b, size_t size)
{
    unsigned n = 0;
    for (size_t i = 0; i < size; i++)
        n += a[i] != b[i];
    return n;
}

/* How far apart two differing elements are: not finite counts as infinitely far. */
static double distance(float expected, float other)
{
    if (!isfinite(expected) || !isfinite(other)) return INFINITY;
    return fabs((double)expected - (double)other);
}

static bool is_nonzero(float value)
{
    return !(fabsf(value) <= 1e-6f); /* NaN counts */
}

/* What has been seen so far; largest starts below every distance. */
struct survey {
    struct tkv_plane_stats *stats;
    double largest;
};

static void survey_element(struct survey *s, uint32_t head, uint32_t pos, uint32_t dim, float x,
                           float y)
{
    double far = distance(x, y);
    if (!isfinite(far)) s->stats->finite = false;
    if (isfinite(far) && far > s->stats->max_abs_diff) s->stats->max_abs_diff = far;
    if (far <= s->largest) return;
    s->largest = far;
    s->stats->worst.kv_head = head;
    s->stats->worst.kv_pos = pos;
    s->stats->worst.dim = dim;
    s->stats->worst.expected = x;
    s->stats->worst.other = y;
}

static void survey_row(struct survey *s, const struct tkv_geometry *geom, uint32_t head,
                       uint32_t pos, const unsigned char *a, const unsigned char *b)
{
    size_t size = tkv_dtype_size(geom->dtype);
    for (uint32_t dim = 0; dim < geom->head_dim; dim++, a += size, b += size) {
        float x = tkv_element(a, geom->dtype, 0), y = tkv_element(b, geom->dtype, 0);
        unsigned bytes = differing_bytes(a, b, size);
        s->stats->nonzero_expected += is_nonzero(x);
        s->stats->nonzero_other += is_nonzero(y);
        s->stats->mismatched_bytes += bytes;
        if (bytes > 0) survey_element(s, head, pos, dim, x, y);
    }
}

void tkv_plane_stats(const struct tkv_geometry *geom, uint32_t positions, const void *expected,
                     const void *other, struct tkv_plane_stats *out)
{
    struct survey s = {.stats = out, .largest = -1};
    size_t size = tkv_dtype_size(geom->dtype);

    *out = (struct tkv_plane_stats){.finite = true};
    for (uint32_t head = 0; head < geom->n_kv_heads; head++) {
        for (uint32_t pos = 0; pos < positions; pos++) {
            size_t at = tkv_row_offset(geom, positions, head, pos) * size;
            survey_row(&s, geom, head, pos, (const unsigned char *)expected + at,
                       (const unsigned char *)other + at);
        }
    }
}

/* --- where it differs ------------------------------------------------------------------------- */

struct plane_pair {
    const struct tkv_geometry *geom;
    uint32_t positions;
    const unsigned char *a, *b;
};

/* Differing bytes of the row of a head at a position. */
static uint64_t row_mismatch(const struct plane_pair *p, uint32_t head, uint32_t pos)
{
    size_t size = tkv_dtype_size(p->geom->dtype), bytes = p->geom->head_dim * size;
    size_t at = tkv_row_offset(p->geom, p->positions, head, pos) * size;
    if (memcmp(p->a + at, p->b + at, bytes) == 0) return 0;
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += p->a[at + i] != p->b[at + i];
    return n;
}

static bool position_differs(const struct plane_pair *p, uint32_t pos)
{
    for (uint32_t head = 0; head < p->geom->n_kv_heads; head++) {
        if (row_mismatch(p, head, pos) > 0) return true;
    }
    return false;
}

static uint32_t per_cell(uint32_t n)
{
    return n == 0 ? 1 : (n - 1) / TKV_PLANE_CELLS + 1;
}

void tkv_plane_mismatch(const struct tkv_geometry *geom, uint32_t positions, const void *expected,
                        const void *other, struct tkv_plane_map *out)
{
    struct plane_pair p = {geom, positions, expected, other};
    uint32_t first = 0, end = positions;
    while (first < end && !position_differs(&p, first))
        first++;
    while (end > first && !position_differs(&p, end - 1))
        end--;
    *out = (struct tkv_plane_map){.heads_per_cell = per_cell(geom->n_kv_heads),
                                  .pos = first,
                                  .positions_per_cell = per_cell(end - first)};
    out->n_heads = (geom->n_kv_heads - 1) / out->heads_per_cell + 1;
    out->n_positions = end == first ? 0 : (end - first - 1) / out->positions_per_cell + 1;
    for (uint32_t head = 0; head < geom->n_kv_heads; head++) {
        for (uint32_t pos = first; pos < end; pos++) {
            uint64_t n = row_mismatch(&p, head, pos);
            out->heads[head / out->heads_per_cell] += n;
            out->positions[(pos - first) / out->positions_per_cell] += n;
        }
    }
}
