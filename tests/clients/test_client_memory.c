#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/clients/fake_server.h"
#include "tests/clients/tls_peer.h"
#include "tests/support/check_main.h"

/* Allocations of the client are counted, and the one numbered fail_at fails; the link line puts
 * these in the place of malloc and its kin. */
static long count, fail_at;
static pthread_t under_test;
static bool counting;
static struct peer peer;

static bool fails(void)
{
    if (!counting || !pthread_equal(pthread_self(), under_test)) return false;
    return ++count == fail_at;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

static enum truekv_status read_rows(struct truekv *kv)
{
    struct truekv_read read = {.seq = 1};
    struct truekv_rows rows;
    return truekv_seq_read(kv, &read, NULL, 0, &rows);
}

/* An error with items; without memory for them it has none, and is the same error. */
static enum truekv_status truncate_in_vain(struct truekv *kv)
{
    enum truekv_status st = truekv_seq_truncate(kv, 1, 2, NULL);
    bool whole = truekv_error(kv)->n_items == 1 && truekv_error(kv)->json != NULL;
    if (st == TRUEKV_EPOS) return whole ? TRUEKV_OK : TRUEKV_ENOMEM;
    return st;
}

static enum truekv_status list(struct truekv *kv)
{
    struct truekv_page page;
    return truekv_seq_list(kv, NULL, 0, &page);
}

static const struct {
    enum truekv_status (*call)(struct truekv *);
    struct fake_step step;
} calls[] = {
    {read_rows, FAKE_ANSWER("seq.read", "{\"id\":1,\"result\":{\"shape\":[1,2,1,1,1],\"dtype\":"
                                        "\"f16\"},\"payload\":4}\nabcd")},
    {truncate_in_vain,
     FAKE_ANSWER("seq.truncate",
                 "{\"id\":1,\"error\":{\"code\":-32002,\"message\":\"m\",\"data\":{\"reason\":"
                 "\"position_mismatch\",\"items\":[{\"index\":0,\"seq\":1,\"reason\":"
                 "\"draining\"}]}}}\n")},
    {list, FAKE_ANSWER("seq.list", "{\"id\":1,\"result\":{\"seqs\":[{\"seq\":1,\"len\":1}]}}\n")},
};

/* Opens a client and makes the call, with the allocation numbered fail_at failing. */
static enum truekv_status attempt(size_t i)
{
    struct truekv *kv = NULL;
    fake_server_start(&server, &calls[i].step, 1);
    count = 0;
    counting = true;
    enum truekv_status st = truekv_open_fd(&kv, server.peer, NULL);
    if (st == TRUEKV_OK) st = calls[i].call(kv);
    counting = false;
    if (kv == NULL) close(server.peer);
    truekv_close(kv);
    pthread_join(server.thread, NULL);
    return st;
}

/* Goal: whichever allocation fails, the call says so, nothing leaks and nothing crashes. Method:
 * the first, second, ... fails, until none is left to fail. (cJSON's own are out of reach here.) */
START_TEST(every_allocation_fails_in_turn)
{
    under_test = pthread_self();
    for (size_t i = 0; i < COUNT(calls); i++) {
        fail_at = 0;
        ck_assert_int_eq(attempt(i), TRUEKV_OK);
        long all = count;
        ck_assert_int_ge(all, 5);
        for (fail_at = 1; fail_at <= all; fail_at++)
            ck_assert_int_eq(attempt(i), TRUEKV_ENOMEM);
    }
}
END_TEST

/* The client may have gone before it takes the answer. */
static void answer_ping(struct peer *p, SSL *ssl)
{
    static const char answer[] = "{\"id\":1,\"result\":{}}\n";
    char line[256];
    (void)p;
    if (peer_line(ssl, line, sizeof line)) (void)peer_write(ssl, answer, sizeof answer - 1);
    (void)peer_line(ssl, line, sizeof line);
}

static enum truekv_status attempt_by_tls(void)
{
    struct truekv *kv = NULL;
    struct truekv_options o = {.tls_ca_file = peer_certificate};
    peer_open(&peer, answer_ping);
    peer_run(&peer);
    count = 0;
    counting = true;
    enum truekv_status st = truekv_open(&kv, peer.address, &o, NULL);
    if (st == TRUEKV_OK) st = truekv_server_ping(kv);
    counting = false;
    truekv_close(kv);
    shutdown(peer.listener, SHUT_RDWR); /* wakes it where nobody came */
    peer_close(&peer);
    return st;
}

/* Goal: the same with TLS. (OpenSSL's own are out of reach here, too.) */
START_TEST(every_allocation_fails_in_turn_with_tls)
{
    under_test = pthread_self();
    fail_at = 0;
    ck_assert_int_eq(attempt_by_tls(), TRUEKV_OK);
    long all = count;
    ck_assert_int_ge(all, 5);
    for (fail_at = 1; fail_at <= all; fail_at++)
        ck_assert_int_eq(attempt_by_tls(), TRUEKV_ENOMEM);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client_memory");
    TCase *tc = tcase_create("client_memory");
    tcase_add_unchecked_fixture(tc, peer_begin, peer_end);
    tcase_add_test(tc, every_allocation_fails_in_turn);
    tcase_add_test(tc, every_allocation_fails_in_turn_with_tls);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
