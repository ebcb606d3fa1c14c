#include "clients/c/command/kinds.h"
#include "clients/c/command/report.h"
#include "clients/c/command/report_map.h"
#include "clients/c/command/story.h"
#include "clients/c/command/table.h"

enum { ROWS_SHOWN = 24, GROUPS_SHOWN = 12, MAPS_SHOWN = 3 };

static void put_note(struct out *o, const char *lead, const char *text)
{
    if (text[0] != '\0') out_para(o, 0, 2, WARN, lead, "%s", text);
}

/* All that must not be read past: it stands above what was found. */
static void put_verdict(struct out *o, const struct totals *t, const struct findings *f,
                        const struct report_beside *beside)
{
    static const enum style styles[] = {
        [VERDICT_OK] = GOOD, [VERDICT_NOTHING] = WARN, [VERDICT_FOUND] = BAD};
    char text[SENTENCE_BYTES], lead[64];
    enum verdict verdict = story_verdict(t, f, text, sizeof text);
    enum style style = verdict == VERDICT_OK && t->left > 0 ? WARN : styles[verdict];
    out_para(o, 0, 0, style, story_lead(verdict, t, lead, sizeof lead), "%s", text);
    story_reach(t, text, sizeof text);
    if (text[0] != '\0') out_para(o, 0, 2, t->left > 0 ? WARN : PLAIN, "Reach:", "%s", text);
    story_unlisted(t, f, text, sizeof text);
    put_note(o, "Note:", text);
    if (beside == NULL) return;
    put_note(o, "Part:", beside->part);
    put_note(o, "Note:", beside->planted);
    put_note(o, "Before:", beside->earlier);
}

/* ---- One paragraph for each group ----------------------------------------------------------- */

/* *fault is what the paragraph before said, and becomes what this one says. */
static void put_group(struct out *o, const struct findings *f, const struct group *g,
                      const char **fault)
{
    struct story s;
    story_of_group(f, g, &s);
    fputc('\n', o->to);
    out_para(o, 0, 2, BOLD, s.lead, "%s", s.what);
    out_para(o, 2, 2, PLAIN, "", "%s", s.fault == *fault ? "At fault: as above." : s.fault);
    *fault = s.fault;
    if (s.ambiguous[0] != '\0') out_para(o, 2, 2, WARN, "Not certain:", "%s", s.ambiguous);
    if (s.quote != NULL) out_para(o, 2, 2, DIM, "", "In the daemon's words: %s.", s.quote);
}

static void put_groups(struct out *o, const struct findings *f, bool all)
{
    const char *fault = NULL;
    size_t shown = 0, maps = 0;
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct group *g = &f->groups[i];
        if (story_is_told(f, g)) continue;
        if (all || shown < GROUPS_SHOWN) put_group(o, f, g, &fault);
        if (all || (shown < GROUPS_SHOWN && maps < MAPS_SHOWN)) maps += report_map(o, f, g);
        shown++;
    }
    if (all || shown <= GROUPS_SHOWN) return;
    fputc('\n', o->to);
    out_para(o, 0, 0, DIM, "", "and %zu more like these (--all prints them).",
             shown - GROUPS_SHOWN);
}

/* ---- What it means ------------------------------------------------------------------------- */

static void put_meanings(struct out *o, const struct findings *f, bool saved)
{
    char first[SENTENCE_BYTES];
    out_put(o, BOLD, "\nWhat it means, and what to do next\n");
    story_first(f, saved, first, sizeof first);
    out_para(o, 2, 4, WARN, "first:", "%s", first);
    for (size_t i = 0; i < f->n_groups; i++) {
        const char *kind = group_first(f, &f->groups[i])->kind;
        char lead[64];
        if (story_is_explained(f, i)) continue;
        snprintf(lead, sizeof lead, "%s:", kind);
        out_para(o, 2, 4, WARN, out_clean(lead), "%s", kind_means(kind));
        out_para(o, 4, 4, PLAIN, "", "Next: %s", kind_next(kind));
    }
}

/* ---- The numbers --------------------------------------------------------------------------- */

static void put_row(struct table *t, const struct findings *f, const struct finding *finding)
{
    struct story_row row;
    story_row(f, finding, &row);
    for (int i = 0; i < ROW_CELLS; i++)
        table_cell(t, "%s", row.cells[i]);
}

/* The findings of one comparison. Returns how many it has left out. */
static size_t put_comparison(struct out *o, const struct findings *f, bool live, bool all)
{
    struct table t;
    size_t n = 0, shown = 0;
    table_init(&t, story_heads[live], ROW_CELLS);
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

void report_skipped(struct out *o, const cJSON *result, const char *what,
                    const char *(*means)(const char *reason))
{
    const cJSON *skipped = cJSON_GetObjectItemCaseSensitive(result, "skipped"), *item;
    struct table t;
    char text[32];
    if (!cJSON_IsObject(skipped) || skipped->child == NULL) return;
    table_init(&t, (const char *const[]){">", "", ""}, 3);
    cJSON_ArrayForEach(item, skipped)
    {
        uint64_t n = json_count(skipped, item->string);
        if (n == 0) continue;
        table_cell(&t, "%s", out_count(n, text, sizeof text));
        table_cell(&t, "%s", item->string);
        table_cell(&t, "%s", means(item->string));
    }
    if (t.n_cells > 0) {
        out_put(o, BOLD, "\nSkipped");
        out_put(o, DIM, "  (%s)\n", what);
        table_print(&t, o, 2);
    }
    table_close(&t);
}

void report_verify(struct out *o, const cJSON *result, const struct report_beside *beside, bool all)
{
    struct totals totals = story_totals(result);
    struct findings f;
    if (!findings_take(&f, result)) {
        out_put(o, BAD, "no memory for the report\n");
        return;
    }
    put_verdict(o, &totals, &f, beside);
    if (f.n_findings > 0) {
        put_groups(o, &f, all);
        put_meanings(o, &f, beside != NULL && beside->saved);
        put_numbers(o, &f, all);
    }
    report_skipped(o, result, "items that were not compared, or not with a live cache", skip_means);
    findings_close(&f);
}
