#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients/c/truekv.h"
#include "tests/clients/tls_peer.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
enum { PAYLOAD_MAX = 1 << 20 };

static struct peer peer;

static struct truekv_options trusting(void)
{
    return (struct truekv_options){.tls_ca_file = peer_certificate};
}

static struct truekv *connect_with(const struct truekv_options *o)
{
    struct truekv *kv = NULL;
    struct truekv_error why;
    peer_run(&peer);
    ck_assert_msg(truekv_open(&kv, peer.address, o, &why) == TRUEKV_OK, "%s", why.message);
    return kv;
}

static struct truekv *start(void (*serve)(struct peer *p, SSL *ssl))
{
    struct truekv_options o = trusting();
    peer_open(&peer, serve);
    return connect_with(&o);
}

static void finish(struct truekv *kv)
{
    truekv_close(kv);
    peer_close(&peer);
    ck_assert_uint_eq(ERR_peek_error(), 0); /* this thread's, which may use OpenSSL itself */
}

/* Sends every payload back, and takes its time over none. */
static void echo(struct peer *p, SSL *ssl)
{
    static uint8_t bytes[PAYLOAD_MAX];
    char line[512], answer[128];
    (void)p;
    while (peer_line(ssl, line, sizeof line)) {
        size_t n = peer_number(line, "\"payload\":");
        ck_assert_uint_le(n, sizeof bytes);
        if (!peer_read(ssl, bytes, n)) return;
        if (strstr(line, "\"rekey\"") != NULL) SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
        snprintf(answer, sizeof answer, "{\"id\":%zu,\"result\":{},\"payload\":%zu}\n",
                 peer_number(line, "\"id\":"), n);
        if (!peer_write(ssl, answer, strlen(answer)) || (n > 0 && !peer_write(ssl, bytes, n)))
            return;
    }
}

