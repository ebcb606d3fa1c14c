#include "clients/c/command/watch/sample.h"

#include <stdbool.h>
#include <string.h>

static const char *const places[SAMPLE_COUNT] = {
#define X(name, place) [SAMPLE_##name] = (place),
    SAMPLE_NUMBERS(X)
#undef X
};

/* The number at "group/group/name". */
static double number_at(const cJSON *object, const char *place)
{
    char name[32];
    const char *slash;
    while ((slash = strchr(place, '/')) != NULL) {
        size_t n = (size_t)(slash - place);
        if (n >= sizeof name) return (double)NAN;
        memcpy(name, place, n);
        name[n] = '\0';
        object = cJSON_GetObjectItemCaseSensitive(object, name);
        place = slash + 1;
    }
    return json_number(object, place);
}

void sample_take(struct sample *out, const cJSON *result)
{
    const cJSON *reasons = cJSON_GetObjectItemCaseSensitive(result, "reasons");
    for (int i = 0; i < SAMPLE_COUNT; i++)
        out->of[i] = number_at(result, places[i]);
    for (int i = 0; i < TRUEKV_STATUS_COUNT; i++)
        out->reasons[i] = json_number(reasons, truekv_reason((enum truekv_status)i));
}

double sample_seconds(const struct sample *before, const struct sample *now)
{
    if (before == NULL) return (double)NAN;
    double seconds = now->of[SAMPLE_UPTIME_S] - before->of[SAMPLE_UPTIME_S];
    return seconds > 0 ? seconds : (double)NAN;
}

static double rate(double before, double now, double seconds)
{
    return now >= before ? (now - before) / seconds : (double)NAN;
}

double sample_rate(const struct sample *before, const struct sample *now, enum sample_id id)
{
    double seconds = sample_seconds(before, now);
    return isnan(seconds) ? seconds : rate(before->of[id], now->of[id], seconds);
}

double sample_reason_rate(const struct sample *before, const struct sample *now,
                          enum truekv_status reason)
{
    double seconds = sample_seconds(before, now);
    return isnan(seconds) ? seconds : rate(before->reasons[reason], now->reasons[reason], seconds);
}

struct latency sample_latency(const struct sample *now)
{
    const double *of = now->of;
    bool told = !isnan(of[SAMPLE_METHOD_MAX_US]);
    struct latency l = {.recent = !isnan(of[SAMPLE_RECENT_APPENDS]),
                        .p50_us = of[told ? SAMPLE_METHOD_P50_US : SAMPLE_STEP_P50_US],
                        .p99_us = of[told ? SAMPLE_METHOD_P99_US : SAMPLE_STEP_P99_US],
                        .max_us = of[told ? SAMPLE_METHOD_MAX_US : SAMPLE_STEP_MAX_US]};
    if (!l.recent) return l;
    bool any = of[SAMPLE_RECENT_APPENDS] > 0;
    l.p50_us = any ? of[SAMPLE_RECENT_P50_US] : (double)NAN;
    l.p99_us = any ? of[SAMPLE_RECENT_P99_US] : (double)NAN;
    return l;
}

double sample_batch(const struct sample *before, const struct sample *now)
{
    double batches = sample_rate(before, now, SAMPLE_BATCHES);
    return batches > 0 ? sample_rate(before, now, SAMPLE_BATCH_ITEMS) / batches : (double)NAN;
}

double sample_wrong(const struct sample *now)
{
    return now->of[SAMPLE_DIVERGENT] + now->of[SAMPLE_DAMAGED];
}
