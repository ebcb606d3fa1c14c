#include "clients/c/command/watch/frame.h"

#include <string.h>

#include "clients/c/command/watch/line.h"
#include "clients/c/command/watch/standings.h"

enum {
    ROWS_FOR_TABLE = 16, /* with less, all of them go to the lines */
    BAR_COLUMNS = 20,
    COLUMNS_FOR_BAR = 76,
    REASONS_SHOWN = 3
};

static double rate(const struct frame *f, enum sample_id id)
{
    return sample_rate(f->before, f->now, id);
}

/* Marked where it is not 0. */
static enum style unless_0(double value, enum style style)
{
    return value > 0 ? style : PLAIN;
}

/* ---- Lines --------------------------------------------------------------------------------- */

static void put_appends(struct line *l, const struct frame *f)
{
    double refused = rate(f, SAMPLE_APPENDS_REFUSED);
    line_count(l, BOLD, "%s/s", rate(f, SAMPLE_APPENDS));
    line_count(l, BOLD, "%s tokens/s", rate(f, SAMPLE_APPEND_TOKENS));
    line_size(l, BOLD, "%s/s", rate(f, SAMPLE_APPEND_BYTES));
    if (refused > 0) line_count(l, WARN, "refused %s/s", refused);
}

static void put_latency(struct line *l, const struct frame *f)
{
    struct latency t = sample_latency(f->now);
    line_time(l, BOLD, "p50 %s", t.p50_us);
    line_time(l, BOLD, "p99 %s", t.p99_us);
    if (t.recent && isnan(t.p50_us)) line_put(l, PLAIN, "no append in the last 10 s");
    if (!(t.max_us > 0)) return;
    line_time(l, PLAIN, "max %s", t.max_us);
    line_put(l, DIM, t.recent ? "(last 10 s; max since start)" : "(since start)");
}

static void put_batches(struct line *l, const struct frame *f)
{
    const double *of = f->now->of;
    line_count(l, PLAIN, "%s/s", rate(f, SAMPLE_BATCHES));
    line_count(l, PLAIN, "of %s items", sample_batch(f->before, f->now));
    if (of[SAMPLE_RECENT_BATCHES] > 0) {
        line_count(l, PLAIN, "p50 %s", of[SAMPLE_RECENT_BATCH_P50]);
        line_count(l, PLAIN, "p99 %s", of[SAMPLE_RECENT_BATCH_P99]);
    }
    line_count(l, PLAIN, "largest %s", of[SAMPLE_BATCH_LARGEST]);
    line_count(l, unless_0(of[SAMPLE_BATCHES_FAILED], BAD), "failed %s", of[SAMPLE_BATCHES_FAILED]);
}

static void put_queue(struct line *l, const struct frame *f)
{
    line_count(l, PLAIN, "gathering %s", f->now->of[SAMPLE_GATHERING]);
    line_count(l, PLAIN, "waiting %s", f->now->of[SAMPLE_WAITING]);
    line_count(l, PLAIN, "batches in flight %s", f->now->of[SAMPLE_IN_FLIGHT]);
}

/* What of the budget is taken, as "[####--......]". */
static void put_bar(struct line *l, double live, double freeing, double budget)
{
    char bar[BAR_COLUMNS + 1];
    if (!(budget > 0) || l->columns < COLUMNS_FOR_BAR) return;
    for (int i = 0; i < BAR_COLUMNS; i++) {
        double from = budget * i / BAR_COLUMNS;
        bar[i] = from < live ? '#' : from < live + freeing ? '-' : '.';
    }
    bar[BAR_COLUMNS] = '\0';
    line_put(l, PLAIN, "[%s]", bar);
}