static void fill(uint8_t *bytes, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

/* Sends n_each payloads of `bytes` bytes, all in flight at once, and compares what comes back; half
 * of it into memory of the client's. */
static void send_round(struct truekv *kv, const char *method, size_t n_each, size_t bytes)
{
    uint8_t *sent = malloc(n_each * bytes), *back = malloc(n_each * bytes);
    uint64_t *tickets = calloc(n_each, sizeof *tickets);
    ck_assert(sent != NULL && back != NULL && tickets != NULL);
    fill(sent, n_each * bytes, (uint32_t)bytes);
    for (size_t i = 0; i < n_each; i++) {
        struct truekv_block block = {sent + i * bytes, bytes};
        struct truekv_request r = {
            .method = method, .blocks = &block, .n_blocks = 1, .into_bytes = bytes};
        r.into = i % 2 == 0 ? back + i * bytes : NULL;
        enum truekv_status st = truekv_submit(kv, &r, &tickets[i]);
        ck_assert_msg(st == TRUEKV_OK, "%s", truekv_error(kv)->message);
    }
    for (size_t i = 0; i < n_each; i++) {
        struct truekv_answer answer;
        enum truekv_status st = truekv_wait(kv, tickets[i], &answer);
        ck_assert_msg(st == TRUEKV_OK, "%s", truekv_error(kv)->message);
        ck_assert_uint_eq(answer.payload_bytes, bytes);
        ck_assert_mem_eq(answer.payload, sent + i * bytes, bytes);
    }
    free(sent);
    free(back);
    free(tickets);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* Goal: payloads of all sizes, many in flight, come back as they went, by TLS 1.2 and 1.3.
 * Method: the peer writes while the client does; with small sockets both find them full. */
START_TEST(both_ways_at_once)
{
    static const size_t sizes[] = {1, 31, 1000, 16383, 16384, 16385, 100001, PAYLOAD_MAX};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct truekv_options o = trusting();
        peer_open(&peer, echo);
        SSL_CTX_set_max_proto_version(peer.ctx, versions[v]);
        struct truekv *kv = connect_with(&o);
        for (size_t i = 0; i < COUNT(sizes); i++)
            send_round(kv, "echo", sizes[i] < 20000 ? 300 : 24, sizes[i]);
        finish(kv);
        ck_assert_str_eq(peer.server_name, ""); /* an address is no name */
    }
}
END_TEST

/* Goal: both sides may change their keys at any time: then receiving has to send.
 * Method: the peer asks for it with every answer, while the socket is full. */
START_TEST(keys_change)
{
    struct truekv *kv = start(echo);
    send_round(kv, "rekey", 40, 100000);
    send_round(kv, "rekey", 300, 10);
    send_round(kv, "echo", 4, PAYLOAD_MAX);
    finish(kv);
}
END_TEST

/* Goal: a payload in thousands of pieces of odd sizes, empty ones too, is one payload. */
START_TEST(many_pieces)
{
    enum { PIECES = 5000 };
    static uint8_t bytes[PAYLOAD_MAX];
    static struct truekv_block blocks[PIECES];
    size_t at = 0;
    fill(bytes, sizeof bytes, 5);
    for (size_t i = 0; i < PIECES; i++) {
        size_t n = i % 700 == 699 ? 40000 : i % 50;
        blocks[i] = (struct truekv_block){bytes + at, n};
        at += n;
    }
    ck_assert_uint_lt(at, sizeof bytes);
    struct truekv *kv = start(echo);
    struct truekv_request r = {.method = "echo", .blocks = blocks, .n_blocks = PIECES};
    for (int i = 0; i < 8; i++) {
        struct truekv_answer answer;
        ck_assert_int_eq(truekv_call(kv, &r, &answer), TRUEKV_OK);
        ck_assert_uint_eq(answer.payload_bytes, at);
        ck_assert_mem_eq(answer.payload, bytes, at);
    }
    finish(kv);
}
END_TEST

static void answer_three_in_one(struct peer *p, SSL *ssl)
{
    char line[512];
    (void)p;
    for (int i = 0; i < 3; i++)
        ck_assert(peer_line(ssl, line, sizeof line));
    peer_say(ssl, "{\"id\":1,\"result\":{},\"payload\":5}\nHello{\"id\":2,\"result\":{}}\n"
                  "{\"id\":3,\"result\":{}}\n");
    (void)peer_line(ssl, line, sizeof line);
}

/* Goal: what came in one record with an awaited answer needs no more bytes from the socket, also
 * where the record ends up in two places. */
START_TEST(answers_in_one_record)
{
    char hello[5];
    uint64_t tickets[3];
    struct truekv_request r = {.method = "x", .into = hello, .into_bytes = sizeof hello};
    struct truekv *kv = start(answer_three_in_one);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(truekv_submit(kv, &r, &tickets[i]), TRUEKV_OK);
    struct pollfd p = {.fd = truekv_fd(kv), .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
    truekv_set_timeout(kv, 10000);
    ck_assert_int_eq(truekv_wait(kv, tickets[0], NULL), TRUEKV_OK);
    ck_assert_mem_eq(hello, "Hello", 5);
    truekv_set_timeout(kv, 1);
    for (int i = 1; i < 3; i++)
        ck_assert_int_eq(truekv_wait(kv, tickets[i], NULL), TRUEKV_OK);
    finish(kv);
}
END_TEST

static void speak_first(struct peer *p, SSL *ssl)
{
    char line[512];
    (void)p;
    peer_say(ssl, "{\"id\":null,\"error\":{\"code\":-32005,\"message\":\"full\",\"data\":"
                  "{\"reason\":\"overloaded\"}}}\n");
    (void)peer_line(ssl, line, sizeof line);
}

/* Goal: what the daemon says with the end of the handshake is heard. */
START_TEST(a_peer_that_speaks_first)
{
    struct truekv *kv = start(speak_first);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_EOVERLOADED);
    ck_assert_str_eq(truekv_error(kv)->message, "full");
    finish(kv);
}
END_TEST

/* ---- Ends ------------------------------------------------------------------------------------ */

static void end_half_way(struct peer *p, SSL *ssl)
{
    char line[512];
    (void)p;
    ck_assert(peer_line(ssl, line, sizeof line));
    peer_say(ssl, "{\"id\":1,\"result\":{},\"payload\":100}\nhalf");
    if (strstr(line, "\"well\"") != NULL) SSL_shutdown(ssl);
}

/* Goal: an answer that is cut is an error, with the notice of an end and without. */
START_TEST(cut_in_the_middle)
{
    static const struct {
        const char *method, *message;
    } rows[] = {
        {"well", "truekvd closed the connection in the middle of an answer"},
        {"cut", "in the middle of an answer: it ended without the notice that TLS wants"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct truekv_request r = {.method = rows[i].method};
        struct truekv_answer answer = {.json = NULL};
        struct truekv *kv = start(end_half_way);
        ck_assert_int_eq(truekv_call(kv, &r, &answer), TRUEKV_ELOST);
        ck_assert_msg(strstr(truekv_error(kv)->message, rows[i].message) != NULL, "%s",
                      truekv_error(kv)->message);
        ck_assert_ptr_null(answer.json);
        ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_ELOST);
        finish(kv);
    }
}
END_TEST

static void reset_at_once(struct peer *p, SSL *ssl)
{
    struct linger now = {1, 0};
    (void)ssl;
    (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* Goal: a reset is an error of the call, and never a signal, which would end this program. */
START_TEST(no_signal)
{
    static uint8_t bytes[PAYLOAD_MAX];
    struct truekv_block block = {bytes, sizeof bytes};
    struct truekv_request r = {.method = "x", .blocks = &block, .n_blocks = 1};
    uint64_t ticket;
    for (int i = 0; i < 10; i++) {
        struct truekv *kv = start(reset_at_once);
        enum truekv_status st = TRUEKV_OK;
        for (int n = 0; st == TRUEKV_OK && n < 1000; n++)
            st = truekv_submit(kv, &r, &ticket);
        ck_assert_int_eq(st, TRUEKV_ELOST);
        finish(kv);
    }
}
END_TEST

static void be_late(struct peer *p, SSL *ssl)
{
    char line[512];
    (void)p;
    ck_assert(peer_line(ssl, line, sizeof line));
    ck_assert(peer_line(ssl, line, sizeof line));
    peer_say(ssl, "{\"id\":1,\"result\":{}}\n{\"id\":2,\"result\":{}}\n");
    (void)peer_line(ssl, line, sizeof line);
}

/* Goal: a call without an answer ends when its time is up, and the connection serves the next. */
START_TEST(late_answers)
{
    struct truekv *kv = start(be_late);
    truekv_set_timeout(kv, 20);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_ETIMEOUT);
    truekv_set_timeout(kv, 10000);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_OK);
    finish(kv);
}
END_TEST

static int over[2]; /* a pipe that says so by its end */

static void never_read(struct peer *p, SSL *ssl)
{
    char byte;
    (void)p;
    (void)ssl;
    (void)!read(over[0], &byte, 1);
}

/* Goal: a peer that takes no bytes does not hold the client for ever. */
START_TEST(nobody_reads)
{
    static uint8_t bytes[PAYLOAD_MAX];
    struct truekv_block block = {bytes, sizeof bytes};
    struct truekv_request r = {.method = "x", .blocks = &block, .n_blocks = 1};
    uint64_t ticket;
    enum truekv_status st = TRUEKV_OK;
    ck_assert_int_eq(pipe(over), 0);
    struct truekv *kv = start(never_read);
    truekv_set_timeout(kv, 50);
    while (st == TRUEKV_OK)
        st = truekv_submit(kv, &r, &ticket);
    ck_assert_int_eq(st, TRUEKV_ETIMEOUT);
    ck_assert(strstr(truekv_error(kv)->message, "took no bytes") != NULL);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_ETIMEOUT); /* it is lost for that reason */
    close(over[1]);
    finish(kv);
    close(over[0]);
}
END_TEST

