/* top and stats --watch as programs: against a scripted daemon that stops and comes back, and on a
 * terminal of their own. */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/clients/run_truekv.h"
#include "tests/support/check_main.h"

enum { PATIENCE_MS = 20000 };

#define STATS_AT(id, uptime, appends)                                                  \
    FAKE_ANSWER("server.stats", "{\"id\":" #id ",\"result\":{\"uptime_s\":" #uptime    \
                                ",\"append\":{\"requests\":" #appends ",\"tokens\":0," \
                                "\"bytes\":0},\"connections\":{\"open\":1}}}\n")
#define REFUSES(id, reason, code)                            \
    FAKE_ANSWER("server.stats",                              \
                "{\"id\":" #id ",\"error\":{\"code\":" #code \
                ",\"message\":\"not you\",\"data\":{\"reason\":\"" reason "\"}}}\n")
#define INFO_AT(id)                                                                          \
    FAKE_ANSWER("server.info", "{\"id\":" #id ",\"result\":{\"version\":\"9.8\",\"backend\"" \
                               ":\"cpu\",\"healthy\":true,\"models\":[]}}\n")
#define LIST_AT(id, params, result)                           \
    FAKE_ANSWER("\"method\":\"seq.list\",\"params\":" params, \
                "{\"id\":" #id ",\"result\":" result "}\n")
#define EMPTY "{\"seqs\":[]}"
#define LOOK_AT(id1, id2, id3, uptime, appends) \
    STATS_AT(id1, uptime, appends), INFO_AT(id2), LIST_AT(id3, "{\"limit\":500}", EMPTY)

/* ---- Through a pipe ------------------------------------------------------------------------- */

/* Goal: one row for each interval after the first answer; --count ends it. */
START_TEST(watch_rows)
{
    static const struct fake_step steps[] = {STATS_AT(1, 1, 0), STATS_AT(2, 2, 50),
                                             STATS_AT(3, 4, 250)};
    expect_with(steps, 3, "stats --watch --interval 0.1 --count 2", 0, " memory conn wrong\n");
    ck_assert_ptr_nonnull(strstr(output, "\n     50       0     0B "));
    ck_assert_ptr_nonnull(strstr(output, "\n    100       0     0B "));
    expect_with(steps, 3, "--json stats --watch --interval 0.1 --count 2", 0,
                "{\"uptime_s\":2,\"interval_s\":1,\"appends_per_second\":50,");
    ck_assert_ptr_nonnull(
        strstr(output, "}\n{\"uptime_s\":4,\"interval_s\":2,\"appends_per_second\":100,"));
}
END_TEST

/* Goal: a daemon that goes and comes back is waited for, and both are said, once each; rates begin
 * anew with the new daemon. A daemon that refuses for the moment is waited for, too. */
START_TEST(watch_goes_on)
{
    static const struct fake_step gone[] = {STATS_AT(1, 100, 5000), FAKE_TAKE("server.stats"),
                                            FAKE_RESTART(300), STATS_AT(1, 1, 10),
                                            STATS_AT(2, 2, 17)};
    static const struct fake_step drains[] = {STATS_AT(1, 100, 5000),
                                              REFUSES(2, "draining", -32008), FAKE_RESTART(300),
                                              STATS_AT(1, 1, 10), STATS_AT(2, 2, 17)};
    expect_with(gone, 5, "stats --watch --interval 0.1 --count 1", 0,
                "Lost: truekvd closed the connection; trying again.\nBack: connected again after ");
    ck_assert_ptr_nonnull(strstr(output, "\n      7       0     0B "));
    ck_assert_ptr_null(strstr(output, "No such file"));
    expect_with(gone, 5, "--json stats --watch --interval 0.1 --count 1", 0,
                "{\"event\":\"lost\",\"message\":\"truekvd closed the connection\"}\n"
                "{\"event\":\"back\"}\n{\"uptime_s\":2,\"interval_s\":1,\"appends_per_second\":7,");
    expect_with(drains, 5, "stats --watch --interval 0.1 --count 1", 0,
                "Lost: not you; trying again.\nBack:");
}
END_TEST

/* Goal: a daemon that will always say no, or that answers nonsense, ends it. */
START_TEST(views_end)
{
    static const struct fake_step no[] = {REFUSES(1, "permission_denied", -32009)};
    static const struct fake_step later[] = {STATS_AT(1, 1, 1),
                                             REFUSES(2, "permission_denied", -32009)};
    static const struct fake_step nonsense[] = {FAKE_ANSWER("server.stats", "HTTP/1.1 400\n")};
    expect_with(no, 1, "stats --watch", 1, "truekv: stats: not you (permission_denied)\n");
    expect_with(later, 2, "stats --watch --interval 0.1", 1, "not you (permission_denied)");
    expect_with(later, 2, "--json stats --watch --interval 0.1", 1, "{\"code\":-32009,");
    expect_with(no, 1, "top", 1, "truekv: top: not you (permission_denied)\n");
    expect_with(nonsense, 1, "top", 3, "truekv: top: the answer is no JSON object");
}
END_TEST

/* Goal: without a terminal top prints plain frames, an empty line between two of them. */
START_TEST(plain_frames)
{
    static const struct fake_step steps[] = {LOOK_AT(1, 2, 3, 1, 0), LOOK_AT(4, 5, 6, 2, 60)};
    expect_with(steps, 6, "top --interval 0.1 --count 2", 0, "truekvd 9.8  cpu  healthy  up 1 s");
    ck_assert_ptr_nonnull(strstr(output, "\nappends    -\n"));
    ck_assert_ptr_nonnull(strstr(output, "\n\ntruekvd 9.8  cpu  healthy  up 2 s"));
    ck_assert_ptr_nonnull(strstr(output, "\nappends    60/s  0 tokens/s  0 B/s\n"));
    ck_assert_ptr_null(strchr(output, '\033'));
    ck_assert_ptr_null(strstr(output, "q quits"));
}
END_TEST

/* Goal: sequences come page by page, one page a look, and from the start again at the end. */
START_TEST(pages_go_round)
{
    static const struct fake_step steps[] = {
        STATS_AT(1, 1, 0),
        INFO_AT(2),
        LIST_AT(3, "{\"limit\":500}", "{\"seqs\":[{\"seq\":70,\"len\":1}],\"cursor\":5}"),
        STATS_AT(4, 2, 0),
        INFO_AT(5),
        LIST_AT(6, "{\"cursor\":5,\"limit\":500}", "{\"seqs\":[{\"seq\":71,\"len\":1}]}"),
        STATS_AT(7, 3, 0),
        INFO_AT(8),
        LIST_AT(9, "{\"limit\":500}", "{\"seqs\":[{\"seq\":70,\"len\":1}],\"cursor\":5}"),
    };
    expect_with(steps, 9, "top --interval 0.1 --count 3", 0, "\n      70 ");
    ck_assert_ptr_nonnull(strstr(output, "\n      71 "));
}
END_TEST

/* ---- On a terminal -------------------------------------------------------------------------- */

struct terminal {
    int fd;
    pid_t child;
    struct termios before;
    char seen[1 << 16]; /* everything that was written */
    size_t n;
};

static void open_terminal(struct terminal *t, const char *options)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char line[512];
    memset(t, 0, sizeof *t);
    snprintf(line, sizeof line, "exec %s top --interval 0.1 %s", TRUEKV_PROGRAM, options);
    t->child = forkpty(&t->fd, NULL, NULL, &size);
    ck_assert_int_ge(t->child, 0);
    if (t->child == 0) {
        (void)setenv("TRUEKV_SOCKET", socket_path, 1);
        (void)setenv("TERM", "xterm", 1);
        (void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(tcgetattr(t->fd, &t->before), 0);
}

/* Reads until `text` has come after the first `from` bytes; where it stands then. */
static size_t await_text(struct terminal *t, size_t from, const char *text)
{
    struct pollfd p = {t->fd, POLLIN, 0};
    const char *found;
    while ((found = strstr(t->seen + from, text)) == NULL) {
        ck_assert_msg(poll(&p, 1, PATIENCE_MS) == 1, "no \"%s\" in: %s", text, t->seen + from);
        ssize_t n = read(t->fd, t->seen + t->n, sizeof t->seen - 1 - t->n);
        ck_assert_msg(n > 0, "it ended without \"%s\": %s", text, t->seen + from);
        t->n += (size_t)n;
        t->seen[t->n] = '\0';
    }
    return (size_t)(found - t->seen);
}

#define ENTERED "\033[?1049h\033[?25l\033[?7l"
#define LEFT    "\033[?7h\033[?25h\033[?1049l"

/* The program has ended, and the terminal is as it was. Its wait status. */
static int expect_restored(struct terminal *t, size_t from)
{
    int status;
    struct termios after;
    (void)await_text(t, from, LEFT);
    for (ssize_t n = 1; n > 0 && t->n + 1 < sizeof t->seen; t->n += n > 0 ? (size_t)n : 0)
        n = read(t->fd, t->seen + t->n, sizeof t->seen - 1 - t->n);
    ck_assert_int_eq(waitpid(t->child, &status, 0), t->child);
    ck_assert_int_eq(tcgetattr(t->fd, &after), 0);
    ck_assert_uint_eq(after.c_lflag, t->before.c_lflag);
    close(t->fd);
    return status;
}

static size_t start_top(struct terminal *t, const struct fake_step *steps, size_t n,
                        const char *options)
{
    fake_server_listen(&server, socket_path, steps, n);
    open_terminal(t, options);
    size_t at = await_text(t, 0, ENTERED);
    return await_text(t, at, "truekvd 9.8");
}

/* Goal: q, and Ctrl-C, end it with 0 and leave the terminal as it was; while it runs, keys are not
 * echoed, and a frame is drawn over the old one. */
START_TEST(quits)
{
    static const char *const keys[] = {"q", "xQ", "\003"};
    static const struct fake_step steps[] = {LOOK_AT(1, 2, 3, 1, 0), LOOK_AT(4, 5, 6, 2, 0),
                                             FAKE_TAKE("server.stats"), FAKE_TAKE("never")};
    static struct terminal t;
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct termios mode;
        size_t at = start_top(&t, steps, COUNT(steps), "");
        at = await_text(&t, at, "\033[K\033[J"); /* the end of a frame */
        at = await_text(&t, at, "\033[H");       /* the start of one over it */
        ck_assert_int_eq(tcgetattr(t.fd, &mode), 0);
        ck_assert_uint_eq(mode.c_lflag & (ICANON | ECHO), 0);
        ck_assert_int_eq(write(t.fd, keys[i], strlen(keys[i])), (ssize_t)strlen(keys[i]));
        int status = expect_restored(&t, at);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
        ck_assert_ptr_null(strstr(t.seen, "xQ"));
        fake_server_end(&server);
    }
}
END_TEST

/* Goal: also while the rest of an answer, or the next one, is waited for, which may take for ever.
 */
START_TEST(quits_in_mid_answer)
{
    static const struct fake_step silent[] = {LOOK_AT(1, 2, 3, 1, 0), STATS_AT(4, 2, 0),
                                              FAKE_TAKE("server.info"), FAKE_TAKE("never")};
    static const struct fake_step half[] = {LOOK_AT(1, 2, 3, 1, 0),
                                            FAKE_ANSWER("server.stats", "{\"id\":4,\"result\":"),
                                            FAKE_TAKE("never")};
    static struct terminal t;
    size_t at = _i == 0 ? start_top(&t, silent, COUNT(silent), "")
                        : start_top(&t, half, COUNT(half), "--timeout 0");
    usleep(300000); /* so that it waits */
    ck_assert_int_eq(write(t.fd, "q", 1), 1);
    int status = expect_restored(&t, at);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
    fake_server_end(&server);
}
END_TEST

/* Goal: signals that end a program end it, and not before the terminal is as it was. */
START_TEST(dies_tidily)
{
    static const int signals[] = {SIGTERM, SIGHUP, SIGQUIT};
    static const struct fake_step steps[] = {LOOK_AT(1, 2, 3, 1, 0), FAKE_TAKE("server.stats"),
                                             FAKE_TAKE("never")};
    static struct terminal t;
    for (size_t i = 0; i < COUNT(signals); i++) {
        size_t at = start_top(&t, steps, COUNT(steps), "");
        ck_assert_int_eq(kill(t.child, signals[i]), 0);
        int status = expect_restored(&t, at);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == signals[i], "%d", status);
        fake_server_end(&server);
    }
}
END_TEST