static void put_memory(struct line *l, const struct frame *f)
{
    const double *of = f->now->of;
    double budget = of[SAMPLE_BUDGET_BYTES], cache = of[SAMPLE_CACHE_BYTES];
    double freeing = of[SAMPLE_FREEING_BYTES] > 0 ? of[SAMPLE_FREEING_BYTES] : 0;
    double live = isnan(of[SAMPLE_LIVE_BYTES]) ? cache : of[SAMPLE_LIVE_BYTES];
    double free = isnan(of[SAMPLE_FREE_BYTES]) ? budget - cache : of[SAMPLE_FREE_BYTES];
    put_bar(l, live, freeing, budget);
    line_size(l, PLAIN, "live %s", live);
    line_size(l, budget > 0 && free <= 0 ? WARN : PLAIN, "free %s", free);
    if (freeing > 0) line_size(l, PLAIN, "freeing %s", freeing);
    line_size(l, PLAIN, "checksums %s", of[SAMPLE_CHECKSUM_BYTES]);
}

static void put_journal(struct line *l, const struct frame *f)
{
    const double *of = f->now->of;
    line_size(l, PLAIN, "%s", of[SAMPLE_JOURNAL_BYTES]);
    line_count(l, PLAIN, "%s batches", of[SAMPLE_JOURNAL_BATCHES]);
    if (!(of[SAMPLE_JOURNAL_EVICTED] > 0)) return;
    line_put(l, PLAIN, "full");
    line_count(l, PLAIN, "%s batches/s leave", rate(f, SAMPLE_JOURNAL_EVICTED));
}

static void put_checks(struct line *l, const struct frame *f)
{
    const double *of = f->now->of;
    line_count(l, unless_0(of[SAMPLE_DIVERGENT], BAD), "divergent %s", of[SAMPLE_DIVERGENT]);
    line_count(l, unless_0(of[SAMPLE_DAMAGED], BAD), "damaged %s", of[SAMPLE_DAMAGED]);
    if (of[SAMPLE_FAULTS] > 0) line_count(l, WARN, "faults planted %s", of[SAMPLE_FAULTS]);
    line_count(l, PLAIN, "verifications %s", of[SAMPLE_VERIFICATIONS]);
    if (of[SAMPLE_SHADOW_BATCHES] > 0 || of[SAMPLE_SHADOW_MISSED] > 0) {
        line_count(l, PLAIN, "shadowed %s", of[SAMPLE_SHADOW_BATCHES]);
        line_count(l, unless_0(of[SAMPLE_SHADOW_MISSED], WARN), "missed %s",
                   of[SAMPLE_SHADOW_MISSED]);
    }
    line_count(l, PLAIN, "scrubs %s", of[SAMPLE_SCRUB_PASSES]);
}

static void put_sequences(struct line *l, const struct frame *f)
{
    const double *of = f->now->of;
    line_count(l, PLAIN, "%s live", of[SAMPLE_SEQUENCES]);
    line_count(l, PLAIN, "+%s/s", rate(f, SAMPLE_CREATED));
    line_count(l, PLAIN, "-%s/s",
               rate(f, SAMPLE_FREED) + rate(f, SAMPLE_EXPIRED) + rate(f, SAMPLE_DISCONNECTED));
    line_count(l, PLAIN, "creating %s", of[SAMPLE_CREATING]);
    line_count(l, PLAIN, "freeing %s", of[SAMPLE_FREEING]);
}

static void put_clients(struct line *l, const struct frame *f)
{
    double refused = rate(f, SAMPLE_REFUSED);
    line_count(l, PLAIN, "%s connected", f->now->of[SAMPLE_CONNECTIONS]);
    line_count(l, PLAIN, "+%s/s", rate(f, SAMPLE_ACCEPTED));
    line_count(l, unless_0(refused, WARN), "refused %s/s", refused);
}

