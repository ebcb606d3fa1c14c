#include <math.h>

#include "base/sizes.h"
#include "clients/c/command/bench/tell.h"
#include "clients/c/command/html.h"

/* In pixels, from the upper left. */
enum {
    WIDTH = 900,
    HEIGHT = 590,
    LEFT = 80,
    RIGHT = 880,
    CURVE_TOP = 112,
    CURVE_BOTTOM = 350,
    RATE_TOP = 430,
    RATE_BOTTOM = 540,
    CURVE_POINTS = 400,
    LABEL_ROOM = 150, /* between a label and that of the longest */
    TICK_ROOM = 18
};
static const double TAIL_MAX = 6; /* decades of the tail: up to 99.9999 % */

/* Colours are written out: what draws pictures for documents knows no variables. */
static const char style[] =
    "svg{color-scheme:light dark}\n"
    "text{font:12px system-ui,sans-serif;fill:#57606a}\n"
    ".title{font-size:17px;font-weight:600;fill:#1b1f24}.head{font-weight:600;fill:#1b1f24}\n"
    ".label{fill:#1b1f24;paint-order:stroke;stroke:#fff;stroke-width:3px}\n"
    ".end{text-anchor:end}.mid{text-anchor:middle}\n"
    ".paper{fill:#fff}.grid{stroke:#e1e5ea}\n"
    ".curve{fill:none;stroke:#0a5fbf;stroke-width:2;stroke-linejoin:round}\n"
    ".area{fill:#d6e6f8}.dot{fill:#0a5fbf;stroke:#fff;stroke-width:1.5}\n"
    "@media(prefers-color-scheme:dark){text{fill:#9ea8b3}.title,.head{fill:#e6e9ec}"
    ".label{fill:#e6e9ec;stroke:#14171a}.paper{fill:#14171a}.grid{stroke:#2a3037}"
    ".curve{stroke:#6cb2ff}.area{fill:#1d3550}.dot{fill:#6cb2ff;stroke:#14171a}}\n";

static void put_text(FILE *to, const char *class, double x, double y, const char *text)
{
    fprintf(to, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    html_text(to, text);
    fprintf(to, "</text>\n");
}

static void put_grid(FILE *to, double x1, double y1, double x2, double y2)
{
    fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x1, y1, x2, y2);
}

/* The number of 1, 2, 5, 10, ... that is nearest above, or below. */
static double round_125(double value, bool up)
{
    static const double steps[] = {1, 2, 5, 10};
    double power = pow(10, floor(log10(value))), best = up ? 10 : 1;
    for (int i = 0; i < 4; i++) {
        double step = steps[up ? 3 - i : i];
        if (up ? step * power >= value * 0.999999 : step * power <= value * 1.000001) best = step;
    }
    return best * power;
}

/* ---- Latency by percentile ----------------------------------------------------------------- */

/* Across: how many nines, so that the tail has room. Up: the logarithm of the latency. */
struct curve {
    const struct histogram *h;
    double nines, low, high; /* low, high: seconds */
};

static double curve_x(const struct curve *c, double nines)
{
    return LEFT + (RIGHT - LEFT) * nines / c->nines;
}

static double curve_y(const struct curve *c, double seconds)
{
    double at = log(seconds / c->low) / log(c->high / c->low);
    at = at < 0 ? 0 : at > 1 ? 1 : at;
    return CURVE_BOTTOM - (CURVE_BOTTOM - CURVE_TOP) * at;
}

static double seconds_at(const struct curve *c, double share)
{
    double ns = (double)histogram_at(c->h, share);
    return (ns < 1 ? 1 : ns) / 1e9;
}

static struct curve curve_of(const struct histogram *h)
{
    struct curve c = {.h = h, .nines = log10((double)h->n)};
    c.nines = c.nines < 1 ? 1 : c.nines > TAIL_MAX ? TAIL_MAX : c.nines;
    c.low = round_125((double)(h->min_ns > 0 ? h->min_ns : 1) / 1e9, false);
    c.high = round_125(seconds_at(&c, 1), true);
    if (c.high <= c.low) c.high = 2 * c.low;
    return c;
}

static void put_curve_grid(FILE *to, const struct curve *c)
{
    static const char *const names[] = {"0 %",     "90 %",     "99 %",     "99.9 %",
                                        "99.99 %", "99.999 %", "99.9999 %"};
    char text[32];
    double before = HEIGHT, s = c->low;
    for (int i = 0; i <= (int)c->nines; i++) {
        double x = curve_x(c, i);
        put_grid(to, x, CURVE_TOP, x, CURVE_BOTTOM);
        put_text(to, i == (int)TAIL_MAX ? "end" : "mid", x, CURVE_BOTTOM + 18, names[i]);
    }
    while (s <= c->high * 1.001) {
        double y = curve_y(c, s);
        put_grid(to, LEFT, y, RIGHT, y);
        if (before - y >= TICK_ROOM) {
            put_text(to, "end", LEFT - 8, y + 4, out_duration(s, text, sizeof text));
            before = y;
        }
        s = round_125(s * 1.5, true);
    }
}

