#include "clients/c/command/watch/watch.h"

#include <poll.h>

#include "base/clock.h"
#include "clients/c/command/watch/link.h"
#include "clients/c/command/watch/rows.h"

enum { ANSWER_TIMEOUT_MS = 5000, INTERVAL_MS = 1000, INTERVAL_MIN_MS = 100, ROWS_PER_HEAD = 20 };
static const uint64_t MS_NS = 1000000;

bool watch_options(struct app *app, uint64_t *interval_ns, uint64_t *count)
{
    const struct option_value *interval = app_option(app, OPT_INTERVAL);
    const struct option_value *n = app_option(app, OPT_TIMES);
    int ms = interval->given ? interval->ms : INTERVAL_MS;
    if (ms < INTERVAL_MIN_MS) {
        app_usage(app, "--interval must be at least 0.1");
        return false;
    }
    *interval_ns = (uint64_t)ms * MS_NS;
    *count = n->given ? n->number : UINT64_MAX;
    return true;
}

uint64_t watch_next(uint64_t tick_ns, uint64_t interval_ns, uint64_t now_ns)
{
    uint64_t missed = now_ns > tick_ns ? (now_ns - tick_ns) / interval_ns : 0;
    return tick_ns + (missed + 1) * interval_ns;
}

struct watch {
    struct app *app;
    struct link link;
    struct sample before, now;
    bool has_before;
    uint64_t rows; /* since the start */
    uint64_t since_head;
};

/* ---- What it says -------------------------------------------------------------------------- */

static bool is_json(const struct watch *w)
{
    return app_option(w->app, OPT_JSON)->given;
}

static void say_lost(struct watch *w)
{
    if (is_json(w))
        rows_json_event(w->app->out.to, "lost", w->link.why);
    else
        out_para(&w->app->err, 0, 2, WARN, "Lost:", "%s; trying again.", w->link.why);
}

static void say_back(struct watch *w)
{
    char away[32];
    w->since_head = 0;
    if (is_json(w))
        rows_json_event(w->app->out.to, "back", NULL);
    else
        out_para(&w->app->err, 0, 2, GOOD, "Back:", "connected again after %s; rates begin anew.",
                 out_duration((double)w->link.away_ns / 1e9, away, sizeof away));
}

static void put_row(struct watch *w)
{
    struct out *o = &w->app->out;
    w->rows++;
    if (is_json(w)) {
        rows_json(o->to, &w->before, &w->now);
        return;
    }
    if (w->since_head++ % ROWS_PER_HEAD == 0) rows_head(o, &w->now);
    rows_put(o, &w->before, &w->now);
}

/* ---- One look ------------------------------------------------------------------------------ */

static bool ask(struct watch *w)
{
    if (!app_option(w->app, OPT_TIMEOUT)->given) truekv_set_timeout(w->app->kv, ANSWER_TIMEOUT_MS);
    if (truekv_server_stats(w->app->kv) != TRUEKV_OK) return false;
    cJSON *result = cJSON_Parse(truekv_last_answer(w->app->kv)->json);
    sample_take(&w->now, result);
    cJSON_Delete(result);
    return true;
}

static void take_look(struct watch *w)
{
    if (link_heard(&w->link, tkv_now_ns())) {
        say_back(w);
        w->has_before = false;
    }
    if (w->has_before) put_row(w);
    w->before = w->now;
    w->has_before = true;
}

/* false: the daemon says no to that, and always will. */
static bool look(struct watch *w)
{
    if (!w->link.up && !link_make(&w->link)) return true;
    if (ask(w)) {
        take_look(w);
        return true;
    }
    if (!link_passes(truekv_error(w->app->kv))) return false;
    if (link_lose(&w->link, truekv_error(w->app->kv), tkv_now_ns())) say_lost(w);
    return true;
}

enum exit_code watch_stats(struct app *app)
{
    enum exit_code code;
    uint64_t interval_ns, count;
    struct watch w = {.app = app};
    if (!watch_options(app, &interval_ns, &count)) return EXIT_USAGE;
    if (!app_connect(app, &code)) return code;
    link_init(&w.link, app);
    uint64_t tick_ns = tkv_now_ns();
    for (;;) {
        if (!look(&w)) return app_failed(app);
        (void)fflush(app->out.to);
        if (w.rows >= count || ferror(app->out.to) != 0) return EXIT_FINE;
        uint64_t now_ns = tkv_now_ns();
        tick_ns = watch_next(tick_ns, interval_ns, now_ns);
        (void)poll(NULL, 0, (int)((tick_ns - now_ns + MS_NS - 1) / MS_NS));
    }
}
