/* Clients that ask for more than they read: they wait, others do not, and nothing is lost. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

/* Sequences of 1M; 128K of answers may be unread. */
static const char config[] = "models = ( { name = \"m\"; n_layers = 4; n_kv_heads = 8;"
                             " head_dim = 128; dtype = \"f16\"; capacity = 64; } );\n"
                             "limits: { output_bytes = \"128K\"; };\n";
enum { SEQ_BYTES = 4 * 2 * 8 * 64 * 128 * 2, OUTPUT_BYTES = 128 * 1024 };

static struct daemon d;
static struct wire w;

static void setup(void)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

/* A full sequence whose bytes count up. */
static unsigned char *fill_sequence(void)
{
    unsigned char *bytes = malloc(SEQ_BYTES);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < SEQ_BYTES; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,"
               "\"params\":{\"seqs\":[1],\"tokens\":64}}",
               SEQ_BYTES);
    wire_send(&w, bytes, SEQ_BYTES);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "result.lens", "[64]");
    cJSON_Delete(answer);
    return bytes;
}

/* Goal: many large answers asked for at once all come, whole, though only a few may be unread at a
 * time; meanwhile others are served and the daemon holds little. */
START_TEST(pipelined_reads_wait)
{
    enum { READS = 40 };
    struct wire slow;
    unsigned char *want = fill_sequence(), *got = malloc(SEQ_BYTES);
    wire_open(&slow, &d);
    for (int i = 0; i < READS; i++)
        wire_sendf(&slow,
                   "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"seq.read\",\"params\":"
                   "{\"seq\":1}}",
                   i);
    usleep(200000);
    wire_ok(&w, "server.ping", NULL);
    cJSON *stats = wire_call(&w, "server.stats", NULL);
    double staging = json_number(stats, "result.memory.staging_bytes");
    ck_assert_msg(staging <= 3 * SEQ_BYTES, "%f bytes of staging are held", staging);
    cJSON_Delete(stats);
    for (int i = 0; i < READS; i++) {
        cJSON *answer = wire_answer(&slow);
        ck_assert_int_eq((int)json_number(answer, "id"), i);
        ck_assert_int_eq((int)json_number(answer, "payload"), SEQ_BYTES);
        cJSON_Delete(answer);
        wire_bytes(&slow, got, SEQ_BYTES);
        ck_assert_mem_eq(got, want, SEQ_BYTES);
    }
    wire_close(&slow);
    free(got);
    free(want);
    wire_verify_ok(&w, true);
    daemon_stop(&d);
}
END_TEST

/* Goal: a burst of large reads behind a small one takes the daemon by surprise: what would be too
 * much is refused as overloaded, the rest comes whole, and the connection lives. */
START_TEST(surprising_reads_are_refused)
{
    enum { READS = 16 };
    struct wire slow;
    unsigned char *want = fill_sequence(), *got = malloc(SEQ_BYTES);
    wire_open(&slow, &d);
    cJSON *answer =
        wire_call(&slow, "seq.read", "{\"seq\":1,\"tokens\":1,\"encoding\":\"base64\"}");
    ck_assert_ptr_nonnull(json_at(answer, "result.data.base64"));
    cJSON_Delete(answer);
    char burst[READS * 96]; /* in one piece: the daemon must have all before it answers the first */
    size_t n = 0;
    for (int i = 0; i < READS; i++)
        n += (size_t)snprintf(burst + n, sizeof burst - n,
                              "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"seq.read\",\"params\":"
                              "{\"seq\":1}}\n",
                              i);
    wire_send(&slow, burst, n);
    usleep(100000);
    int whole = 0;
    for (int i = 0; i < READS; i++) {
        answer = wire_answer(&slow);
        if (json_at(answer, "result") == NULL) {
            json_expect(answer, "error.data.reason", "\"overloaded\"");
        } else {
            wire_bytes(&slow, got, SEQ_BYTES);
            ck_assert_mem_eq(got, want, SEQ_BYTES);
            whole++;
        }
        cJSON_Delete(answer);
    }
    ck_assert_int_gt(whole, 0);
    ck_assert_int_lt(whole, READS);
    wire_ok(&slow, "server.ping", NULL);
    wire_close(&slow);
    free(got);
    free(want);
    daemon_stop(&d);
}
END_TEST

