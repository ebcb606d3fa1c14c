/* TCP: nobody is a client who has not sent the token, and who has not gets next to nothing. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/e2e/identity.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MODELS       "models = ( " FX_TINY " );\n"
#define TOKEN        "0123456789abcdef-the-token"
#define AUTH_OF(t) \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"auth\",\"params\":{\"token\":\"" t "\"}}"
#define PING        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"server.ping\"}"
#define DENIED      "\"permission_denied\""
#define FIRST_TEXT  "the first request must be auth, with the token"
#define TIGHT_TIMES "deadline_ms = 300;"

static struct daemon d;
static struct wire w, tcp;
static char token_path[FX_PATH_MAX];
static const char *const listen_tcp[] = {"--listen", "tcp:127.0.0.1:0", NULL};

static void write_token(const char *text, mode_t mode)
{
    FILE *file = fopen(token_path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(token_path, mode), 0);
}

static void configure(const char *auth)
{
    char text[1024];
    snprintf(text, sizeof text, MODELS "auth: { %s };\n", auth);
    daemon_configure(&d, text);
}

static void setup(void)
{
    daemon_init(&d, MODELS);
    snprintf(token_path, sizeof token_path, "%s/token", d.dir);
    write_token(" \n" TOKEN "\r\n", 0600);
    w.fd = tcp.fd = -1;
}

static void teardown(void)
{
    wire_close(&w);
    wire_close(&tcp);
    unlink(token_path);
    daemon_close(&d);
}

static uint16_t port_of_log(void)
{
    static const char name[] = "tcp:127.0.0.1:";
    const char *at = NULL;
    for (int i = 0; i < FX_WAIT_S * 100; i++) {
        const char *ready = strstr(daemon_log(&d), " ready ");
        at = ready != NULL ? strstr(ready, name) : NULL;
        if (at != NULL) break;
        usleep(10000);
    }
    ck_assert_ptr_nonnull(at);
    return (uint16_t)strtoul(at + strlen(name), NULL, 10);
}

static uint16_t start(const char *more)
{
    char auth[512];
    snprintf(auth, sizeof auth, "token_file = \"%s\"; %s", token_path, more);
    configure(auth);
    daemon_spawn(&d, listen_tcp);
    daemon_wait_ready(&d);
    wire_open(&w, &d);
    return port_of_log();
}

static void open_tcp(struct wire *to, uint16_t port)
{
    memset(to, 0, sizeof *to);
    to->fd = wire_connect_tcp(port);
}

static void expect_line(struct wire *from, const char *id, const char *reason)
{
    cJSON *answer = wire_answer(from);
    json_expect(answer, "id", id);
    json_expect(answer, reason != NULL ? "error.data.reason" : "result",
                reason != NULL ? reason : "{}");
    cJSON_Delete(answer);
}

/* Goal: the right token makes a client, and what came with it in one go is served. */
START_TEST(the_right_token)
{
    open_tcp(&tcp, start(""));
    wire_sendf(&tcp, AUTH_OF(TOKEN) "\n" PING "\n" AUTH_OF("another"));
    expect_line(&tcp, "1", NULL);
    expect_line(&tcp, "2", NULL);
    expect_line(&tcp, "1", NULL); /* who is known need not say it again */
    /* limits are those of a client from here on */
    wire_sendf(&tcp, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"server.ping\"%4000s}", "");
    expect_line(&tcp, "3", NULL);
    wire_ok(&tcp, "seq.create", "{\"seq\":1}");
    char rows[FX_TINY_BYTES] = {1, 2, 3};
    wire_sendf(&tcp, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"seq.append\",\"params\":"
                     "{\"seqs\":[1]},\"payload\":64}");
    wire_send(&tcp, rows, sizeof rows);
    cJSON_Delete(wire_answer(&tcp));
    wire_verify_ok(&w, true);
    wire_refused(&tcp, "debug.verify", NULL, "permission_denied");
    wire_refused(&tcp, "admin.reload", NULL, "permission_denied");
    daemon_stop(&d);
}
END_TEST

/* Goal: over TCP debug.* and admin.* only where the configuration says so. */
START_TEST(tcp_may_more)
{
    open_tcp(&tcp, start("tcp_debug = true; tcp_admin = true; debug_uids = (); admin_uids = ();"));
    wire_sendf(&tcp, AUTH_OF(TOKEN));
    expect_line(&tcp, "1", NULL);
    wire_ok(&tcp, "debug.verify", NULL);
    wire_ok(&tcp, "admin.reload", NULL);
    wire_refused(&w, "debug.verify", NULL, "permission_denied");
    wire_refused(&w, "admin.reload", NULL, "permission_denied");
    daemon_stop(&d);
}
END_TEST

