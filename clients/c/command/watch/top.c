#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "clients/c/command/watch/board.h"
#include "clients/c/command/watch/frame.h"
#include "clients/c/command/watch/link.h"
#include "clients/c/command/watch/screen.h"
#include "clients/c/command/watch/watch.h"

enum {
    PAGE = 500, /* sequences asked for at a time: few enough that the daemon does not notice */
    TEXT_BYTES = 256,
    NEWS_S = 60,       /* how long a restart is told of */
    PATIENCE_MS = 1000 /* in the middle of an answer: keys and signals wait meanwhile */
};
static const uint64_t MS_NS = 1000000, S_NS = 1000000000;

struct top {
    struct app *app;
    struct link link;
    struct screen screen;
    struct board board;
    struct sample before, now;
    unsigned samples; /* in a row: 1: now, 2: before, too */
    bool asked;       /* the answer to ticket is not here yet */
    bool paged;       /* page_cursor is where the next page begins */
    uint64_t ticket, asked_ns, page_cursor;
    bool healthy;
    char version[TEXT_BYTES], backend[TEXT_BYTES], unhealthy[TEXT_BYTES];
    char message[sizeof((struct link *)NULL)->why + TEXT_BYTES];
};

/* ---- Drawing ------------------------------------------------------------------------------- */

/* Whole ones: fractions would be restless. */
static double seconds_since(uint64_t then_ns, uint64_t now_ns)
{
    return floor((double)(now_ns - then_ns) / 1e9);
}

static const char *say_back(struct top *t, uint64_t now_ns)
{
    char ago[32], away[32];
    if (t->link.back_ns == 0 || now_ns - t->link.back_ns > NEWS_S * S_NS) return NULL;
    out_duration(seconds_since(t->link.back_ns, now_ns), ago, sizeof ago);
    out_duration((double)t->link.away_ns / 1e9, away, sizeof away);
    snprintf(t->message, sizeof t->message, "Connected again %s ago, after %s.", ago, away);
    return t->message;
}

/* What is to be said; NULL: nothing. */
static const char *message_of(struct top *t, uint64_t now_ns, enum style *style)
{
    char text[32];
    *style = BAD;
    if (t->link.lost) {
        out_duration(seconds_since(t->link.lost_ns, now_ns), text, sizeof text);
        snprintf(t->message, sizeof t->message, "Lost for %s: %s; trying again.", text,
                 t->link.why);
        return t->message;
    }
    if (t->asked && now_ns - t->asked_ns > 2 * S_NS) {
        out_duration(seconds_since(t->asked_ns, now_ns), text, sizeof text);
        snprintf(t->message, sizeof t->message, "No answer for %s.", text);
        return t->message;
    }
    *style = WARN;
    return say_back(t, now_ns);
}

static void compose(struct top *t, FILE *to, uint64_t now_ns)
{
    char clock[16] = "";
    struct tm parts;
    time_t seconds = time(NULL);
    struct out o = t->app->out;
    o.to = to;
    if (localtime_r(&seconds, &parts) != NULL) strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    struct frame f = {.before = t->samples > 1 && !t->link.lost ? &t->before : NULL,
                      .now = t->samples > 0 ? &t->now : NULL,
                      .board = &t->board,
                      .version = t->version,
                      .backend = t->backend,
                      .address = t->app->address,
                      .clock = clock,
                      .unhealthy = t->healthy ? NULL : t->unhealthy,
                      .lost = t->link.lost,
                      .keys = t->screen.keys,
                      .rows = t->screen.rows,
                      .columns = t->screen.columns};
    f.message = message_of(t, now_ns, &f.message_style);
    frame_put(&o, &f);
}

/* false: there is nowhere to draw to. */
static bool draw(struct top *t)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (to == NULL) return false;
    compose(t, to, tkv_now_ns());
    bool fine = fclose(to) == 0 && screen_draw(&t->screen, text, len);
    free(text);
    return fine;
}

/* ---- Asking -------------------------------------------------------------------------------- */

/* Whoever waits need not: what has not come by the next tick is still on its way. */
static enum truekv_status ask(struct top *t, uint64_t now_ns)
{
    static const struct truekv_request stats = {.method = "server.stats"};
    truekv_set_timeout(t->app->kv, PATIENCE_MS);
    enum truekv_status st = truekv_submit(t->app->kv, &stats, &t->ticket);
    t->asked = st == TRUEKV_OK;
    t->asked_ns = now_ns;
    return st;
}

static void take_stats(struct top *t, const char *json)
{
    cJSON *result = cJSON_Parse(json);
    t->before = t->now;
    sample_take(&t->now, result);
    cJSON_Delete(result);
    t->samples = t->samples > 0 ? 2 : 1;
}

