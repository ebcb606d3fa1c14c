#include "clients/c/command/command.h"
#include "clients/c/command/faults.h"
#include "clients/c/command/json_in.h"
#include "clients/c/command/report.h"

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

enum exit_code cmd_scrub(struct app *app)
{
    enum exit_code code;
    struct truekv_scrub scrub;
    const struct option_value *seqs = app_option(app, OPT_SEQS);
    if (!app_connect(app, &code)) return code;
    if (truekv_debug_scrub(app->kv, seqs->list.at, seqs->list.n, &scrub) != TRUEKV_OK)
        return app_failed(app);
    if (!app_printed_json(app)) {
        cJSON *result = cJSON_Parse(truekv_last_answer(app->kv)->json);
        report_scrub(&app->out, result);
        cJSON_Delete(result);
    }
    if (!scrub.ok || scrub.damaged_tokens > 0) return EXIT_NO;
    return scrub.checksums_checked > 0 ? EXIT_FINE : EXIT_NOTHING;
}

static void put_armed(struct app *app, const cJSON *armed)
{
    const struct fault *asked = fault_find(app->options.rest[0]);
    const cJSON *fault;
    if (!cJSON_IsArray(armed) || armed->child == NULL) {
        out_para(&app->out, 0, 0, GOOD, "Disarmed:", "no fault waits for a batch.");
        return;
    }
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
    if (asked != NULL && asked->needs != NULL)
        out_para(&app->out, 0, 0, WARN, "Note:", "%s shows only in %s.", asked->name, asked->needs);
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
