/* What a client may send, to a whole daemon in this process: connection, dispatch, core, on a CPU
 * device. The first byte says how the rest is cut into writes.
 *
 * However it goes, the daemon answers in lines of JSON (and payloads as long as they say), closes
 * the connection once its client has ended, and serves the next one, who frees what is left: then
 * all accounts are at zero, and verification finds nothing. */
#include <cjson/cJSON.h>
#include <string.h>

#include "base/log.h"
#include "daemon/server.h"
#include "tests/fuzz/target.h"
#include "tests/support/peer.h"

enum { TURNS_MAX = 100000 };

static struct tkv_config config;
static struct tkv_server *server;

/* --- the daemon ------------------------------------------------------------------------------- */

static void configure(void)
{
    tkv_config_init(&config);
    config.backend = TKV_BACKEND_CPU;
    config.models[0] = (struct tkv_model){"m", {2, 1, 4, TKV_F16}, 16};
    config.models[1] = (struct tkv_model){"n", {1, 2, 3, TKV_BF16}, 8};
    config.n_models = 2;
    config.limits_max_header_bytes = 32 << 10;
    config.limits_max_payload_bytes = 64 << 10;
    config.limits_staging_bytes = 1 << 20;
    config.limits_output_bytes = 64 << 10;
    config.limits_max_sequences = 32;
    config.limits_drain_ms = 1000;
    config.memory_budget = 1 << 20;
    config.journal_bytes = 256 << 10;
    config.debug_scratch_bytes = 1 << 20;
    config.log_level = TKV_LOG_ERROR;
    tkv_log_set_level(TKV_LOG_ERROR);
}

static void boot(void)
{
    struct tkv_device *dev;
    configure();
    MUST(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL) == TKV_OK);
    MUST(tkv_server_open(&server, &config, dev) == TKV_OK);
}

/* admin.drain has been asked for; the end may have come already, in a turn of ours. */
static void restart(void)
{
    if (server->phase != TKV_PHASE_STOPPED) MUST(tkv_server_run(server) == 0);
    MUST(tkv_server_close(server));
    boot();
}

/* --- who comes next --------------------------------------------------------------------------- */

static void free_one(struct peer *p, double seq)
{
    char request[160];
    (void)snprintf(request, sizeof request,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.free\",\"params\":"
                   "{\"seqs\":[%.0f]}}\n",
                   seq);
    cJSON_Delete(peer_call(p, request));
}

static void free_all(struct peer *p)
{
    int left;
    do {
        cJSON *answer = peer_call(p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.list\"}\n");
        const cJSON *seqs = cJSON_GetObjectItem(cJSON_GetObjectItem(answer, "result"), "seqs");
        MUST(cJSON_IsArray(seqs));
        left = cJSON_GetArraySize(seqs);
        const cJSON *one;
        cJSON_ArrayForEach(one, seqs)
        {
            free_one(p, cJSON_GetObjectItem(one, "seq")->valuedouble);
        }
        cJSON_Delete(answer);
    } while (left > 0);
}

static void expect_ok(struct peer *p, const char *request)
{
    cJSON *answer = peer_call(p, request);
    MUST(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetObjectItem(answer, "result"), "ok")));
    cJSON_Delete(answer);
}

static void expect_nothing_left(void)
{
    const struct tkv_stats *stats = tkv_core_stats(server->core);
    for (int turns = 0; server->n_connections > 0 || stats->sequence_states_freeing > 0; turns++) {
        MUST(turns < TURNS_MAX);
        uv_run(&server->loop, UV_RUN_ONCE);
        stats = tkv_core_stats(server->core);
    }
    MUST(tkv_core_idle(server->core));
    MUST(stats->sequence_states_live == 0 && stats->sequence_states_creating == 0);
    MUST(stats->memory_cache_bytes == 0 && stats->memory_checksum_bytes == 0);
    MUST(stats->memory_states_live == 0 && stats->memory_states_freeing == 0);
    MUST(stats->memory_staging_bytes == 0 && stats->queue_waiting == 0);
}

static void clean_up(void)
{
    struct peer next;
    peer_open(&next, server);
    expect_ok(&next, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"debug.verify\"}\n");
    expect_ok(&next, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"debug.scrub\"}\n");
    free_all(&next);
    peer_end(&next);
    peer_close(&next);
    expect_nothing_left();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer p;
    if (size == 0) return 0;
    if (server == NULL) boot();
    peer_open(&p, server);
    peer_send(&p, data + 1, size - 1, data[0] == 0 ? SIZE_MAX : data[0]);
    peer_end(&p);
    peer_close(&p);
    if (server->phase == TKV_PHASE_SERVING)
        clean_up();
    else
        restart();
    return 0;
}
