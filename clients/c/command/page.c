#include "clients/c/command/page.h"

#include <string.h>

#include "base/sizes.h"
#include "clients/c/command/html.h"
#include "clients/c/command/kinds.h"
#include "clients/c/command/out.h"
#include "clients/c/command/story.h"

enum { MAPS_SHOWN = 24 };

/* ---- The top ------------------------------------------------------------------------------- */

static void put_head(FILE *to, const char *lead)
{
    fprintf(to, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "style-src 'unsafe-inline'; img-src data:\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<link rel=\"icon\" href=\"data:,\">\n");
    html_element(to, "title", NULL, "truekv verify: %.*s", (int)strcspn(lead, ":"), lead);
    fprintf(to, "<style>\n%s</style>\n</head>\n<body>\n", page_style);
    html_element(to, "p", "dim", "truekv: are the caches right?");
}

static void put_card(FILE *to, const char *class, const char *lead, const char *text)
{
    fprintf(to, "<div class=\"card %s\"><h1><b>", class);
    html_text(to, lead);
    fprintf(to, "</b> ");
    html_text(to, text);
    fprintf(to, "</h1></div>\n");
}

static void put_fact(FILE *to, const char *name, const char *value)
{
    fprintf(to, "<div>");
    html_element(to, "dt", NULL, "%s", name);
    html_element(to, "dd", NULL, "%s", value);
    fprintf(to, "</div>\n");
}

static void put_facts(FILE *to, const struct totals *t)
{
    char text[48];
    fprintf(to, "<dl class=\"facts\">\n");
    put_fact(to, "items that differ", out_count(t->divergent_items, text, sizeof text));
    put_fact(to, "items re-run", out_count(t->items, text, sizeof text));
    put_fact(to, "batches", out_count(t->batches, text, sizeof text));
    put_fact(to, "compared", tkv_format_size(t->bytes, text, sizeof text));
    if (isfinite(t->seconds)) put_fact(to, "took", out_duration(t->seconds, text, sizeof text));
    fprintf(to, "</dl>\n");
}

/* ---- The findings -------------------------------------------------------------------------- */

/* *fault is what the group before said, and becomes what this one says. */
static void put_group(FILE *to, const struct findings *f, const struct group *g, const char **fault)
{
    struct story s;
    story_of_group(f, g, &s);
    html_element(to, "h3", NULL, "%s %s", s.lead, s.what);
    html_element(to, "p", NULL, "%s", s.fault == *fault ? "At fault: as above." : s.fault);
    *fault = s.fault;
    if (s.ambiguous[0] != '\0') html_element(to, "p", NULL, "Not certain: %s", s.ambiguous);
    if (s.quote != NULL) html_element(to, "p", "dim", "In the daemon's words: %s.", s.quote);
}

static void put_groups(FILE *to, const struct findings *f, uint64_t n_layers)
{
    const char *fault = NULL;
    size_t maps = 0;
    html_element(to, "h2", NULL, "What differs, and where");
    for (size_t i = 0; i < f->n_groups; i++) {
        if (story_is_told(f, &f->groups[i])) continue;
        put_group(to, f, &f->groups[i], &fault);
        if (maps < MAPS_SHOWN) maps += page_map(to, f, &f->groups[i], n_layers);
    }
    if (maps == MAPS_SHOWN)
        html_element(to, "p", "dim", "Of the findings, the first %d have a map.", MAPS_SHOWN);
}

static void put_meanings(FILE *to, const struct findings *f)
{
    char first[SENTENCE_BYTES];
    html_element(to, "h2", NULL, "What it means, and what to do next");
    story_first(f, true, first, sizeof first);
    fprintf(to, "<div class=\"card warn\">");
    html_element(to, "p", NULL, "First: %s", first);
    fprintf(to, "</div>\n<dl class=\"kinds\">\n");
    for (size_t i = 0; i < f->n_groups; i++) {
        const char *kind = group_first(f, &f->groups[i])->kind;
        if (story_is_explained(f, i)) continue;
        html_element(to, "dt", NULL, "%s", kind);
        html_element(to, "dd", NULL, "%s", kind_means(kind));
        html_element(to, "dd", NULL, "Next: %s", kind_next(kind));
    }
    fprintf(to, "</dl>\n");
}

/* ---- The numbers --------------------------------------------------------------------------- */

static void put_cell(FILE *to, const char *tag, const char *head, const char *text)
{
    html_element(to, tag, head[0] == '>' ? "r" : NULL, "%s", text);
}

static void put_row(FILE *to, const struct findings *f, const struct finding *finding, bool live)
{
    struct story_row row;
    story_row(f, finding, &row);
    fprintf(to, "<tr>");
    for (int i = 0; i < ROW_CELLS; i++)
        put_cell(to, "td", story_heads[live][i], row.cells[i]);
    fprintf(to, "</tr>\n");
}

