#include "clients/c/command/histogram.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static_assert(((uint64_t)2 * HISTOGRAM_HALF << HISTOGRAM_DOUBLINGS) >
                  HISTOGRAM_MAX_NS / HISTOGRAM_UNIT_NS,
              "the last bucket holds the longest latency");

void histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

/* Values below 2 * HALF have a bucket each. A larger one is shifted right until it is below, by
 * `doublings`, and so falls into the upper half: that many halves lie before its own. */
size_t histogram_bucket(uint64_t ns)
{
    uint64_t value = (ns < HISTOGRAM_MAX_NS ? ns : HISTOGRAM_MAX_NS) / HISTOGRAM_UNIT_NS;
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | ((uint64_t)2 * HISTOGRAM_HALF - 1));
    unsigned doublings = bits - 11; /* 2 * HALF - 1 has 11 bits */
    return (size_t)(value >> doublings) + (size_t)doublings * HISTOGRAM_HALF;
}

uint64_t histogram_bucket_end_ns(size_t bucket)
{
    assert(bucket < HISTOGRAM_BUCKETS);
    uint64_t doublings = bucket < (size_t)2 * HISTOGRAM_HALF ? 0 : bucket / HISTOGRAM_HALF - 1;
    uint64_t value = bucket - doublings * HISTOGRAM_HALF;
    return ((value + 1) << doublings) * HISTOGRAM_UNIT_NS - 1;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->counts[histogram_bucket(ns)]++;
    if (h->n == 0 || ns < h->min_ns) h->min_ns = ns;
    if (ns > h->max_ns) h->max_ns = ns;
    h->sum_ns += ns;
    h->n++;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    if (from->n == 0) return;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        h->counts[i] += from->counts[i];
    if (h->n == 0 || from->min_ns < h->min_ns) h->min_ns = from->min_ns;
    if (from->max_ns > h->max_ns) h->max_ns = from->max_ns;
    h->sum_ns += from->sum_ns;
    h->n += from->n;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    assert(share >= 0 && share <= 1);
    if (h->n == 0) return 0;
    /* Less a little: 0.9 * 10 must not become the tenth of ten. */
    double exact = ceil(share * (double)h->n - 1e-9 * (double)h->n);
    uint64_t wanted = exact < 1 ? 1 : (uint64_t)exact, seen = 0;
    if (wanted >= h->n) return h->max_ns;
    size_t i = 0;
    while (seen + h->counts[i] < wanted)
        seen += h->counts[i++];
    uint64_t end = histogram_bucket_end_ns(i);
    if (end < h->min_ns) return h->min_ns;
    return end < h->max_ns ? end : h->max_ns;
}

double histogram_mean_ns(const struct histogram *h)
{
    return h->n > 0 ? (double)h->sum_ns / (double)h->n : 0;
}
