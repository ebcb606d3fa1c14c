/* Who may connect to a Unix socket, and who may call what. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/e2e/identity.h"
#include "tests/support/check_main.h"

#define MODELS "models = ( " FX_TINY " );\n"

static struct daemon d;
static struct wire w, other;

static void setup(void)
{
    daemon_init(&d, MODELS);
    open_folder(&d);
    w.fd = other.fd = -1;
}

static void teardown(void)
{
    wire_close(&w);
    wire_close(&other);
    daemon_close(&d);
}

static void configure(const char *auth)
{
    char text[1024];
    snprintf(text, sizeof text, MODELS "auth: { %s };\n", auth);
    daemon_configure(&d, text);
}

static void start(const char *auth)
{
    configure(auth);
    daemon_spawn(&d, NULL);
    daemon_wait_ready(&d);
    wire_open(&w, &d);
}

static unsigned mode_of_socket(gid_t *gid)
{
    struct stat st;
    ck_assert_int_eq(stat(d.socket, &st), 0);
    *gid = st.st_gid;
    return st.st_mode & 07777u;
}

/* Goal: the socket's file has the mode and the group of the configuration. */
START_TEST(modes_and_groups)
{
    gid_t gid;
    const struct group *tty = getgrnam("tty");
    start("");
    ck_assert_uint_eq(mode_of_socket(&gid), 0660);
    ck_assert_uint_eq(gid, getegid());
    daemon_stop(&d);
    wire_close(&w);
    bool root = may_change_user("modes_and_groups") && tty != NULL;
    start(root ? "socket_mode = \"0600\"; socket_group = \"tty\";" : "socket_mode = \"600\";");
    ck_assert_uint_eq(mode_of_socket(&gid), 0600);
    ck_assert_uint_eq(gid, root ? tty->gr_gid : getegid());
    daemon_stop(&d);
}
END_TEST

/* Goal: the mode is what keeps others out, where auth.uids does not say. */
START_TEST(modes_keep_out)
{
    if (!may_change_user("modes_keep_out")) return;
    start("");
    ck_assert_int_lt(connect_as(&d, FX_STRANGER), 0);
    ck_assert_int_eq(errno, EACCES);
    daemon_stop(&d);
    wire_close(&w);
    start("socket_mode = \"0666\";");
    open_as(&other, &d, FX_STRANGER);
    wire_ok(&other, "server.ping", NULL);
    daemon_stop(&d);
}
END_TEST

/* Goal: the log knows who connected. */
START_TEST(peers_are_logged)
{
    char wanted[FX_PATH_MAX + 96];
    start("");
    wire_ok(&w, "admin.log_level", "{\"level\":\"debug\"}");
    wire_open(&other, &d);
    wire_ok(&other, "server.ping", NULL);
    snprintf(wanted, sizeof wanted, " listen=unix:%s uid=%u gid=%u pid=%d", d.socket, geteuid(),
             getegid(), getpid());
    ck_assert_msg(strstr(daemon_log(&d), wanted) != NULL, "no %s in %s", wanted, daemon_log(&d));
    daemon_stop(&d);
}
END_TEST

/* Goal: with auth.uids only those connect; others hear why, are counted and logged. */
START_TEST(users_are_let_in)
{
    if (!may_change_user("users_are_let_in")) return;
    start("socket_mode = \"0666\"; uids = ( \"root\", 65533 );");
    open_as(&other, &d, FX_OTHER);
    wire_ok(&other, "seq.create", "{\"seq\":1}");
    wire_close(&other);
    ck_assert(closed_as(&w, "unauthenticated") == 0);
    for (int i = 1; i <= 3; i++) {
        open_as(&other, &d, FX_STRANGER);
        wire_try_send(&other, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.create\"}\n", 47);
        expect_turned_away(&other, "\"permission_denied\"");
        wire_close(&other);
    }
    while (closed_as(&w, "unauthenticated") < 3)
        usleep(1000);
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), "connection_denied id="));
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), " uid=65534 gid=65534 pid="));
    cJSON *list = wire_call(&w, "seq.list", NULL);
    ck_assert_int_eq(cJSON_GetArraySize(json_at(list, "result.seqs")), 1);
    cJSON_Delete(list);
    daemon_stop(&d);
}
END_TEST

/* Goal: who may connect changes with a reload, for those who are yet to come. */
START_TEST(users_are_reloaded)
{
    struct wire late;
    if (!may_change_user("users_are_reloaded")) return;
    start("socket_mode = \"0666\"; uids = ( \"root\", 65533 );");
    open_as(&other, &d, FX_OTHER);
    configure("socket_mode = \"0666\"; uids = ( \"root\" ); debug_uids = ( \"root\" );");
    wire_ok(&other, "debug.verify", NULL);
    wire_ok(&w, "admin.reload", NULL);
    wire_ok(&other, "server.ping", NULL);
    wire_refused(&other, "debug.verify", NULL, "permission_denied");
    open_as(&late, &d, FX_OTHER);
    expect_turned_away(&late, "\"permission_denied\"");
    wire_close(&late);
    daemon_stop(&d);
}
END_TEST

