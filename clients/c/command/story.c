#include "clients/c/command/story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sizes.h"
#include "clients/c/command/kinds.h"
#include "clients/c/command/out.h"

enum { HEADS_MAX = 64, HEADS_BYTES = 96 }; /* a map has no more cells */

/* ---- The verdict --------------------------------------------------------------------------- */

struct totals story_totals(const cJSON *result)
{
    const cJSON *where = cJSON_GetObjectItemCaseSensitive(result, "divergent_batches");
    const cJSON *journal = cJSON_GetObjectItemCaseSensitive(result, "journal");
    struct totals t = {
        .first_batch = json_count(where, "first"),
        .last_batch = json_count(where, "last"),
        .items = json_count(result, "items_checked"),
        .batches = json_count(result, "batches_checked"),
        .bytes = json_count(result, "bytes_compared"),
        .divergent_items = json_count(result, "divergent_items"),
        .seconds = json_number(result, "duration_us") / 1e6,
        .oldest = json_count(journal, "oldest"),
        .newest = json_count(journal, "newest"),
        .left = json_count(journal, "left"),
        .has_journal = cJSON_IsObject(journal),
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

const char *story_lead(enum verdict verdict, const struct totals *t, char *text, size_t size)
{
    static const char *const leads[] = {
        [VERDICT_OK] = "OK:",
        [VERDICT_NOTHING] = "NOTHING CHECKED:",
        [VERDICT_FOUND] = "FOUND:",
    };
    bool partly = verdict == VERDICT_OK && t->left > 0;
    snprintf(text, size, "%s", partly ? "OK AS FAR AS IT REACHES:" : leads[verdict]);
    return text;
}

static bool holds_any(const struct totals *t)
{
    return t->newest > 0 && t->newest >= t->oldest;
}

static void say_held(const struct totals *t, char *text, size_t size)
{
    char batches[48];
    if (!holds_any(t))
        snprintf(text, size, "the journal holds no batch.");
    else if (t->oldest == t->newest)
        snprintf(text, size, "batch %" PRIu64 ", all that the journal holds.", t->oldest);
    else if (t->newest - t->oldest + 1 == t->batches)
        snprintf(text, size, "batches %" PRIu64 "-%" PRIu64 ", all that the journal holds.",
                 t->oldest, t->newest);
    else
        snprintf(text, size, "%s, of those that the journal holds (%" PRIu64 "-%" PRIu64 ").",
                 out_plural(t->batches, "batch", "batches", batches, sizeof batches), t->oldest,
                 t->newest);
}

void story_reach(const struct totals *t, char *text, size_t size)
{
    char held[TEXT_BYTES], older[48];
    text[0] = '\0';
    if (!t->has_journal) return;
    say_held(t, held, sizeof held);
    if (t->left == 0)
        snprintf(text, size, "%s Nothing has left it.", held);
    else
        snprintf(text, size, "%s %s left the journal; truekv scrub looks at tokens of any age.",
                 held,
                 out_plural(t->left, "older batch has", "older batches have", older, sizeof older));
}

enum verdict story_verdict(const struct totals *t, const struct findings *f, char *text,
                           size_t size)
{
    char items[48], batches[48], bytes[32], took[32] = "", time[40] = "", divergent[32];
    out_plural(t->items, "item", "items", items, sizeof items);
    out_plural(t->batches, "batch", "batches", batches, sizeof batches);
    tkv_format_size(t->bytes, bytes, sizeof bytes);
    if (isfinite(t->seconds))
        snprintf(time, sizeof time, " in %s", out_duration(t->seconds, took, sizeof took));
    if (!t->ok || t->divergent_items > 0 || f->n_divergences > 0) {
        out_count(t->divergent_items, divergent, sizeof divergent);
        snprintf(text, size, "%s of %s re-run (from %s) differ%s: %s.", divergent, items, batches,
                 t->divergent_items == 1 ? "s" : "", culprit(f));
        return VERDICT_FOUND;
    }
    if (t->items == 0) {
        snprintf(text, size, "%s, so this says nothing about the caches.",
                 holds_any(t) ? "the journal holds appends, but none that was asked for and can be "
                                "checked"
                              : "the journal holds no append to check");
        return VERDICT_NOTHING;
    }
    snprintf(text, size, "%s of %s re-run, %s compared, identical%s.", items, batches, bytes, time);
    return VERDICT_OK;
}

/* ---- A group ------------------------------------------------------------------------------- */

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

void story_sequences(const struct findings *f, const struct group *g, char *text, size_t size)
{
    uint64_t *values = calloc(g->n, sizeof values[0]);
    text[0] = '\0';
    if (values == NULL) return;
    for (size_t i = 0; i < g->n; i++)
        values[i] = finding_first(f, &f->findings[g->from + i])->seq;
    numbers_text(values, g->n, text, size);
    free(values);
}

bool story_is_one(const char *text)
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

#define KERNEL_AT_FAULT                                                                  \
    "The batched kernel is at fault: re-run one item at a time, the same data come out " \
    "right. "

/* Positions beside the written ones are compared between the re-runs, never with a live cache. */
static const char *fault_of_stray(const struct divergence *d)
{
    if (is_truncated(d))
        return KERNEL_AT_FAULT "Those positions were rolled back since; what was written beside "
                               "them may be in the live cache still: truekv scrub can tell.";
    if (d->at_live != NULL && strcmp(d->at_live, "differs") == 0)
        return KERNEL_AT_FAULT "The live cache is wrong at the written positions, too; beside them "
                               "it was not compared: truekv scrub can tell.";
    return KERNEL_AT_FAULT "Beside the written positions the live cache was not compared: take it "
                           "for wrong; truekv scrub can tell.";
}

/* The daemon need not compare an item's live cache once its re-runs differ: silence clears nothing.
 */
static const char *fault_of(const struct divergence *d, const struct divergence *other)
{
    if (!d->live && !is_freed(d) && strcmp(d->kind, "stray_write") == 0) return fault_of_stray(d);
    if (!d->live && d->at_live != NULL && strcmp(d->at_live, "differs") == 0)
        return KERNEL_AT_FAULT "The live cache is wrong there, too.";
    if (is_freed(d))
        return KERNEL_AT_FAULT "The sequence was freed since: nothing is left to mend.";
    if (is_truncated(d)) return KERNEL_AT_FAULT "Those positions were rolled back since.";
    if (!d->live && d->at_live != NULL && strcmp(d->at_live, "right") == 0)
        return KERNEL_AT_FAULT
            "The live cache holds the right bytes there: the fault comes and goes.";
    if (!d->live && other == NULL)
        return KERNEL_AT_FAULT "Take the live cache for wrong there, too: the kernel wrote it.";
    if (!d->live && strcmp(d->kind, other->kind) == 0)
        return KERNEL_AT_FAULT "The live cache is wrong in the same way.";
    if (!d->live) return KERNEL_AT_FAULT "The live cache is wrong there, too.";
    if (other == NULL)
        return "The live cache differs although both re-runs agree: it was damaged after, or "
               "while, it was written.";
    return "The two re-runs differ from each other in these places, too: mend the kernel first.";
}

/* Which sequence's rows they are cannot be told where several brought the same. */
static void say_ambiguous(const struct divergence *d, char *text, size_t size)
{
    char seqs[TEXT_BYTES];
    text[0] = '\0';
    if (!d->ambiguous) return;
    if (sources_text(d, seqs, sizeof seqs))
        snprintf(text, size,
                 "sequences %s brought the same rows: which of them it was cannot be told.", seqs);
    else
        snprintf(text, size,
                 "several sequences brought the same rows: which of them it was cannot be told.");
}

/* Adds the heads that d's map has bytes in; false: the map does not say which, or too many. */
static bool add_heads(const struct divergence *d, bool *touched, size_t *n)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(d->map, "heads"), *item;
    size_t i = 0;
    if (!cJSON_IsArray(list) || json_count(d->map, "heads_per_cell") > 1) return false;
    cJSON_ArrayForEach(item, list)
    {
        if (i == HEADS_MAX) return false;
        if (cJSON_IsNumber(item) && item->valuedouble > 0) touched[i] = true;
        i++;
    }
    if (i > *n) *n = i;
    return true;
}

/* " in head 1", where all of a group is in some heads alone; else "". */
static void say_heads(const struct findings *f, const struct group *g, char *text, size_t size)
{
    bool touched[HEADS_MAX] = {false};
    uint64_t values[HEADS_MAX];
    size_t n = 0, count = 0;
    char heads[HEADS_BYTES];
    text[0] = '\0';
    for (size_t i = 0; i < g->n; i++) {
        const struct finding *finding = &f->findings[g->from + i];
        for (size_t k = 0; k < finding_size(finding); k++) {
            if (!add_heads(&finding_first(f, finding)[k], touched, &n)) return;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (touched[i]) values[count++] = i;
    }
    if (count == 0 || count == n) return;
    numbers_text(values, count, heads, sizeof heads);
    snprintf(text, size, " in head%s %s", count == 1 ? "" : "s", heads);
}

/* The daemon's sentence, where it says more than the kind's own words do. */
static const char *quote_of(const struct divergence *d)
{
    static const char *const said[] = {"wrong_item", "wrong_position", "wrong_head",
                                       "kv_swapped", "rounding",       "bit_flip"};
    if (d->text == NULL || strchr(d->text, ';') != NULL) return d->text;
    if (strncmp(d->text, "1 ", 2) == 0) return NULL; /* one row, or one bit: no news */
    if (strstr(d->text, "(or ") != NULL || strstr(d->text, "(equal") != NULL) return d->text;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        if (strcmp(d->kind, said[i]) == 0) return NULL;
    }
    return d->text;
}

static void say_what(const struct findings *f, const struct group *g, char *text, size_t size)
{
    const struct finding *finding = &f->findings[g->from];
    const struct divergence *d = finding_first(f, finding);
    char layers[TEXT_BYTES], seqs[TEXT_BYTES], heads[HEADS_BYTES + 16], clause[TEXT_BYTES];
    char subject[3 * TEXT_BYTES];
    say_places(f, finding, LAYERS, numbers_text, layers, sizeof layers);
    story_sequences(f, g, seqs, sizeof seqs);
    say_heads(f, g, heads, sizeof heads);
    const char *s = story_is_one(layers) ? "" : "s";
    if (g->n == 1)
        snprintf(subject, sizeof subject, "sequence %s's %s rows of layer%s %s%s", seqs,
                 kv_text(finding->kv), s, layers, heads);
    else
        snprintf(subject, sizeof subject, "the %s rows of layer%s %s%s of sequences %s",
                 kv_text(finding->kv), s, layers, heads, seqs);
    snprintf(text, size, "%s%s %s (%.64s).", d->live ? "in the live cache, " : "", subject,
             kind_clause(d, clause, sizeof clause), d->kind);
}

void story_of_group(const struct findings *f, const struct group *g, struct story *out)
{
    const struct finding *finding = &f->findings[g->from];
    const struct divergence *d = finding_first(f, finding);
    char batches[TEXT_BYTES];
    say_places(f, finding, BATCHES, numbers_text, batches, sizeof batches);
    snprintf(out->lead, sizeof out->lead, "batch%s %s:", story_is_one(batches) ? "" : "es",
             batches);
    say_what(f, g, out->what, sizeof out->what);
    out->fault = fault_of(d, counterpart(f, d));
    say_ambiguous(d, out->ambiguous, sizeof out->ambiguous);
    out->quote = quote_of(d);
}

/* A live cache that is wrong as the kernel is has been told of with the kernel. */
bool story_is_told(const struct findings *f, const struct group *g)
{
    const struct divergence *d = group_first(f, g);
    const struct divergence *other = d->live ? counterpart(f, d) : NULL;
    return other != NULL && strcmp(other->kind, d->kind) == 0;
}

/* ---- What to do ---------------------------------------------------------------------------- */

bool story_is_explained(const struct findings *f, size_t i)
{
    const char *kind = group_first(f, &f->groups[i])->kind;
    for (size_t k = 0; k < i; k++) {
        if (strcmp(group_first(f, &f->groups[k])->kind, kind) == 0) return true;
    }
    return false;
}

void story_first(const struct findings *f, bool saved, char *text, size_t size)
{
    uint64_t *seqs = calloc(f->n_findings, sizeof seqs[0]);
    const char *save = saved ? "" : "save this report (--html FILE), then ";
    char names[TEXT_BYTES];
    size_t n = 0;
    text[0] = '\0';
    if (seqs == NULL) return;
    for (size_t i = 0; i < f->n_findings; i++) {
        const struct divergence *d = finding_first(f, &f->findings[i]);
        if (!is_past(d)) seqs[n++] = d->seq;
    }
    numbers_text(seqs, n, names, sizeof names);
    free(seqs);
    if (n == 0)
        snprintf(text, size,
                 "%sno live sequence is touched, as far as this check went: what differs was freed "
                 "or rolled back since. Its records leave the journal as new appends come, older "
                 "ones first; until then, \"truekv verify --batches N\" looks at the newest N "
                 "batches only.",
                 saved ? "" : "save this report (--html FILE). Then: ");
    else if (story_is_one(names))
        snprintf(text, size, "do not serve from sequence %s: %sfree it and prefill it again.",
                 names, save);
    else
        snprintf(text, size, "do not serve from sequences %s: %sfree them and prefill them again.",
                 names, save);
}

void story_unlisted(const struct totals *t, const struct findings *f, char *text, size_t size)
{
    uint64_t listed = 0;
    char items[48], shown[48], batches[64];
    text[0] = '\0';
    for (size_t i = 0; i < f->n_divergences; i++) {
        bool again = false;
        for (size_t k = 0; k < i && !again; k++)
            again = f->divergences[k].seq == f->divergences[i].seq &&
                    f->divergences[k].batch == f->divergences[i].batch;
        listed += !again;
    }
    if (listed >= t->divergent_items) return;
    out_count(t->divergent_items, items, sizeof items);
    if (t->first_batch == t->last_batch)
        snprintf(batches, sizeof batches, "batch %" PRIu64, t->first_batch);
    else
        snprintf(batches, sizeof batches, "batches %" PRIu64 " to %" PRIu64, t->first_batch,
                 t->last_batch);
    snprintf(text, size,
             "listing the first %s of %s divergent items (of %s). Fewer --batches, or some --seqs, "
             "show the others.",
             out_count(listed, shown, sizeof shown), items, batches);
}

/* ---- A row of numbers ---------------------------------------------------------------------- */

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
    size_t n = finding_size(finding);
    const struct divergence *d = finding_first(f, finding);
    struct summary s = {.worst = d};
    for (size_t i = 0; i < n; i++) {
        if (worse(d[i].max_abs_diff, s.worst->max_abs_diff)) s.worst = &d[i];
        s.bytes += d[i].mismatched_bytes;
    }
    return s;
}

