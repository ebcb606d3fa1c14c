/* Goal: whichever allocation of the whole daemon fails, edge and core, it lives, serves the next
 * client, and keeps nothing. Method: one client's session over and over, by a server in this
 * process; in run n the nth allocation fails, until a run has none left to fail. libuv's and
 * cJSON's own are theirs. Leaks are the sanitizer's to find. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/http/http.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"
#include "tests/support/peer.h"

enum { TOKEN_BYTES = 2 * 2 * 1 * 4 * 2, TURNS_MAX = 100000, RUNS_LEAST = 30 };
enum { CALLS = 40, CALLS_TOLD = 20 /* at least: that many are made, in some order */ };

static struct tkv_config config;
static struct tkv_server *server;
static char folder[32], http_path[48];

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

/* Goal: the same for every call to the device, from the socket on: where the device has no memory,
 * the request says so, and the daemon serves on. */
START_TEST(every_device_call_fails_once)
{
    unsigned told = 0;
    for (unsigned n = 1; n <= CALLS; n++) {
        struct peer p;
        uint64_t before = tkv_tally_reason(&server->telemetry.tally, TKV_ENOMEM);
        tkv_device_fail_nth(n, TKV_ENOMEM);
        peer_open(&p, server);
        session(&p);
        peer_end(&p);
        peer_close(&p);
        tkv_device_fail_nth(0, TKV_OK);
        told += tkv_tally_reason(&server->telemetry.tally, TKV_ENOMEM) > before;
        next_client();
        expect_nothing_left();
    }
    printf("%u of %d device calls that failed were told to the client\n", told, CALLS);
    ck_assert_uint_ge(told, CALLS_TOLD);
}
END_TEST

/* --- HTTP ------------------------------------------------------------------------------------- */

static struct tkv_http *http;

static void setup_http(void)
{
    setup();
    snprintf(folder, sizeof folder, "/tmp/tkv-edge-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(http_path, sizeof http_path, "%s/http", folder);
    char address[64];
    snprintf(address, sizeof address, "unix:%s", http_path);
    config.http_listen = strdup(address);
    config.http_allow_verify = true;
    ck_assert_int_eq(tkv_http_open(&http, server), TKV_OK);
}

static void teardown_http(void)
{
    tkv_http_close(http);
    teardown();
    rmdir(folder);
}

/* The status of a request, 0 where it was closed without an answer. The loop turns meanwhile. */
static int ask_http(const char *request)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char answer[64] = "", rest[4096];
    size_t used = 0;
    snprintf(to.sun_path, sizeof to.sun_path, "%s", http_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    (void)send(fd, request, strlen(request), MSG_NOSIGNAL);
    for (ssize_t n = 1; n != 0;) {
        failing_alloc_pause(false);
        uv_run(&server->loop, UV_RUN_NOWAIT);
        failing_alloc_pause(true);
        n = recv(fd, rest, sizeof rest, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) break; /* reset */
        if (n < 0) usleep(100);
        size_t room = sizeof answer - 1 - used, some = n > 0 ? (size_t)n : 0;
        memcpy(answer + used, rest, some < room ? some : room);
        used += some < room ? some : room;
    }
    close(fd);
    const char *status = strchr(answer, ' ');
    return status != NULL ? (int)strtol(status, NULL, 10) : 0;
}

/* Goal: whichever allocation of a page fails, its client hears so or is closed, and the next one is
 * served. */
START_TEST(every_allocation_of_http_fails_once)
{
    static const char *const requests[] = {
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /metrics HTTP/1.0\r\n\r\n",
        "GET /api/stats HTTP/1.0\r\n\r\n",
        "GET /api/info HTTP/1.0\r\n\r\n",
        "GET /api/sequences?limit=3 HTTP/1.0\r\n\r\n",
        "POST /api/verify HTTP/1.0\r\nX-Truekv: verify\r\nContent-Length: 2\r\n\r\n{}"};
    const char *request = requests[_i];
    size_t n = 1;
    failing_alloc_pause(true);
    for (bool reached = true; reached; n++) {
        failing_alloc_arm(n);
        int status = ask_http(request);
        reached = failing_alloc_disarm();
        ck_assert_msg(status == 0 || status == 200 || status >= 500, "%s: %d", request, status);
        ck_assert_msg(reached || status == 200, "%s: %d", request, status);
        ck_assert_int_eq(ask_http(request), 200);
    }
    printf("%zu allocations of %.16s were made to fail\n", n - 2, request);
    ck_assert_uint_gt(n, 2);
    next_client();
    expect_nothing_left();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("edge_failures");
    TCase *tc = tcase_create("edge_failures");
    tcase_set_timeout(tc, 0);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_allocation_fails_once);
    tcase_add_test(tc, every_device_call_fails_once);
    TCase *pages = tcase_create("http");
    tcase_set_timeout(pages, 0);
    tcase_add_checked_fixture(pages, setup_http, teardown_http);
    tcase_add_loop_test(pages, every_allocation_of_http_fails_once, 0, 6);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, pages);
    return tkv_check_main(s);
}