/* Goal: a Unix socket needs none; whoever sends one there has done nothing. */
START_TEST(auth_on_a_unix_socket)
{
    start("");
    wire_ok(&w, "server.ping", NULL);
    wire_ok(&w, "auth", "{\"token\":\"whatever\"}");
    wire_refused(&w, "auth", "{}", "invalid_params");
    wire_refused(&w, "auth", "{\"token\":7}", "invalid_params");
    wire_refused(&w, "auth", "{\"token\":\"a\",\"more\":1}", "invalid_params");
    wire_ok(&w, "server.ping", NULL);
    daemon_stop(&d);
}
END_TEST

static const struct {
    const char *line, *id, *why;
} wrong[] = {
    {AUTH_OF(TOKEN "x"), "1", "the token is not right"},
    {AUTH_OF("0123456789abcdef-the-toke"), "1", "the token is not right"},
    {AUTH_OF("0123456789abcdef-the-toker"), "1", "the token is not right"},
    {AUTH_OF(""), "1", "the token is not right"},
    {AUTH_OF(" " TOKEN), "1", "the token is not right"},
    {PING, "2", FIRST_TEXT},
    {"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"auth\"}", "\"a\"", FIRST_TEXT},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"auth\",\"params\":{\"token\":\"x\"}}", "null",
     "the token is not right"},
    {"[" AUTH_OF(TOKEN) "]", "null", FIRST_TEXT},
    {"[]", "null", FIRST_TEXT},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"auth\",\"params\":{\"token\":\"" TOKEN
     "\"},\"payload\":3}\nabc",
     "1", FIRST_TEXT},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"params\":{\"seqs\":[1]},"
     "\"payload\":9}",
     "1", FIRST_TEXT},
    {"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "null", FIRST_TEXT},
    {"\x16\x03\x01\x02\x01\n", "null", FIRST_TEXT},
    {"{\"payload\":", "null", FIRST_TEXT},
};

static void expect_denial(size_t i, struct wire *from)
{
    cJSON *answer = wire_answer(from);
    json_expect(answer, "id", wrong[i].id);
    json_expect(answer, "error.data.reason", DENIED);
    ck_assert_str_eq(json_at(answer, "error.message")->valuestring, wrong[i].why);
    cJSON_Delete(answer);
    ck_assert_ptr_null(wire_line(from));
    wire_close(from);
}

/* Goal: anything but the right token first is denied, and that is the end; whatever follows, the
 * right token too, is not heard. Who sends no more hears it, too. */
START_TEST(wrong_beginnings)
{
    static struct wire many[COUNT(wrong)];
    uint16_t port = start("");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        open_tcp(&many[i], port);
        wire_sendf(&many[i], "%s", wrong[i].line);
        wire_sendf(&many[i], AUTH_OF(TOKEN) "\n" PING);
        if (i % 2 == 0) wire_shut(&many[i]);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        expect_denial(i, &many[i]);
    while ((size_t)closed_as(&w, "unauthenticated") < COUNT(wrong))
        usleep(1000);
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), "auth_failed id="));
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), " peer=127.0.0.1:"));
    ck_assert_ptr_null(strstr(daemon_log(&d), "0123456789abcdef"));
    daemon_stop(&d);
}
END_TEST

/* Goal: before the token a line may have 1024 bytes and no more, whether or not it ends. */
START_TEST(long_lines)
{
    char line[2048];
    const size_t fits = 1024;
    open_tcp(&tcp, start(""));
    int n = snprintf(line, sizeof line, AUTH_OF(TOKEN));
    memset(line + n, ' ', sizeof line - (size_t)n);
    wire_send(&tcp, line, fits);
    wire_send(&tcp, "\n", 1);
    expect_line(&tcp, "1", NULL);
    wire_close(&tcp);
    for (int ends = 0; ends < 2; ends++) {
        open_tcp(&tcp, port_of_log());
        wire_send(&tcp, line, fits + 2);
        if (ends) wire_send(&tcp, "\n", 1);
        expect_line(&tcp, "null", DENIED);
        ck_assert_ptr_null(wire_line(&tcp));
        wire_close(&tcp);
    }
    daemon_stop(&d);
}
END_TEST

/* Goal: who says nothing, or not all of a line, is closed after the deadline, and hears why. */
START_TEST(the_deadline)
{
    open_tcp(&tcp, start(TIGHT_TIMES));
    if (_i == 1) wire_send(&tcp, AUTH_OF(TOKEN), 20);
    cJSON *answer = wire_answer(&tcp);
    json_expect(answer, "id", "null");
    json_expect(answer, "error.data.reason", DENIED);
    json_expect(answer, "error.message", "\"no token within 300 ms (auth.deadline_ms)\"");
    cJSON_Delete(answer);
    ck_assert_ptr_null(wire_line(&tcp));
    wire_close(&tcp);
    while (closed_as(&w, "unauthenticated") < 1)
        usleep(1000);
    /* who has said it is not bothered */
    open_tcp(&tcp, port_of_log());
    wire_sendf(&tcp, AUTH_OF(TOKEN));
    expect_line(&tcp, "1", NULL);
    usleep(900000);
    wire_ok(&tcp, "server.ping", NULL);
    daemon_stop(&d);
}
END_TEST

