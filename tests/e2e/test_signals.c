/* The daemon's start and end: command lines, configurations, signals, systemd. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

static const char config[] = "models = ( " FX_TINY " );\nlimits: { drain_ms = 100000; };\n";

static struct daemon d;
static struct wire w;

static void setup(void)
{
    daemon_init(&d, config);
    w = (struct wire){.fd = -1};
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

static void start(void)
{
    daemon_spawn(&d, NULL);
    daemon_wait_ready(&d);
    wire_open(&w, &d);
}

static void send_request(int id, const char *method, const char *params)
{
    wire_sendf(&w, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\",\"params\":%s}", id, method,
               params);
}

enum { LONG_WORKS = 4 };

/* Synthetic work of a second or so, to be under way when a signal comes: ids 100 and up. When this
 * returns it has begun. */
static void begin_long_work(void)
{
    for (int i = 0; i < LONG_WORKS; i++)
        send_request(100 + i, "debug.selftest",
                     "{\"m\":32,\"n_kv_heads\":8,\"head_dim\":128,\"capacity\":64,\"layers\":2}");
    send_request(2, "server.ping", "{}");
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "id", "2");
    cJSON_Delete(answer);
}

/* --- command line and configuration ----------------------------------------------------------- */

/* Goal: what is said at start-up, and the exit code, for command lines of every kind. */
START_TEST(command_lines)
{
    static const struct {
        const char *args[8];
        int code;
        const char *says;
    } cases[] = {
        {{"--version"}, 0, "truekvd "},
        {{"--help"}, 0, "batch.max_delay_us"},
        {{NULL}, 2, "--config"},
        {{"--bogus"}, 2, "--bogus"},
        {{"--config"}, 2, "--config"},
        {{"--config", "/nonexistent"}, 2, "/nonexistent"},
        {{"stray"}, 2, "stray"},
        {{"--config", "FILE", "--check-config"}, 0, "fine"},
        {{"--config", "FILE", "--check-config", "--backend", "tpu"}, 2, "auto, cuda or cpu"},
        {{"--config", "FILE", "--check-config", "--listen", "here"}, 2, "unix:PATH"},
        {{"--config", "FILE", "--backend", "cpu", "--listen", "unix:/nonexistent/s"},
         1,
         "No such file"},
    };
    d.plain = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *args[9] = {NULL};
        for (size_t k = 0; k < 8 && cases[i].args[k] != NULL; k++)
            args[k] = strcmp(cases[i].args[k], "FILE") == 0 ? d.config : cases[i].args[k];
        int code = daemon_run(&d, args);
        const char *log = daemon_log(&d);
        ck_assert_msg(code == cases[i].code, "case %zu: exit %d: %s", i, code, log);
        ck_assert_msg(strstr(log, cases[i].says) != NULL, "case %zu: %s", i, log);
    }
}
END_TEST

/* Goal: a bad configuration exits with 2 and says file, line, key and what would be right, with
 * --check-config and without. */
START_TEST(bad_configurations)
{
    static const struct {
        const char *text, *where, *right;
    } cases[] = {
        {"models = ( " FX_TINY " );\nbatch: { max_itmes = 4; };",
         ":2: batch.max_itmes:", "batch.max_items"},
        {"models = ( " FX_TINY " );\n\nbatch: { max_items = 0; };",
         ":3: batch.max_items:", "1 to 4096"},
        {"\nmodels = ( 3 );", ":2: models[0]:", "group"},
        {"listen = [ \"unix:x\" ];", ":1: listen:", "absolute"},
        {"models = (\n", ":2: ", "name = value;"},
    };
    static const char *const check[] = {"--check-config", NULL};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        daemon_configure(&d, cases[i / 2].text);
        int code = daemon_run(&d, i % 2 == 0 ? NULL : check);
        const char *log = daemon_log(&d);
        ck_assert_msg(code == 2, "exit %d: %s", code, log);
        ck_assert_ptr_nonnull(strstr(log, d.config));
        ck_assert_msg(strstr(log, cases[i / 2].where) && strstr(log, cases[i / 2].right), "%s",
                      log);
    }
}
END_TEST

/* Goal: without a GPU, "cuda" does not start, and says why. */
START_TEST(cuda_without_a_gpu)
{
    if (access("/dev/nvidiactl", F_OK) == 0) return;
    const char *const cuda[] = {"--backend", "cuda", NULL};
    ck_assert_int_eq(daemon_run(&d, cuda), 1);
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), "cuda"));
    const char *const automatic[] = {"--backend", "auto", NULL};
    daemon_spawn(&d, automatic);
    daemon_wait_ready(&d);
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), "backend_fallback"));
    daemon_stop(&d);
}
END_TEST

/* Goal: a second daemon does not take the socket of a living one; the socket of one that was killed
 * is taken. */
