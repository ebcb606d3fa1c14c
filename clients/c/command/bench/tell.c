#include "clients/c/command/bench/tell.h"

#include <inttypes.h>

#include "base/buffer.h"
#include "base/sizes.h"
#include "clients/c/command/table.h"
#include "clients/c/json_out.h"

enum { JSON_BYTES_MAX = 1 << 20, SENTENCE_BYTES = 512 };

const struct bench_share bench_shares[] = {
    {0.5, "p50", "p50"},       {0.9, "p90", "p90"},          {0.99, "p99", "p99"},
    {0.999, "p99.9", "p99_9"}, {0.9999, "p99.99", "p99_99"}, {1, "max", "max"},
};
const size_t bench_n_shares = sizeof bench_shares / sizeof bench_shares[0];

double bench_seconds(const struct bench_report *r)
{
    return r->result->elapsed_ns > 0 ? (double)r->result->elapsed_ns / 1e9 : 1e-9;
}

static double per_second(const struct bench_report *r, uint64_t each)
{
    return (double)r->result->latency.n * (double)each / bench_seconds(r);
}

/* ---- Text ---------------------------------------------------------------------------------- */

static void put_rate(struct table *t, const char *name, double rate)
{
    char text[32];
    table_cell(t, "%s", name);
    table_cell(t, "%s", out_count((uint64_t)(rate + 0.5), text, sizeof text));
}

static void put_rates(struct out *o, const struct bench_report *r)
{
    static const char *const heads[] = {"", ">"};
    const struct bench_plan *plan = r->plan;
    struct table t;
    char text[32];
    table_init(&t, heads, 2);
    put_rate(&t, "requests/s", per_second(r, 1));
    if (plan->items > 1) put_rate(&t, "items/s", per_second(r, plan->items));
    if (plan->request_bytes > 0) {
        put_rate(&t, "tokens/s", per_second(r, (uint64_t)plan->items * plan->tokens));
        table_cell(&t, "K/V a second");
        table_cell(
            &t, "%s",
            tkv_format_size((uint64_t)per_second(r, plan->request_bytes), text, sizeof text));
    }
    table_print(&t, o, 2);
    table_close(&t);
}

static void put_latencies(struct out *o, const struct bench_report *r)
{
    static const char *const heads[] = {"LATENCY", ">", ">"};
    const struct histogram *h = &r->result->latency;
    struct table t;
    char text[32];
    table_init(&t, heads, 3);
    for (size_t i = 0; i < bench_n_shares; i++) {
        uint64_t ns = histogram_at(h, bench_shares[i].share);
        table_cell(&t, "%s", bench_shares[i].name);
        table_cell(&t, "%s", out_duration((double)ns / 1e9, text, sizeof text));
        uint64_t above = (uint64_t)((1 - bench_shares[i].share) * (double)h->n + 1e-6);
        table_cell(&t, "%s%s", above > 0 ? out_count(above, text, sizeof text) : "",
                   above > 0 ? " took longer" : "");
    }
    table_cell(&t, "mean");
    table_cell(&t, "%s", out_duration(histogram_mean_ns(h) / 1e9, text, sizeof text));
    table_cell(&t, "%s", "");
    table_print(&t, o, 2);
    table_close(&t);
}

static void put_check(struct out *o, const struct bench_check *c)
{
    char items[48], rows[48], scrub[128] = "its checksums are turned off";
    out_plural(c->verify.items_checked, "append", "appends", items, sizeof items);
    if (c->scrubbed)
        snprintf(scrub, sizeof scrub, "scrub read %s",
                 out_plural(c->scrub.checksums_checked, "row", "rows", rows, sizeof rows));
    if (c->denied)
        out_para(o, 0, 0, WARN, "NOT CHECKED:",
                 "you may not call debug.verify (auth in the daemon's configuration).");
    else if (bench_check_ok(c) && c->verify.items_checked > 0)
        out_para(o, 0, 0, GOOD, "OK:", "verify re-ran %s, %s, and every byte is right.", items,
                 scrub);
    else if (bench_check_ok(c))
        out_para(o, 0, 0, WARN,
                 "NOTHING CHECKED:", "no append of this run is in the journal (journal.bytes); %s.",
                 scrub);
    else
        out_para(o, 0, 0, BAD, "FOUND:",
                 "verify re-ran %s, and %" PRIu64 " differ; %s, and %" PRIu64
                 " are damaged. \"truekv verify\" says more.",
                 items, c->verify.divergent_items, scrub, c->scrub.damaged_tokens);
}

