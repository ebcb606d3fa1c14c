#include "clients/c/command/bench/result.h"

#include <string.h>

void bench_result_init(struct bench_result *r)
{
    *r = (struct bench_result){.series.span_ns = SERIES_FIRST_NS};
    histogram_clear(&r->latency);
}

static void fold(struct bench_series *s)
{
    for (size_t i = 0; i < SERIES_SPANS / 2; i++)
        s->counts[i] = s->counts[2 * i] + s->counts[2 * i + 1];
    memset(&s->counts[SERIES_SPANS / 2], 0, sizeof s->counts / 2);
    s->span_ns *= 2;
    s->n = (s->n + 1) / 2;
}

void bench_series_add(struct bench_series *s, uint64_t at_ns)
{
    while (at_ns / s->span_ns >= SERIES_SPANS)
        fold(s);
    size_t i = (size_t)(at_ns / s->span_ns);
    s->counts[i]++;
    if (i >= s->n) s->n = i + 1;
}
