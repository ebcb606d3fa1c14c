#include <inttypes.h>

#include "base/clock.h"
#include "base/sizes.h"
#include "clients/c/command/command.h"
#include "clients/c/command/stats.h"
#include "clients/c/command/table.h"
#include "clients/c/command/watch/watch.h"

/* What a person must know before anything else. */
static void put_unhealthy(struct out *o, const struct truekv_info *info)
{
    out_para(o, 0, 0, BAD, "NOT HEALTHY:", "%s",
             info->unhealthy_because != NULL ? info->unhealthy_because
                                             : "the daemon does not say why; its log may.");
}

/* With --json the answer to the ping alone is printed; the exit code says the rest. */
enum exit_code cmd_ping(struct app *app)
{
    enum exit_code code;
    struct truekv_info info;
    char took[32];
    if (!app_connect(app, &code)) return code;
    uint64_t before = tkv_now_ns();
    if (truekv_server_ping(app->kv) != TRUEKV_OK) return app_failed(app);
    double seconds = (double)(tkv_now_ns() - before) / 1e9;
    bool printed = app_printed_json(app);
    if (truekv_server_info(app->kv, &info) != TRUEKV_OK) return app_failed(app);
    code = info.healthy ? EXIT_FINE : EXIT_NO;
    if (printed) return code;
    out_duration(seconds, took, sizeof took);
    if (info.healthy)
        out_para(&app->out, 0, 0, GOOD, "OK:", "truekvd answers at %s in %s.", app->address, took);
    else
        put_unhealthy(&app->out, &info);
    if (!info.healthy)
        out_para(&app->out, 0, 0, PLAIN, "", "truekvd answers at %s in %s.", app->address, took);
    return code;
}

/* ---- info ---------------------------------------------------------------------------------- */

static void put_size(struct table *t, const char *name, uint64_t bytes)
{
    char text[32];
    table_cell(t, "%s", name);
    table_cell(t, "%s", tkv_format_size(bytes, text, sizeof text));
}

static void put_count(struct table *t, const char *name, uint64_t n)
{
    char text[32];
    table_cell(t, "%s", name);
    table_cell(t, "%s", out_count(n, text, sizeof text));
}

static void put_server(struct out *o, const struct truekv_info *info)
{
    struct table t;
    char text[32];
    out_put(o, BOLD, "server\n");
    table_init(&t, NULL, 2);
    table_cell(&t, "version");
    table_cell(&t, "%s (protocol %u)", info->version, info->protocol);
    table_cell(&t, "backend");
    table_cell(&t, "%s", info->backend);
    table_cell(&t, "up for");
    table_cell(&t, "%s", out_duration(info->uptime_s, text, sizeof text));
    table_cell(&t, "healthy");
    table_cell(&t, "%s", info->healthy ? "yes" : "NO");
    table_print(&t, o, 2);
    table_close(&t);
    out_put(o, BOLD, "\nlimits\n");
    table_init(&t, NULL, 2);
    put_size(&t, "line of JSON", info->max_header_bytes);
    put_size(&t, "payload", info->max_payload_bytes);
    put_count(&t, "connections", info->max_connections);
    put_count(&t, "sequences", info->max_sequences);
    put_size(&t, "memory of all caches", info->memory_budget_bytes);
    table_print(&t, o, 2);
    table_close(&t);
}

static void put_models(struct out *o, const struct truekv_info *info)
{
    static const char *const heads[] = {"NAME",  ">LAYERS",   ">K/V HEADS", ">HEAD DIM",
                                        "DTYPE", ">CAPACITY", ">ONE TOKEN", ">FULL"};
    struct table t;
    char token[32], full[32];
    table_init(&t, heads, 8);
    for (size_t i = 0; i < info->n_models; i++) {
        const struct truekv_model *m = &info->models[i];
        uint64_t bytes =
            (uint64_t)2 * m->n_layers * m->n_kv_heads * m->head_dim * truekv_dtype_bytes(m->dtype);
        table_cell(&t, "%s", m->name);
        table_cell(&t, "%u", m->n_layers);
        table_cell(&t, "%u", m->n_kv_heads);
        table_cell(&t, "%u", m->head_dim);
        table_cell(&t, "%s", truekv_dtype_word(m->dtype));
        table_cell(&t, "%" PRIu64, m->capacity);
        table_cell(&t, "%s", tkv_format_size(bytes, token, sizeof token));
        table_cell(&t, "%s", tkv_format_size(bytes * m->capacity, full, sizeof full));
    }
    out_put(o, BOLD, "\nmodels\n");
    table_print(&t, o, 2);
    table_close(&t);
}

/* info has no devices: they are read from the answer's text. */
static void put_devices(struct out *o, const cJSON *result)
{
    static const char *const heads[] = {">ORDINAL", "NAME", ">MEMORY", ">USED"};
    const cJSON *devices = cJSON_GetObjectItemCaseSensitive(result, "devices"), *d;
    struct table t;
    char total[32], used[32];
    table_init(&t, heads, 4);
    cJSON_ArrayForEach(d, devices)
    {
        const char *name = json_text(d, "name");
        table_cell(&t, "%.0f", json_number(d, "ordinal"));
        table_cell(&t, "%s", name != NULL ? name : "?");
        table_cell(&t, "%s", tkv_format_size(json_count(d, "memory_total"), total, sizeof total));
        table_cell(&t, "%s", tkv_format_size(json_count(d, "memory_used"), used, sizeof used));
    }
    out_put(o, BOLD, "\ndevices\n");
    table_print(&t, o, 2);
    table_close(&t);
}

enum exit_code cmd_info(struct app *app)
{
    enum exit_code code;
    struct truekv_info info;
    if (!app_connect(app, &code)) return code;
    if (truekv_server_info(app->kv, &info) != TRUEKV_OK) return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    cJSON *result = cJSON_Parse(truekv_last_answer(app->kv)->json);
    if (!info.healthy) {
        put_unhealthy(&app->out, &info);
        fputc('\n', app->out.to);
    }
    put_server(&app->out, &info);
    put_devices(&app->out, result);
    put_models(&app->out, &info);
    cJSON_Delete(result);
    return EXIT_FINE;
}

enum exit_code cmd_stats(struct app *app)
{
    enum exit_code code;
    if (app_option(app, OPT_WATCH)->given) return watch_stats(app);
    if (app_option(app, OPT_INTERVAL)->given || app_option(app, OPT_TIMES)->given)
        return app_usage(app, "--interval and --count are for --watch");
    if (!app_connect(app, &code)) return code;
    if (truekv_server_stats(app->kv) != TRUEKV_OK) return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    cJSON *result = cJSON_Parse(truekv_last_answer(app->kv)->json);
    stats_print(&app->out, result);
    cJSON_Delete(result);
    return EXIT_FINE;
}
