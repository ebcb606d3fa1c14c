/* Goal: whichever allocation of the whole daemon fails, edge and core, it lives, serves the next
 * client, and keeps nothing. Method: one client's session over and over, by a server in this
 * process; in run n the nth allocation fails, until a run has none left to fail. libuv's and
 * cJSON's own are theirs. Leaks are the sanitizer's to find. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"
#include "tests/support/peer.h"

enum { TOKEN_BYTES = 2 * 2 * 1 * 4 * 2, TURNS_MAX = 100000, RUNS_LEAST = 30 };

static struct tkv_config config;
static struct tkv_server *server;

#define REQUEST(method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}\n"

static void setup(void)
{
    struct tkv_device *dev;
    tkv_config_init(&config);
    config.backend = TKV_BACKEND_CPU;
    config.models[0] = (struct tkv_model){"m", {2, 1, 4, TKV_F16}, 16};
    config.n_models = 1;
    config.memory_budget = 1 << 20;
    config.limits_max_payload_bytes = 1 << 20;
    config.limits_staging_bytes = 4 << 20;
    config.journal_bytes = 256 << 10;
    config.debug_scratch_bytes = 1 << 20;
    ck_assert_int_eq(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_server_open(&server, &config, dev), TKV_OK);
    tkv_log_set_level(TKV_LOG_ERROR);
}

static void teardown(void)
{
    tkv_server_drain(server, "test");
    ck_assert_int_eq(tkv_server_run(server), 0);
    ck_assert(tkv_server_close(server));
    config.n_models = 0; /* its name is a constant */
    tkv_config_close(&config);
    tkv_log_set_level(TKV_LOG_INFO);
}

/* All kinds of requests and sources, good and bad, in one breath. */
static void session(struct peer *p)
{
    static const char lines[] = REQUEST("seq.create",
                                        "{\"seq\":1,\"label\":\"x\",\"ttl_ms\":60000}")
        REQUEST("seq.create", "{\"seq\":2,\"on_disconnect\":\"free\"}") REQUEST(
            "seq.append",
            "{\"seqs\":[1],\"data\":{\"base64\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}}")
            REQUEST("seq.append", "{\"seqs\":[1],\"tokens\":1,\"layers\":[0,1],\"data\":{"
                                  "\"values\":[1,2,3,4,5,6,7,8]}}") REQUEST("seq.truncate",
                                                                            "{\"seq\":1,\"len\":1}")
                REQUEST("seq.read", "{\"seq\":1}") REQUEST("seq.read",
                                                           "{\"seq\":1,\"encoding\":\"base64\"}")
                    REQUEST("seq.list", "{}") REQUEST("seq.info", "{\"seq\":77}") REQUEST(
                        "server.stats",
                        "{}") "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.info\"},{"
                              "\"jsonrpc\":\"2.0\",\"id\":2,"
                              "\"method\":\"seq.free\",\"params\":{\"seqs\":[1,9]}}]\n"
                              "nonsense\n" REQUEST("debug.verify", "{}")
                                  REQUEST("debug.scrub", "{}") REQUEST(
                                      "debug.selftest",
                                      "{\"m\":2,\"n_kv_heads\":1,\"head_dim\":4,\"capacity\":8}")
                                      REQUEST("admin.log_level", "{\"level\":\"error\"}");
    static const char append[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":64,"
        "\"params\":{\"seqs\":[1,2]}}\n";
    char rows[2 * TOKEN_BYTES] = {0};
    peer_send(p, lines, sizeof lines - 1, SIZE_MAX);
    peer_send(p, append, sizeof append - 1, 7);
    peer_send(p, rows, sizeof rows, 9);
    peer_send(p, REQUEST("seq.free", "{\"seqs\":[1]}"),
              sizeof REQUEST("seq.free", "{\"seqs\":[1]}") - 1, SIZE_MAX);
}

static void expect(struct peer *p, const char *line, const char *result)
{
    cJSON *answer = peer_call(p, line);
    ck_assert_ptr_nonnull(answer);
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(answer, "result"));
    ck_assert_msg(text != NULL && strstr(text, result) != NULL, "%s -> %s", line, text);
    free(text);
    cJSON_Delete(answer);
}

/* The next client finds a daemon that works; it frees what the last one may have left. */
static void next_client(void)
{
    struct peer p;
    peer_open(&p, server);
    cJSON_Delete(peer_call(&p, REQUEST("seq.free", "{\"seqs\":[1]}")));
    cJSON_Delete(peer_call(&p, REQUEST("seq.free", "{\"seqs\":[2]}")));
    expect(&p, REQUEST("seq.list", "{}"), "{\"seqs\":[]}");
    expect(&p, REQUEST("seq.create", "{\"seq\":5}"), "\"len\":0");
    expect(&p, REQUEST("debug.verify", "{}"), "\"ok\":true");
    expect(&p, REQUEST("seq.free", "{\"seqs\":[5]}"), "{\"freed\":1}");
    peer_end(&p);
    peer_close(&p);
}

static void expect_nothing_left(void)
{
    const struct tkv_stats *s = tkv_core_stats(server->core);
    for (int turns = 0; server->n_connections > 0 || s->sequence_states_freeing > 0; turns++) {
        ck_assert_int_lt(turns, TURNS_MAX);
        uv_run(&server->loop, UV_RUN_ONCE);
        s = tkv_core_stats(server->core);
    }
    ck_assert(tkv_core_idle(server->core));
    ck_assert_uint_eq(s->sequences_live, 0);
    ck_assert_uint_eq(s->memory_cache_bytes + s->memory_checksum_bytes, 0);
    ck_assert_uint_eq(s->memory_staging_bytes, 0);
    ck_assert_uint_eq(s->queue_waiting + s->queue_gathering, 0);
}

START_TEST(every_allocation_fails_once)
{
    size_t n = 1;
    failing_alloc_pause(true);
    for (bool reached = true; reached; n++) {
        struct peer p;
        failing_alloc_arm(n);
        peer_open(&p, server);
        session(&p);
        peer_end(&p);
        reached = failing_alloc_disarm();
        peer_close(&p);
        next_client();
        expect_nothing_left();
    }
    printf("%zu allocations were made to fail\n", n - 2);
    ck_assert_uint_gt(n, RUNS_LEAST);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("edge_failures");
    TCase *tc = tcase_create("edge_failures");
    tcase_set_timeout(tc, 0);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_allocation_fails_once);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
