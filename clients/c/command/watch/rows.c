#include "clients/c/command/watch/rows.h"

#include <string.h>

#include "clients/c/json_out.h"

enum { CELL_BYTES = 24, JSON_MAX = 1 << 16 };

enum form { COUNT_FORM, SIZE_FORM, TIME_FORM };

/* X(head, columns, form, name in JSON, value of before and now) */
#define COLUMNS(X)                                                                             \
    X("appends", 7, COUNT, "appends_per_second", sample_rate(before, now, SAMPLE_APPENDS))     \
    X("tokens", 7, COUNT, "tokens_per_second", sample_rate(before, now, SAMPLE_APPEND_TOKENS)) \
    X("bytes", 6, SIZE, "bytes_per_second", sample_rate(before, now, SAMPLE_APPEND_BYTES))     \
    X("errs", 5, COUNT, "errors_per_second", sample_rate(before, now, SAMPLE_ERRORS))          \
    X("p50", 6, TIME, "append_p50_us", sample_latency(now).p50_us)                             \
    X("p99", 6, TIME, "append_p99_us", sample_latency(now).p99_us)                             \
    X("batch", 5, COUNT, "batch_mean_items", sample_batch(before, now))                        \
    X("queue", 5, COUNT, "queued", now->of[SAMPLE_GATHERING] + now->of[SAMPLE_WAITING])        \
    X("seqs", 6, COUNT, "sequences", now->of[SAMPLE_SEQUENCES])                                \
    X("memory", 6, SIZE, "cache_bytes", now->of[SAMPLE_CACHE_BYTES])                           \
    X("conn", 4, COUNT, "connections", now->of[SAMPLE_CONNECTIONS])                            \
    X("wrong", 5, COUNT, "wrong", sample_wrong(now))

struct column {
    const char *head, *json;
    int width;
    enum form form;
};

static const struct column columns[] = {
#define X(head, width, form, json, value) {head, json, width, form##_FORM},
    COLUMNS(X)
#undef X
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

static void take_values(const struct sample *before, const struct sample *now, double *values)
{
    size_t n = 0;
#define X(head, width, form, json, value) values[n++] = (value);
    COLUMNS(X)
#undef X
}

/* Three digits or so, and a unit. */
static void put_scaled(char *text, size_t size, double value, const char *unit)
{
    int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text, size, "%.*f%s", digits, value, unit);
}

static void put_count(char *text, size_t size, double value)
{
    if (value >= 9999999.5)
        put_scaled(text, size, value / 1e6, "M");
    else
        snprintf(text, size, "%.*f", value < 9.95 && value != floor(value) ? 1 : 0, value);
}

static void put_size(char *text, size_t size, double value)
{
    static const char *const units[] = {"B", "K", "M", "G", "T", "P"};
    size_t i = 0;
    while (value >= 1023.5 && i + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        i++;
    }
    if (i == 0)
        snprintf(text, size, "%.0fB", value);
    else
        put_scaled(text, size, value, units[i]);
}

static void put_time(char *text, size_t size, double us)
{
    if (us < 999.5)
        snprintf(text, size, "%.0fus", us);
    else if (us < 999500)
        put_scaled(text, size, us / 1e3, "ms");
    else
        put_scaled(text, size, us / 1e6, "s");
}

static const char *cell(enum form form, double value, char *text)
{
    if (isnan(value)) return "-";
    if (form == COUNT_FORM)
        put_count(text, CELL_BYTES, value);
    else if (form == SIZE_FORM)
        put_size(text, CELL_BYTES, value);
    else
        put_time(text, CELL_BYTES, value);
    return text;
}

void rows_head(struct out *o, const struct sample *now)
{
    char line[128] = "";
    size_t n = 0;
    out_put(o, DIM, "--------- a second --------- %s",
            sample_latency(now).recent ? "- last 10 s -" : "-since start-");
    fputc('\n', o->to);
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%*s", i > 0 ? " " : "",
                              columns[i].width, columns[i].head);
    out_put(o, BOLD, "%s", line);
    fputc('\n', o->to);
}

void rows_put(struct out *o, const struct sample *before, const struct sample *now)
{
    double values[COLUMN_COUNT];
    char text[CELL_BYTES];
    take_values(before, now, values);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        bool wrong = i + 1 == COLUMN_COUNT && values[i] > 0;
        out_put(o, wrong ? BAD : PLAIN, "%s%*s", i > 0 ? " " : "", columns[i].width,
                cell(columns[i].form, values[i], text));
    }
    fputc('\n', o->to);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static void end_line(FILE *to, struct tkc_json *j)
{
    tkc_json_close(j, '}');
    fprintf(to, "%.*s\n", (int)j->out->len, (const char *)j->out->data);
    tkv_buffer_close(j->out);
}

static void put_known(struct tkc_json *j, const char *name, double value)
{
    char text[CELL_BYTES];
    if (!isfinite(value)) return;
    snprintf(text, sizeof text, "%.10g", value);
    tkc_json_name(j, name);
    tkc_json_text(j, text);
}

void rows_json(FILE *to, const struct sample *before, const struct sample *now)
{
    struct tkv_buffer b;
    struct tkc_json j;
    double values[COLUMN_COUNT];
    tkv_buffer_init(&b, JSON_MAX);
    tkc_json_init(&j, &b);
    take_values(before, now, values);
    tkc_json_open(&j, '{');
    put_known(&j, "uptime_s", now->of[SAMPLE_UPTIME_S]);
    put_known(&j, "interval_s", sample_seconds(before, now));
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        put_known(&j, columns[i].json, values[i]);
    end_line(to, &j);
}

void rows_json_event(FILE *to, const char *name, const char *message)
{
    struct tkv_buffer b;
    struct tkc_json j;
    tkv_buffer_init(&b, JSON_MAX);
    tkc_json_init(&j, &b);
    tkc_json_open(&j, '{');
    tkc_json_put_string(&j, "event", name);
    if (message != NULL) tkc_json_put_string(&j, "message", message);
    end_line(to, &j);
}