/* Goal: a new size is drawn at once, with what it has room for. */
START_TEST(sizes_change)
{
    static const struct fake_step steps[] = {LOOK_AT(1, 2, 3, 1, 0), FAKE_TAKE("server.stats"),
                                             FAKE_TAKE("never")};
    static struct terminal t;
    struct winsize small = {.ws_row = 3, .ws_col = 30};
    size_t at = start_top(&t, steps, COUNT(steps), "");
    at = await_text(&t, at, "busiest sequences");
    at = await_text(&t, at, "\033[J");
    ck_assert_int_eq(ioctl(t.fd, TIOCSWINSZ, &small), 0);
    at = await_text(&t, at, "\033[J\033[H");
    size_t end = await_text(&t, at + 6, "\033[J");
    t.seen[end] = '\0';
    ck_assert_ptr_null(strstr(t.seen + at, "busiest sequences"));
    ck_assert_ptr_nonnull(strstr(t.seen + at, "latency"));
    ck_assert_ptr_null(strstr(t.seen + at, "memory"));
    ck_assert_int_eq(write(t.fd, "q", 1), 1);
    (void)expect_restored(&t, end + 1 <= t.n ? end + 1 : end);
    fake_server_end(&server);
}
END_TEST

/* Goal: Ctrl-Z gives the terminal back, and SIGCONT takes it again. */
START_TEST(stops_and_goes_on)
{
    static const struct fake_step steps[] = {LOOK_AT(1, 2, 3, 1, 0), FAKE_TAKE("server.stats"),
                                             FAKE_TAKE("never")};
    static struct terminal t;
    int status;
    size_t at = start_top(&t, steps, COUNT(steps), "");
    ck_assert_int_eq(kill(t.child, SIGTSTP), 0);
    at = await_text(&t, at, LEFT);
    ck_assert_int_eq(waitpid(t.child, &status, WUNTRACED), t.child);
    ck_assert(WIFSTOPPED(status));
    ck_assert_int_eq(kill(t.child, SIGCONT), 0);
    at = await_text(&t, at, ENTERED);
    at = await_text(&t, at, "truekvd 9.8");
    ck_assert_int_eq(write(t.fd, "q", 1), 1);
    (void)expect_restored(&t, at);
    fake_server_end(&server);
}
END_TEST

