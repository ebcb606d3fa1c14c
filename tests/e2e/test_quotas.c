/* Quotas of users who really are others: by the credentials of their connections. */
#include "tests/e2e/identity.h"
#include "tests/support/check_main.h"

#define MODELS "models = ( " FX_TINY " );\n"

static struct daemon d;
static struct wire w, first, second;

static void setup(void)
{
    daemon_init(&d, MODELS "auth: { socket_mode = \"0666\"; quota_sequences = 2;\n"
                           "quotas = ( { user = 65533; max_sequences = 1; },\n"
                           "           { user = \"root\"; max_bytes = \"4M\"; } ); };\n");
    open_folder(&d);
    w.fd = first.fd = second.fd = -1;
    daemon_spawn(&d, NULL);
    daemon_wait_ready(&d);
    wire_open(&w, &d);
}

static void teardown(void)
{
    wire_close(&w);
    wire_close(&first);
    wire_close(&second);
    daemon_close(&d);
}

static void expect_refusal(struct wire *from, const char *params, const char *reason,
                           const char *what)
{
    cJSON *answer = wire_call(from, "seq.create", "%s", params);
    json_expect(answer, "error.data.reason", reason);
    const char *message = json_at(answer, "error.message")->valuestring;
    ck_assert_msg(strstr(message, what) != NULL, "%s", message);
    cJSON_Delete(answer);
}

static double users(void)
{
    return wire_stat(&w, "quota.users");
}

/* Goal: a user's sequences count over all connections, and after the connection has gone; another
 * user's quota is its own. */
START_TEST(users_have_their_own)
{
    if (!may_change_user("users_have_their_own")) return;
    open_as(&first, &d, FX_STRANGER);
    wire_ok(&first, "seq.create", "{\"seq\":1}");
    open_as(&second, &d, FX_STRANGER);
    wire_ok(&second, "seq.create", "{\"seq\":2}");
    expect_refusal(&second, "{}", "\"overloaded\"", "user 65534: all of auth.quota_sequences (2)");
    wire_close(&first);
    wire_close(&second);
    open_as(&first, &d, FX_STRANGER);
    expect_refusal(&first, "{}", "\"overloaded\"", "auth.quota_sequences");
    open_as(&second, &d, FX_OTHER);
    wire_ok(&second, "seq.create", "{\"seq\":3,\"on_disconnect\":\"free\"}");
    expect_refusal(&second, "{}", "\"overloaded\"",
                   "user 65533: all of auth.quotas[0].max_sequences (1)");
    ck_assert(users() == 2);
    wire_close(&second); /* takes its sequence along */
    while (users() > 1)
        usleep(1000);
    wire_ok(&first, "seq.free", "{\"seqs\":[1]}");
    wire_ok(&first, "seq.create", "{\"seq\":4,\"ttl_ms\":1}");
    while (true) { /* until it has expired */
        cJSON *answer = wire_call(&first, "seq.create", "{\"seq\":5}");
        bool done = json_at(answer, "result") != NULL;
        cJSON_Delete(answer);
        if (done) break;
        usleep(1000);
    }
    wire_ok(&w, "seq.free", "{\"seqs\":[2,5]}");
    ck_assert(users() == 0);
    daemon_stop(&d);
}
END_TEST

/* Goal: bytes, too, with what is needed and what is left. */
START_TEST(bytes)
{
    if (!may_change_user("bytes")) return;
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    cJSON *answer = wire_call(&w, "seq.create", "{\"capacity\":131072}");
    json_expect(answer, "error.data.reason", "\"out_of_memory\"");
    ck_assert(json_number(answer, "error.data.needed") == 131072.0 * FX_TINY_BYTES);
    ck_assert(json_number(answer, "error.data.available") < 4 << 20);
    cJSON_Delete(answer);
    expect_refusal(&w, "{\"capacity\":131072}", "\"out_of_memory\"", "auth.quotas[1].max_bytes");
    wire_ok(&w, "seq.free", "{\"seqs\":[1]}");
    ck_assert(users() == 0);
    daemon_stop(&d);
}
END_TEST

/* Goal: the quota of all others changes with a reload. */
START_TEST(reloaded)
{
    daemon_configure(&d, MODELS "auth: { quota_sequences = 1; };\n");
    cJSON *answer = wire_call(&w, "admin.reload", NULL);
    json_expect(answer, "result.changed", "[\"auth.quotas\",\"auth.quota_sequences\"]");
    json_expect(answer, "result.needs_restart", "[\"auth.socket_mode\"]");
    cJSON_Delete(answer);
    if (may_change_user("reloaded")) {
        open_as(&first, &d, FX_STRANGER);
        wire_ok(&first, "seq.create", "{\"seq\":1}");
        expect_refusal(&first, "{}", "\"overloaded\"", "auth.quota_sequences (1)");
    }
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quotas");
    TCase *tests = tcase_create("quotas");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, users_have_their_own);
    tcase_add_test(tests, bytes);
    tcase_add_test(tests, reloaded);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
