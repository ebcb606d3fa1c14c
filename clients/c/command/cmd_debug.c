#include <stdlib.h>
#include <string.h>

#include "clients/c/command/command.h"
#include "clients/c/command/json_in.h"
#include "clients/c/command/report.h"

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
static void note_injections(struct app *app, bool found)
{
    char text[48];
    bool partial = app_option(app, OPT_SEQS)->given || app_option(app, OPT_BATCHES)->given;
    if (truekv_server_stats(app->kv) != TRUEKV_OK) return; /* the report stands without it */
    cJSON *stats = cJSON_Parse(truekv_last_answer(app->kv)->json);
    uint64_t n = find_count(stats, "faults_injected");
    cJSON_Delete(stats);
    if (n == 0) return;
    fputc('\n', app->out.to);
    out_plural(n, "batch", "batches", text, sizeof text);
    if (found)
        out_para(&app->out, 0, 0, WARN, "Note:",
                 "%s of this daemon went through a fault that debug.inject had armed on purpose.",
                 text);
    else
        out_para(&app->out, 0, 0, WARN, "Note:",
                 "%s went through a fault that debug.inject had armed; %s changed what was "
                 "written, or %s left the journal%s.",
                 text, n == 1 ? "it has not" : "none of them", n == 1 ? "it has" : "they have",
                 partial ? ", or was not asked for" : "");
}

enum exit_code cmd_verify(struct app *app)
{
    enum exit_code code;
    struct truekv_verdict verdict;
    const struct option_value *seqs = app_option(app, OPT_SEQS);
    const struct option_value *batches = app_option(app, OPT_BATCHES);
    struct truekv_verify how = {.seqs = seqs->list.at,
                                .m = seqs->list.n,
                                .batches = batches->number,
                                .scratch_bytes = app_option(app, OPT_SCRATCH_BYTES)->number};
    if (!app_connect(app, &code)) return code;
    if (truekv_debug_verify(app->kv, &how, &verdict) != TRUEKV_OK) return app_failed(app);
    if (!app_printed_json(app)) {
        cJSON *result = cJSON_Parse(truekv_last_answer(app->kv)->json);
        report_verify(&app->out, result, app_option(app, OPT_ALL)->given);
        cJSON_Delete(result);
        note_injections(app, !verdict.ok || verdict.divergent_items > 0);
    }
    return verdict.ok && verdict.divergent_items == 0 ? EXIT_FINE : EXIT_NO;
}

/* NULL where it was not given. */
static const uint64_t *number_or_null(const struct app *app, enum option_id id)
{
    const struct option_value *v = app_option(app, id);
    return v->given ? &v->number : NULL;
}

enum exit_code cmd_selftest(struct app *app)
{
    enum exit_code code;
    struct truekv_verdict verdict;
    struct truekv_selftest how = {.m = app_option(app, OPT_ITEMS)->number,
                                  .n_kv_heads = app_option(app, OPT_KV_HEADS)->number,
                                  .head_dim = app_option(app, OPT_HEAD_DIM)->number,
                                  .capacity = app_option(app, OPT_CAPACITY)->number,
                                  .layers = app_option(app, OPT_N_LAYERS)->number,
                                  .seed = app_option(app, OPT_SEED)->number,
                                  .cache_len = number_or_null(app, OPT_CACHE_LEN)};
    if (!app_connect(app, &code)) return code;
    if (truekv_debug_selftest(app->kv, &how, &verdict) != TRUEKV_OK) return app_failed(app);
    if (!app_printed_json(app)) {
        cJSON *result = cJSON_Parse(truekv_last_answer(app->kv)->json);
        report_selftest(&app->out, result);
        cJSON_Delete(result);
    }
    return verdict.ok ? EXIT_FINE : EXIT_NO;
}

static void put_armed(struct app *app, const cJSON *armed)
{
    const cJSON *fault;
    out_put(&app->out, WARN, "Armed:");
    cJSON_ArrayForEach(fault, armed)
    {
        char name[64];
        snprintf(name, sizeof name, " %s", cJSON_IsString(fault) ? fault->valuestring : "?");
        out_put(&app->out, PLAIN, "%s", out_clean(name));
    }
    fputc('\n', app->out.to);
    out_para(&app->out, 0, 0, DIM, "",
             "The next appends go wrong on purpose; then \"truekv verify\" finds it.");
    const char *asked = app->options.rest[0];
    if (strcmp(asked, "swap_items") == 0 || strcmp(asked, "shared_pointers") == 0)
        out_para(&app->out, 0, 0, WARN, "Note:",
                 "%s shows only in a batch of at least two items: append to two sequences or more "
                 "at once.",
                 asked);
}

enum exit_code cmd_inject(struct app *app)
{
    enum exit_code code;
    struct truekv_inject how = {.batches = app_option(app, OPT_BATCHES)->number,
                                .layer = number_or_null(app, OPT_LAYER),
                                .kv_head = number_or_null(app, OPT_KV_HEAD),
                                .last_item = app_option(app, OPT_LAST_ITEM)->given,
                                .together = app_option(app, OPT_TOGETHER)->given};
    if (!app_connect(app, &code)) return code;
    if (truekv_debug_inject(app->kv, app->options.rest[0], &how) != TRUEKV_OK)
        return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    cJSON *result = cJSON_Parse(truekv_last_answer(app->kv)->json);
    put_armed(app, cJSON_GetObjectItemCaseSensitive(result, "armed"));
    cJSON_Delete(result);
    return EXIT_FINE;
}