/* Sends bytes as far as they go without waiting for longer than a moment; returns how many went. */
static size_t send_until_full(int fd, const char *bytes, size_t n)
{
    size_t sent = 0;
    for (int idle = 0; sent < n && idle < 50;) {
        ssize_t now = send(fd, bytes + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (now > 0) {
            sent += (size_t)now;
            idle = 0;
        } else {
            ck_assert_int_eq(errno, EAGAIN);
            usleep(10000);
            idle++;
        }
    }
    return sent;
}

/* Goal: who never reads is not read for ever either; once it reads, every request is answered. */
START_TEST(requests_wait_for_their_reader)
{
    static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.info\"}\n";
    enum { PING_BYTES = sizeof ping - 1, PINGS = 40000 };
    struct wire slow;
    char *all = malloc((size_t)PINGS * PING_BYTES);
    for (size_t i = 0; i < PINGS; i++)
        memcpy(all + i * PING_BYTES, ping, PING_BYTES);
    wire_open(&slow, &d);
    size_t sent = send_until_full(slow.fd, all, (size_t)PINGS * PING_BYTES);
    ck_assert_msg(sent < (size_t)PINGS * PING_BYTES, "all was read though no answer was");
    wire_ok(&w, "server.ping", NULL);
    wire_shut(&slow);
    size_t answers = 0;
    for (const char *line; (line = wire_line(&slow)) != NULL; answers++)
        ck_assert_ptr_nonnull(strstr(line, "\"result\""));
    ck_assert_uint_eq(answers, sent / PING_BYTES);
    wire_close(&slow);
    free(all);
    daemon_stop(&d);
}
END_TEST

/* Goal: who has asked for more than may be unread, and does not read it, is closed for that reason;
 * others do not notice, and nothing of it stays. Method: requests that are all under way before the
 * first is answered, which takes a while. */
START_TEST(closed_past_the_last_mark)
{
    enum { ASKED = 100 };
    struct wire slow;
    char burst[ASKED * 160];
    size_t n = 0, whole = 0;
    wire_close(&w);
    daemon_stop(&d);
    daemon_close(&d);
    daemon_start(&d, "models = ( " FX_TINY " );\n"
                     "limits: { output_bytes = \"64K\"; max_payload_bytes = \"64K\"; };\n");
    wire_open(&w, &d);
    wire_open(&slow, &d);
    for (int i = 0; i < ASKED; i++)
        n += (size_t)snprintf(burst + n, sizeof burst - n,
                              "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"debug.selftest\","
                              "\"params\":{\"m\":64,\"n_kv_heads\":1,\"head_dim\":%d,"
                              "\"capacity\":1024}}\n",
                              i, i == 0 ? 256 : 1);
    wire_send(&slow, burst, n);
    wire_await_stat(&w, "closed.slow_reader", 1);
    ck_assert_ptr_nonnull(strstr(daemon_log(&d), "why=\"it does not read its answers\""));
    for (const char *line; (line = wire_line(&slow)) != NULL; whole++)
        ck_assert_ptr_nonnull(strstr(line, "\"result\""));
    ck_assert_uint_lt(whole, ASKED);
    wire_close(&slow);
    wire_await_stat(&w, "connections.open", 1);
    wire_await_stat(&w, "memory.staging_bytes", 0);
    daemon_stop(&d);
}
END_TEST

/* Goal: a client that dies with answers unread leaves nothing behind. */
START_TEST(readers_that_die)
{
    free(fill_sequence());
    for (int i = 0; i < 20; i++) {
        struct wire dying;
        wire_open(&dying, &d);
        for (int k = 0; k < i; k++)
            wire_sendf(&dying, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.read\",\"params\":"
                               "{\"seq\":1}}");
        if (i % 2 == 0) ck_assert_ptr_nonnull(i > 0 ? wire_line(&dying) : "");
        wire_close(&dying);
    }
    wire_await_quiet(&w);
    wire_verify_ok(&w, true);
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slow_clients");
    TCase *tests = tcase_create("slow_clients");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, pipelined_reads_wait);
    tcase_add_test(tests, surprising_reads_are_refused);
    tcase_add_test(tests, requests_wait_for_their_reader);
    tcase_add_test(tests, closed_past_the_last_mark);
    tcase_add_test(tests, readers_that_die);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
