/* cmd_top.c - truekv top: what a daemon does, redrawn in place. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sizes.h"
#include "clients/c/command/screen.h"
#include "clients/c/command/table.h"
#include "clients/c/command/top.h"

enum { BAR_COLUMNS = 24, LISTED_MAX = 200 };

/* ---- the frame ------------------------------------------------------------------------------ */

static void put_head(struct out *o, const struct top *top)
{
    char up[32];
    const struct watch_sample *s = &top->now;
    if (top->lost != NULL) {
        out_put(o, BAD, "truekv %s: no answer: %s", top->address, top->lost);
        fputc('\n', o->to);
        return;
    }
    out_put(o, BOLD, "truekv %s", top->address);
    out_put(o, PLAIN, "  up %s  %.0f clients  ", out_duration(s->uptime_s, up, sizeof up),
            s->connections);
    if (s->latched > 0)
        out_put(o, BAD, "NOT HEALTHY: a divergence was found");
    else if (s->divergent + s->damaged > 0)
        out_put(o, BAD, "%.0f items divergent, %.0f tokens damaged: truekv verify --last",
                s->divergent, s->damaged);
    else
        out_put(o, GOOD, "nothing divergent was found");
    fputc('\n', o->to);
}

static void put_load(struct out *o, const struct top *top)
{
    const struct watch_sample *s = &top->now;
    const struct watch_rates *r = &top->rates;
    char a[32], b[32], bytes[32];
    out_put(o, PLAIN, "\nappends  %12s /s   tokens %12s /s   %s/s\n",
            out_count((uint64_t)r->appends, a, sizeof a),
            out_count((uint64_t)r->tokens, b, sizeof b),
            tkv_format_size((uint64_t)r->bytes, bytes, sizeof bytes));
    out_put(o, PLAIN, "latency  p50 %10s   p99 %10s   of seq.append, the last 10 s\n",
            out_duration(s->p50_us / 1e6, a, sizeof a), out_duration(s->p99_us / 1e6, b, sizeof b));
    out_put(o, PLAIN,
            "batches  %12.0f /s   %.1f items each, p99 %.0f   %.0f in flight, %.0f wait\n",
            r->batches, r->mean_items, s->batch_p99, s->in_flight, s->waiting);
    out_put(o, r->errors > 0 ? WARN : PLAIN, "errors   %12.0f /s\n", r->errors);
}

static void put_bar(struct out *o, double part)
{
    int filled = (int)(part * BAR_COLUMNS + 0.5);
    for (int i = 0; i < BAR_COLUMNS; i++)
        out_put(o, i < filled ? BOLD : DIM, "%s", i < filled ? "|" : ".");
}

static void put_memory(struct out *o, const struct top *top)
{
    const struct watch_sample *s = &top->now;
    char live[32], budget[32], freeing[32], sums[32], journal[32];
    out_put(o, PLAIN, "\ncaches   ");
    put_bar(o, s->budget_bytes > 0 ? (s->live_bytes + s->freeing_bytes) / s->budget_bytes : 0);
    out_put(o, PLAIN, " %s of %s", tkv_format_size((uint64_t)s->live_bytes, live, sizeof live),
            tkv_format_size((uint64_t)s->budget_bytes, budget, sizeof budget));
    if (s->freeing_bytes > 0)
        out_put(o, WARN, ", %s being freed",
                tkv_format_size((uint64_t)s->freeing_bytes, freeing, sizeof freeing));
    out_put(o, PLAIN, ", %s of checksums\n",
            tkv_format_size((uint64_t)s->checksum_bytes, sums, sizeof sums));
    out_put(o, PLAIN, "journal  %.0f batches, %s, %.0f have left it\n", s->journal_batches,
            tkv_format_size((uint64_t)s->journal_bytes, journal, sizeof journal), s->evicted);
}

