#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clients/c/command/command.h"
#include "clients/c/command/findings.h"
#include "clients/c/command/page.h"
#include "clients/c/command/report.h"
#include "clients/c/command/save.h"

enum { TEXT_BYTES = 512 };

/* What the daemon answered, and what there is to say beside it. */
struct answer {
    bool found, nothing;          /* something differs; nothing was checked */
    char *json;                   /* owned */
    cJSON *parsed, *stats, *info; /* owned; NULL: not asked, or no answer */
    const cJSON *result;          /* debug.verify's; NULL: no report is kept */
    char kept[TEXT_BYTES];        /* where a kept report is from; "": it is a new one */
    char planted[TEXT_BYTES];     /* on planted faults, or "" */
    char earlier[TEXT_BYTES];     /* on what was found before, or "" */
};

static void answer_close(struct answer *a)
{
    cJSON_Delete(a->parsed);
    cJSON_Delete(a->stats);
    cJSON_Delete(a->info);
    free(a->json);
}

static bool is_kept(const struct app *app)
{
    return app_option(app, OPT_LAST)->given || app_option(app, OPT_FIRST)->given;
}

/* Keeps the answer, which the next call would forget. false: no memory. */
static bool keep_answer(struct app *app, struct answer *a)
{
    a->json = strdup(truekv_last_answer(app->kv)->json);
    if (a->json != NULL) a->parsed = cJSON_Parse(a->json);
    a->result = a->parsed;
    return a->parsed != NULL;
}

/* ---- Asking -------------------------------------------------------------------------------- */

static enum truekv_status ask_anew(struct app *app, struct answer *a)
{
    struct truekv_verdict verdict;
    const struct option_value *seqs = app_option(app, OPT_SEQS);
    struct truekv_verify how = {.seqs = seqs->list.at,
                                .m = seqs->list.n,
                                .batches = app_option(app, OPT_BATCHES)->number,
                                .scratch_bytes = app_option(app, OPT_SCRATCH_BYTES)->number};
    enum truekv_status st = truekv_debug_verify(app->kv, &how, &verdict);
    if (st != TRUEKV_OK) return st;
    a->found = !verdict.ok || verdict.divergent_items > 0;
    a->nothing = !a->found && verdict.items_checked == 0;
    return keep_answer(app, a) ? TRUEKV_OK : TRUEKV_ENOMEM;
}

/* kept: an object of debug.last with report, source and age_ms. */
static void say_kept(const cJSON *kept, const char *others, char *text, size_t size)
{
    char ago[32], from[128];
    const char *source = json_text(kept, "source");
    out_duration((double)json_count(kept, "age_ms") / 1e3, ago, sizeof ago);
    if (source == NULL) source = "?";
    if (strcmp(source, "shadow") == 0)
        snprintf(from, sizeof from, "shadow mode, which re-runs batches as they are served: found");
    else if (strcmp(source, "verify") == 0)
        snprintf(from, sizeof from, "a verification,");
    else
        snprintf(from, sizeof from, "\"%.64s\",", source);
    snprintf(text, size,
             "Kept from %s %s ago. It tells of then: what it names may have been freed, or written "
             "anew, since (truekv list).%s",
             from, ago, others);
}

/* The newest report, or with --first the first, where that is another. */
static void choose_kept(const struct app *app, struct answer *a)
{
    const cJSON *kept = a->parsed;
    const cJSON *first = cJSON_GetObjectItemCaseSensitive(a->parsed, "first");
    const char *others = "";
    bool has_first = cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(first, "report"));
    if (app_option(app, OPT_FIRST)->given)
        others = has_first ? " It was the first; the newest: truekv verify --last."
                           : " No earlier one is kept.";
    else if (has_first)
        others = " It is the newest; the first is kept, too: truekv verify --first.";
    if (has_first && app_option(app, OPT_FIRST)->given) kept = first;
    a->result = cJSON_GetObjectItemCaseSensitive(kept, "report");
    say_kept(kept, others, a->kept, sizeof a->kept);
    if (cJSON_IsObject(a->result)) return;
    a->result = NULL;
    snprintf(a->kept, sizeof a->kept,
             "no verification has found anything since the daemon started, nor has shadow mode, "
             "where it is on.");
}

