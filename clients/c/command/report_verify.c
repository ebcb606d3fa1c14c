#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/sizes.h"
#include "clients/c/command/findings.h"
#include "clients/c/command/kinds.h"
#include "clients/c/command/report.h"
#include "clients/c/command/table.h"

enum { ROWS_SHOWN = 24, GROUPS_SHOWN = 12, TEXT_BYTES = 256 };

/* ---- The verdict --------------------------------------------------------------------------- */

struct totals {
    uint64_t items, batches, bytes, divergent_items, first_batch, last_batch;
    double seconds; /* NAN: not said */
    bool ok;
};

static struct totals totals_of(const cJSON *result)
{
    const cJSON *where = cJSON_GetObjectItemCaseSensitive(result, "divergent_batches");
    struct totals t = {
        .first_batch = json_count(where, "first"),
        .last_batch = json_count(where, "last"),
        .items = json_count(result, "items_checked"),
        .batches = json_count(result, "batches_checked"),
        .bytes = json_count(result, "bytes_compared"),
        .divergent_items = json_count(result, "divergent_items"),
        .seconds = json_number(result, "duration_us") / 1e6,
        .ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "ok")),
    };
    return t;
}

static bool any(const struct findings *f, bool live)
{
    for (size_t i = 0; i < f->n_findings; i++) {
        const struct divergence *d = finding_first(f, &f->findings[i]);
        if (d->live == live && !(live && f->findings[i].twin)) return true;
    }
    return false;
}

static const char *culprit(const struct findings *f)
{
    bool kernel = any(f, false), live = any(f, true);
    if (kernel && live)
        return "the batched kernel writes wrong bytes, and live caches were damaged";
    if (kernel) return "the batched kernel writes wrong bytes";
    return live ? "live caches were damaged" : "the daemon does not say where";
}

static void put_verdict(struct out *o, const struct totals *t, const struct findings *f)
{
    char items[48], batches[48], bytes[32], took[32] = "", time[40] = "";
    out_plural(t->batches, "batch", "batches", batches, sizeof batches);
    tkv_format_size(t->bytes, bytes, sizeof bytes);
    if (isfinite(t->seconds))
        snprintf(time, sizeof time, " in %s", out_duration(t->seconds, took, sizeof took));
    if (!t->ok || t->divergent_items > 0 || f->n_divergences > 0) {
        char divergent[32];
        out_count(t->divergent_items, divergent, sizeof divergent);
        out_plural(t->items, "item", "items", items, sizeof items);
        out_para(o, 0, 0, BAD, "FOUND:", "%s of %s re-run (from %s) differ%s: %s.", divergent,
                 items, batches, t->divergent_items == 1 ? "s" : "", culprit(f));
    } else if (t->items == 0) {
        out_para(o, 0, 0, WARN, "NOTHING CHECKED:",
                 "the journal holds no append to check, so this says nothing about the caches.");
    } else {
        out_plural(t->items, "item", "items", items, sizeof items);
        out_para(o, 0, 0, GOOD, "OK:", "%s of %s re-run, %s compared, identical%s.", items, batches,
                 bytes, time);
    }
}

/* ---- One paragraph for each group ----------------------------------------------------------- */

enum field { BATCHES, LAYERS };

/* The batches or layers of a finding, by numbers_text() or numbers_cell(). */
static void say_places(const struct findings *f, const struct finding *finding, enum field field,
                       const char *(*write)(uint64_t *, size_t, char *, size_t), char *text,
                       size_t size)
{
    uint64_t *values = calloc(finding->n, sizeof values[0]);
    const struct divergence *d = finding_first(f, finding);
    text[0] = '\0';
    if (values == NULL) return;
    for (size_t i = 0; i < finding->n; i++)
        values[i] = field == BATCHES ? d[i].batch : d[i].layer;
    write(values, finding->n, text, size);
    free(values);
}

static void say_sequences(const struct findings *f, const struct group *g, char *text, size_t size)
{
    uint64_t *values = calloc(g->n, sizeof values[0]);
    text[0] = '\0';
    if (values == NULL) return;
    for (size_t i = 0; i < g->n; i++)
        values[i] = finding_first(f, &f->findings[g->from + i])->seq;
    numbers_text(values, g->n, text, size);
    free(values);
}

/* Whether text from numbers_text() names one number. */
static bool is_one(const char *text)
{
    return strpbrk(text, " -,") == NULL;
}

static const char *kv_text(int kv)
{
    if (kv == (HAS_K | HAS_V)) return "K and V";
    return kv == HAS_K ? "K" : "V";
}