static void put_requests(struct line *l, const struct frame *f)
{
    double errors = rate(f, SAMPLE_ERRORS);
    int shown = 0;
    line_count(l, PLAIN, "%s/s", rate(f, SAMPLE_REQUESTS));
    line_count(l, unless_0(errors, WARN), "errors %s/s", errors);
    for (int i = 0; i < TRUEKV_STATUS_COUNT && shown < REASONS_SHOWN; i++) {
        char number[32];
        double value = sample_reason_rate(f->before, f->now, (enum truekv_status)i);
        if (!(value > 0)) continue;
        line_put(l, WARN, "%s %s/s", truekv_reason((enum truekv_status)i),
                 line_number(value, number, sizeof number));
        shown++;
    }
}

static void put_network(struct line *l, const struct frame *f)
{
    line_size(l, PLAIN, "in %s/s", rate(f, SAMPLE_BYTES_IN));
    line_size(l, PLAIN, "out %s/s", rate(f, SAMPLE_BYTES_OUT));
    line_count(l, PLAIN, "reads %s/s", rate(f, SAMPLE_READS));
    line_size(l, PLAIN, "of %s/s", rate(f, SAMPLE_READ_BYTES));
}

/* In their order; rank 0 stays longest. */
static const struct {
    unsigned rank;
    const char *label;
    void (*put)(struct line *l, const struct frame *f);
} lines[] = {
    {0, "appends", put_appends},   {1, "latency", put_latency},     {5, "batches", put_batches},
    {4, "queue", put_queue},       {2, "memory", put_memory},       {8, "journal", put_journal},
    {3, "checks", put_checks},     {6, "sequences", put_sequences}, {7, "clients", put_clients},
    {9, "requests", put_requests}, {10, "network", put_network},
};
enum { LINE_COUNT = sizeof lines / sizeof lines[0] };

static void put_lines(struct out *o, const struct frame *f, unsigned room)
{
    struct line l;
    for (size_t i = 0; i < LINE_COUNT; i++) {
        if (lines[i].rank >= room) continue;
        line_begin(&l, o, f->columns, lines[i].label);
        lines[i].put(&l, f);
        line_end(&l);
    }
}

/* ---- The whole ----------------------------------------------------------------------------- */

static void put_health(struct line *l, const struct frame *f)
{
    if (f->lost)
        line_put(l, BAD, "NOT CONNECTED");
    else if (f->unhealthy != NULL)
        line_put(l, BAD, "NOT HEALTHY");
    else
        line_put(l, GOOD, "healthy");
}

static void put_title(struct out *o, const struct frame *f)
{
    struct line l;
    line_begin(&l, o, f->columns, "");
    line_put(&l, BOLD, "truekvd %s", f->version);
    line_put(&l, PLAIN, "%s", f->backend);
    put_health(&l, f);
    if (f->now != NULL) line_time(&l, PLAIN, "up %s", floor(f->now->of[SAMPLE_UPTIME_S]) * 1e6);
    line_put(&l, PLAIN, "%s", f->clock);
    if (f->keys) line_put(&l, DIM, "q quits");
    line_put(&l, DIM, "%s", f->address);
    line_end(&l);
}

/* Cut where the line ends. */
static void put_message(struct out *o, const struct frame *f, enum style style, const char *lead,
                        const char *text)
{
    char whole[1024];
    snprintf(whole, sizeof whole, "%s%s", lead, text);
    standings_cut(out_clean(whole), f->columns);
    out_put(o, style, "%s", whole);
    fputc('\n', o->to);
}

void frame_put(struct out *o, const struct frame *f)
{
    unsigned room = f->rows;
    if (room == 0) return;
    put_title(o, f);
    room--;
    if (room > 0 && f->message != NULL) {
        put_message(o, f, f->message_style, "", f->message);
        room--;
    }
    if (room > 0 && f->unhealthy != NULL && !f->lost) {
        put_message(o, f, BAD, "NOT HEALTHY: ", f->unhealthy);
        room--;
    }
    if (f->now == NULL) return;
    put_lines(o, f, room);
    if (f->rows < ROWS_FOR_TABLE || room <= LINE_COUNT) return;
    standings_put(o, f->board, f->now->of[SAMPLE_SEQUENCES], room - LINE_COUNT, f->columns);
}