static void put_comparison(FILE *to, const struct findings *f, bool live)
{
    bool begun = false;
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct group *g = &f->groups[i];
        if (group_first(f, g)->live != live) continue;
        if (!begun) {
            html_element(to, "h3", NULL, "Per-item re-run against the %s",
                         live ? "live cache" : "batched re-run");
            fprintf(to, "<div class=\"wide\"><table>\n<tr>");
            for (int c = 0; c < ROW_CELLS; c++)
                put_cell(to, "th", story_heads[live][c],
                         story_heads[live][c] + (story_heads[live][c][0] == '>'));
            fprintf(to, "</tr>\n");
            begun = true;
        }
        for (size_t k = 0; k < g->n; k++)
            put_row(to, f, &f->findings[g->from + k], live);
    }
    if (begun) fprintf(to, "</table></div>\n");
}

static void put_numbers(FILE *to, const struct findings *f)
{
    html_element(to, "h2", NULL, "The numbers");
    put_comparison(to, f, false);
    put_comparison(to, f, true);
    html_element(to, "p", "dim",
                 "DIFF: largest absolute difference; WORST AT: layer/K|V/head/position/dimension.");
}

static void put_skipped(FILE *to, const cJSON *result)
{
    const cJSON *skipped = cJSON_GetObjectItemCaseSensitive(result, "skipped"), *item;
    bool begun = false;
    if (!cJSON_IsObject(skipped)) return;
    cJSON_ArrayForEach(item, skipped)
    {
        char count[32];
        uint64_t n = json_count(skipped, item->string);
        if (n == 0) continue;
        if (!begun) {
            html_element(to, "h2", NULL, "Skipped");
            fprintf(to, "<div class=\"wide\"><table class=\"skips\">\n");
            begun = true;
        }
        fprintf(to, "<tr>");
        html_element(to, "td", "r", "%s", out_count(n, count, sizeof count));
        html_element(to, "td", NULL, "%s", item->string);
        html_element(to, "td", NULL, "%s", skip_means(item->string));
        fprintf(to, "</tr>\n");
    }
    if (begun) fprintf(to, "</table></div>\n");
}

/* ---- The page ------------------------------------------------------------------------------ */

static void put_note(FILE *to, const char *lead, const char *note)
{
    if (note[0] == '\0') return;
    fprintf(to, "<div class=\"card warn\">");
    html_element(to, "p", NULL, "%s %s", lead, note);
    fprintf(to, "</div>\n");
}

/* Open, so that paper has it too. */
static void put_foot(FILE *to, const struct page *page)
{
    html_element(to, "h2", NULL, "The report as it came");
    fprintf(to, "<details open><summary>JSON</summary>\n<pre id=\"report\">");
    html_text(to, page->json);
    fprintf(to, "</pre>\n</details>\n</body>\n</html>\n");
}

static void put_top(FILE *to, const struct page *page, const struct totals *t,
                    const struct findings *f)
{
    static const char *const classes[] = {
        [VERDICT_OK] = "good", [VERDICT_NOTHING] = "warn", [VERDICT_FOUND] = "bad"};
    char text[SENTENCE_BYTES], lead[64];
    enum verdict verdict = story_verdict(t, f, text, sizeof text);
    bool partly = verdict == VERDICT_OK && t->left > 0;
    story_lead(verdict, t, lead, sizeof lead);
    put_head(to, lead);
    put_card(to, partly ? "warn" : classes[verdict], lead, text);
    if (page->kept[0] != '\0') html_element(to, "p", NULL, "%s", page->kept);
    story_reach(t, text, sizeof text);
    if (t->left > 0)
        put_note(to, "Reach:", text);
    else if (text[0] != '\0')
        html_element(to, "p", NULL, "Reach: %s", text);
    story_unlisted(t, f, text, sizeof text);
    put_note(to, "Note:", text);
    put_note(to, "Part:", page->part);
    put_note(to, "Note:", page->planted);
    put_note(to, "Before:", page->earlier);
    put_facts(to, t);
    page_daemon(to, page);
}

bool page_write(FILE *to, const struct page *page)
{
    struct totals totals = story_totals(page->result);
    struct findings f;
    if (!findings_take(&f, page->result)) return false;
    put_top(to, page, &totals, &f);
    if (f.n_findings > 0) {
        put_groups(to, &f, page_layers(page->info));
        put_meanings(to, &f);
        put_numbers(to, &f);
    }
    put_skipped(to, page->result);
    put_foot(to, page);
    findings_close(&f);
    return true;
}