/* Who was named last comes first: that is who is at work. */
static int by_idle(const void *a, const void *b)
{
    const struct truekv_seq *x = a, *y = b;
    if (x->idle_ms != y->idle_ms) return x->idle_ms < y->idle_ms ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void put_sequences(struct out *o, const struct top *top, unsigned rows)
{
    static const char *const heads[] = {">SEQ",      "LABEL",  "MODEL", ">TOKENS",
                                        ">CAPACITY", ">BYTES", ">IDLE"};
    struct table t;
    char bytes[32], idle[32];
    out_put(o, PLAIN, "\n%.0f sequences%s\n", top->now.sequences,
            top->n_sequences < (size_t)top->now.sequences ? "; the busiest of the first 200" : "");
    table_init(&t, heads, 7);
    for (size_t i = 0; i < top->n_sequences && i < rows; i++) {
        const struct truekv_seq *q = &top->sequences[i];
        table_cell(&t, "%llu", (unsigned long long)q->seq);
        table_cell(&t, "%s", q->label != NULL ? q->label : "");
        table_cell(&t, "%s", q->model);
        table_cell(&t, "%llu", (unsigned long long)q->len);
        table_cell(&t, "%llu", (unsigned long long)q->capacity);
        table_cell(&t, "%s", tkv_format_size(q->bytes, bytes, sizeof bytes));
        table_cell(&t, "%s", out_duration((double)q->idle_ms / 1e3, idle, sizeof idle));
    }
    if (top->n_sequences > 0) table_print(&t, o, 0);
    table_close(&t);
}

void top_print(struct out *o, const struct top *top, unsigned height)
{
    enum { LINES_ABOVE = 13 };
    put_head(o, top);
    put_load(o, top);
    put_memory(o, top);
    put_sequences(o, top, height > LINES_ABOVE ? height - LINES_ABOVE : 0);
}

/* ---- its life ------------------------------------------------------------------------------- */

static void drop_sequences(struct top *top)
{
    for (size_t i = 0; i < top->n_sequences; i++) {
        free((char *)top->sequences[i].label);
        free((char *)top->sequences[i].model);
    }
    free(top->sequences);
    top->sequences = NULL;
    top->n_sequences = 0;
}

/* The page's strings go with the next call. */
static void list(struct app *app, struct top *top)
{
    struct truekv_page page;
    drop_sequences(top);
    if (truekv_seq_list(app->kv, NULL, LISTED_MAX, &page) != TRUEKV_OK) return;
    top->sequences = calloc(page.n + 1, sizeof *top->sequences);
    for (size_t i = 0; top->sequences != NULL && i < page.n; i++) {
        struct truekv_seq *to = &top->sequences[top->n_sequences++];
        *to = page.seqs[i];
        to->label = page.seqs[i].label != NULL ? strdup(page.seqs[i].label) : NULL;
        to->model = strdup(page.seqs[i].model);
    }
    if (top->sequences != NULL)
        qsort(top->sequences, top->n_sequences, sizeof *top->sequences, by_idle);
}

static void look(struct app *app, struct top *top, struct truekv_error *error)
{
    cJSON *stats = watch_ask(app, error);
    top->lost = stats == NULL ? error->message : NULL;
    top->rates = (struct watch_rates){0};
    if (stats == NULL) return;
    struct watch_sample before = top->now;
    watch_take(&top->now, stats);
    watch_compare(&top->rates, &before, &top->now);
    cJSON_Delete(stats);
    list(app, top);
}

static void show(const struct app *app, struct screen *screen, const struct top *top)
{
    char *frame = NULL;
    size_t size = 0;
    struct out o = app->out;
    o.to = open_memstream(&frame, &size);
    if (o.to == NULL) return;
    o.width = screen->width;
    top_print(&o, top, screen->terminal ? screen->height : LISTED_MAX);
    if (fclose(o.to) == 0) screen_draw(screen, frame);
    free(frame);
}

enum exit_code cmd_top(struct app *app)
{
    enum exit_code code;
    struct top top = {.address = app->address};
    struct screen screen;
    struct truekv_error error;
    const struct option_value *interval = app_option(app, OPT_INTERVAL);
    uint64_t every =
        (interval->given && interval->ms > 0 ? (uint64_t)interval->ms : 1000) * 1000000;
    if (!app_connect(app, &code)) return code;
    watch_until_signal();
    screen_open(&screen);
    for (bool goes_on = true; goes_on;) {
        uint64_t next = tkv_now_ns() + every;
        look(app, &top, &error);
        show(app, &screen, &top);
        int key = 0;
        while (goes_on && tkv_now_ns() < next) {
            key = screen_key(&screen, next);
            goes_on = key != 'q' && key != 'Q' && !watch_told_to_end();
            if (goes_on) show(app, &screen, &top); /* its size may have changed */
        }
        goes_on = goes_on && !watch_told_to_end() && !ferror(app->out.to);
    }
    screen_close(&screen);
    drop_sequences(&top);
    return EXIT_FINE;
}
