#include "clients/c/command/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
    told_to_end = number;
}

void watch_until_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: sleep ends */
    told_to_end = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool watch_told_to_end(void)
{
    return told_to_end != 0;
}

bool watch_wait(double seconds, uint64_t *next_ns)
{
    *next_ns += (uint64_t)(seconds * 1e9);
    uint64_t now = tkv_now_ns();
    if (*next_ns < now) *next_ns = now; /* it has taken longer than that */
    while (!watch_told_to_end() && (now = tkv_now_ns()) < *next_ns)
        (void)poll(NULL, 0, (int)((*next_ns - now) / 1000000) + 1);
    return !watch_told_to_end();
}

/* The number at "group" "name"; 0 where it is absent. */
static double at(const cJSON *stats, const char *group, const char *name)
{
    double value = json_number(cJSON_GetObjectItemCaseSensitive(stats, group), name);
    return isnan(value) ? 0 : value;
}

static const cJSON *inner(const cJSON *stats, const char *group, const char *name)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(stats, group);
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static double number(const cJSON *object, const char *name)
{
    double value = json_number(object, name);
    return isnan(value) ? 0 : value;
}

void watch_take(struct watch_sample *s, const cJSON *stats)
{
    const cJSON *recent = inner(stats, "recent", "seq.append");
    *s = (struct watch_sample){
        .uptime_s = number(stats, "uptime_s"),
        .appends = number(inner(stats, "methods", "seq.append"), "count"),
        .items = at(stats, "append", "items"),
        .tokens = at(stats, "append", "tokens"),
        .bytes = at(stats, "append", "bytes"),
        .batches = at(stats, "batch", "count"),
        .errors = at(stats, "requests", "errors"),
        .p50_us = number(recent, "p50_us"),
        .p99_us = number(recent, "p99_us"),
        .batch_p99 = number(inner(stats, "recent", "batch_size"), "p99"),
        .sequences = at(stats, "sequences", "live"),
        .connections = at(stats, "connections", "open"),
        .waiting = at(stats, "queue", "waiting"),
        .in_flight = at(stats, "batch", "in_flight"),
        .live_bytes = at(stats, "memory_states", "live"),
        .freeing_bytes = at(stats, "memory_states", "freeing"),
        .checksum_bytes = at(stats, "memory_states", "checksums"),
        .free_bytes = at(stats, "memory_states", "free"),
        .budget_bytes = at(stats, "memory", "budget_bytes"),
        .journal_batches = at(stats, "journal", "batches"),
        .journal_bytes = at(stats, "journal", "bytes"),
        .evicted = at(stats, "journal", "evicted"),
        .divergent = at(stats, "verify", "divergent_items"),
        .damaged = at(stats, "scrub", "damaged_tokens"),
        .latched = at(stats, "health", "latched"),
    };
}

void watch_compare(struct watch_rates *r, const struct watch_sample *before,
                   const struct watch_sample *now)
{
    double seconds = now->uptime_s - before->uptime_s;
    *r = (struct watch_rates){0};
    if (before->uptime_s <= 0 || seconds <= 0) return;
    double batches = now->batches - before->batches;
    *r = (struct watch_rates){
        .known = true,
        .appends = (now->appends - before->appends) / seconds,
        .items = (now->items - before->items) / seconds,
        .tokens = (now->tokens - before->tokens) / seconds,
        .bytes = (now->bytes - before->bytes) / seconds,
        .batches = batches / seconds,
        .errors = (now->errors - before->errors) / seconds,
        .mean_items = batches > 0 ? (now->items - before->items) / batches : 0,
    };
}

static bool connect_anew(struct app *app, struct truekv_error *error)
{
    const struct truekv_options options = {.timeout_ms = app->command->timeout_ms};
    truekv_close(app->kv);
    app->kv = NULL;
    return truekv_open(&app->kv, app->address, &options, error) == TRUEKV_OK;
}

cJSON *watch_ask(struct app *app, struct truekv_error *error)
{
    if (app->kv == NULL && !connect_anew(app, error)) return NULL;
    if (truekv_server_stats(app->kv) == TRUEKV_OK)
        return cJSON_Parse(truekv_last_answer(app->kv)->json);
    *error = *truekv_error(app->kv);
    error->json = NULL; /* it goes with the connection */
    truekv_close(app->kv);
    app->kv = NULL;
    return NULL;
}