/* A divergence of the other comparison in the same place; NULL: there is none. */
static const struct divergence *counterpart(const struct findings *f, const struct divergence *d)
{
    for (size_t i = 0; i < f->n_divergences; i++) {
        const struct divergence *other = &f->divergences[i];
        if (other->live != d->live && other->seq == d->seq && other->batch == d->batch &&
            other->layer == d->layer && other->kv == d->kv)
            return other;
    }
    return NULL;
}

static bool is_freed(const struct divergence *d)
{
    return !d->live && d->at_live != NULL && strcmp(d->at_live, "freed") == 0;
}

static bool is_truncated(const struct divergence *d)
{
    return !d->live && d->at_live != NULL && strcmp(d->at_live, "truncated") == 0;
}

/* Whether no live cache has these bytes any more. A stray write went beside the positions that were
 * rolled back, and may be there still. */
static bool is_past(const struct divergence *d)
{
    return is_freed(d) || (is_truncated(d) && strcmp(d->kind, "stray_write") != 0);
}

/* The daemon need not compare an item's live cache once its re-runs differ: silence clears nothing.
 */
static const char *fault_of(const struct divergence *d, const struct divergence *other)
{
    if (!d->live && d->at_live != NULL && strcmp(d->at_live, "differs") == 0)
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. The live cache is wrong there, too.";
    if (is_freed(d))
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. The sequence was freed since: nothing is left to mend.";
    if (is_truncated(d) && !is_past(d))
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. Those positions were rolled back since; what was written beside them may be "
               "in the live cache still.";
    if (is_truncated(d))
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. Those positions were rolled back since.";
    if (!d->live && d->at_live != NULL && strcmp(d->at_live, "right") == 0)
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. The live cache holds the right bytes there: the fault comes and goes.";
    if (!d->live && other == NULL)
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. Take the live cache for wrong there, too: the kernel wrote it.";
    if (!d->live && strcmp(d->kind, other->kind) == 0)
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. The live cache is wrong in the same way.";
    if (!d->live)
        return "The batched kernel is at fault: re-run one item at a time, the same data come out "
               "right. The live cache is wrong there, too.";
    if (other == NULL)
        return "The live cache differs although both re-runs agree: it was damaged after, or "
               "while, it was written.";
    return "The two re-runs differ from each other in these places, too: mend the kernel first.";
}

/* *fault is what the paragraph before said, and becomes what this one says. */
static void put_group(struct out *o, const struct findings *f, const struct group *g,
                      const char **fault)
{
    const struct finding *finding = &f->findings[g->from];
    const struct divergence *d = finding_first(f, finding);
    char batches[TEXT_BYTES], layers[TEXT_BYTES], seqs[TEXT_BYTES], clause[TEXT_BYTES];
    char lead[TEXT_BYTES + 16], subject[3 * TEXT_BYTES];
    say_places(f, finding, BATCHES, numbers_text, batches, sizeof batches);
    say_places(f, finding, LAYERS, numbers_text, layers, sizeof layers);
    say_sequences(f, g, seqs, sizeof seqs);
    snprintf(lead, sizeof lead, "batch%s %s:", is_one(batches) ? "" : "es", batches);
    if (g->n == 1)
        snprintf(subject, sizeof subject, "sequence %s's %s rows of layer%s %s", seqs,
                 kv_text(finding->kv), is_one(layers) ? "" : "s", layers);
    else
        snprintf(subject, sizeof subject, "the %s rows of layer%s %s of sequences %s",
                 kv_text(finding->kv), is_one(layers) ? "" : "s", layers, seqs);
    fputc('\n', o->to);
    out_para(o, 0, 2, BOLD, lead, "%s%s %s (%s).", d->live ? "in the live cache, " : "", subject,
             kind_clause(d, clause, sizeof clause), d->kind);
    const char *now = fault_of(d, counterpart(f, d));
    out_para(o, 2, 2, PLAIN, "", "%s", now == *fault ? "At fault: as above." : now);
    *fault = now;
    if (d->text != NULL) out_para(o, 2, 2, DIM, "", "In the daemon's words: %s.", d->text);
}

/* A live cache that is wrong as the kernel is has been told of with the kernel. */
static bool is_told(const struct findings *f, const struct group *g)
{
    const struct divergence *d = group_first(f, g);
    const struct divergence *other = d->live ? counterpart(f, d) : NULL;
    return other != NULL && strcmp(other->kind, d->kind) == 0;
}