static void say_value(double value, char *text)
{
    if (isfinite(value))
        snprintf(text, ROW_CELL_BYTES, "%.4g", value);
    else
        snprintf(text, ROW_CELL_BYTES, "nan/inf");
}

const char *const story_heads[2][ROW_CELLS] = {
    {">SEQ", "BATCH", "LAYERS", "K|V", "KIND", ">DIFF", ">BYTES", "WORST AT", ">PER-ITEM",
     ">BATCHED"},
    {">SEQ", "BATCH", "LAYERS", "K|V", "KIND", ">DIFF", ">BYTES", "WORST AT", ">PER-ITEM", ">LIVE"},
};

void story_row(const struct findings *f, const struct finding *finding, struct story_row *out)
{
    const struct divergence *d = finding_first(f, finding);
    struct summary s = summarize(f, finding);
    char(*cells)[ROW_CELL_BYTES] = out->cells;
    snprintf(cells[0], ROW_CELL_BYTES, "%" PRIu64, d->seq);
    say_places(f, finding, BATCHES, numbers_cell, cells[1], ROW_CELL_BYTES);
    say_places(f, finding, LAYERS, numbers_cell, cells[2], ROW_CELL_BYTES);
    snprintf(cells[3], ROW_CELL_BYTES, "%s",
             finding->kv == (HAS_K | HAS_V) ? "K+V" : kv_text(finding->kv));
    snprintf(cells[4], ROW_CELL_BYTES, "%s", d->kind);
    say_value(s.worst->max_abs_diff, cells[5]);
    out_count(s.bytes, cells[6], ROW_CELL_BYTES);
    snprintf(cells[7], ROW_CELL_BYTES, "%u/%s/%" PRIu64 "/%" PRIu64 "/%" PRIu64, s.worst->layer,
             kv_text(s.worst->kv), s.worst->worst.kv_head, s.worst->worst.kv_pos,
             s.worst->worst.dim);
    say_value(s.worst->worst.per_item, cells[8]);
    say_value(s.worst->worst.other, cells[9]);
}