static enum truekv_status ask_kept(struct app *app, struct answer *a)
{
    struct truekv_last last;
    enum truekv_status st = truekv_debug_last(app->kv, &last);
    if (st != TRUEKV_OK) return st;
    if (!keep_answer(app, a)) return TRUEKV_ENOMEM;
    choose_kept(app, a);
    a->found = a->result != NULL;
    return TRUEKV_OK;
}

/* ---- What was found before ------------------------------------------------------------------ */

static bool has_divergence(const struct findings *f, const struct divergence *d)
{
    for (size_t i = 0; i < f->n_divergences; i++) {
        const struct divergence *other = &f->divergences[i];
        if (other->seq == d->seq && other->batch == d->batch && other->layer == d->layer &&
            other->kv == d->kv)
            return true;
    }
    return false;
}

/* Whether report holds something that is not among what was found now. */
static bool tells_more(const cJSON *report, const struct findings *now)
{
    struct findings before;
    bool more = false;
    if (!cJSON_IsObject(report) || !findings_take(&before, report)) return false;
    for (size_t i = 0; i < before.n_divergences && !more; i++)
        more = !has_divergence(now, &before.divergences[i]);
    if (before.n_divergences == 0) more = true;
    findings_close(&before);
    return more;
}

static void say_earlier(struct app *app, struct answer *a)
{
    struct truekv_last last;
    struct findings now;
    if (truekv_debug_last(app->kv, &last) != TRUEKV_OK) return; /* the report stands without it */
    if (last.source == NULL || !findings_take(&now, a->result)) return;
    cJSON *kept = cJSON_Parse(truekv_last_answer(app->kv)->json);
    const cJSON *first = cJSON_GetObjectItemCaseSensitive(kept, "first");
    const char *how = NULL;
    if (tells_more(cJSON_GetObjectItemCaseSensitive(first, "report"), &now)) how = "--first";
    if (tells_more(cJSON_GetObjectItemCaseSensitive(kept, "report"), &now)) how = "--last";
    if (how != NULL)
        snprintf(a->earlier, sizeof a->earlier,
                 "An earlier check found something: truekv verify %s", how);
    cJSON_Delete(kept);
    findings_close(&now);
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
static void say_planted(struct app *app, struct answer *a)
{
    char text[48];
    uint64_t n = find_count(a->stats, "faults_injected");
    bool part = app_option(app, OPT_SEQS)->given || app_option(app, OPT_BATCHES)->given;
    if (n == 0) return;
    out_plural(n, "batch", "batches", text, sizeof text);
    snprintf(a->planted, sizeof a->planted,
             "%s of this daemon went through a fault that debug.inject had armed on purpose.%s%s",
             text,
             a->found ? ""
                      : " This check finds no trace: a fault may change nothing (where it "
                        "needs two items, say), and its batch may have left the journal",
             a->found ? ""
             : part   ? ", or not have been asked for."
                      : ".");
}

static void ask_beside(struct app *app, struct answer *a)
{
    if (truekv_server_stats(app->kv) == TRUEKV_OK)
        a->stats = cJSON_Parse(truekv_last_answer(app->kv)->json);
    say_planted(app, a);
    if (!is_kept(app)) say_earlier(app, a);
    struct truekv_info info;
    if (app_option(app, OPT_HTML)->given && truekv_server_info(app->kv, &info) == TRUEKV_OK)
        a->info = cJSON_Parse(truekv_last_answer(app->kv)->json);
}

/* ---- Telling ------------------------------------------------------------------------------- */

static const char *part_of(const struct app *app)
{
    return app_option(app, OPT_SEQS)->given ? "only the sequences that --seqs names were checked."
                                            : "";
}

static void print(struct app *app, const struct answer *a)
{
    const struct report_beside beside = {part_of(app), a->planted, a->earlier,
                                         app_option(app, OPT_HTML)->given};
    struct out *o = &app->out;
    if (a->result == NULL) {
        out_para(o, 0, 0, GOOD, "NOTHING KEPT:", "%s", a->kept);
        return;
    }
    if (a->kept[0] != '\0') out_para(o, 0, 0, PLAIN, "", "%s", a->kept);
    report_verify(o, a->result, &beside, app_option(app, OPT_ALL)->given);
}

static bool make_page(const struct app *app, const struct answer *a, FILE *to)
{
    char host[128] = "", when[64] = "";
    struct tm parts;
    time_t now = time(NULL);
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    if (gmtime_r(&now, &parts) != NULL)
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &parts);
    const struct page page = {.result = a->result,
                              .json = a->json,
                              .kept = a->kept,
                              .part = part_of(app),
                              .planted = a->planted,
                              .earlier = a->earlier,
                              .host = host,
                              .when = when,
                              .address = app->address,
                              .info = a->info,
                              .stats = a->stats};
    return page_write(to, &page);
}