static enum truekv_status take_info(struct top *t)
{
    struct truekv_info info;
    enum truekv_status st = truekv_server_info(t->app->kv, &info);
    if (st != TRUEKV_OK) return st;
    snprintf(t->version, sizeof t->version, "%s", info.version);
    snprintf(t->backend, sizeof t->backend, "%s", info.backend);
    t->healthy = info.healthy;
    snprintf(t->unhealthy, sizeof t->unhealthy, "%s",
             info.unhealthy_because != NULL ? info.unhealthy_because : "it does not say why");
    return TRUEKV_OK;
}

static enum truekv_status take_page(struct top *t)
{
    struct truekv_page page;
    const uint64_t *cursor = t->paged ? &t->page_cursor : NULL;
    enum truekv_status st = truekv_seq_list(t->app->kv, cursor, PAGE, &page);
    if (st != TRUEKV_OK) return st;
    board_take(&t->board, &page, tkv_now_ns());
    t->paged = page.more;
    t->page_cursor = page.cursor;
    return TRUEKV_OK;
}

/* The stats that were asked for, and then the rest, which such a daemon answers at once. */
static enum truekv_status take_answers(struct top *t)
{
    struct truekv_answer answer;
    enum truekv_status st = truekv_wait(t->app->kv, t->ticket, &answer);
    t->asked = false;
    if (st != TRUEKV_OK) return st;
    if (link_heard(&t->link, tkv_now_ns())) {
        t->samples = 0;
        t->paged = false;
        board_clear(&t->board);
    }
    take_stats(t, answer.json);
    st = take_info(t);
    return st == TRUEKV_OK ? take_page(t) : st;
}

/* false: the daemon says no to that, and always will. */
static bool survive(struct top *t, enum truekv_status st)
{
    if (st == TRUEKV_OK) return true;
    if (!link_passes(truekv_error(t->app->kv))) return false;
    t->asked = false;
    (void)link_lose(&t->link, truekv_error(t->app->kv), tkv_now_ns());
    return true;
}

static bool tick(struct top *t)
{
    if (!t->link.up && !link_make(&t->link)) return true;
    return t->asked || survive(t, ask(t, tkv_now_ns()));
}

/* The socket can be read: an answer, or it is lost, which the next question finds out. */
static bool hear(struct top *t)
{
    if (!t->asked && !survive(t, ask(t, tkv_now_ns()))) return false;
    return !t->asked || survive(t, take_answers(t));
}

/* ---- The loop ------------------------------------------------------------------------------ */

/* Milliseconds until a time, rounded up. */
static int until(uint64_t then_ns, uint64_t now_ns)
{
    return then_ns > now_ns ? (int)((then_ns - now_ns + MS_NS - 1) / MS_NS) : 0;
}

enum ending { GOES_ON, ENDS, REFUSED };

static enum ending step(struct top *t, uint64_t *tick_ns, uint64_t interval_ns)
{
    int fd = t->link.up ? truekv_fd(t->app->kv) : -1;
    switch (screen_wait(&t->screen, fd, until(*tick_ns, tkv_now_ns()))) {
    case SCREEN_QUIT: return ENDS;
    case SCREEN_READABLE:
        if (!hear(t)) return REFUSED;
        break;
    case SCREEN_TIME:
        *tick_ns = watch_next(*tick_ns, interval_ns, tkv_now_ns());
        if (!tick(t)) return REFUSED;
        if (t->asked && tkv_now_ns() - t->asked_ns < S_NS) return GOES_ON;
        break; /* no answer will come to be drawn: say why */
    case SCREEN_REDRAW: break;
    }
    return draw(t) ? GOES_ON : ENDS;
}

static enum exit_code run(struct top *t, uint64_t interval_ns, uint64_t count)
{
    enum ending ending = GOES_ON;
    uint64_t tick_ns = tkv_now_ns();
    while (ending == GOES_ON && t->screen.frames < count)
        ending = step(t, &tick_ns, interval_ns);
    screen_close(&t->screen);
    return ending == REFUSED ? app_failed(t->app) : EXIT_FINE;
}

enum exit_code cmd_top(struct app *app)
{
    enum exit_code code;
    uint64_t interval_ns, count;
    if (!watch_options(app, &interval_ns, &count)) return EXIT_USAGE;
    if (app_option(app, OPT_JSON)->given)
        return app_usage(app, "--json is for \"truekv stats --watch\"");
    if (!app_connect(app, &code)) return code;
    struct top *t = calloc(1, sizeof *t);
    if (t == NULL) return app_usage(app, "no memory");
    t->app = app;
    t->healthy = true;
    link_init(&t->link, app);
    board_init(&t->board);
    if (screen_open(&t->screen, app->out.to))
        code = run(t, interval_ns, count);
    else
        code = app_usage(app, "the terminal: %s", strerror(errno));
    board_close(&t->board);
    free(t);
    return code;
}
