/* cmd_watch.c - truekv stats --watch: a line for each interval. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sizes.h"
#include "clients/c/command/watch.h"

enum { HEADS_EVERY = 20 };

static void put_heads(struct out *o)
{
    out_put(o, BOLD, "%10s %10s %12s %9s %9s %7s %9s %12s %12s %8s %9s\n", "APPENDS/s", "TOKENS/s",
            "BYTES/s", "p50", "p99", "BATCH", "SEQUENCES", "CACHES", "FREE", "ERRORS/s",
            "DIVERGENT");
}

static void put_line(struct out *o, const struct watch_sample *s, const struct watch_rates *r)
{
    char bytes[32], p50[32], p99[32], caches[32], unused[32];
    out_put(o, PLAIN, "%10.0f %10.0f %12s %9s %9s %7.1f %9.0f %12s %12s %8.0f ", r->appends,
            r->tokens, tkv_format_size((uint64_t)r->bytes, bytes, sizeof bytes),
            out_duration(s->p50_us / 1e6, p50, sizeof p50),
            out_duration(s->p99_us / 1e6, p99, sizeof p99), r->mean_items, s->sequences,
            tkv_format_size((uint64_t)s->live_bytes, caches, sizeof caches),
            tkv_format_size((uint64_t)s->free_bytes, unused, sizeof unused), r->errors);
    out_put(o, s->divergent + s->damaged > 0 ? BAD : PLAIN, "%9.0f\n", s->divergent + s->damaged);
    (void)fflush(o->to);
}

static void put_json(struct out *o, const struct watch_sample *s, const struct watch_rates *r)
{
    fprintf(o->to,
            "{\"uptime_s\":%.3f,\"appends_per_s\":%.3f,\"tokens_per_s\":%.3f,\"bytes_per_s\":%.0f,"
            "\"errors_per_s\":%.3f,\"batches_per_s\":%.3f,\"mean_items\":%.3f,\"p50_us\":%.3f,"
            "\"p99_us\":%.3f,\"sequences\":%.0f,\"live_bytes\":%.0f,\"free_bytes\":%.0f,"
            "\"divergent_items\":%.0f,\"damaged_tokens\":%.0f}\n",
            s->uptime_s, r->appends, r->tokens, r->bytes, r->errors, r->batches, r->mean_items,
            s->p50_us, s->p99_us, s->sequences, s->live_bytes, s->free_bytes, s->divergent,
            s->damaged);
    (void)fflush(o->to);
}

/* Said once for each time that it is lost. */
static void say_lost(struct app *app, bool *lost, const struct truekv_error *error)
{
    if (!*lost)
        out_para(&app->err, 0, 2, WARN, "truekv: stats:", "%s; waiting for it", error->message);
    *lost = true;
}

enum exit_code cmd_watch(struct app *app, double seconds)
{
    struct watch_sample before = {0}, now;
    struct watch_rates rates;
    struct truekv_error error;
    bool json = app_option(app, OPT_JSON)->given, lost = false;
    uint64_t next = tkv_now_ns();
    watch_until_signal();
    for (int lines = 0; !watch_told_to_end(); (void)watch_wait(seconds, &next)) {
        cJSON *stats = watch_ask(app, &error);
        if (stats == NULL) {
            say_lost(app, &lost, &error);
            continue;
        }
        lost = false;
        watch_take(&now, stats);
        watch_compare(&rates, &before, &now);
        before = now;
        cJSON_Delete(stats);
        if (!rates.known) continue;
        if (!json && lines++ % HEADS_EVERY == 0) put_heads(&app->out);
        if (json)
            put_json(&app->out, &now, &rates);
        else
            put_line(&app->out, &now, &rates);
        if (ferror(app->out.to)) break; /* whoever read it has gone */
    }
    return EXIT_FINE;
}
