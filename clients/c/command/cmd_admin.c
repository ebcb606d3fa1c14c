#include "clients/c/command/command.h"
#include "clients/c/command/json_in.h"

/* ---- reload -------------------------------------------------------------------------------- */

/* "Changed: batch.max_items, log.level"; nothing where there are none. */
static bool put_keys(struct app *app, enum style style, const char *lead, const cJSON *keys)
{
    const cJSON *key;
    char text[1024];
    size_t n = 0;
    text[0] = '\0';
    cJSON_ArrayForEach(key, keys)
    {
        if (!cJSON_IsString(key) || n >= sizeof text) continue;
        int more = snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? ", " : "", key->valuestring);
        n += more > 0 ? (size_t)more : 0;
    }
    if (n > 0) out_para(&app->out, 0, 2, style, lead, "%s", text);
    return n > 0;
}

enum exit_code cmd_reload(struct app *app)
{
    enum exit_code code;
    if (!app_connect(app, &code)) return code;
    if (truekv_admin_reload(app->kv) != TRUEKV_OK) return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    cJSON *result = cJSON_Parse(truekv_last_answer(app->kv)->json);
    const cJSON *changed = cJSON_GetObjectItemCaseSensitive(result, "changed");
    const cJSON *later = cJSON_GetObjectItemCaseSensitive(result, "needs_restart");
    bool any = put_keys(app, GOOD, "Changed:", changed);
    any = put_keys(app, WARN, "Waits for a restart:", later) || any;
    if (!any) out_para(&app->out, 0, 0, GOOD, "Read:", "nothing has changed.");
    cJSON_Delete(result);
    return EXIT_FINE;
}

/* ---- drain, log-level ---------------------------------------------------------------------- */

enum exit_code cmd_drain(struct app *app)
{
    enum exit_code code;
    if (!app_connect(app, &code)) return code;
    if (truekv_admin_drain(app->kv) != TRUEKV_OK) return app_failed(app);
    if (!app_printed_json(app))
        out_para(&app->out, 0, 0, GOOD, "Draining:",
                 "what the daemon has accepted is finished and answered, new requests are not "
                 "taken; then it ends.");
    return EXIT_FINE;
}

enum exit_code cmd_log_level(struct app *app)
{
    enum exit_code code;
    const char *was, *level = app->options.rest[0];
    if (!app_connect(app, &code)) return code;
    if (truekv_admin_log_level(app->kv, level, &was) != TRUEKV_OK) return app_failed(app);
    if (!app_printed_json(app))
        out_para(&app->out, 0, 0, PLAIN, "",
                 "The daemon's log level is %s now; it was %s. It holds until a reload or a "
                 "restart.",
                 level, was);
    return EXIT_FINE;
}
