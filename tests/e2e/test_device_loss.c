/* A device that is lost, or hangs: the server in a thread of this process, so that the device can
 * be made to fail. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/engine.h"
#include "daemon/server.h"
#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

/* The linker puts this in place of the engine's own (--wrap), so that a device can seem to hang. */
uint64_t __real_tkv_engine_busy_since_ns(const struct tkv_engine *engine);
uint64_t __wrap_tkv_engine_busy_since_ns(const struct tkv_engine *engine);
static _Atomic uint64_t busy_since_ns; /* 0: ask the engine */

uint64_t __wrap_tkv_engine_busy_since_ns(const struct tkv_engine *engine)
{
    uint64_t since = atomic_load(&busy_since_ns);
    return since != 0 ? since : __real_tkv_engine_busy_since_ns(engine);
}

/* Nothing comes back from a device that hangs. */
struct tkv_job *__real_tkv_engine_done(struct tkv_engine *engine);
struct tkv_job *__wrap_tkv_engine_done(struct tkv_engine *engine);
static atomic_bool holds_back;

struct tkv_job *__wrap_tkv_engine_done(struct tkv_engine *engine)
{
    return atomic_load(&holds_back) ? NULL : __real_tkv_engine_done(engine);
}

static char dir[32];
static struct daemon d; /* its socket only */
static struct wire w;
static struct tkv_config config;
static struct tkv_server *server;
static pthread_t thread;

static void *run(void *arg)
{
    *(int *)arg = tkv_server_run(server);
    return NULL;
}

static void setup(void)
{
    char why[256], listen[FX_PATH_MAX + 8];
    snprintf(dir, sizeof dir, "/tmp/tkv-loss-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(d.socket, sizeof d.socket, "%s/s", dir);
    snprintf(listen, sizeof listen, "unix:%s", d.socket);
    tkv_config_init(&config);
    ck_assert_int_eq(tkv_config_add_listen(&config, listen, why, sizeof why), TKV_OK);
    config.models[0] = (struct tkv_model){
        .name = "m",
        .geom = {.n_layers = 4, .n_kv_heads = 8, .head_dim = 128, .dtype = TKV_F16},
        .capacity = 4096};
    config.n_models = 1;
}

static void teardown(void)
{
    wire_close(&w);
    config.n_models = 0; /* the name is a constant */
    tkv_config_close(&config);
    tkv_device_fail_nth(0, TKV_OK);
    atomic_store(&busy_since_ns, 0);
    unlink(d.socket);
    rmdir(dir);
}

static void start(int *code)
{
    struct tkv_device *dev;
    ck_assert_int_eq(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_server_open(&server, &config, dev), TKV_OK);
    ck_assert_int_eq(pthread_create(&thread, NULL, run, code), 0);
    wire_open(&w, &d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    wire_ok(&w, "seq.create", "{\"seq\":2}");
}

/* The process would end here; the test takes the memory back when the device is well again. */
static void take_apart(void)
{
    ck_assert(!tkv_server_close(server));
    tkv_device_fail_nth(0, TKV_OK);
    atomic_store(&busy_since_ns, 0);
    atomic_store(&holds_back, false);
    server->failed = false;
    while (!tkv_core_idle(server->core)) {
        usleep(1000);
        tkv_core_poll(server->core);
    }
    ck_assert(tkv_server_close(server));
}

static void send_append(const char *id, const void *rows, size_t tokens)
{
    size_t bytes = tokens * 4 * 2 * 8 * 128 * 4;
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"seq.append\",\"payload\":%zu,"
               "\"params\":{\"seqs\":[1],\"tokens\":%zu,\"dtype\":\"f32\"}}",
               id, bytes, tokens);
    wire_send(&w, rows, bytes);
}

static void expect_failed(const char *id)
{
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "id", id);
    json_expect(answer, "error.code", "-32007");
    json_expect(answer, "error.data.reason", "\"backend_failed\"");
    cJSON_Delete(answer);
}

/* Goal: a sticky error of the device answers backend_failed and ends the server with 1. */
START_TEST(lost_device)
{
    int code = -1;
    static char rows[4 * 2 * 8 * 128 * 4];
    start(&code);
    send_append("1", rows, 1);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "result.lens", "[1]");
    cJSON_Delete(answer);
    tkv_device_fail_nth(2, TKV_EDEVICE); /* the first is for a block of staging */
    send_append("2", rows, 1);
    expect_failed("2");
    pthread_join(thread, NULL);
    ck_assert_int_eq(code, 1);
    ck_assert_int_lt(wire_connect(d.socket), 0);
    ck_assert_ptr_null(wire_line(&w));
    take_apart();
}
END_TEST

#define LONG_WORK                                                                           \
    "\"method\":\"debug.selftest\",\"params\":{\"m\":32,\"n_kv_heads\":8,\"head_dim\":128," \
    "\"capacity\":64,\"layers\":2}}"

/* Goal: a device that is busy for too long counts as lost: what is under way is answered, in arrays
 * too. Method: the engine gives nothing back, and is made to say that it has been busy since the
 * machine started. */
START_TEST(hanging_device)
{
    enum { WORKS = 3 };
    int code = -1;
    config.limits_device_ms = 100;
    start(&code);
    atomic_store(&holds_back, true);
    for (int i = 0; i < WORKS; i++)
        wire_sendf(&w, "{\"jsonrpc\":\"2.0\",\"id\":%d," LONG_WORK, i);
    wire_sendf(&w, "[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"server.ping\"},"
                   "{\"jsonrpc\":\"2.0\",\"id\":\"b\"," LONG_WORK "]");
    wire_ok(&w, "server.ping", NULL);
    atomic_store(&busy_since_ns, 1);
    int failed = 0, lines = 0;
    for (const char *line; (line = wire_line(&w)) != NULL; lines++) {
        if (strstr(line, "backend_failed") == NULL) continue;
        failed++;
        if (line[0] == '[')
            ck_assert_ptr_nonnull(strstr(line, "{\"jsonrpc\":\"2.0\",\"id\":\"a\""));
    }
    ck_assert_int_eq(lines, WORKS + 1);
    ck_assert_int_eq(failed, WORKS + 1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(code, 1);
    take_apart();
}
END_TEST

/* Goal: health turns bad while the daemon still waits for a device that makes no progress: before
 * it gives up, so that traffic can be taken away; the watchdog is not fed then either. Method: the
 * engine is made to say that it has been busy for 0.6 of limits.device_ms. */
START_TEST(health_turns_bad_first)
{
    int code = -1;
    config.limits_device_ms = 60000;
    start(&code);
    ck_assert_ptr_null(tkv_health_stalled(&server->health));
    ck_assert_ptr_null(tkv_health_unready(&server->health));
    atomic_store(&busy_since_ns, tkv_now_ns() - UINT64_C(36) * 1000000000);
    ck_assert_str_eq(tkv_health_stalled(&server->health), "the device makes no progress");
    ck_assert_ptr_nonnull(tkv_health_unready(&server->health));
    wire_ok(&w, "server.ping", NULL); /* it has not given up */
    atomic_store(&busy_since_ns, 0);
    ck_assert_ptr_null(tkv_health_stalled(&server->health));
    config.limits_device_ms = 100;
    atomic_store(&holds_back, true);
    atomic_store(&busy_since_ns, 1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(code, 1);
    ck_assert_str_eq(tkv_health_stalled(&server->health),
                     "the device is lost; the daemon is going down");
    take_apart();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("device_loss");
    TCase *tests = tcase_create("device_loss");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, lost_device);
    tcase_add_test(tests, hanging_device);
    tcase_add_test(tests, health_turns_bad_first);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
