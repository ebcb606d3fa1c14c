#include "daemon/telemetry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

void tkv_telemetry_start(struct tkv_telemetry *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->started_us = tkv_now_us();
    t->started_unix = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void tkv_telemetry_tick(struct tkv_telemetry *t)
{
    tkv_window_tick(&t->appends, &t->tally.latency[TKV_METHOD_SEQ_APPEND]);
    tkv_window_tick(&t->batches, &t->stats->batch_size);
}

double tkv_telemetry_uptime_s(const struct tkv_telemetry *t)
{
    return (double)(tkv_now_us() - t->started_us) / 1e6;
}

uint64_t tkv_telemetry_rss_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    const char *read = fgets(line, sizeof line, file);
    fclose(file);
    const char *second = read != NULL ? strchr(line, ' ') : NULL;
    if (second == NULL) return 0;
    return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- the counters and gauges of the core ------------------------------------------------------ */

static const struct {
    const char *group, *field;
    size_t offset;
} fields[] = {
#define X(group, field, meaning) {#group, #field, offsetof(struct tkv_stats, group##_##field)},
    TKV_STATS(X)
#undef X
};

static uint64_t stat_at(const struct tkv_stats *from, size_t offset)
{
    const char *at = (const char *)from + offset;
    return tkv_stat_get((const _Atomic uint64_t *)(const void *)at);
}

/* What follows from a group's numbers. */
static void put_derived(struct tkv_json *j, const char *group, const struct tkv_stats *from)
{
    if (strcmp(group, "batch") != 0) return;
    uint64_t count = tkv_stat_get(&from->batch_count), items = tkv_stat_get(&from->batch_items);
    tkv_json_put_double(j, "mean_items", count > 0 ? (double)items / (double)count : 0);
}

static void put_groups(struct tkv_json *j, const struct tkv_stats *from)
{
    const size_t n = sizeof fields / sizeof fields[0];
    for (size_t i = 0; i < n; i++) {
        bool first = i == 0 || strcmp(fields[i - 1].group, fields[i].group) != 0;
        bool last = i + 1 == n || strcmp(fields[i + 1].group, fields[i].group) != 0;
        if (first) tkv_json_open_member(j, fields[i].group);
        tkv_json_put_uint(j, fields[i].field, stat_at(from, fields[i].offset));
        if (!last) continue;
        put_derived(j, fields[i].group, from);
        tkv_json_close(j, '}');
    }
}

/* --- what became of requests, and how long they took ------------------------------------------ */

static void put_us(struct tkv_json *j, const char *name, uint64_t ns)
{
    tkv_json_put_double(j, name, (double)ns / 1000);
}

static void put_percentiles(struct tkv_json *j, const struct tkv_histogram *ns)
{
    put_us(j, "p50_us", tkv_histogram_percentile(ns, 0.5));
    put_us(j, "p99_us", tkv_histogram_percentile(ns, 0.99));
    put_us(j, "max_us", tkv_stat_get(&ns->max));
}

static void put_methods(struct tkv_json *j, const struct tkv_tally *tally)
{
    tkv_json_open_member(j, "methods");
    for (unsigned i = 0; i < TKV_METHOD_COUNT; i++) {
        tkv_json_open_member(j, tkv_method_word((enum tkv_method)i));
        tkv_json_put_uint(j, "count", tkv_tally_count(tally, i));
        tkv_json_put_uint(j, "errors", tkv_tally_errors(tally, i));
        put_percentiles(j, &tally->latency[i]);
        tkv_json_close(j, '}');
    }
    tkv_json_close(j, '}');
}

static void put_reasons(struct tkv_json *j, const struct tkv_tally *tally)
{
    tkv_json_open_member(j, "reasons");
    for (unsigned st = TKV_OK + 1; st < TKV_STATUS_COUNT; st++)
        tkv_json_put_uint(j, tkv_status_reason((enum tkv_status)st),
                          tkv_tally_reason(tally, (enum tkv_status)st));
    tkv_json_close(j, '}');
}

static void put_closed(struct tkv_json *j, const struct tkv_tally *tally)
{
    tkv_json_open_member(j, "closed");
    for (unsigned why = 0; why < TKV_CLOSED_COUNT; why++)
        tkv_json_put_uint(j, tkv_closed_word((enum tkv_closed)why),
                          tkv_stat_get(&tally->closed[why]));
    tkv_json_close(j, '}');
}

static void put_batch_size(struct tkv_json *j, const struct tkv_histogram *h)
{
    tkv_json_open_member(j, "batch_size");
    tkv_json_put_uint(j, "count", tkv_stat_get(&h->count));
    tkv_json_put_uint(j, "p50", tkv_histogram_percentile(h, 0.5));
    tkv_json_put_uint(j, "p99", tkv_histogram_percentile(h, 0.99));
    tkv_json_put_uint(j, "max", tkv_stat_get(&h->max));
    tkv_json_close(j, '}');
}

/* The last ten seconds. */
static void put_recent(struct tkv_json *j, const struct tkv_telemetry *t)
{
    const struct tkv_histogram *ns = &t->tally.latency[TKV_METHOD_SEQ_APPEND];
    const struct tkv_histogram *items = &t->stats->batch_size;
    tkv_json_open_member(j, "recent");
    tkv_json_open_member(j, tkv_method_word(TKV_METHOD_SEQ_APPEND));
    tkv_json_put_uint(j, "count", tkv_window_count(&t->appends, ns));
    put_us(j, "p50_us", tkv_window_percentile(&t->appends, ns, 0.5));
    put_us(j, "p99_us", tkv_window_percentile(&t->appends, ns, 0.99));
    tkv_json_close(j, '}');
    tkv_json_open_member(j, "batch_size");
    tkv_json_put_uint(j, "count", tkv_window_count(&t->batches, items));
    tkv_json_put_uint(j, "p50", tkv_window_percentile(&t->batches, items, 0.5));
    tkv_json_put_uint(j, "p99", tkv_window_percentile(&t->batches, items, 0.99));
    tkv_json_close(j, '}');
    tkv_json_close(j, '}');
}

/* Where the time of appends goes, stage by stage. */
static void put_steps(struct tkv_json *j, const struct tkv_steps *steps)
{
    tkv_json_open_member(j, "step");
    for (unsigned i = 0; i < TKV_STAGE_COUNT; i++) {
        tkv_json_open_member(j, tkv_stage_word((enum tkv_stage)i));
        tkv_json_put_uint(j, "count", tkv_stat_get(&steps->stages[i].count));
        put_percentiles(j, &steps->stages[i]);
        tkv_json_close(j, '}');
    }
    tkv_json_close(j, '}');
}

void tkv_telemetry_put(struct tkv_json *j, const struct tkv_telemetry *t)
{
    tkv_json_open(j, '{');
    tkv_json_put_double(j, "uptime_s", tkv_telemetry_uptime_s(t));
    put_groups(j, t->stats);
    put_methods(j, &t->tally);
    put_reasons(j, &t->tally);
    put_closed(j, &t->tally);
    put_batch_size(j, &t->stats->batch_size);
    put_recent(j, t);
    put_steps(j, t->steps);
    tkv_json_open_member(j, "process");
    tkv_json_put_uint(j, "rss_bytes", tkv_telemetry_rss_bytes());
    tkv_json_close(j, '}');
    tkv_json_close(j, '}');
}