static bool write_page(struct app *app, const struct answer *a, const char *file)
{
    char *text = NULL;
    size_t bytes = 0;
    bool quiet = app_option(app, OPT_JSON)->given;
    if (a->result == NULL) {
        if (!quiet) out_para(&app->out, 0, 0, DIM, "", "No page was written.");
        return true;
    }
    FILE *to = open_memstream(&text, &bytes);
    bool fine = to != NULL && make_page(app, a, to);
    if (to != NULL && fclose(to) != 0) fine = false;
    if (!fine)
        app_usage(app, "no memory for the page");
    else
        fine = save_file(app, file, text, bytes);
    free(text);
    if (fine && !quiet) out_para(&app->out, 0, 0, DIM, "", "Wrote the page to %s.", file);
    return fine;
}

/* json: the daemon's answer has been printed as it came. */
static enum exit_code tell(struct app *app, struct answer *a, bool json)
{
    const struct option_value *html = app_option(app, OPT_HTML);
    enum exit_code code = a->found ? EXIT_NO : a->nothing ? EXIT_NOTHING : EXIT_FINE;
    if (json && !html->given) return code;
    if (a->result != NULL) ask_beside(app, a);
    if (!json) print(app, a);
    if (!html->given || write_page(app, a, html->text)) return code;
    return a->found ? EXIT_NO : EXIT_USAGE; /* what was found weighs more */
}

static bool check_options(struct app *app)
{
    static const enum option_id others[] = {OPT_SEQS, OPT_BATCHES, OPT_SCRATCH_BYTES};
    const struct option_value *html = app_option(app, OPT_HTML);
    if (html->given && (html->text[0] == '\0' || strcmp(html->text, "-") == 0)) {
        app_usage(app, "--html takes the name of a file, not \"%s\"", html->text);
        return false;
    }
    for (size_t i = 0; is_kept(app) && i < sizeof others / sizeof others[0]; i++) {
        if (!app_option(app, others[i])->given) continue;
        app_usage(app, "--%s shows a report as it is: --%s is for a new one",
                  app_option(app, OPT_LAST)->given ? "last" : "first",
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
    enum truekv_status st = is_kept(app) ? ask_kept(app, &a) : ask_anew(app, &a);
    bool json = st == TRUEKV_OK && app_printed_json(app);
    if (st == TRUEKV_OK)
        code = tell(app, &a, json);
    else if (truekv_error(app->kv)->status == TRUEKV_OK)
        code = app_usage(app, "no memory for the report");
    else
        code = app_failed(app);
    answer_close(&a);
    return code;
}
