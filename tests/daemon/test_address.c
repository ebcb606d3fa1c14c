#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/address.h"
#include "tests/support/check_main.h"

static char dir[32], name[64], message[512];

static const char *path_of(const char *address)
{
    return address + strlen("unix:");
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/tkv-address-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(name, sizeof name, "unix:%s/s", dir);
}

static void teardown(void)
{
    unlink(path_of(name));
    rmdir(dir);
}

/* Goal: addresses of both kinds, and what is none is refused with advice. */
START_TEST(parses)
{
    static const struct {
        const char *text, *host, *port; /* host NULL: refused */
    } cases[] = {
        {"tcp:127.0.0.1:7070", "127.0.0.1", "7070"},
        {"tcp:localhost:0", "localhost", "0"},
        {"tcp:[::1]:65535", "::1", "65535"},
        {"tcp:127.0.0.1", NULL, NULL},
        {"tcp:127.0.0.1:", NULL, NULL},
        {"tcp:127.0.0.1:65536", NULL, NULL},
        {"tcp:127.0.0.1:-1", NULL, NULL},
        {"tcp:127.0.0.1:80x", NULL, NULL},
        {"tcp:::1:80", NULL, NULL},
        {"tcp::80", NULL, NULL},
        {"tcp:[]:80", NULL, NULL},
        {"tcp:", NULL, NULL},
        {"unix:", NULL, NULL},
        {"unix:relative", NULL, NULL},
        {"/run/truekv.sock", NULL, NULL},
        {"", NULL, NULL},
    };
    struct tkv_address a;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        message[0] = '\0';
        enum tkv_status st = tkv_address_parse(&a, cases[i].text, message, sizeof message);
        ck_assert_msg((st == TKV_OK) == (cases[i].host != NULL), "%s", cases[i].text);
        if (st == TKV_OK) {
            ck_assert_str_eq(a.host, cases[i].host);
            ck_assert_str_eq(a.port, cases[i].port);
        } else {
            ck_assert_msg(strstr(message, "unix:") || strstr(message, "tcp:"), "%s", message);
        }
    }
    ck_assert_int_eq(tkv_address_parse(&a, "unix:/run/x", message, sizeof message), TKV_OK);
    ck_assert(a.is_unix);
    ck_assert_str_eq(a.path, "/run/x");
}
END_TEST

/* Goal: the longest path that the kernel takes is taken, one byte more is refused. */
START_TEST(path_length_is_checked)
{
    struct tkv_address a;
    char text[5 + TKV_PATH_MAX + 2] = "unix:/";
    memset(text + 6, 'x', TKV_PATH_MAX - 1);
    ck_assert_int_eq(tkv_address_parse(&a, text, message, sizeof message), TKV_OK);
    ck_assert_uint_eq(strlen(a.path), TKV_PATH_MAX);
    text[5 + TKV_PATH_MAX] = 'x';
    ck_assert_int_eq(tkv_address_parse(&a, text, message, sizeof message), TKV_EINVAL);
}
END_TEST

/* Goal: the file has its mode, a live socket is left alone, a dead one is replaced, and only the
 * file that is still ours is removed. */
START_TEST(unix_socket_files)
{
    struct tkv_listening first, second;
    struct stat st;
    ck_assert_int_eq(tkv_listening_open(&first, name, message, sizeof message), TKV_OK);
    ck_assert_int_eq(listen(first.fd, 1), 0);
    ck_assert_int_eq(stat(path_of(name), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);
    ck_assert_int_eq(tkv_listening_open(&second, name, message, sizeof message), TKV_EINTERNAL);
    ck_assert_ptr_nonnull(strstr(message, "in use"));

    unlink(path_of(name)); /* somebody else takes the path over */
    ck_assert_int_eq(tkv_listening_open(&second, name, message, sizeof message), TKV_OK);
    tkv_listening_remove(&first);
    ck_assert_int_eq(stat(path_of(name), &st), 0);
    close(first.fd);
    close(second.fd); /* as after kill -9 */

    ck_assert_int_eq(tkv_listening_open(&first, name, message, sizeof message), TKV_OK);
    tkv_listening_remove(&first);
    ck_assert_int_ne(stat(path_of(name), &st), 0);
    close(first.fd);
}
END_TEST

/* Goal: a file that is no socket is never removed. */
START_TEST(other_files_are_left_alone)
{
    struct tkv_listening l;
    struct stat st;
    FILE *file = fopen(path_of(name), "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    ck_assert_int_eq(tkv_listening_open(&l, name, message, sizeof message), TKV_EINTERNAL);
    ck_assert_int_eq(stat(path_of(name), &st), 0);
    ck_assert_int_eq(tkv_listening_open(&l, "unix:/nonexistent/s", message, sizeof message),
                     TKV_EINTERNAL);
    ck_assert_ptr_nonnull(strstr(message, "No such file"));
}
END_TEST

/* Goal: port 0 becomes the port that was given; a taken port is refused. */
START_TEST(tcp_sockets)
{
    struct tkv_listening first, second;
    ck_assert_int_eq(tkv_listening_open(&first, "tcp:127.0.0.1:0", message, sizeof message),
                     TKV_OK);
    ck_assert_int_eq(listen(first.fd, 1), 0);
    ck_assert_int_eq(strncmp(first.name, "tcp:127.0.0.1:", 14), 0);
    ck_assert_str_ne(first.name, "tcp:127.0.0.1:0");
    ck_assert_int_eq(tkv_listening_open(&second, first.name, message, sizeof message),
                     TKV_EINTERNAL);
    ck_assert_int_eq(tkv_listening_open(&second, "tcp:256.1.1.1:1", message, sizeof message),
                     TKV_EINTERNAL);
    close(first.fd);
}
END_TEST

/* Goal: a socket handed over is taken with its name, its file stays; anything else is refused. */
START_TEST(inherited_sockets)
{
    struct tkv_listening own, taken;
    struct stat st;
    int pair[2];
    ck_assert_int_eq(tkv_listening_open(&own, name, message, sizeof message), TKV_OK);
    ck_assert_int_eq(tkv_listening_inherit(&taken, own.fd, message, sizeof message), TKV_EINVAL);
    ck_assert_int_eq(listen(own.fd, 1), 0);
    ck_assert_int_eq(tkv_listening_inherit(&taken, own.fd, message, sizeof message), TKV_OK);
    ck_assert_str_eq(taken.name, name);
    tkv_listening_remove(&taken);
    ck_assert_int_eq(stat(path_of(name), &st), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(tkv_listening_inherit(&taken, pair[0], message, sizeof message), TKV_EINVAL);
    ck_assert_int_eq(tkv_listening_inherit(&taken, 0x7fff, message, sizeof message), TKV_EINVAL);
    close(pair[0]);
    close(pair[1]);
    close(own.fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tests = tcase_create("address");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, parses);
    tcase_add_test(tests, path_length_is_checked);
    tcase_add_test(tests, unix_socket_files);
    tcase_add_test(tests, other_files_are_left_alone);
    tcase_add_test(tests, tcp_sockets);
    tcase_add_test(tests, inherited_sockets);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