static void put_groups(struct out *o, const struct findings *f, bool all)
{
    const char *fault = NULL;
    size_t shown = 0;
    for (size_t i = 0; i < f->n_groups; i++) {
        if (is_told(f, &f->groups[i])) continue;
        if (all || shown < GROUPS_SHOWN) put_group(o, f, &f->groups[i], &fault);
        shown++;
    }
    if (all || shown <= GROUPS_SHOWN) return;
    fputc('\n', o->to);
    out_para(o, 0, 0, DIM, "", "and %zu more like these (--all prints them).",
             shown - GROUPS_SHOWN);
}

/* ---- What it means ------------------------------------------------------------------------- */

static bool seen_before(const struct findings *f, size_t i)
{
    const char *kind = group_first(f, &f->groups[i])->kind;
    for (size_t k = 0; k < i; k++) {
        if (strcmp(group_first(f, &f->groups[k])->kind, kind) == 0) return true;
    }
    return false;
}

static void put_sequences_to_drop(struct out *o, const struct findings *f)
{
    uint64_t *seqs = calloc(f->n_findings, sizeof seqs[0]);
    char text[TEXT_BYTES];
    size_t n = 0;
    if (seqs == NULL) return;
    for (size_t i = 0; i < f->n_findings; i++) {
        const struct divergence *d = finding_first(f, &f->findings[i]);
        if (!is_past(d)) seqs[n++] = d->seq;
    }
    numbers_text(seqs, n, text, sizeof text);
    free(seqs);
    if (n == 0)
        out_para(o, 2, 4, WARN, "first:",
                 "no live sequence is touched, as far as this check went: what differs was freed "
                 "or rolled back since. Its records leave the journal as new appends come, older "
                 "ones first; until then, \"truekv verify --batches N\" looks at the newest N "
                 "batches only.");
    else if (is_one(text))
        out_para(o, 2, 4, WARN,
                 "first:", "do not serve from sequence %s: free it and prefill it again.", text);
    else
        out_para(o, 2, 4, WARN,
                 "first:", "do not serve from sequences %s: free them and prefill them again.",
                 text);
}

static void put_meanings(struct out *o, const struct findings *f)
{
    out_put(o, BOLD, "\nWhat it means, and what to do next\n");
    put_sequences_to_drop(o, f);
    for (size_t i = 0; i < f->n_groups; i++) {
        const char *kind = group_first(f, &f->groups[i])->kind;
        char lead[64];
        if (seen_before(f, i)) continue;
        snprintf(lead, sizeof lead, "%s:", kind);
        out_para(o, 2, 4, WARN, out_clean(lead), "%s", kind_means(kind));
        out_para(o, 4, 4, PLAIN, "", "Next: %s", kind_next(kind));
    }
}

/* ---- The numbers --------------------------------------------------------------------------- */

/* Of all divergences of a finding, K and V: the one with the largest difference, and sums. */
struct summary {
    const struct divergence *worst;
    uint64_t bytes;
};

static bool worse(double a, double b)
{
    if (!isfinite(b)) return false; /* nothing is worse than what is no number */
    return !isfinite(a) || a > b;
}

static struct summary summarize(const struct findings *f, const struct finding *finding)
{
    size_t n = finding->kv == (HAS_K | HAS_V) ? 2 * finding->n : finding->n;
    const struct divergence *d = finding_first(f, finding);
    struct summary s = {.worst = d};
    for (size_t i = 0; i < n; i++) {
        if (worse(d[i].max_abs_diff, s.worst->max_abs_diff)) s.worst = &d[i];
        s.bytes += d[i].mismatched_bytes;
    }
    return s;
}

static void put_value(struct table *t, double value)
{
    if (isfinite(value))
        table_cell(t, "%.4g", value);
    else
        table_cell(t, "nan/inf");
}

static void put_row(struct table *t, const struct findings *f, const struct finding *finding)
{
    const struct divergence *d = finding_first(f, finding);
    struct summary s = summarize(f, finding);
    char text[TEXT_BYTES];
    table_cell(t, "%" PRIu64, d->seq);
    say_places(f, finding, BATCHES, numbers_cell, text, sizeof text);
    table_cell(t, "%s", text);
    say_places(f, finding, LAYERS, numbers_cell, text, sizeof text);
    table_cell(t, "%s", text);
    table_cell(t, "%s", finding->kv == (HAS_K | HAS_V) ? "K+V" : kv_text(finding->kv));
    table_cell(t, "%s", d->kind);
    put_value(t, s.worst->max_abs_diff);
    table_cell(t, "%" PRIu64, s.bytes);
    table_cell(t, "%u/%s/%" PRIu64 "/%" PRIu64 "/%" PRIu64, s.worst->layer, kv_text(s.worst->kv),
               s.worst->worst.kv_head, s.worst->worst.kv_pos, s.worst->worst.dim);
    put_value(t, s.worst->worst.per_item);
    put_value(t, s.worst->worst.other);
}

