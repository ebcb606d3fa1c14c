/* What an operator does to a running daemon: reload its configuration, drain it, change what it
 * logs. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

#define MODELS "models = ( " FX_TINY " );\n"

static struct daemon d;
static struct wire w;

static void setup(void)
{
    daemon_start(&d, MODELS);
    wire_open(&w, &d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

static void await_log(const char *what)
{
    for (int i = 0; i < FX_WAIT_S * 100 && strstr(daemon_log(&d), what) == NULL; i++)
        usleep(10000);
    ck_assert_msg(strstr(daemon_log(&d), what) != NULL, "no %s in %s", what, daemon_log(&d));
}

static void inject_is(const char *reason)
{
    if (reason == NULL)
        wire_ok(&w, "debug.inject", "{\"fault\":\"none\"}");
    else
        wire_refused(&w, "debug.inject", "{\"fault\":\"none\"}", reason);
}

/* Goal: a reload takes effect at once where it may, says what it changed and what waits for a
 * restart, and sequences live on. */
START_TEST(reload_takes_effect)
{
    inject_is("permission_denied");
    daemon_configure(&d, MODELS "debug: { allow_fault_injection = true; };\n"
                                "memory: { budget = \"1M\"; };\njournal: { bytes = \"1M\"; };\n");
    cJSON *answer = wire_call(&w, "admin.reload", NULL);
    json_expect(answer, "result.changed", "[\"memory.budget\",\"debug.allow_fault_injection\"]");
    json_expect(answer, "result.needs_restart", "[\"journal.bytes\"]");
    cJSON_Delete(answer);
    inject_is(NULL);
    answer = wire_call(&w, "server.info", NULL);
    json_expect(answer, "result.limits.memory_budget_bytes", "1048576");
    cJSON_Delete(answer);
    wire_refused(&w, "seq.create", "{\"capacity\":1000000}", "out_of_memory");
    wire_ok(&w, "seq.info", "{\"seq\":1}");
    daemon_configure(&d, MODELS);
    answer = wire_call(&w, "admin.reload", NULL);
    json_expect(answer, "result.changed", "[\"memory.budget\",\"debug.allow_fault_injection\"]");
    json_expect(answer, "result.needs_restart", "[]");
    cJSON_Delete(answer);
    inject_is("permission_denied");
}
END_TEST

/* Goal: the same by SIGHUP, which the log tells of. */
START_TEST(hangup_reloads)
{
    daemon_configure(&d, MODELS "debug: { allow_fault_injection = true; };\n");
    kill(d.pid, SIGHUP);
    await_log("reloaded changed=\"debug.allow_fault_injection\" needs_restart=\"\"");
    inject_is(NULL);
}
END_TEST

/* Goal: a bad file changes nothing, and both answer and log say the file, the line and the key. */
START_TEST(bad_files_change_nothing)
{
    static const char *const files[] = {
        MODELS "debug: { allow_fault_injection = true; };\nbatch: { max_items = -1; };",
        MODELS "debug: { allow_fault_injection = true; };\nbatch: { max_item = 1; };", "a = [", ""};
    for (size_t i = 0; i < 4; i++) {
        daemon_configure(&d, files[i]);
        cJSON *answer = wire_call(&w, "admin.reload", NULL);
        json_expect(answer, "error.data.reason", "\"invalid_params\"");
        const char *message = json_at(answer, "error.message")->valuestring;
        ck_assert_msg(strstr(message, d.config) != NULL, "%s", message);
        if (i < 2) ck_assert_msg(strstr(message, ":3: batch.max_item") != NULL, "%s", message);
        cJSON_Delete(answer);
        await_log("reload_failed");
        inject_is("permission_denied");
    }
    unlink(d.config);
    wire_refused(&w, "admin.reload", NULL, "invalid_params");
    ck_assert_int_eq(mkfifo(d.config, 0600), 0); /* nobody will write to it */
    wire_refused(&w, "admin.reload", NULL, "invalid_params");
    kill(d.pid, SIGHUP);
    wire_ok(&w, "server.ping", NULL);
}
END_TEST

/* Goal: what is logged changes by request, and a reload brings back what the file says. */
START_TEST(log_level_changes)
{
    cJSON *answer = wire_call(&w, "admin.log_level", "{\"level\":\"debug\"}");
    json_expect(answer, "result.level", "\"debug\"");
    json_expect(answer, "result.was", "\"info\"");
    cJSON_Delete(answer);
    struct wire other;
    wire_open(&other, &d);
    wire_ok(&other, "server.ping", NULL);
    wire_close(&other);
    await_log("connection_closed");
    wire_refused(&w, "admin.log_level", "{\"level\":\"loud\"}", "invalid_params");
    wire_refused(&w, "admin.log_level", "{}", "invalid_params");
    wire_ok(&w, "admin.reload", NULL);
    answer = wire_call(&w, "admin.log_level", "{\"level\":\"error\"}");
    json_expect(answer, "result.was", "\"info\"");
    cJSON_Delete(answer);
}
END_TEST

/* Goal: admin.drain is answered, what follows is refused, and the daemon ends with 0. */
START_TEST(drain_ends_it)
{
    wire_sendf(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"admin.drain\"}\n"
                   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"seq.create\"}\n"
                   "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"admin.drain\"}");
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "result", "{}");
    cJSON_Delete(answer);
    answer = wire_answer(&w);
    json_expect(answer, "error.data.reason", "\"draining\"");
    cJSON_Delete(answer);
    answer = wire_answer(&w);
    json_expect(answer, "result", "{}");
    cJSON_Delete(answer);
    ck_assert_int_eq(daemon_wait(&d), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin");
    TCase *tc = tcase_create("admin");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, reload_takes_effect);
    tcase_add_test(tc, hangup_reloads);
    tcase_add_test(tc, bad_files_change_nothing);
    tcase_add_test(tc, log_level_changes);
    tcase_add_test(tc, drain_ends_it);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
