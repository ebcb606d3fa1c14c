/* A device that is lost, or hangs: the server in a thread of this process, so that the device can
 * be made to fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/e2e/held_server.h"
#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

#define LOST "the device is lost; the daemon is going down"

static struct held_server h;
static struct wire w;

static void setup(void)
{
    held_init(&h);
}

static void teardown(void)
{
    wire_close(&w);
    held_close(&h);
}

static void start(void)
{
    held_start(&h);
    wire_open(&w, &h.d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    wire_ok(&w, "seq.create", "{\"seq\":2}");
}

static void expect_health(int status, const char *says)
{
    char body[256], want[256];
    snprintf(want, sizeof want, "%s\n", says);
    ck_assert_int_eq(held_get(&h, "/healthz", body, sizeof body), status);
    ck_assert_str_eq(body, want);
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

/* Goal: a sticky error of the device answers backend_failed and ends the server with 1; until the
 * process has gone, health says so. */
START_TEST(lost_device)
{
    static char rows[4 * 2 * 8 * 128 * 4];
    start();
    send_append("1", rows, 1);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "result.lens", "[1]");
    cJSON_Delete(answer);
    tkv_device_fail_nth(2, TKV_EDEVICE); /* the first is for a block of staging */
    send_append("2", rows, 1);
    expect_failed("2");
    ck_assert_int_eq(held_join(&h), 1);
    ck_assert_int_lt(wire_connect(h.d.socket), 0);
    ck_assert_ptr_null(wire_line(&w));
    expect_health(503, LOST);
    held_take_apart(&h);
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
    h.config.limits_device_ms = 100;
    start();
    held_hold();
    for (int i = 0; i < WORKS; i++)
        wire_sendf(&w, "{\"jsonrpc\":\"2.0\",\"id\":%d," LONG_WORK, i);
    wire_sendf(&w, "[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"server.ping\"},"
                   "{\"jsonrpc\":\"2.0\",\"id\":\"b\"," LONG_WORK "]");
    wire_ok(&w, "server.ping", NULL);
    held_seem_busy(1);
    int failed = 0, lines = 0;
    for (const char *line; (line = wire_line(&w)) != NULL; lines++) {
        if (strstr(line, "backend_failed") == NULL) continue;
        failed++;
        if (line[0] == '[')
            ck_assert_ptr_nonnull(strstr(line, "{\"jsonrpc\":\"2.0\",\"id\":\"a\""));
    }
    ck_assert_int_eq(lines, WORKS + 1);
    ck_assert_int_eq(failed, WORKS + 1);
    ck_assert_int_eq(held_join(&h), 1);
    expect_health(503, LOST);
    held_take_apart(&h);
}
END_TEST

/* Goal: health turns bad while the daemon still waits for a device that makes no progress: before
 * it gives up, so that traffic can be taken away; the watchdog is not fed then either. It turns
 * good again with the device, and stays bad once that is lost. Method: the engine is made to say
 * that it has been busy for 0.6 of limits.device_ms. */
START_TEST(health_turns_bad_first)
{
    static char rows[4 * 2 * 8 * 128 * 4];
    h.config.limits_device_ms = 60000;
    start();
    expect_health(200, "ok");
    held_seem_busy(tkv_now_ns() - UINT64_C(36) * 1000000000);
    ck_assert_str_eq(tkv_health_stalled(&h.server->health), "the device makes no progress");
    ck_assert_ptr_nonnull(tkv_health_unready(&h.server->health));
    expect_health(503, "the device makes no progress");
    wire_ok(&w, "server.ping", NULL); /* it has not given up */
    held_seem_busy(0);
    expect_health(200, "ok");
    tkv_device_fail_nth(2, TKV_EDEVICE);
    send_append("2", rows, 1);
    expect_failed("2");
    ck_assert_int_eq(held_join(&h), 1);
    expect_health(503, LOST);
    held_take_apart(&h);
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
