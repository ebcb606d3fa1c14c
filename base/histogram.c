#include "base/histogram.h"

static size_t bucket_of(uint64_t value)
{
    if (value < TKV_HISTOGRAM_STEPS) return (size_t)value;
    unsigned top = 63u - (unsigned)__builtin_clzll(value); /* 2^top <= value */
    size_t step = (size_t)(value >> (top - 4)) & (TKV_HISTOGRAM_STEPS - 1);
    size_t bucket = (top - 3) * (size_t)TKV_HISTOGRAM_STEPS + step;
    return bucket < TKV_HISTOGRAM_BUCKETS ? bucket : TKV_HISTOGRAM_BUCKETS - 1;
}

uint64_t tkv_histogram_upper(size_t bucket)
{
    if (bucket < TKV_HISTOGRAM_STEPS) return bucket;
    unsigned top = (unsigned)(bucket / TKV_HISTOGRAM_STEPS) + 3;
    uint64_t step = bucket % TKV_HISTOGRAM_STEPS + TKV_HISTOGRAM_STEPS;
    return ((step + 1) << (top - 4)) - 1;
}

/* One thread adds: a load and a store will do. */
static void add(_Atomic uint64_t *to, uint64_t n)
{
    uint64_t before = atomic_load_explicit(to, memory_order_relaxed);
    atomic_store_explicit(to, before + n, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *from)
{
    return atomic_load_explicit((_Atomic uint64_t *)from, memory_order_relaxed);
}

void tkv_histogram_add(struct tkv_histogram *h, uint64_t value)
{
    add(&h->counts[bucket_of(value)], 1);
    add(&h->count, 1);
    add(&h->sum, value);
    if (value > get(&h->max)) atomic_store_explicit(&h->max, value, memory_order_relaxed);
}

uint64_t tkv_histogram_percentile(const struct tkv_histogram *h, double part)
{
    uint64_t total = 0, seen = 0, max = get(&h->max);
    for (size_t i = 0; i < TKV_HISTOGRAM_BUCKETS; i++)
        total += get(&h->counts[i]);
    if (total == 0) return 0;
    double wanted = part * (double)total;
    for (size_t i = 0; i < TKV_HISTOGRAM_BUCKETS; i++) {
        seen += get(&h->counts[i]);
        if (seen > 0 && (double)seen >= wanted)
            return tkv_histogram_upper(i) < max ? tkv_histogram_upper(i) : max;
    }
    return max;
}
