/* Too many clients, and logs that nobody takes: service goes on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

#define MODELS "models = ( " FX_TINY " );\n"

enum {
    FILES = 300,  /* descriptors of the daemon in a storm, ... */
    SPARE = 128,  /* ... of which so many are not for clients */
    STORM = 500,  /* clients that come */
    IDLE = 10000, /* clients that stay and say nothing */
    IDLE_BYTES_MAX = 16 << 10
};

static struct daemon d;
static struct wire w;

static void start(const char *config, void (*in_child)(const struct daemon *d))
{
    daemon_init(&d, config);
    d.in_child = in_child;
    daemon_spawn(&d, NULL);
    daemon_wait_ready(&d);
    wire_open(&w, &d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
}

static void stop(void)
{
    wire_verify_ok(&w, false);
    wire_close(&w);
    daemon_stop(&d);
    daemon_close(&d);
}

static void append_one(void)
{
    char rows[FX_TINY_BYTES] = {1};
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,\"params\":"
               "{\"seqs\":[1]}}",
               FX_TINY_BYTES);
    wire_send(&w, rows, sizeof rows);
    cJSON *answer = wire_answer(&w);
    ck_assert_msg(json_at(answer, "result.lens") != NULL, "an append was refused");
    cJSON_Delete(answer);
}

/* --- connections ------------------------------------------------------------------------------ */

static void few_files(const struct daemon *daemon)
{
    struct rlimit limit = {FILES, FILES};
    (void)daemon;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(126);
}

/* What the daemon says to who has just come: 1 it serves, 0 it refuses in words, -1 it has closed.
 */
static int welcome(int fd)
{
    static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"server.ping\"}\n";
    char line[512];
    struct timeval patience = {.tv_sec = FX_WAIT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)send(fd, ping, sizeof ping - 1, MSG_NOSIGNAL);
    ssize_t n = recv(fd, line, sizeof line - 1, 0);
    ck_assert_msg(n >= 0 || errno == ECONNRESET || errno == EPIPE, "%s", strerror(errno));
    if (n <= 0) return -1;
    line[n] = '\0';
    if (strstr(line, "\"id\":7") != NULL) return 1;
    ck_assert_msg(strstr(line, "\"overloaded\"") != NULL, "%s", line);
    return 0;
}

/* Goal: when more come than there are descriptors for, they hear why, those who are there do not
 * notice, and when some have gone others are served. */
START_TEST(storms_are_weathered)
{
    static int fds[STORM];
    int served = 0, told = 0;
    start(MODELS, few_files);
    for (int i = 0; i < STORM; i++) {
        fds[i] = wire_connect(d.socket);
        int heard = fds[i] >= 0 ? welcome(fds[i]) : -1;
        served += heard == 1;
        told += heard == 0;
        if (heard != 1 && fds[i] >= 0) {
            close(fds[i]);
            fds[i] = -1;
        }
        if (i % 50 == 0) append_one();
    }
    ck_assert_int_eq(served, FILES - SPARE - 1); /* w is one, too */
    ck_assert_int_gt(told, 0);
    ck_assert(wire_stat(&w, "connections.refused") >= told);
    for (int i = 0; i < STORM; i++) {
        if (fds[i] >= 0) close(fds[i]);
    }
    wire_await_quiet(&w);
    int fd = wire_connect(d.socket);
    ck_assert_int_eq(welcome(fd), 1);
    close(fd);
    stop();
}
END_TEST

/* The limit under which the daemon can open so many more descriptors. */
static rlim_t limit_with_room(unsigned room)
{
    static bool used[1 << 16];
    char path[64];
    rlim_t limit = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)d.pid);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *one; (one = readdir(dir)) != NULL;)
        if (one->d_name[0] != '.') used[strtoul(one->d_name, NULL, 10)] = true;
    closedir(dir);
    for (; room > 0; limit++)
        room -= !used[limit];
    return limit;
}

/* Goal: where descriptors run out all the same, who comes hears the end, and does not wait for
 * ever; those who are there are served, and so is who comes when there are some again. Method: the
 * limit of the running daemon is lowered. */
START_TEST(descriptors_run_out)
{
    enum { ROOM = 2, COME = 40 };
    struct rlimit before, tight;
    int fds[COME], served = 0;
    start(MODELS, NULL);
    wire_await_quiet(&w);
    ck_assert_int_eq(prlimit(d.pid, RLIMIT_NOFILE, NULL, &before), 0);
    tight = (struct rlimit){limit_with_room(ROOM), before.rlim_max};
    ck_assert_int_eq(prlimit(d.pid, RLIMIT_NOFILE, &tight, NULL), 0);
    for (int i = 0; i < COME; i++) {
        fds[i] = wire_connect(d.socket);
        ck_assert_int_ge(fds[i], 0);
        served += welcome(fds[i]) == 1;
        append_one();
    }
    ck_assert_int_eq(served, ROOM);
    for (int i = 0; i < ROOM; i++)
        ck_assert_int_eq(welcome(fds[i]), 1);
    for (int i = 0; i < COME; i++)
        close(fds[i]);
    wire_await_quiet(&w);
    for (int i = 0; i < 2 * ROOM; i++) {
        if (i == ROOM) ck_assert_int_eq(prlimit(d.pid, RLIMIT_NOFILE, &before, NULL), 0);
        fds[i] = wire_connect(d.socket);
        ck_assert_int_eq(welcome(fds[i]), 1);
    }
    for (int i = 0; i < 2 * ROOM; i++)
        close(fds[i]);
    stop();
}
END_TEST

