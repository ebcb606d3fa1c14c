#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/c/command/command.h"
#include "clients/c/command/page.h"
#include "clients/c/command/report.h"
#include "clients/c/command/save.h"

enum { TEXT_BYTES = 512 };

/* What the daemon answered, and what there is to say beside it. */
struct answer {
    bool found;
    char *json;            /* owned */
    cJSON *parsed;         /* owned */
    const cJSON *result;   /* debug.verify's; NULL: no report is kept */
    char kept[TEXT_BYTES]; /* where a kept report is from; "": it is a new one */
    char note[TEXT_BYTES]; /* on planted faults, or "" */
};

static void answer_close(struct answer *a)
{
    cJSON_Delete(a->parsed);
    free(a->json);
}

/* ---- Asking -------------------------------------------------------------------------------- */

static bool is_bad(const struct truekv_verdict *verdict)
{
    return !verdict->ok || verdict->divergent_items > 0;
}

static enum truekv_status ask_anew(struct app *app, struct answer *a)
{
    struct truekv_verdict verdict;
    const struct option_value *seqs = app_option(app, OPT_SEQS);
    struct truekv_verify how = {.seqs = seqs->list.at,
                                .m = seqs->list.n,
                                .batches = app_option(app, OPT_BATCHES)->number,
                                .scratch_bytes = app_option(app, OPT_SCRATCH_BYTES)->number};
    enum truekv_status st = truekv_debug_verify(app->kv, &how, &verdict);
    a->found = st == TRUEKV_OK && is_bad(&verdict);
    return st;
}

static void say_kept(const struct truekv_last *last, char *text, size_t size)
{
    char ago[32];
    out_duration((double)last->age_ms / 1e3, ago, sizeof ago);
    if (last->source == NULL)
        snprintf(text, size,
                 "no verification has found anything since the daemon started, nor has shadow "
                 "mode, where it is on.");
    else if (strcmp(last->source, "shadow") == 0)
        snprintf(text, size,
                 "Kept from shadow mode, which re-runs batches as they are served: found %s ago.",
                 ago);
    else if (strcmp(last->source, "verify") == 0)
        snprintf(text, size, "Kept from a verification, %s ago.", ago);
    else
        snprintf(text, size, "Kept from \"%.64s\", %s ago.", last->source, ago);
}

static enum truekv_status ask_last(struct app *app, struct answer *a)
{
    struct truekv_last last;
    enum truekv_status st = truekv_debug_last(app->kv, &last);
    if (st != TRUEKV_OK) return st;
    a->found = last.source != NULL && is_bad(&last.verdict);
    say_kept(&last, a->kept, sizeof a->kept);
    return TRUEKV_OK;
}

/* Keeps the answer, which the next call would forget. false: no memory. */
static bool keep_answer(struct app *app, struct answer *a)
{
    a->json = strdup(truekv_last_answer(app->kv)->json);
    if (a->json != NULL) a->parsed = cJSON_Parse(a->json);
    a->result = a->parsed;
    if (a->kept[0] != '\0') {
        const cJSON *report = cJSON_GetObjectItemCaseSensitive(a->parsed, "report");
        a->result = cJSON_IsObject(report) ? report : NULL;
    }
    return a->parsed != NULL;
}

/* ---- Planted faults ------------------------------------------------------------------------ */

/* The member of that name, however deep it lies; 0 where there is none. */
static uint64_t find_count(const cJSON *object, const char *name)
{
    const cJSON *item;
    uint64_t n = json_count(object, name);
    cJSON_ArrayForEach(item, object)
    {
        if (n == 0 && cJSON_IsObject(item)) n = find_count(item, name);
    }
    return n;
}

/* Whoever reads of faults at night should know where they were planted; who planted some, and reads
 * of none, why. */
