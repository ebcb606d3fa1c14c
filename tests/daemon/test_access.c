/* The group auth of the configuration: what it takes, what it refuses, and where it says so. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "tests/support/check_main.h"

#define MODELS                                                                                \
    "models = ( { name = \"a\"; n_layers = 1; n_kv_heads = 1; head_dim = 8; dtype = \"f16\";" \
    " capacity = 4; } );\n"

static char path[32];
static char message[1024];
static struct tkv_config config;

static void setup(void)
{
    snprintf(path, sizeof path, "/tmp/tkv-access-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    tkv_config_init(&config);
}

static void teardown(void)
{
    tkv_config_close(&config);
    unlink(path);
}

/* The first line is the model's, the group auth begins in the second. */
static enum tkv_status load(struct tkv_config *into, const char *auth)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, MODELS "auth: {\n%s\n};\n", auth);
    fclose(file);
    return tkv_config_load(into, path, message, sizeof message);
}

/* Goal: users are numbers or names, in lists or arrays; a list that is absent is told from one that
 * is empty. */
START_TEST(users)
{
    uint32_t nobody = getpwnam("nobody")->pw_uid;
    ck_assert_msg(load(&config, "uids = ( 7, \"root\", 4294967294, \"nobody\" );\n"
                                "debug_uids = [ 1, 2, 3 ]; admin_uids = ();") == TKV_OK,
                  "%s", message);
    ck_assert(config.auth_uids.given && config.auth_uids.n == 4);
    ck_assert(tkv_users_have(&config.auth_uids, 7) && tkv_users_have(&config.auth_uids, 0));
    ck_assert(tkv_users_have(&config.auth_uids, UINT32_MAX - 1));
    ck_assert(tkv_users_have(&config.auth_uids, nobody));
    ck_assert(!tkv_users_have(&config.auth_uids, 8));
    ck_assert(tkv_users_have(&config.auth_debug_uids, 3));
    ck_assert(config.auth_admin_uids.given && config.auth_admin_uids.n == 0);
    ck_assert(!tkv_users_have(&config.auth_admin_uids, 0));
}
END_TEST

START_TEST(absent_users)
{
    ck_assert_int_eq(load(&config, ""), TKV_OK);
    ck_assert(!config.auth_uids.given && !config.auth_debug_uids.given);
    ck_assert(!config.auth_admin_uids.given);
    ck_assert_uint_eq(config.auth_socket_mode, 0660);
    ck_assert_ptr_null(config.auth_socket_group);
}
END_TEST

