#include "base/window.h"

#include <stddef.h>

static uint64_t get(const _Atomic uint64_t *from)
{
    return atomic_load_explicit((_Atomic uint64_t *)from, memory_order_relaxed);
}

void tkv_window_tick(struct tkv_window *w, const struct tkv_histogram *h)
{
    unsigned ticks = atomic_load_explicit(&w->ticks, memory_order_relaxed);
    _Atomic uint64_t *to = w->past[ticks % (TKV_WINDOW_TICKS + 1)];
    for (size_t i = 0; i < TKV_HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&to[i], get(&h->counts[i]), memory_order_relaxed);
    atomic_store_explicit(&w->ticks, ticks + 1, memory_order_release);
}

/* The oldest counts that the next tick does not overwrite; NULL: there were few ticks, all counts
 * since the beginning are the window's. */
static const _Atomic uint64_t *oldest(const struct tkv_window *w)
{
    unsigned ticks = atomic_load_explicit((_Atomic unsigned *)&w->ticks, memory_order_acquire);
    if (ticks < TKV_WINDOW_TICKS) return NULL;
    return w->past[(ticks - TKV_WINDOW_TICKS) % (TKV_WINDOW_TICKS + 1)];
}

/* A reader may see a bucket's count of before a tick and its past of after it. */
static uint64_t recent(const struct tkv_histogram *h, const _Atomic uint64_t *past, size_t i)
{
    uint64_t now = get(&h->counts[i]), before = past != NULL ? get(&past[i]) : 0;
    return now > before ? now - before : 0;
}

uint64_t tkv_window_count(const struct tkv_window *w, const struct tkv_histogram *h)
{
    const _Atomic uint64_t *past = oldest(w);
    uint64_t sum = 0;
    for (size_t i = 0; i < TKV_HISTOGRAM_BUCKETS; i++)
        sum += recent(h, past, i);
    return sum;
}

uint64_t tkv_window_percentile(const struct tkv_window *w, const struct tkv_histogram *h,
                               double part)
{
    const _Atomic uint64_t *past = oldest(w);
    uint64_t seen = 0, top = 0, max = get(&h->max);
    double wanted = part * (double)tkv_window_count(w, h);
    for (size_t i = 0; i < TKV_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = recent(h, past, i);
        seen += n;
        if (n > 0) top = tkv_histogram_upper(i);
        if (seen > 0 && (double)seen >= wanted) break;
    }
    return top < max ? top : max;
}