/* Goal: an empty list is not the same as none: nobody connects. */
START_TEST(empty_lists_let_nobody_in)
{
    daemon_configure(&d, MODELS "auth: { uids = (); };\n");
    daemon_spawn(&d, NULL);
    daemon_wait_ready(&d); /* which only connects */
    wire_open(&w, &d);
    expect_turned_away(&w, "\"permission_denied\"");
    kill(d.pid, SIGTERM);
    ck_assert_int_eq(daemon_wait(&d), 0);
}
END_TEST

/* Goal: those turned away do not take the places of clients, however many come. */
START_TEST(many_are_turned_away)
{
    enum { MANY = 300 };
    static int fds[MANY];
    if (!may_change_user("many_are_turned_away")) return;
    start("socket_mode = \"0666\"; uids = ( 0 );");
    for (int i = 0; i < MANY; i++)
        fds[i] = connect_as(&d, FX_STRANGER);
    wire_ok(&w, "server.ping", NULL);
    wire_open(&other, &d);
    wire_ok(&other, "server.ping", NULL);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    while (closed_as(&w, "unauthenticated") < MANY)
        usleep(1000);
    cJSON *stats = wire_call(&w, "server.stats", NULL);
    json_expect(stats, "result.connections.open", "2");
    cJSON_Delete(stats);
    daemon_stop(&d);
}
END_TEST

static const char *const debug_calls[][2] = {{"debug.verify", NULL},
                                             {"debug.last", NULL},
                                             {"debug.scrub", NULL},
                                             {"debug.selftest", "{\"m\":1}"}};
static const char *const admin_calls[][2] = {{"admin.log_level", "{\"level\":\"info\"}"},
                                             {"admin.reload", NULL}};

static void expect_all(struct wire *wire, bool debug, bool admin)
{
    for (size_t i = 0; i < sizeof debug_calls / sizeof debug_calls[0]; i++) {
        if (debug)
            wire_ok(wire, debug_calls[i][0], debug_calls[i][1]);
        else
            wire_refused(wire, debug_calls[i][0], debug_calls[i][1], "permission_denied");
    }
    for (size_t i = 0; i < sizeof admin_calls / sizeof admin_calls[0]; i++) {
        if (admin)
            wire_ok(wire, admin_calls[i][0], admin_calls[i][1]);
        else
            wire_refused(wire, admin_calls[i][0], admin_calls[i][1], "permission_denied");
    }
    wire_ok(wire, "seq.list", NULL);
}

/* Goal: without lists, debug.* is for all who connect, admin.* for root and the daemon's user. */
START_TEST(methods_by_default)
{
    start("socket_mode = \"0666\";");
    expect_all(&w, true, true);
    if (may_change_user("methods_by_default")) {
        open_as(&other, &d, FX_STRANGER);
        expect_all(&other, true, false);
        wire_refused(&other, "admin.drain", NULL, "permission_denied");
    }
    daemon_stop(&d);
}
END_TEST

/* Goal: lists say who else, and that root is not among them. An array of requests is no way
 * around. */
START_TEST(methods_by_list)
{
    if (!may_change_user("methods_by_list")) return;
    start("socket_mode = \"0666\"; debug_uids = [ 65533 ]; admin_uids = [ 65534 ];");
    expect_all(&w, false, false);
    open_as(&other, &d, FX_STRANGER);
    expect_all(&other, false, true);
    wire_close(&other);
    open_as(&other, &d, FX_OTHER);
    expect_all(&other, true, false);
    wire_sendf(&other, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"admin.drain\"}]");
    cJSON *answer = wire_answer(&other);
    json_expect(answer, "[0].error.data.reason", "\"permission_denied\"");
    cJSON_Delete(answer);
    wire_sendf(&other, "{\"jsonrpc\":\"2.0\",\"method\":\"admin.drain\"}");
    wire_ok(&other, "seq.create", NULL);
    daemon_stop(&d);
}
END_TEST

static void become_stranger(const struct daemon *daemon)
{
    (void)daemon;
    if (setegid(FX_STRANGER) != 0 || setgid(FX_STRANGER) != 0 || setuid(FX_STRANGER) != 0)
        _exit(126);
}

/* Goal: the daemon's own user may administer it, also where that is not root; root may, too. */
START_TEST(the_daemons_user)
{
    if (!may_change_user("the_daemons_user")) return;
    ck_assert_int_eq(chown(d.dir, FX_STRANGER, FX_STRANGER), 0);
    ck_assert_int_eq(chmod(d.config, 0644), 0);
    d.in_child = become_stranger;
    start("socket_mode = \"0666\";");
    expect_all(&w, true, true);
    open_as(&other, &d, FX_STRANGER);
    expect_all(&other, true, true);
    wire_close(&other);
    open_as(&other, &d, FX_OTHER);
    expect_all(&other, true, false);
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access");
    TCase *tests = tcase_create("access");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, modes_and_groups);
    tcase_add_test(tests, modes_keep_out);
    tcase_add_test(tests, peers_are_logged);
    tcase_add_test(tests, users_are_let_in);
    tcase_add_test(tests, users_are_reloaded);
    tcase_add_test(tests, empty_lists_let_nobody_in);
    tcase_add_test(tests, many_are_turned_away);
    tcase_add_test(tests, methods_by_default);
    tcase_add_test(tests, methods_by_list);
    tcase_add_test(tests, the_daemons_user);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