/* The findings of one comparison. Returns how many it has left out. */
static size_t put_comparison(struct out *o, const struct findings *f, bool live, bool all)
{
    static const char *const batched_heads[] = {">SEQ",      "BATCH",   "LAYERS", "K|V",
                                                "KIND",      ">DIFF",   ">BYTES", "WORST AT",
                                                ">PER-ITEM", ">BATCHED"};
    static const char *const live_heads[] = {">SEQ",  "BATCH",  "LAYERS",   "K|V",       "KIND",
                                             ">DIFF", ">BYTES", "WORST AT", ">PER-ITEM", ">LIVE"};
    struct table t;
    size_t n = 0, shown = 0;
    table_init(&t, live ? live_heads : batched_heads, 10);
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct group *g = &f->groups[i];
        if (group_first(f, g)->live != live) continue;
        for (size_t k = 0; k < g->n && (all || shown < ROWS_SHOWN); k++, shown++)
            put_row(&t, f, &f->findings[g->from + k]);
        n += g->n;
    }
    if (n > 0) {
        out_put(o, BOLD, "\nPer-item re-run against the %s\n",
                live ? "live cache" : "batched re-run");
        table_print(&t, o, 0);
    }
    table_close(&t);
    return n - shown;
}

static void put_numbers(struct out *o, const struct findings *f, bool all)
{
    size_t left_out = put_comparison(o, f, false, all) + put_comparison(o, f, true, all);
    out_para(o, 0, 0, DIM, "",
             "DIFF: largest absolute difference; WORST AT: layer/K|V/head/position/dimension.");
    if (left_out == 0) return;
    char rows[48];
    out_para(o, 0, 0, DIM, "", "%s: --all prints them, --json each single plane.",
             out_plural(left_out, "more row", "more rows", rows, sizeof rows));
}

/* ---- Skipped ------------------------------------------------------------------------------- */

static void put_skipped(struct out *o, const cJSON *result)
{
    const cJSON *skipped = cJSON_GetObjectItemCaseSensitive(result, "skipped"), *item;
    struct table t;
    char text[32];
    if (!cJSON_IsObject(skipped) || skipped->child == NULL) return;
    table_init(&t, (const char *const[]){">", "", ""}, 3);
    cJSON_ArrayForEach(item, skipped)
    {
        uint64_t n =
            cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
        if (n == 0) continue;
        table_cell(&t, "%s", out_count(n, text, sizeof text));
        table_cell(&t, "%s", item->string);
        table_cell(&t, "%s", skip_means(item->string));
    }
    if (t.n_cells > 0) {
        out_put(o, BOLD, "\nSkipped");
        out_put(o, DIM, "  (items that were not compared, or not with a live cache)\n");
        table_print(&t, o, 2);
    }
    table_close(&t);
}

static void put_unlisted(struct out *o, const struct totals *t, const struct findings *f)
{
    uint64_t listed = 0;
    for (size_t i = 0; i < f->n_divergences; i++) {
        bool again = false;
        for (size_t k = 0; k < i && !again; k++)
            again = f->divergences[k].seq == f->divergences[i].seq &&
                    f->divergences[k].batch == f->divergences[i].batch;
        listed += !again;
    }
    if (listed >= t->divergent_items) return;
    fputc('\n', o->to);
    char items[48], batches[64];
    out_plural(t->divergent_items, "item", "items", items, sizeof items);
    if (t->first_batch == t->last_batch)
        snprintf(batches, sizeof batches, "batch %" PRIu64, t->first_batch);
    else
        snprintf(batches, sizeof batches, "batches %" PRIu64 " to %" PRIu64, t->first_batch,
                 t->last_batch);
    out_para(o, 0, 0, WARN, "Note:",
             "%s of %s differ%s, and the daemon lists %" PRIu64
             " of them. Fewer --batches, or some --seqs, show the others.",
             items, batches, t->divergent_items == 1 ? "s" : "", listed);
}

void report_verify(struct out *o, const cJSON *result, bool all)
{
    struct totals totals = totals_of(result);
    struct findings f;
    if (!findings_take(&f, result)) {
        out_put(o, BAD, "no memory for the report\n");
        return;
    }
    put_verdict(o, &totals, &f);
    if (f.n_findings > 0) {
        put_groups(o, &f, all);
        put_meanings(o, &f);
        put_numbers(o, &f, all);
    }
    put_unlisted(o, &totals, &f);
    put_skipped(o, result);
    findings_close(&f);
}