static size_t resident_bytes(void)
{
    return (size_t)wire_stat(&w, "process.rss_bytes");
}

/* Goal: ten thousand who say nothing cost little, and others are served among them. */
START_TEST(thousands_stay_idle)
{
    static int fds[IDLE];
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_msg(limit.rlim_cur > IDLE + 2 * SPARE, "ulimit -Hn %d is needed", IDLE + 2 * SPARE);
    start(MODELS "limits: { max_connections = 12000; };", NULL);
    size_t before = resident_bytes();
    for (int i = 0; i < IDLE; i++) {
        fds[i] = wire_connect(d.socket);
        ck_assert_int_ge(fds[i], 0);
        if (i % 1000 == 0) append_one();
    }
    while (wire_stat(&w, "connections.open") < IDLE + 1)
        usleep(10000);
    size_t each = (resident_bytes() - before) / IDLE;
    printf("an idle connection takes %zu bytes\n", each);
    ck_assert_uint_le(each, IDLE_BYTES_MAX);
    append_one();
    ck_assert_int_eq(welcome(fds[IDLE / 2]), 1);
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
    wire_await_quiet(&w);
    stop();
}
END_TEST

/* --- talkers ---------------------------------------------------------------------------------- */

enum { TALK_LINES = 2000, ROUNDS = 21 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How many of the requests that one client sends in one go are taken before that of another, who
 * comes a moment later, is. */
static double taken_before(struct wire *talker, const char *lines, size_t n)
{
    double before = wire_stat(&w, "requests.received");
    wire_send(talker, lines, n);
    double taken = wire_stat(&w, "requests.received") - before;
    for (int i = 0; i < TALK_LINES; i++)
        ck_assert_ptr_nonnull(wire_line(talker));
    return taken;
}

/* Goal: who asks for much at once gets a share of each turn; others do not wait for all of it.
 * Method: the median, for the system may stop us between the two. */
START_TEST(talkers_do_not_hold_others_up)
{
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.stats\"}\n";
    static char lines[TALK_LINES * (sizeof line - 1)];
    struct wire talker;
    double taken[ROUNDS];
    for (size_t i = 0; i < TALK_LINES; i++)
        memcpy(lines + i * (sizeof line - 1), line, sizeof line - 1);
    start(MODELS, NULL);
    wire_open(&talker, &d);
    for (int i = 0; i < ROUNDS; i++)
        taken[i] = taken_before(&talker, lines, sizeof lines);
    qsort(taken, ROUNDS, sizeof *taken, by_size);
    ck_assert_msg(taken[ROUNDS / 2] < TALK_LINES * 0.5, "%.0f requests", taken[ROUNDS / 2]);
    wire_close(&talker);
    stop();
}
END_TEST

/* --- logs ------------------------------------------------------------------------------------- */

static void log_to(int fd)
{
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void full_disk(const struct daemon *daemon)
{
    (void)daemon;
    log_to(open("/dev/full", O_WRONLY));
}

static void pipe_unread(const struct daemon *daemon)
{
    int ends[2];
    (void)daemon;
    if (pipe(ends) != 0) _exit(126);
    log_to(ends[1]); /* the other end stays open, in the daemon, and is never read */
}

static void pipe_closed(const struct daemon *daemon)
{
    int ends[2];
    (void)daemon;
    if (pipe(ends) != 0) _exit(126);
    close(ends[0]);
    log_to(ends[1]);
}

/* Goal: a full disk, a pipe that nobody reads, or one that is closed: logs are lost, nothing else.
 * Method: every connection is logged; more of them than a pipe holds. */
START_TEST(logs_may_be_lost)
{
    static void (*const places[])(const struct daemon *) = {full_disk, pipe_unread, pipe_closed};
    start(MODELS "log: { level = \"debug\"; };", places[_i]);
    for (int i = 0; i < 1000; i++) {
        int fd = wire_connect(d.socket);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(welcome(fd), 1);
        close(fd);
    }
    append_one();
    stop();
}
END_TEST

static void no_standard_files(const struct daemon *daemon)
{
    (void)daemon;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
}

/* Goal: a daemon that is started without descriptors 0 to 2 does not take them for others: what it
 * logs would go to a client, or to its own loop. */
START_TEST(standard_files_may_be_missing)
{
    start(MODELS "log: { level = \"debug\"; };", no_standard_files);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        char path[64], to[64] = "";
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)d.pid, fd);
        ck_assert_int_gt((int)readlink(path, to, sizeof to - 1), 0);
        ck_assert_str_eq(to, "/dev/null");
    }
    for (int i = 0; i < 100; i++) {
        int fd = wire_connect(d.socket);
        ck_assert_int_eq(welcome(fd), 1);
        close(fd);
    }
    append_one();
    stop();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("storms");
    TCase *tc = tcase_create("storms");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, storms_are_weathered);
    tcase_add_test(tc, descriptors_run_out);
    tcase_add_test(tc, thousands_stay_idle);
    tcase_add_test(tc, talkers_do_not_hold_others_up);
    tcase_add_loop_test(tc, logs_may_be_lost, 0, 3);
    tcase_add_test(tc, standard_files_may_be_missing);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