/* Goal: 64 may be unknown at a time; one more is told so; a place is free again when one of them
 * has become a client, or has gone. Nothing else waits meanwhile. */
START_TEST(few_places)
{
    enum { PLACES = 64 };
    static struct wire many[PLACES];
    uint16_t port = start("deadline_ms = 60000;");
    for (int i = 0; i < PLACES; i++)
        open_tcp(&many[i], port);
    for (int i = 0; i < 2; i++) {
        open_tcp(&tcp, port);
        expect_turned_away(&tcp, "\"overloaded\"");
        wire_close(&tcp);
    }
    ck_assert(closed_as(&w, "refused") <= 2); /* and the loop answers */
    wire_sendf(&many[0], AUTH_OF(TOKEN));
    expect_line(&many[0], "1", NULL);
    open_tcp(&tcp, port);
    wire_sendf(&tcp, AUTH_OF(TOKEN));
    expect_line(&tcp, "1", NULL);
    wire_close(&tcp);
    for (int i = 1; i < PLACES; i++)
        wire_close(&many[i]);
    while (closed_as(&w, "by_client") < PLACES)
        usleep(1000);
    open_tcp(&tcp, port);
    wire_sendf(&tcp, AUTH_OF(TOKEN));
    expect_line(&tcp, "1", NULL);
    wire_ok(&many[0], "server.ping", NULL);
    wire_close(&many[0]);
    daemon_stop(&d);
}
END_TEST

/* Goal: a wrong one waits for its answer, and nobody else does.
 * Method: what another client asks after it is answered before it. */
START_TEST(wrong_ones_wait_alone)
{
    open_tcp(&tcp, start(""));
    wire_sendf(&tcp, AUTH_OF("wrong"));
    char none;
    for (int i = 0; i < 50; i++)
        wire_ok(&w, "server.ping", NULL);
    ck_assert_int_eq(recv(tcp.fd, &none, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    expect_line(&tcp, "1", DENIED);
    daemon_stop(&d);
}
END_TEST

/* Goal: a wrong one keeps its place until it has been told, also where it resets the connection:
 * who does so must not guess as fast as the network goes.
 * Method: it is counted as told no later than as closed. */
START_TEST(leaving_frees_no_place)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    open_tcp(&tcp, start(""));
    wire_sendf(&tcp, AUTH_OF("wrong"));
    while (strstr(daemon_log(&d), "auth_failed id=") == NULL)
        usleep(1000);
    ck_assert_int_eq(setsockopt(tcp.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    wire_close(&tcp);
    while (closed_as(&w, "unauthenticated") < 1)
        usleep(1000);
    cJSON *stats = wire_call(&w, "server.stats", NULL);
    ck_assert(json_number(stats, "result.requests.errors") == 1);
    cJSON_Delete(stats);
    daemon_stop(&d);
}
END_TEST

/* Goal: the daemon ends though some are unknown, or wait for their answer. */
START_TEST(drain_does_not_wait_for_them)
{
    struct wire second;
    uint16_t port = start("");
    open_tcp(&tcp, port);
    open_tcp(&second, port);
    wire_sendf(&tcp, AUTH_OF("wrong"));
    wire_ok(&w, "server.ping", NULL);
    daemon_stop(&d);
    wire_close(&second);
}
END_TEST

/* --- another token ---------------------------------------------------------------------------- */

static void expect_token(uint16_t port, const char *auth, const char *reason)
{
    open_tcp(&tcp, port);
    wire_sendf(&tcp, "%s", auth);
    expect_line(&tcp, "1", reason);
    wire_close(&tcp);
}

/* Goal: a reload takes the new token of the same file, for connections that are yet to come; a file
 * that is not right changes nothing, and a path waits for the next start. */
START_TEST(tokens_are_renewed)
{
    struct wire old;
    uint16_t port = start(TIGHT_TIMES);
    open_tcp(&old, port);
    wire_sendf(&old, AUTH_OF(TOKEN));
    expect_line(&old, "1", NULL);
    write_token("another-token-0123", 0644);
    cJSON *answer = wire_call(&w, "admin.reload", NULL);
    json_expect(answer, "error.data.reason", "\"invalid_params\"");
    cJSON_Delete(answer);
    expect_token(port, AUTH_OF(TOKEN), NULL);
    write_token("another-token-0123", 0600);
    answer = wire_call(&w, "admin.reload", NULL);
    json_expect(answer, "result.changed", "[\"auth.token_file\"]");
    json_expect(answer, "result.needs_restart", "[]");
    cJSON_Delete(answer);
    expect_token(port, AUTH_OF("another-token-0123"), NULL);
    expect_token(port, AUTH_OF(TOKEN), DENIED);
    wire_ok(&old, "server.ping", NULL);
    wire_close(&old);
    configure("token_file = \"/nowhere\"; " TIGHT_TIMES);
    answer = wire_call(&w, "admin.reload", NULL);
    json_expect(answer, "result.changed", "[]");
    json_expect(answer, "result.needs_restart", "[\"auth.token_file\"]");
    cJSON_Delete(answer);
    expect_token(port, AUTH_OF("another-token-0123"), NULL);
    daemon_stop(&d);
}
END_TEST

/* --- start ------------------------------------------------------------------------------------ */

static void refuses(int code, const char *const *what)
{
    int got = daemon_run(&d, listen_tcp);
    ck_assert_msg(got == code, "%d: %s", got, daemon_log(&d));
    for (; *what != NULL; what++)
        ck_assert_msg(strstr(daemon_log(&d), *what) != NULL, "no %s in %s", *what, daemon_log(&d));
}

static void refuses_file(const char *what)
{
    const char *const words[] = {"auth.token_file: ", token_path, what, NULL};
    refuses(2, words);
}

/* Goal: TCP without a token is refused, unless it is wanted; then the log warns. */
START_TEST(tcp_needs_a_token)
{
    const char *const words[] = {"\"tcp:127.0.0.1:0\" needs auth.token_file",
                                 "auth.tcp_without_token = true", NULL};
    configure("");
    refuses(2, words);
    daemon_configure(&d, MODELS "listen = [\"tcp:127.0.0.1:0\"];\n");
    d.plain = true;
    const char *const plain[] = {"--config", d.config, "--check-config", NULL};
    ck_assert_int_eq(daemon_run(&d, plain), 2);
    d.plain = false;
    configure("tcp_without_token = true;");
    daemon_spawn(&d, listen_tcp);
    daemon_wait_ready(&d);
    open_tcp(&tcp, port_of_log());
    wire_ok(&tcp, "server.ping", NULL);
    wire_ok(&tcp, "auth", "{\"token\":\"whatever\"}");
    wire_refused(&tcp, "debug.verify", NULL, "permission_denied");
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), "tcp_without_token listen=tcp:127.0.0.1:"));
    daemon_stop(&d);
}
END_TEST