/* Goal: the longest list is taken, and none longer. */
START_TEST(long_lists)
{
    char text[8192] = "uids = [ 0";
    size_t n = strlen(text);
    for (int i = 1; i < TKV_USERS_MAX + (_i != 0); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %d", i);
    snprintf(text + n, sizeof text - n, " ];");
    ck_assert_int_eq(load(&config, text), _i == 0 ? TKV_OK : TKV_EINVAL);
    ck_assert_uint_eq(config.auth_uids.n, _i == 0 ? TKV_USERS_MAX : 0);
}
END_TEST

static const struct {
    const char *auth, *where, *what;
} bad[] = {
    {"uids = 7;", ":3: auth.uids:", "list of users"},
    {"uids = (\n0,\n-1 );", ":5: auth.uids:", "-1 is no user's number"},
    {"uids = (\n0,\n4294967295 );", ":5: auth.uids:", "4294967295 is no user's number"},
    {"uids = ( 1.5 );", ":3: auth.uids:", "name in quotes"},
    {"uids = ( true );", ":3: auth.uids:", "name in quotes"},
    {"uids = ( 0,\n\"nobody-of-that-name\" );", ":4: auth.uids:", "\"nobody-of-that-name\""},
    {"admin_uids = ( \"\" );", ":3: auth.admin_uids:", "no user \"\""},
    {"debug_uid = ();", ":3: auth.debug_uid:", "auth.debug_uids"},
    {"quotas = { user = 1; };", ":3: auth.quotas:", "must be a list"},
    {"quotas = (\n7 );", ":4: auth.quotas:", "must be a group"},
    {"quotas = (\n{ max_bytes = 1; } );", ":4: auth.quotas:", "user is missing"},
    {"quotas = (\n{ user = \"nobody-of-that-name\"; } );", ":4: auth.quotas:", "no user"},
    {"quotas = (\n{ user = 1;\nmax_sequence = 1; } );", ":5: auth.quotas:", "\"max_sequence\""},
    {"quotas = ( { user = 1; max_sequences = -1; } );", ":3: auth.quotas:", "a whole number"},
    {"quotas = ( { user = 1; max_sequences = \"1\"; } );", ":3: auth.quotas:", "a whole number"},
    {"quotas = ( { user = 1; max_sequences = 100000001; } );", ":3:", "100000000 at most"},
    {"quotas = ( { user = 1; max_bytes = \"1025T\"; } );", ":3: auth.quotas:", "1024T at most"},
    {"quotas = ( { user = 1; max_bytes = \"much\"; } );", ":3: auth.quotas:", "a size"},
    {"quotas = ( { user = 1; },\n{ user = 1; } );", ":4: auth.quotas:", "user 1 has one before"},
    {"quota_sequences = -1;", ":3: auth.quota_sequences:", "out of range"},
    {"token_file = 7;", ":3: auth.token_file:", "text in quotes"},
    {"deadline_ms = 1;", ":3: auth.deadline_ms:", "100 to 600000"},
    {"socket_mode = 660;", ":3: auth.socket_mode:", "octal digits in quotes"},
    {"socket_mode = \"0668\";", ":3: auth.socket_mode:", "no mode"},
    {"socket_mode = \"1777\";", ":3: auth.socket_mode:", "no mode"},
    {"socket_mode = \"\";", ":3: auth.socket_mode:", "no mode"},
    {"socket_group = \"no-such-group\";", ":3: auth.socket_group:", "no group \"no-such-group\""},
};

/* Goal: what is wrong is refused with file, line and key. */
START_TEST(bad_settings)
{
    ck_assert_int_eq(load(&config, bad[_i].auth), TKV_EINVAL);
    ck_assert_msg(strstr(message, bad[_i].where) != NULL, "%s: %s", bad[_i].auth, message);
    ck_assert_msg(strstr(message, bad[_i].what) != NULL, "%s: %s", bad[_i].auth, message);
    ck_assert_int_eq(strncmp(message, path, strlen(path)), 0);
}
END_TEST

/* Goal: quotas are taken whole; what a group leaves out is no limit. */
START_TEST(quotas)
{
    ck_assert_msg(load(&config,
                       "quotas = ( { user = \"root\"; max_sequences = 5; },\n"
                       "{ max_bytes = \"40G\"; user = 7; }, { user = 8; max_bytes = 9; } );"
                       "quota_bytes = \"1M\"; quota_sequences = 3;") == TKV_OK,
                  "%s", message);
    ck_assert_uint_eq(config.n_auth_quotas, 3);
    ck_assert(config.auth_quotas[0].uid == 0 && config.auth_quotas[0].max_sequences == 5);
    ck_assert(config.auth_quotas[0].max_bytes == 0 && config.auth_quotas[1].uid == 7);
    ck_assert_uint_eq(config.auth_quotas[1].max_bytes, UINT64_C(40) << 30);
    ck_assert_uint_eq(config.auth_quotas[2].max_bytes, 9);
    ck_assert_uint_eq(config.auth_quota_bytes, 1 << 20);
    ck_assert_uint_eq(config.auth_quota_sequences, 3);
}
END_TEST

/* Goal: a reload takes over the lists and says which are others; paths wait for a restart. */
START_TEST(reloads)
{
    static const char *const changed[] = {"auth.uids", "auth.debug_uids", "auth.admin_uids",
                                          "auth.quotas", "auth.tcp_debug"};
    struct tkv_config fresh;
    struct tkv_reload report;
    ck_assert_int_eq(load(&config, "uids = ( 1 ); debug_uids = (); tcp_debug = false;"
                                   "quotas = ( { user = 1; } );"),
                     TKV_OK);
    tkv_config_init(&fresh);
    ck_assert_int_eq(load(&fresh, "uids = ( 2 ); admin_uids = (); tcp_debug = true;"
                                  "quotas = ( { user = 1; max_bytes = 1; }, { user = 2; } );"
                                  "token_file = \"/token\";"),
                     TKV_OK);
    tkv_config_reload(&config, &fresh, &report);
    ck_assert_uint_eq(report.n_waiting, 1);
    ck_assert_str_eq(report.waiting[0], "auth.token_file");
    ck_assert_uint_eq(report.n_changed, 5);
    for (size_t i = 0; i < 5; i++)
        ck_assert_str_eq(report.changed[i], changed[i]);
    ck_assert(config.auth_tcp_debug && !tkv_users_have(&config.auth_uids, 1));
    ck_assert(tkv_users_have(&config.auth_uids, 2) && !config.auth_debug_uids.given);
    ck_assert(config.auth_admin_uids.given && config.auth_admin_uids.n == 0);
    ck_assert_uint_eq(config.n_auth_quotas, 2);
    ck_assert_uint_eq(config.auth_quotas[0].max_bytes, 1);
    tkv_config_reload(&config, &config, &report);
    ck_assert_uint_eq(report.n_waiting + report.n_changed, 0);
    tkv_config_close(&fresh);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access");
    TCase *tests = tcase_create("access");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, users);
    tcase_add_test(tests, absent_users);
    tcase_add_loop_test(tests, long_lists, 0, 2);
    tcase_add_loop_test(tests, bad_settings, 0, (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tests, quotas);
    tcase_add_test(tests, reloads);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
