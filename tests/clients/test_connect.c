#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clients/c/truekv.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void *answer_ping(void *arg)
{
    int fd = accept(*(int *)arg, NULL, NULL);
    char request[256];
    static const char answer[] = "{\"id\":1,\"result\":{}}\n";
    if (recv(fd, request, sizeof request, 0) > 0) (void)!write(fd, answer, sizeof answer - 1);
    close(fd);
    return NULL;
}

static void ping_at(const char *address, int listener)
{
    pthread_t thread;
    struct truekv *kv;
    struct truekv_error why;
    pthread_create(&thread, NULL, answer_ping, &listener);
    ck_assert_msg(truekv_open(&kv, address, NULL, &why) == TRUEKV_OK, "%s", why.message);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_OK);
    truekv_close(kv);
    pthread_join(thread, NULL);
}

/* Goal: the three forms of an address lead to a daemon. */
START_TEST(addresses)
{
    char dir[] = "/tmp/truekv-test-XXXXXX", text[128];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(un.sun_path, sizeof un.sun_path, "%s/s", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    ck_assert_int_eq(listen(fd, 4), 0);
    ping_at(un.sun_path, fd);
    snprintf(text, sizeof text, "unix:%s/s", dir);
    ping_at(text, fd);
    close(fd);
    unlink(un.sun_path);
    rmdir(dir);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(fd, 4), 0);
    getsockname(fd, (struct sockaddr *)&in, &size);
    snprintf(text, sizeof text, "tcp:127.0.0.1:%d", ntohs(in.sin_port));
    ping_at(text, fd);
    close(fd);
}
END_TEST

/* Goal: each way not to connect is said. */
START_TEST(addresses_that_lead_nowhere)
{
    static const struct {
        const char *address;
        enum truekv_status status;
        const char *message;
    } rows[] = {
        {"/nonexistent/s", TRUEKV_ECONNECT, "cannot connect to /nonexistent/s: No such file"},
        {"unix:/", TRUEKV_ECONNECT, "cannot connect to unix:/: "},
        {"unix:", TRUEKV_EARGUMENT, "must have 1 to 107 bytes"},
        {"tcp:127.0.0.1:1", TRUEKV_ECONNECT, "refused"},
        {"tcp:127.0.0.1", TRUEKV_EARGUMENT, "is not tcp:HOST:PORT"},
        {"tcp::1:80", TRUEKV_EARGUMENT, "is not tcp:HOST:PORT"},
        {"tcp:[]:80", TRUEKV_EARGUMENT, "is not tcp:HOST:PORT"},
        {"tcp:127.0.0.1:no-such-port", TRUEKV_ECONNECT, "cannot connect"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct truekv *kv = NULL;
        struct truekv_error why;
        ck_assert_int_eq(truekv_open(&kv, rows[i].address, NULL, &why), rows[i].status);
        ck_assert_ptr_null(kv);
        ck_assert_msg(strstr(why.message, rows[i].message) != NULL, "%s", why.message);
        ck_assert_int_eq(truekv_open(&kv, rows[i].address, NULL, NULL), rows[i].status);
    }
}
END_TEST

/* Goal: a Unix socket whose queue is full is tried again until the time is up. */
START_TEST(full_queue_times_out)
{
    char dir[] = "/tmp/truekv-test-XXXXXX";
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct truekv *kv[8], *none = NULL;
    struct truekv_error why;
    struct truekv_options options = {.connect_timeout_ms = 40};
    size_t n = 0;
    enum truekv_status st;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(un.sun_path, sizeof un.sun_path, "%s/s", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    while ((st = truekv_open(&none, un.sun_path, &options, &why)) == TRUEKV_OK && n < COUNT(kv))
        kv[n++] = none;
    ck_assert_int_eq(st, TRUEKV_ETIMEOUT);
    while (n > 0)
        truekv_close(kv[--n]);
    close(fd);
    unlink(un.sun_path);
    rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("connect");
    TCase *tc = tcase_create("connect");
    tcase_add_test(tc, addresses);
    tcase_add_test(tc, addresses_that_lead_nowhere);
    tcase_add_test(tc, full_queue_times_out);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