/* Goal: a token that others could read or write, or that is none, is refused, and never logged. */
START_TEST(unsafe_token_files)
{
    char auth[256];
    snprintf(auth, sizeof auth, "token_file = \"%s\";", token_path);
    configure(auth);
    static const mode_t bad_modes[] = {0604, 0602, 0620, 0660, 0644, 0666};
    for (size_t i = 0; i < COUNT(bad_modes); i++) {
        write_token(TOKEN, bad_modes[i]);
        refuses_file("chmod 0640 or less");
    }
    write_token("short-secret-00", 0600);
    refuses_file("must hold 16 to 512 printable characters");
    ck_assert_ptr_null(strstr(daemon_log(&d), "short-secret"));
    write_token("a secret in several words", 0600);
    refuses_file("some of them others");
    ck_assert_ptr_null(strstr(daemon_log(&d), "secret in"));
    char longest[600];
    memset(longest, 'a', sizeof longest);
    longest[513] = '\0';
    write_token(longest, 0600);
    refuses_file("and has 513");
    unlink(token_path);
    refuses_file("cannot be read: No such file");
    ck_assert_int_eq(mkdir(token_path, 0700), 0);
    refuses_file("is no regular file");
    rmdir(token_path);
    longest[512] = '\0';
    write_token(longest, 0640);
    daemon_spawn(&d, listen_tcp);
    daemon_wait_ready(&d);
    daemon_stop(&d);
    if (!may_change_user("unsafe_token_files")) return;
    ck_assert_int_eq(chown(token_path, FX_OTHER, (gid_t)-1), 0);
    refuses_file("belongs to user 65533; it must be root's, or that of user 0");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokens");
    TCase *tests = tcase_create("tokens");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_right_token);
    tcase_add_test(tests, tokens_are_renewed);
    tcase_add_test(tests, tcp_may_more);
    tcase_add_test(tests, auth_on_a_unix_socket);
    tcase_add_test(tests, wrong_beginnings);
    tcase_add_test(tests, long_lines);
    tcase_add_loop_test(tests, the_deadline, 0, 2);
    tcase_add_test(tests, few_places);
    tcase_add_test(tests, wrong_ones_wait_alone);
    tcase_add_test(tests, leaving_frees_no_place);
    tcase_add_test(tests, drain_does_not_wait_for_them);
    tcase_add_test(tests, tcp_needs_a_token);
    tcase_add_test(tests, unsafe_token_files);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
