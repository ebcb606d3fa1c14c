/* histogram.h - how long something took, over a process's life: counts in log-linear buckets, 16 to
 * a doubling, so that a percentile is off by 6 % at most. One thread adds; any reads (relaxed
 * atomics: each number is whole, not all of one instant). */
#ifndef TKV_BASE_HISTOGRAM_H
#define TKV_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { TKV_HISTOGRAM_STEPS = 16, TKV_HISTOGRAM_BUCKETS = 38 * TKV_HISTOGRAM_STEPS }; /* to 2^41 */

/* Zeroed at start. The unit is the user's: nanoseconds, here. */
struct tkv_histogram {
    _Atomic uint64_t counts[TKV_HISTOGRAM_BUCKETS];
    _Atomic uint64_t count, sum, max;
};

/* The largest value of a bucket: they grow with `bucket`, 0 to TKV_HISTOGRAM_BUCKETS - 1. */
uint64_t tkv_histogram_upper(size_t bucket);

void tkv_histogram_add(struct tkv_histogram *h, uint64_t value);

/* The value that `part` (0 to 1) of all are at or below, rounded up within its bucket; 0: empty. */
uint64_t tkv_histogram_percentile(const struct tkv_histogram *h, double part);

#endif