/* Goal: a daemon that goes is said to be gone, keys work meanwhile, and one that comes back is said
 * to be back. */
START_TEST(daemon_restarts)
{
    static const struct fake_step steps[] = {LOOK_AT(1, 2, 3, 100, 0), FAKE_RESTART(300),
                                             LOOK_AT(1, 2, 3, 1, 0), FAKE_TAKE("server.stats"),
                                             FAKE_TAKE("never")};
    static struct terminal t;
    size_t at = start_top(&t, steps, COUNT(steps), "");
    at = await_text(&t, at, "NOT CONNECTED");
    at = await_text(&t, at, "; trying again.");
    at = await_text(&t, at, "Connected again ");
    at = await_text(&t, at, "appends");
    ck_assert_int_eq(write(t.fd, "q", 1), 1);
    (void)expect_restored(&t, at);
    fake_server_end(&server);
}
END_TEST

/* Goal: colours on a terminal, and none where NO_COLOR is set. */
START_TEST(no_color)
{
    static const struct fake_step steps[] = {LOOK_AT(1, 2, 3, 1, 0), FAKE_TAKE("server.stats"),
                                             FAKE_TAKE("never")};
    static struct terminal t;
    for (int i = 0; i < 2; i++) {
        if (i == 1)
            (void)setenv("NO_COLOR", "1", 1);
        else
            (void)unsetenv("NO_COLOR");
        size_t at = start_top(&t, steps, COUNT(steps), "");
        (void)await_text(&t, at, "\033[J");
        bool colored = strstr(t.seen, "\033[1;32mhealthy") != NULL;
        ck_assert(colored == (i == 0));
        ck_assert(i == 0 || strstr(t.seen, "  healthy  up 1 s") != NULL);
        ck_assert_int_eq(write(t.fd, "q", 1), 1);
        (void)expect_restored(&t, at);
        fake_server_end(&server);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("live");
    TCase *tc = tcase_create("live");
    tcase_set_timeout(tc, 60);
    if (!run_begin()) return EXIT_FAILURE;
    tcase_add_test(tc, watch_rows);
    tcase_add_test(tc, watch_goes_on);
    tcase_add_test(tc, views_end);
    tcase_add_test(tc, plain_frames);
    tcase_add_test(tc, pages_go_round);
    tcase_add_test(tc, quits);
    tcase_add_loop_test(tc, quits_in_mid_answer, 0, 2);
    tcase_add_test(tc, dies_tidily);
    tcase_add_test(tc, sizes_change);
    tcase_add_test(tc, stops_and_goes_on);
    tcase_add_test(tc, daemon_restarts);
    tcase_add_test(tc, no_color);
    suite_add_tcase(s, tc);
    int code = tkv_check_main(s);
    run_end();
    return code;
}