void bench_tell_text(struct out *o, const struct bench_report *r)
{
    char what[SENTENCE_BYTES], requests[48], took[32];
    out_plural(r->result->latency.n, "request", "requests", requests, sizeof requests);
    out_duration(bench_seconds(r), took, sizeof took);
    out_para(o, 0, 0, BOLD, "truekv bench:", "%s.", bench_plan_say(r->plan, what, sizeof what));
    out_para(o, 0, 0, PLAIN, "", "%s in %s, on the %s backend, model %s%s.", requests, took,
             r->plan->backend, r->plan->model,
             r->result->interrupted ? ", until it was interrupted" : "");
    if (r->result->overloaded > 0)
        out_para(o, 0, 0, WARN, "Overloaded:",
                 "the daemon refused %" PRIu64 " requests for the time being; they were sent "
                 "again, and their latency is that of all attempts.",
                 r->result->overloaded);
    fputc('\n', o->to);
    put_rates(o, r);
    fputc('\n', o->to);
    put_latencies(o, r);
    if (r->check == NULL) return;
    fputc('\n', o->to);
    put_check(o, r->check);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

/* Three decimals: nothing here is measured any better. */
static void put_double(struct tkc_json *j, const char *name, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.3f", value);
    tkc_json_name(j, name);
    tkc_json_text(j, text);
}

static void put_bool(struct tkc_json *j, const char *name, bool value)
{
    tkc_json_name(j, name);
    tkc_json_text(j, value ? "true" : "false");
}

static void json_plan(struct tkc_json *j, const struct bench_plan *plan)
{
    tkc_json_name(j, "plan");
    tkc_json_open(j, '{');
    tkc_json_put_string(j, "method", bench_method_word(plan->method));
    tkc_json_put_string(j, "model", plan->model);
    tkc_json_put_string(j, "backend", plan->backend);
    tkc_json_put_uint(j, "clients", plan->clients);
    tkc_json_put_uint(j, "idle_connections", plan->idle_connections);
    tkc_json_put_uint(j, "in_flight", plan->in_flight);
    tkc_json_put_uint(j, "items", plan->items);
    tkc_json_put_uint(j, "tokens", plan->tokens);
    tkc_json_put_uint(j, "layers", plan->n_layers);
    tkc_json_put_string(j, "dtype", truekv_dtype_word(plan->data_dtype));
    tkc_json_put_string(j, "source", plan->base64 ? "base64" : "payload");
    tkc_json_put_uint(j, "sequences", plan->sequences);
    tkc_json_put_uint(j, "capacity", plan->capacity);
    tkc_json_put_uint(j, "request_bytes", plan->request_bytes);
    tkc_json_close(j, '}');
}

static void json_latency(struct tkc_json *j, const struct histogram *h)
{
    tkc_json_name(j, "latency_us");
    tkc_json_open(j, '{');
    put_double(j, "min", (double)h->min_ns / 1e3);
    put_double(j, "mean", histogram_mean_ns(h) / 1e3);
    for (size_t i = 0; i < bench_n_shares; i++)
        put_double(j, bench_shares[i].json_name,
                   (double)histogram_at(h, bench_shares[i].share) / 1e3);
    tkc_json_close(j, '}');
}

static void json_check(struct tkc_json *j, const struct bench_check *c)
{
    tkc_json_name(j, "verify");
    tkc_json_open(j, '{');
    put_bool(j, "ok", c->verify.ok);
    tkc_json_put_uint(j, "batches_checked", c->verify.batches_checked);
    tkc_json_put_uint(j, "items_checked", c->verify.items_checked);
    tkc_json_put_uint(j, "divergent_items", c->verify.divergent_items);
    tkc_json_close(j, '}');
    if (!c->scrubbed) return;
    tkc_json_name(j, "scrub");
    tkc_json_open(j, '{');
    put_bool(j, "ok", c->scrub.ok);
    tkc_json_put_uint(j, "checksums_checked", c->scrub.checksums_checked);
    tkc_json_put_uint(j, "damaged_tokens", c->scrub.damaged_tokens);
    tkc_json_close(j, '}');
}

static void json_all(struct tkc_json *j, const struct bench_report *r)
{
    const struct bench_plan *plan = r->plan;
    tkc_json_open(j, '{');
    put_bool(j, "ok", r->check == NULL || bench_check_ok(r->check));
    put_bool(j, "interrupted", r->result->interrupted);
    put_double(j, "seconds", bench_seconds(r));
    tkc_json_put_uint(j, "requests", r->result->latency.n);
    tkc_json_put_uint(j, "overloaded", r->result->overloaded);
    put_double(j, "requests_per_second", per_second(r, 1));
    put_double(j, "items_per_second", per_second(r, plan->items));
    put_double(j, "tokens_per_second",
               plan->request_bytes > 0 ? per_second(r, (uint64_t)plan->items * plan->tokens) : 0);
    put_double(j, "bytes_per_second", per_second(r, plan->request_bytes));
    json_latency(j, &r->result->latency);
    tkc_json_name(j, "series");
    tkc_json_open(j, '{');
    put_double(j, "span_ms", (double)r->result->series.span_ns / 1e6);
    tkc_json_put_list(j, "requests", r->result->series.counts, r->result->series.n);
    tkc_json_close(j, '}');
    if (r->check != NULL && !r->check->denied) json_check(j, r->check);
    json_plan(j, plan);
    tkc_json_close(j, '}');
}

void bench_tell_json(FILE *to, const struct bench_report *r)
{
    struct tkv_buffer b;
    struct tkc_json j;
    tkv_buffer_init(&b, JSON_BYTES_MAX);
    tkc_json_init(&j, &b);
    json_all(&j, r);
    fprintf(to, "%.*s\n", (int)b.len, (const char *)b.data);
    tkv_buffer_close(&b);
}