/* Goal: a listener that never shakes hands costs connect_timeout_ms, not more. */
START_TEST(nobody_shakes_hands)
{
    struct truekv *kv = NULL;
    struct truekv_error why;
    struct truekv_options o = trusting();
    o.connect_timeout_ms = 50;
    peer_open(&peer, echo);
    ck_assert_int_eq(truekv_open(&kv, peer.address, &o, &why), TRUEKV_ETIMEOUT);
    ck_assert(strstr(why.message, "did not finish the TLS handshake in time") != NULL);
    ck_assert_ptr_null(kv);
    peer_run(&peer); /* takes what is left of that connection */
    peer_close(&peer);
    ck_assert(!peer.shaken);
}
END_TEST

/* ---- Whom it believes ------------------------------------------------------------------------ */

static void refused(const struct truekv_options *o, const char *message)
{
    struct truekv *kv = NULL;
    struct truekv_error why;
    peer_run(&peer);
    ck_assert_int_eq(truekv_open(&kv, peer.address, o, &why), TRUEKV_ECONNECT);
    ck_assert_ptr_null(kv);
    ck_assert_int_eq(why.os_error, EPROTO);
    ck_assert_msg(strstr(why.message, message) != NULL, "%s", why.message);
    peer_close(&peer);
    ck_assert(!peer.shaken);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

/* Goal: only a certificate that is trusted, for the name that is meant, by a protocol that is
 * safe.*/
START_TEST(refusals)
{
    struct truekv_options o = trusting();
    o.tls_ca_file = peer_other;
    peer_open(&peer, echo);
    refused(&o, "certificate verify failed: self-signed certificate");
    ck_assert_str_eq(peer.server_name, "");
    o = trusting();
    for (const char *const *name =
             (const char *const[]){"other.example", "peer", "localhos", "a.localhost", NULL};
         *name != NULL; name++) {
        o.tls_name = *name;
        peer_open(&peer, echo);
        refused(&o, "certificate verify failed: hostname mismatch");
        ck_assert_str_eq(peer.server_name, *name);
    }
    o.tls_name = "127.0.0.2";
    peer_open(&peer, echo);
    refused(&o, "certificate verify failed: IP address mismatch");
    ck_assert_str_eq(peer.server_name, "");
    o = trusting();
    peer_open(&peer, echo);
    SSL_CTX_set_cipher_list(peer.ctx, "ALL:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(peer.ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(peer.ctx, TLS1_1_VERSION);
    refused(&o, "protocol");
}
END_TEST

/* Goal: a name that the certificate has will do, whatever the address. */
START_TEST(another_name)
{
    struct truekv_options o = trusting();
    o.tls_name = "localhost";
    peer_open(&peer, echo);
    struct truekv *kv = connect_with(&o);
    send_round(kv, "echo", 1, 1);
    finish(kv);
    ck_assert_str_eq(peer.server_name, "localhost");
}
END_TEST

static const char *plain_answer; /* of the next peer without TLS */

static void *answer_plainly(void *arg)
{
    struct peer *p = arg;
    char hello[4096];
    int fd = accept(p->listener, NULL, NULL);
    if (recv(fd, hello, sizeof hello, 0) > 0)
        (void)!send(fd, plain_answer, 7 + strcspn(plain_answer + 7, "\n"), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (recv(fd, hello, sizeof hello, 0) > 0)
        continue;
    close(fd);
    return NULL;
}

static enum truekv_status ping(const struct truekv_options *o, struct truekv_error *why)
{
    struct truekv *kv = NULL;
    enum truekv_status st = truekv_open(&kv, peer.address, o, why);
    if (st != TRUEKV_OK) return st;
    st = truekv_server_ping(kv);
    *why = *truekv_error(kv);
    truekv_close(kv);
    return st;
}

/* Goal: TLS to a port without, and the other way round, is said in words.
 * Method: what a daemon without TLS answers to a first message, and the alerts of one with it,
 * a newline in the last one. */
START_TEST(only_one_speaks_tls)
{
    static const struct {
        const char *answer;
        bool tls; /* of the client */
        enum truekv_status status;
        const char *message;
    } rows[] = {
        {"{\"id\":null,\"error\":{}}\n", true, TRUEKV_ECONNECT, "does not speak TLS"},
        {"HTTP/1.1 400 Bad Request\n", true, TRUEKV_ECONNECT, "does not speak TLS"},
        {"\x15\x03\x01\0\x02\x02\x46", false, TRUEKV_EANSWER, "truekvd speaks TLS there"},
        {"\x15\x03\x03\0\x02\x02\x0a", false, TRUEKV_EANSWER, "truekvd speaks TLS there"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct truekv_error why;
        struct truekv_options o = trusting();
        if (!rows[i].tls) o.tls_ca_file = NULL;
        peer_open(&peer, echo);
        plain_answer = rows[i].answer;
        ck_assert_int_eq(pthread_create(&peer.thread, NULL, answer_plainly, &peer), 0);
        ck_assert_int_eq(ping(&o, &why), rows[i].status);
        ck_assert_msg(strstr(why.message, rows[i].message) != NULL, "%s", why.message);
        peer_close(&peer);
    }
}
END_TEST

/* Goal: OpenSSL hangs up on a line of JSON without a word; that is a lost connection. */
START_TEST(a_line_to_tls)
{
    struct truekv_error why;
    peer_open(&peer, echo);
    peer_run(&peer);
    enum truekv_status st = ping(NULL, &why);
    ck_assert_msg(st == TRUEKV_ELOST || st == TRUEKV_EANSWER, "%s", why.message);
    peer_close(&peer);
    ck_assert(!peer.shaken);
}
END_TEST

/* Goal: what cannot be is refused before a connection is made. */
START_TEST(options_that_cannot_be)
{
    static const char nowhere[] = "tcp:127.0.0.1:1";
    char empty[] = "";
    const struct {
        const char *address;
        struct truekv_options o;
        const char *message;
    } rows[] = {
        {"/run/s", {.tls_ca_file = peer_certificate}, "TLS is for tcp:HOST:PORT"},
        {"unix:/s", {.tls_ca_file = peer_certificate}, "TLS is for tcp:HOST:PORT"},
        {"tcp:x", {.tls_ca_file = peer_certificate}, "TLS is for tcp:HOST:PORT"},
        {nowhere, {.tls_name = "x"}, "(tls_ca_file)"},
        {nowhere, {.tls_certificate_file = peer_certificate}, "(tls_ca_file)"},
        {nowhere, {.tls_ca_file = "/none"}, "from \"/none\": No such file"},
        {nowhere, {.tls_ca_file = empty}, "cannot take the certificates to trust from \"\""},
        {nowhere, {.tls_ca_file = peer_key}, "cannot take the certificates to trust from"},
        {nowhere, {.tls_ca_file = "/dev/null"}, "cannot take the certificates to trust from"},
        {nowhere, {.tls_ca_file = peer_certificate, .tls_name = empty}, "name"},
        {nowhere, {.tls_ca_file = peer_certificate, .tls_key_file = peer_key}, "needs its"},
        {nowhere,
         {.tls_ca_file = peer_certificate, .tls_certificate_file = "/none"},
         "client's certificate from \"/none\": No such file"},
        {nowhere,
         {.tls_ca_file = peer_certificate, .tls_certificate_file = peer_certificate},
         "cannot take the client's key"},
        {nowhere,
         {.tls_ca_file = peer_certificate,
          .tls_certificate_file = peer_other,
          .tls_key_file = peer_key},
         "mismatch"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct truekv *kv = NULL;
        struct truekv_error why;
        ck_assert_int_eq(truekv_open(&kv, rows[i].address, &rows[i].o, &why), TRUEKV_EARGUMENT);
        ck_assert_ptr_null(kv);
        ck_assert_msg(strstr(why.message, rows[i].message) != NULL, "%zu: %s", i, why.message);
        ck_assert_int_eq(truekv_open_fd(&kv, 0, &rows[i].o), TRUEKV_EARGUMENT);
        ck_assert_uint_eq(ERR_peek_error(), 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls");
    TCase *tc = tcase_create("tls");
    tcase_add_unchecked_fixture(tc, peer_begin, peer_end);
    tcase_add_test(tc, both_ways_at_once);
    tcase_add_test(tc, keys_change);
    tcase_add_test(tc, many_pieces);
    tcase_add_test(tc, answers_in_one_record);
    tcase_add_test(tc, a_peer_that_speaks_first);
    tcase_add_test(tc, cut_in_the_middle);
    tcase_add_test(tc, no_signal);
    tcase_add_test(tc, late_answers);
    tcase_add_test(tc, nobody_reads);
    tcase_add_test(tc, nobody_shakes_hands);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, another_name);
    tcase_add_test(tc, only_one_speaks_tls);
    tcase_add_test(tc, a_line_to_tls);
    tcase_add_test(tc, options_that_cannot_be);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
