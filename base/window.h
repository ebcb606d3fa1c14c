/* window.h - the last seconds of a histogram: what came in since it was last looked at, some ticks
 * ago. One thread ticks; any reads (relaxed atomics, as in histogram.h). */
#ifndef TKV_BASE_WINDOW_H
#define TKV_BASE_WINDOW_H

#include "base/histogram.h"

enum { TKV_WINDOW_TICKS = 10 };

/* Zeroed at start. */
struct tkv_window {
    _Atomic uint64_t past[TKV_WINDOW_TICKS + 1][TKV_HISTOGRAM_BUCKETS];
    _Atomic unsigned ticks; /* so many have been; the next one writes past[ticks % (TICKS + 1)] */
};

/* Once a second, or whatever the user's tick is. */
void tkv_window_tick(struct tkv_window *w, const struct tkv_histogram *h);

/* How many were added to h within the last TKV_WINDOW_TICKS ticks (or since its beginning), and
 * their percentile as in tkv_histogram_percentile(). */
uint64_t tkv_window_count(const struct tkv_window *w, const struct tkv_histogram *h);
uint64_t tkv_window_percentile(const struct tkv_window *w, const struct tkv_histogram *h,
                               double part);

#endif
