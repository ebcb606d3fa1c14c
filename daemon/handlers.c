#include "daemon/handlers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static double uptime_s(const struct tkv_server *server)
{
    return (double)(tkv_now_us() - server->started_us) / 1e6;
}

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
        .uptime_s = uptime_s(server),
        .unhealthy = tkv_core_unhealthy(server->core),
    };
    tkv_put_server_info(j, &info);
}

static const struct {
    const char *group, *field;
    size_t offset;
} stats[] = {
#define X(group, field, meaning) {#group, #field, offsetof(struct tkv_stats, group##_##field)},
    TKV_STATS(X)
#undef X
};

static uint64_t stat_at(const struct tkv_stats *from, size_t offset)
{
    const char *at = (const char *)from + offset;
    return tkv_stat_get((const _Atomic uint64_t *)(const void *)at);
}

/* What follows from a group's numbers. */
static void put_derived(struct tkv_json *j, const char *group, const struct tkv_stats *from)
{
    if (strcmp(group, "batch") != 0) return;
    uint64_t count = tkv_stat_get(&from->batch_count), items = tkv_stat_get(&from->batch_items);
    tkv_json_put_double(j, "mean_items", count > 0 ? (double)items / (double)count : 0);
}

static void put_us(struct tkv_json *j, const char *name, uint64_t ns)
{
    tkv_json_put_double(j, name, (double)ns / 1000);
}

/* Where the time of appends goes, stage by stage. */
static void put_steps(struct tkv_json *j, const struct tkv_steps *steps)
{
    static const char *const words[] = {
#define X(name, word, meaning) word,
        TKV_STAGES(X)
#undef X
    };
    tkv_json_name(j, "step");
    tkv_json_open(j, '{');
    for (size_t i = 0; i < TKV_STAGE_COUNT; i++) {
        const struct tkv_histogram *h = &steps->stages[i];
        tkv_json_name(j, words[i]);
        tkv_json_open(j, '{');
        tkv_json_put_uint(j, "count", tkv_stat_get(&h->count));
        put_us(j, "p50_us", tkv_histogram_percentile(h, 0.5));
        put_us(j, "p99_us", tkv_histogram_percentile(h, 0.99));
        put_us(j, "max_us", tkv_stat_get(&h->max));
        tkv_json_close(j, '}');
    }
    tkv_json_close(j, '}');
}

/* Memory of the process that is in RAM; 0: unknown. */
static uint64_t rss_bytes(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    const char *read = fgets(line, sizeof line, file);
    fclose(file);
    const char *second = read != NULL ? strchr(line, ' ') : NULL;
    if (second == NULL) return 0;
    return strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void put_stats(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op)
{
    const struct tkv_stats *from = tkv_core_stats(server->core);
    const size_t n = sizeof stats / sizeof stats[0];
    tkv_json_open(j, '{');
    tkv_json_put_double(j, "uptime_s", uptime_s(server));
    for (size_t i = 0; i < n; i++) {
        bool first = i == 0 || strcmp(stats[i - 1].group, stats[i].group) != 0;
        bool last = i + 1 == n || strcmp(stats[i + 1].group, stats[i].group) != 0;
        if (first) {
            tkv_json_name(j, stats[i].group);
            tkv_json_open(j, '{');
        }
        tkv_json_put_uint(j, stats[i].field, stat_at(from, stats[i].offset));
        if (!last) continue;
        put_derived(j, stats[i].group, from);
        tkv_json_close(j, '}');
    }
    put_steps(j, tkv_core_steps(server->core));
    tkv_json_name(j, "process");
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "rss_bytes", rss_bytes());
    tkv_json_close(j, '}');
    tkv_json_close(j, '}');
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

static const struct tkv_handler handlers[TKV_METHOD_COUNT] = {
    [TKV_METHOD_SERVER_PING] = {TKV_PLACE_EDGE, put_ping},
    [TKV_METHOD_SERVER_INFO] = {TKV_PLACE_EDGE, put_info},
    [TKV_METHOD_SERVER_STATS] = {TKV_PLACE_EDGE, put_stats},
    [TKV_METHOD_SEQ_CREATE] = {TKV_PLACE_CORE, put_created},
    [TKV_METHOD_SEQ_APPEND] = {TKV_PLACE_CORE, put_appended},
    [TKV_METHOD_SEQ_TRUNCATE] = {TKV_PLACE_CORE, put_truncated},
    [TKV_METHOD_SEQ_FREE] = {TKV_PLACE_CORE, put_freed},
    [TKV_METHOD_SEQ_INFO] = {TKV_PLACE_CORE, put_seq_info},
    [TKV_METHOD_SEQ_LIST] = {TKV_PLACE_CORE, put_list},
    [TKV_METHOD_SEQ_READ] = {TKV_PLACE_CORE, put_read},
    [TKV_METHOD_SEQ_EXPORT] = {TKV_PLACE_NONE, NULL},
    [TKV_METHOD_DEBUG_VERIFY] = {TKV_PLACE_CORE, put_verify},
    [TKV_METHOD_DEBUG_LAST] = {TKV_PLACE_CORE, put_last},
    [TKV_METHOD_DEBUG_SCRUB] = {TKV_PLACE_CORE, put_scrub},
    [TKV_METHOD_DEBUG_SELFTEST] = {TKV_PLACE_CORE, put_selftest},
    [TKV_METHOD_DEBUG_INJECT] = {TKV_PLACE_CORE, put_armed},
    [TKV_METHOD_REGION_REGISTER] = {TKV_PLACE_NONE, NULL},
    [TKV_METHOD_REGION_UNREGISTER] = {TKV_PLACE_NONE, NULL},
};

const struct tkv_handler *tkv_handler_of(enum tkv_method method)
{
    const struct tkv_handler *handler = &handlers[method];
    assert(handler->place == TKV_PLACE_NONE || handler->put != NULL); /* a method without a row */
    return handler;
}