START_TEST(socket_files)
{
    struct stat st;
    start();
    ck_assert_int_eq(stat(d.socket, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);
    struct daemon second = d;
    ck_assert_int_eq(daemon_run(&second, NULL), 1);
    ck_assert_ptr_nonnull(strstr(daemon_log(&second), "in use"));
    wire_ok(&w, "server.ping", NULL);
    wire_close(&w);
    kill(d.pid, SIGKILL);
    ck_assert_int_eq(daemon_wait(&d), 128 + SIGKILL);
    ck_assert_int_eq(stat(d.socket, &st), 0);
    start();
    wire_ok(&w, "server.ping", NULL);
    daemon_stop(&d);
    ck_assert_int_ne(stat(d.socket, &st), 0);
}
END_TEST

/* --- signals ---------------------------------------------------------------------------------- */

/* Goal: everything that was sent before SIGTERM (or SIGINT) is answered: done, or draining. */
START_TEST(drain_answers_all)
{
    enum { REQUESTS = 2000 };
    start();
    send_request(1, "seq.create", "{\"seq\":1}");
    for (int i = 2; i <= REQUESTS; i++)
        send_request(i, i % 3 == 0 ? "debug.verify" : "seq.info",
                     i % 3 == 0 ? "{}" : "{\"seq\":1}");
    kill(d.pid, _i == 0 ? SIGTERM : SIGINT);
    bool seen[REQUESTS + 1] = {false};
    for (int i = 1; i <= REQUESTS; i++) {
        cJSON *answer = wire_answer(&w);
        int id = (int)json_number(answer, "id");
        ck_assert(id >= 1 && id <= REQUESTS && !seen[id]);
        seen[id] = true;
        const cJSON *reason = json_at(answer, "error.data.reason");
        ck_assert(reason == NULL || strcmp(reason->valuestring, "draining") == 0);
        cJSON_Delete(answer);
    }
    ck_assert_ptr_null(wire_line(&w));
    ck_assert_int_eq(daemon_wait(&d), 0);
}
END_TEST

/* Goal: while work is under way, what arrives after SIGTERM is refused as draining, nobody new gets
 * in, and the work is answered. */
START_TEST(drain_refuses_new_work)
{
    start();
    begin_long_work();
    kill(d.pid, SIGTERM);
    for (int fd; (fd = wire_connect(d.socket)) >= 0; usleep(1000))
        close(fd);
    send_request(3, "seq.create", "{\"seq\":1}");
    send_request(4, "server.ping", "{}");
    int refused = 0, pinged = 0, done = 0;
    for (int i = 0; i < LONG_WORKS + 2; i++) {
        cJSON *answer = wire_answer(&w);
        int id = (int)json_number(answer, "id");
        json_expect(answer, "error.code", id == 3 ? "-32008" : "");
        if (id >= 100) json_expect(answer, "result.ok", "true");
        refused += id == 3 && done < LONG_WORKS; /* while work was under way */
        pinged += id == 4;
        done += id >= 100;
        cJSON_Delete(answer);
    }
    ck_assert_int_eq(refused, 1);
    ck_assert_int_eq(pinged, 1);
    ck_assert_int_eq(done, LONG_WORKS);
    ck_assert_int_eq(daemon_wait(&d), 0);
}
END_TEST

static void *ask_on(void *arg)
{
    static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}\n";
    enum { BYTES = sizeof ping - 1, PINGS = 1000 };
    static char pings[PINGS * BYTES];
    for (size_t i = 0; i < PINGS; i++)
        memcpy(pings + i * BYTES, ping, BYTES);
    while (send(*(int *)arg, pings, sizeof pings, MSG_NOSIGNAL) > 0)
        continue;
    return NULL;
}

static void *listen_on(void *arg)
{
    static char answers[1 << 16];
    while (recv(*(int *)arg, answers, sizeof answers, 0) > 0)
        continue;
    return NULL;
}

/* Goal: who asks on and on, and reads the answers, does not hold up the end until patience ends,
 * which here is longer than a test may take. */
START_TEST(talkers_do_not_hold_up_the_end)
{
    pthread_t talker, listener;
    start();
    int fd = wire_connect(d.socket);
    ck_assert_int_eq(pthread_create(&talker, NULL, ask_on, &fd), 0);
    ck_assert_int_eq(pthread_create(&listener, NULL, listen_on, &fd), 0);
    while (wire_stat(&w, "requests.received") < 10000)
        usleep(1000);
    daemon_stop(&d);
    ck_assert_ptr_null(strstr(daemon_log(&d), "patience_ended"));
    pthread_join(talker, NULL);
    pthread_join(listener, NULL);
    close(fd);
}
END_TEST

/* Goal: patience has an end (exit 0), and a second signal ends it at once (exit 1). */
START_TEST(patience_ends)
{
    daemon_configure(&d,
                     _i == 0 ? "models = ( " FX_TINY " ); limits: { drain_ms = 100; };" : config);
    start();
    begin_long_work();
    kill(d.pid, SIGTERM);
    if (_i == 1) {
        while (strstr(daemon_log(&d), "draining") == NULL)
            usleep(1000);
        kill(d.pid, SIGTERM);
    }
    ck_assert_int_eq(daemon_wait(&d), _i == 0 ? 0 : 1);
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), _i == 0 ? "patience_ended" : "a second signal"));
}
END_TEST

