/* histogram.h - how often each latency occurred, to three significant digits from 100 ns to a
 * minute, in memory that is the same for ten measurements and for ten billion. One thread at a
 * time.
 *
 * Log-linear buckets, as in HdrHistogram (Gil Tene, http://hdrhistogram.org): buckets of 100 ns up
 * to 204.8 us, and from there on each doubling is cut into 1024. A bucket is at most 1/1024 of what
 * it holds, so that a value that is read back is at most 0.1 % (or 100 ns) above one that was put
 * in. */
#ifndef TRUEKV_COMMAND_HISTOGRAM_H
#define TRUEKV_COMMAND_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_UNIT_NS = 100,
    HISTOGRAM_HALF = 1024, /* buckets of one doubling */
    HISTOGRAM_DOUBLINGS = 19,
    HISTOGRAM_BUCKETS = (HISTOGRAM_DOUBLINGS + 2) * HISTOGRAM_HALF
};
#define HISTOGRAM_MAX_NS UINT64_C(60000000000) /* what is longer counts as this long */

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t n, sum_ns, min_ns, max_ns; /* of n measurements, as they were; 0 where n is 0 */
};

/* Empties it; call it once before the first use, too. */
void histogram_clear(struct histogram *h);

void histogram_add(struct histogram *h, uint64_t ns);

/* Adds all of `from`. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* The latency that a share of the measurements did not exceed: 0.5 is the median, 1 the longest. 0
 * where there are none. */
uint64_t histogram_at(const struct histogram *h, double share);

double histogram_mean_ns(const struct histogram *h);

/* ---- For tests: the bucket of a latency, and the longest latency that belongs to a bucket. */
size_t histogram_bucket(uint64_t ns);
uint64_t histogram_bucket_end_ns(size_t bucket);

#endif
