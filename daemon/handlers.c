#include "daemon/handlers.h"

#include <assert.h>

#include "base/log.h"
#include "daemon/admin.h"

/* --- server.* --------------------------------------------------------------------------------- */

static void put_ping(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_put_empty(j);
}

static void put_info(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    const struct tkv_config *config = server->config;
    const struct tkv_device_info *device = tkv_core_device(server->core);
    struct tkv_model_info models[TKV_MODELS_MAX];
    for (size_t i = 0; i < config->n_models; i++) {
        const struct tkv_model *m = &config->models[i];
        models[i] = (struct tkv_model_info){.name = m->name,
                                            .n_layers = m->geom.n_layers,
                                            .n_kv_heads = m->geom.n_kv_heads,
                                            .head_dim = m->geom.head_dim,
                                            .dtype = m->geom.dtype,
                                            .capacity = m->capacity};
    }
    struct tkv_server_info info = {
        .version = TKV_VERSION,
        .backend = tkv_backend_word(device->backend),
        .device = {device->ordinal, device->name, device->memory_total, device->memory_used},
        .models = models,
        .n_models = config->n_models,
        .limits = {.max_header_bytes = config->limits_max_header_bytes,
                   .max_payload_bytes = config->limits_max_payload_bytes,
                   .max_connections = config->limits_max_connections,
                   .max_sequences = config->limits_max_sequences,
                   .memory_budget_bytes =
                       tkv_stat_get(&tkv_core_stats(server->core)->memory_budget_bytes)},
        .uptime_s = tkv_telemetry_uptime_s(&server->telemetry),
        .unhealthy = tkv_core_unhealthy(server->core),
    };
    tkv_put_server_info(j, &info);
}

static void put_stats(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    (void)tkv_core_stats(server->core); /* the gauges are of now */
    tkv_telemetry_put(j, &server->telemetry);
}

/* --- seq.* ------------------------------------------------------------------------------------ */

static void put_created(struct tkv_json *j, const struct tkv_server *server,
                        const struct tkv_op *op)
{
    tkv_put_created(j, &op->result.created);
}

static void put_appended(struct tkv_json *j, const struct tkv_server *server,
                         const struct tkv_op *op)
{
    tkv_put_appended(j, op->result.appended.lens, op->request->params.seq_append.m,
                     op->result.appended.batch);
}

static void put_truncated(struct tkv_json *j, const struct tkv_server *server,
                          const struct tkv_op *op)
{
    tkv_put_truncated(j, op->request->params.seq_truncate.seq, op->result.truncated_len);
}

static void put_freed(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_put_freed(j, op->result.freed);
}

static void put_seq_info(struct tkv_json *j, const struct tkv_server *server,
                         const struct tkv_op *op)
{
    tkv_put_info(j, &op->result.state);
}

static void put_list(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_put_list(j, op->result.list.states, op->result.list.n, &op->result.list.cursor);
}

static void put_read(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    const struct tkv_staging *block = op->result.read.block;
    bool base64 = op->request->params.seq_read.base64;
    const void *data = block != NULL ? (const void *)block->ptr : "";
    tkv_put_read(j, &op->result.read.shape, base64 ? data : NULL, op->result.read.bytes);
}

/* --- debug.* ---------------------------------------------------------------------------------- */

static void put_verify(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_put_verify(j, op->result.verify);
}

static void put_last(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_put_last(j, &op->result.last);
}

static void put_scrub(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_put_scrub(j, op->result.scrub);
}

static void put_selftest(struct tkv_json *j, const struct tkv_server *server,
                         const struct tkv_op *op)
{
    tkv_put_selftest(j, op->result.selftest);
}

static void put_armed(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_put_armed(j, op->result.armed.faults, op->result.armed.n);
}

/* --- admin.* ---------------------------------------------------------------------------------- */

static void put_keys(struct tkv_json *j, const char *name, const char *const *keys, size_t n)
{
    tkv_json_name(j, name);
    tkv_json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        tkv_json_string(j, keys[i]);
    tkv_json_close(j, ']');
}

static void put_reload(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    const struct tkv_reload *report = &server->admin.reloaded;
    tkv_json_open(j, '{');
    put_keys(j, "changed", report->changed, report->n_changed);
    put_keys(j, "needs_restart", report->waiting, report->n_waiting);
    tkv_json_close(j, '}');
}

static void put_level(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    tkv_json_open(j, '{');
    tkv_json_put_string(j, "level", tkv_log_level_word(tkv_log_level()));
    tkv_json_put_string(j, "was", tkv_log_level_word(server->admin.level_was));
    tkv_json_close(j, '}');
}

static const struct tkv_handler handlers[TKV_METHOD_COUNT] = {
    [TKV_METHOD_SERVER_PING] = {TKV_PLACE_EDGE, put_ping, NULL},
    [TKV_METHOD_SERVER_INFO] = {TKV_PLACE_EDGE, put_info, NULL},
    [TKV_METHOD_SERVER_STATS] = {TKV_PLACE_EDGE, put_stats, NULL},
    [TKV_METHOD_AUTH] = {TKV_PLACE_EDGE, put_ping, NULL},
    [TKV_METHOD_SEQ_CREATE] = {TKV_PLACE_CORE, put_created, NULL},
    [TKV_METHOD_SEQ_APPEND] = {TKV_PLACE_CORE, put_appended, NULL},
    [TKV_METHOD_SEQ_TRUNCATE] = {TKV_PLACE_CORE, put_truncated, NULL},
    [TKV_METHOD_SEQ_FREE] = {TKV_PLACE_CORE, put_freed, NULL},
    [TKV_METHOD_SEQ_INFO] = {TKV_PLACE_CORE, put_seq_info, NULL},
    [TKV_METHOD_SEQ_LIST] = {TKV_PLACE_CORE, put_list, NULL},
    [TKV_METHOD_SEQ_READ] = {TKV_PLACE_CORE, put_read, NULL},
    [TKV_METHOD_SEQ_EXPORT] = {TKV_PLACE_NONE, NULL, NULL},
    [TKV_METHOD_DEBUG_VERIFY] = {TKV_PLACE_CORE, put_verify, NULL},
    [TKV_METHOD_DEBUG_LAST] = {TKV_PLACE_CORE, put_last, NULL},
    [TKV_METHOD_DEBUG_SCRUB] = {TKV_PLACE_CORE, put_scrub, NULL},
    [TKV_METHOD_DEBUG_SELFTEST] = {TKV_PLACE_CORE, put_selftest, NULL},
    [TKV_METHOD_DEBUG_INJECT] = {TKV_PLACE_CORE, put_armed, NULL},
    [TKV_METHOD_ADMIN_RELOAD] = {TKV_PLACE_ACT, put_reload, tkv_admin_reload},
    [TKV_METHOD_ADMIN_DRAIN] = {TKV_PLACE_ACT, put_ping, tkv_admin_drain},
    [TKV_METHOD_ADMIN_LOG_LEVEL] = {TKV_PLACE_ACT, put_level, tkv_admin_log_level},
    [TKV_METHOD_REGION_REGISTER] = {TKV_PLACE_NONE, NULL, NULL},
    [TKV_METHOD_REGION_UNREGISTER] = {TKV_PLACE_NONE, NULL, NULL},
};

const struct tkv_handler *tkv_handler_of(enum tkv_method method)
{
    const struct tkv_handler *handler = &handlers[method];
    assert(handler->place == TKV_PLACE_NONE || handler->put != NULL); /* a method without a row */
    return handler;
}