/* --- systemd ---------------------------------------------------------------------------------- */

static int handed_over = -1;

/* What systemd does for a socket unit: descriptor 3, and two variables. */
static void hand_over(const struct daemon *daemon)
{
    char pid[16];
    (void)daemon;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    if (handed_over == 3)
        fcntl(3, F_SETFD, 0);
    else
        dup2(handed_over, 3);
}

/* Goal: a socket of a socket unit is served, beside our own, and its file stays at the end. */
START_TEST(socket_activation)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;
    snprintf(at.sun_path, sizeof at.sun_path, "%s/unit", d.dir);
    handed_over = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(handed_over, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(handed_over, 8), 0);
    d.in_child = hand_over;
    start();
    wire_ok(&w, "server.ping", NULL);
    wire_close(&w);
    w.fd = wire_connect(at.sun_path);
    ck_assert_int_ge(w.fd, 0);
    wire_ok(&w, "server.ping", NULL);
    daemon_stop(&d);
    ck_assert_int_eq(stat(at.sun_path, &st), 0);
    close(handed_over);
    unlink(at.sun_path);
}
END_TEST

/* The next datagram that holds `want`; those before it are skipped. */
static void expect_notice(int fd, const char *want)
{
    char text[2048];
    for (;;) {
        ssize_t n = recv(fd, text, sizeof text - 1, 0);
        ck_assert_msg(n > 0, "no %s", want);
        text[n] = '\0';
        if (strstr(text, want) != NULL) return;
    }
}

/* Goal: systemd hears READY when the socket can be reached, that the daemon lives, what it does,
 * when it reloads, and STOPPING. */
START_TEST(notifications)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 20};
    snprintf(at.sun_path, sizeof at.sun_path, "%s/notify", d.dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setenv("NOTIFY_SOCKET", at.sun_path, 1);
    setenv("WATCHDOG_USEC", "100000", 1);
    daemon_spawn(&d, NULL);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    expect_notice(fd, "READY=1");
    wire_open(&w, &d); /* at once */
    wire_ok(&w, "server.ping", NULL);
    expect_notice(fd, "WATCHDOG=1");
    expect_notice(fd, "WATCHDOG=1");
    expect_notice(fd, "STATUS=serving 0 sequences to 1 clients; caches take 0 B of ");
    kill(d.pid, SIGHUP);
    expect_notice(fd, "RELOADING=1\nMONOTONIC_USEC=");
    expect_notice(fd, "READY=1");
    kill(d.pid, SIGTERM);
    expect_notice(fd, "STOPPING=1");
    ck_assert_int_eq(daemon_wait(&d), 0);
    close(fd);
    unlink(at.sun_path);
}
END_TEST

/* --- TCP -------------------------------------------------------------------------------------- */

/* Goal: TCP carries the same protocol. Method: the port is read from the log. */
START_TEST(tcp)
{
    const char *const extra[] = {"--listen", "tcp:127.0.0.1:0", NULL};
    char text[512];
    snprintf(text, sizeof text, "%sauth: { tcp_without_token = true; };\n", config);
    daemon_configure(&d, text);
    daemon_spawn(&d, extra);
    daemon_wait_ready(&d);
    const char *at = NULL;
    for (int i = 0; i < 1000 && at == NULL; i++) {
        at = strstr(daemon_log(&d), "tcp:127.0.0.1:");
        usleep(1000);
    }
    ck_assert_ptr_nonnull(at);
    w.fd = wire_connect_tcp((uint16_t)strtoul(at + strlen("tcp:127.0.0.1:"), NULL, 10));
    wire_ok(&w, "server.ping", NULL);
    /* an error at the end of a stream arrives, though bytes behind it stay unread */
    char nonsense[100000];
    memset(nonsense, 'x', sizeof nonsense);
    wire_sendf(&w, "{\"payload\":");
    wire_try_send(&w, nonsense, sizeof nonsense);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "error.data.reason", "\"parse_error\"");
    cJSON_Delete(answer);
    ck_assert_ptr_null(wire_line(&w));
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signals");
    TCase *tests = tcase_create("signals");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, command_lines);
    tcase_add_test(tests, bad_configurations);
    tcase_add_test(tests, cuda_without_a_gpu);
    tcase_add_test(tests, socket_files);
    tcase_add_loop_test(tests, drain_answers_all, 0, 2);
    tcase_add_test(tests, drain_refuses_new_work);
    tcase_add_test(tests, talkers_do_not_hold_up_the_end);
    tcase_add_loop_test(tests, patience_ends, 0, 2);
    tcase_add_test(tests, socket_activation);
    tcase_add_test(tests, notifications);
    tcase_add_test(tests, tcp);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