static void put_dot(FILE *to, const struct curve *c, const struct bench_share *s)
{
    char took[32], label[64];
    double nines = s->share < 1 ? -log10(1 - s->share) : c->nines;
    double seconds = seconds_at(c, s->share);
    double x = curve_x(c, nines), y = curve_y(c, seconds);
    if (nines > c->nines) return;
    snprintf(label, sizeof label, "%s %s", s->name, out_duration(seconds, took, sizeof took));
    fprintf(to, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", x, y);
    if (s->share == 1)
        put_text(to, "label end", x, y - 9, label);
    else if (x < RIGHT - LABEL_ROOM)
        put_text(to, "label mid", x, y - 9, label);
}

static void put_curve(FILE *to, const struct histogram *h)
{
    struct curve c = curve_of(h);
    put_text(to, "head", LEFT, CURVE_TOP - 14, "Latency, by percentile");
    put_curve_grid(to, &c);
    fprintf(to, "<path class=\"curve\" d=\"");
    for (int i = 0; i <= CURVE_POINTS; i++) {
        double nines = c.nines * i / CURVE_POINTS;
        double share = i == CURVE_POINTS ? 1 : 1 - pow(10, -nines);
        fprintf(to, "%s%.1f %.1f", i == 0 ? "M" : "L", curve_x(&c, nines),
                curve_y(&c, seconds_at(&c, share)));
    }
    fprintf(to, "\"/>\n");
    for (size_t i = 0; i < bench_n_shares; i++)
        put_dot(to, &c, &bench_shares[i]);
}

/* ---- Throughput over time ------------------------------------------------------------------ */

struct rates {
    const struct bench_series *s;
    double seconds, high;
    size_t n; /* spans, a last one that is cut short left out */
};

static double rate_of(const struct rates *r, size_t i)
{
    return (double)r->s->counts[i] * 1e9 / (double)r->s->span_ns;
}

static struct rates rates_of(const struct bench_series *s)
{
    struct rates r = {.s = s, .n = s->n > 1 ? s->n - 1 : s->n};
    double most = 1;
    for (size_t i = 0; i < r.n; i++)
        most = rate_of(&r, i) > most ? rate_of(&r, i) : most;
    r.high = round_125(most, true);
    r.seconds = (double)r.n * (double)s->span_ns / 1e9;
    return r;
}

static double rate_x(const struct rates *r, double seconds)
{
    return LEFT + (RIGHT - LEFT) * (r->seconds > 0 ? seconds / r->seconds : 0);
}

static double rate_y(const struct rates *r, double rate)
{
    return RATE_BOTTOM - (RATE_BOTTOM - RATE_TOP) * rate / r->high;
}

static void put_rate_grid(FILE *to, const struct rates *r)
{
    char text[32];
    for (int i = 0; i <= 2; i++) {
        double rate = r->high * i / 2, y = rate_y(r, rate);
        put_grid(to, LEFT, y, RIGHT, y);
        put_text(to, "end", LEFT - 8, y + 4, out_count((uint64_t)rate, text, sizeof text));
    }
    double step = round_125(r->seconds > 0 ? r->seconds / 10 : 1, true);
    for (int i = 0; i * step <= r->seconds * 1.001; i++) {
        put_text(to, "mid", rate_x(r, i * step), RATE_BOTTOM + 18,
                 out_duration(i * step, text, sizeof text));
    }
}

/* Stairs: a span's requests came somewhere in it. */
static void put_stairs(FILE *to, const struct rates *r)
{
    double span = (double)r->s->span_ns / 1e9;
    for (size_t i = 0; i < r->n; i++)
        fprintf(to, "L%.1f %.1fH%.1f", rate_x(r, (double)i * span), rate_y(r, rate_of(r, i)),
                rate_x(r, (double)(i + 1) * span));
}

static void put_rates(FILE *to, const struct bench_series *s)
{
    struct rates r = rates_of(s);
    char head[96], span[32];
    snprintf(head, sizeof head, "Requests a second, in steps of %s",
             out_duration((double)s->span_ns / 1e9, span, sizeof span));
    put_text(to, "head", LEFT, RATE_TOP - 14, head);
    fprintf(to, "<path class=\"area\" d=\"M%d %d", LEFT, RATE_BOTTOM);
    put_stairs(to, &r);
    fprintf(to, "V%dZ\"/>\n", RATE_BOTTOM);
    put_rate_grid(to, &r);
    fprintf(to, "<path class=\"curve\" d=\"M%d %.1f", LEFT,
            rate_y(&r, r.n > 0 ? rate_of(&r, 0) : 0));
    put_stairs(to, &r);
    fprintf(to, "\"/>\n");
}

/* ---- The picture --------------------------------------------------------------------------- */

static void put_head(FILE *to, const struct bench_report *r)
{
    char what[512], line[512], requests[48], took[32], rate[32], bytes[32], kv[64] = "";
    double per_second = (double)r->result->latency.n / bench_seconds(r);
    fprintf(to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" role=\"img\">\n<title>truekv bench</title>\n<desc>",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    html_text(to, bench_plan_say(r->plan, what, sizeof what));
    fprintf(to,
            "</desc>\n<style>\n%s</style>\n<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n",
            style, WIDTH, HEIGHT);
    if (r->plan->request_bytes > 0)
        snprintf(kv, sizeof kv, ", %s/s of K/V",
                 tkv_format_size((uint64_t)(per_second * (double)r->plan->request_bytes), bytes,
                                 sizeof bytes));
    snprintf(line, sizeof line, "%s requests/s%s", out_count((uint64_t)per_second, rate, 32), kv);
    put_text(to, "title", 20, 32, line);
    put_text(to, "", 20, 54, what);
    snprintf(line, sizeof line, "%s in %s, truekvd on the %s backend, model %s",
             out_plural(r->result->latency.n, "request", "requests", requests, sizeof requests),
             out_duration(bench_seconds(r), took, sizeof took), r->plan->backend, r->plan->model);
    put_text(to, "", 20, 72, line);
}

void bench_plot(FILE *to, const struct bench_report *r)
{
    put_head(to, r);
    put_curve(to, &r->result->latency);
    put_rates(to, &r->result->series);
    fprintf(to, "</svg>\n");
}