static void say_injections(struct app *app, struct answer *a)
{
    char text[48];
    bool partial = app_option(app, OPT_SEQS)->given || app_option(app, OPT_BATCHES)->given;
    if (truekv_server_stats(app->kv) != TRUEKV_OK) return; /* the report stands without it */
    cJSON *stats = cJSON_Parse(truekv_last_answer(app->kv)->json);
    uint64_t n = find_count(stats, "faults_injected");
    cJSON_Delete(stats);
    if (n == 0) return;
    out_plural(n, "batch", "batches", text, sizeof text);
    if (a->found)
        snprintf(a->note, sizeof a->note,
                 "%s of this daemon went through a fault that debug.inject had armed on purpose.",
                 text);
    else
        snprintf(a->note, sizeof a->note,
                 "%s went through a fault that debug.inject had armed; %s changed what was "
                 "written, or %s left the journal%s.",
                 text, n == 1 ? "it has not" : "none of them", n == 1 ? "it has" : "they have",
                 partial ? ", or was not asked for" : "");
}

/* ---- Telling ------------------------------------------------------------------------------- */

static void print(struct app *app, const struct answer *a)
{
    struct out *o = &app->out;
    if (a->result == NULL) {
        out_para(o, 0, 0, GOOD, "NOTHING KEPT:", "%s", a->kept);
        return;
    }
    if (a->kept[0] != '\0') out_para(o, 0, 0, PLAIN, "", "%s", a->kept);
    report_verify(o, a->result, app_option(app, OPT_ALL)->given);
    if (a->note[0] == '\0') return;
    fputc('\n', o->to);
    out_para(o, 0, 0, WARN, "Note:", "%s", a->note);
}

static void say_made(const struct app *app, char *text, size_t size)
{
    char when[64] = "";
    struct tm parts;
    time_t now = time(NULL);
    if (localtime_r(&now, &parts) != NULL)
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %Z", &parts);
    snprintf(text, size, "Made by \"truekv verify\" on %s, of the daemon at %s.", when,
             app->address);
}

static bool write_page(struct app *app, const struct answer *a, const char *file)
{
    char made[TEXT_BYTES], *text = NULL;
    size_t bytes = 0;
    struct page page = {a->result, a->json, a->kept, a->note, made};
    say_made(app, made, sizeof made);
    FILE *to = open_memstream(&text, &bytes);
    bool fine = to != NULL && page_write(to, &page);
    if (to != NULL && fclose(to) != 0) fine = false;
    if (!fine)
        app_usage(app, "no memory for the page");
    else
        fine = save_file(app, file, text, bytes);
    free(text);
    if (fine && !app_option(app, OPT_JSON)->given)
        out_para(&app->out, 0, 0, DIM, "", "Wrote the page to %s.", file);
    return fine;
}

static enum exit_code tell(struct app *app, struct answer *a)
{
    const struct option_value *html = app_option(app, OPT_HTML);
    enum exit_code code = a->found ? EXIT_NO : EXIT_FINE;
    bool printed = app_printed_json(app);
    if (printed && !html->given) return code;
    if (!keep_answer(app, a)) return app_usage(app, "no memory for the report");
    if (a->result != NULL) say_injections(app, a);
    if (!printed) print(app, a);
    if (!html->given || write_page(app, a, html->text)) return code;
    return a->found ? EXIT_NO : EXIT_USAGE; /* what was found weighs more */
}

static bool check_options(struct app *app)
{
    const struct option_value *html = app_option(app, OPT_HTML);
    if (html->given && (html->text[0] == '\0' || strcmp(html->text, "-") == 0)) {
        app_usage(app, "--html takes the name of a file, not \"%s\"", html->text);
        return false;
    }
    if (!app_option(app, OPT_LAST)->given) return true;
    static const enum option_id others[] = {OPT_SEQS, OPT_BATCHES, OPT_SCRATCH_BYTES};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (!app_option(app, others[i])->given) continue;
        app_usage(app, "--last shows a report as it is: --%s is for a new one",
                  option_specs[others[i]].name);
        return false;
    }
    return true;
}

enum exit_code cmd_verify(struct app *app)
{
    struct answer a = {0};
    enum exit_code code;
    if (!check_options(app)) return EXIT_USAGE;
    if (!app_connect(app, &code)) return code;
    enum truekv_status st =
        app_option(app, OPT_LAST)->given ? ask_last(app, &a) : ask_anew(app, &a);
    if (st != TRUEKV_OK) return app_failed(app);
    code = tell(app, &a);
    answer_close(&a);
    return code;
}
