/* Clients that die while the device works for them: what was accepted is done all the same, and is
 * answered to nobody. Method: the server in a thread of this process, on a device that gives
 * nothing back until the client is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/held_server.h"
#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

enum { ROW_BYTES = 4 * 2 * 8 * 128 * 2, TOKENS = 4 };

static struct held_server h;
static struct wire w, dying;

static void setup(void)
{
    held_init(&h);
    held_start(&h);
    wire_open(&w, &h.d);
    wire_open(&dying, &h.d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    wire_ok(&dying, "seq.create", "{\"seq\":2,\"on_disconnect\":\"free\"}");
}

static void teardown(void)
{
    wire_close(&w);
    wire_close(&dying);
    held_close(&h);
}

static void fill_rows(unsigned char *rows, unsigned seq, unsigned token)
{
    for (size_t i = 0; i < ROW_BYTES; i++)
        rows[i] = (unsigned char)(seq * 31 + token * 7 + i * 5 + (i >> 8));
}

static void send_append(struct wire *from, unsigned seq, unsigned token)
{
    static unsigned char rows[ROW_BYTES];
    fill_rows(rows, seq, token);
    wire_sendf(from,
               "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"seq.append\",\"payload\":%d,"
               "\"params\":{\"seqs\":[%u],\"pos\":[%u]}}",
               token, ROW_BYTES, seq, token);
    wire_send(from, rows, sizeof rows);
}

/* A process that is killed closes its socket: the other side sees the end, or, where answers are
 * unread, a reset. */
enum { END, RESET, WAYS };

static void die(int way)
{
    char first;
    if (way == RESET) {
        wire_sendf(&dying, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"server.ping\"}");
        ck_assert_int_eq((int)recv(dying.fd, &first, 1, MSG_PEEK), 1);
    }
    wire_close(&dying);
    if (way == RESET) wire_await_stat(&w, "closed.by_client", 1);
}

static void expect_tokens(unsigned seq, unsigned n)
{
    static unsigned char got[ROW_BYTES], want[ROW_BYTES];
    cJSON *answer = wire_call(&w, "seq.info", "{\"seq\":%u}", seq);
    ck_assert_uint_eq((unsigned)json_number(answer, "result.len"), n);
    cJSON_Delete(answer);
    for (unsigned token = 0; token < n; token++) {
        answer = wire_call(&w, "seq.read", "{\"seq\":%u,\"pos\":%u,\"tokens\":1}", seq, token);
        ck_assert_int_eq((int)json_number(answer, "payload"), ROW_BYTES);
        cJSON_Delete(answer);
        wire_bytes(&w, got, sizeof got);
        fill_rows(want, seq, token);
        ck_assert_mem_eq(got, want, sizeof got);
    }
}

static void finish(void)
{
    wire_await_stat(&w, "connections.open", 1);
    wire_await_stat(&w, "closed.by_client", 1);
    wire_await_stat(&w, "memory.staging_bytes", 0);
    wire_await_stat(&w, "queue.waiting", 0);
    wire_await_stat(&w, "sequence_states.freeing", 0);
    wire_verify_ok(&w, true);
    wire_ok(&w, "seq.free", "{\"seqs\":[1]}");
    wire_await_stat(&w, "memory.cache_bytes", 0);
    cJSON_Delete(wire_call(&w, "admin.drain", NULL));
    ck_assert_int_eq(held_join(&h), 0);
    held_take_apart(&h);
}

/* Goal: requests of a client that has died, some in flight and some that wait for them, are done
 * in their order; what it held is freed once nothing of it is in flight. */
START_TEST(queued_and_in_flight)
{
    held_hold();
    for (unsigned token = 0; token < TOKENS; token++) {
        send_append(&dying, 1, token); /* in flight, or gathering for the next batch */
        send_append(&dying, 2, token);
    }
    wire_sendf(&dying,
               "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"seq.truncate\",\"params\":"
               "{\"seq\":1,\"len\":%d}}\n" /* these wait for the appends */
               "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"seq.info\",\"params\":"
               "{\"seq\":1}}",
               TOKENS - 1);
    wire_await_stat(&w, "queue.waiting", 2);
    die(_i);
    ck_assert(wire_stat(&w, "methods['seq.append'].count") == 0);
    ck_assert(wire_stat(&w, "sequences.live") == 2); /* it is used yet */
    held_release(&h);
    send_append(&w, 1, TOKENS - 1); /* behind the truncation: it fits */
    cJSON *answer = wire_answer(&w);
    ck_assert_uint_eq((unsigned)json_number(answer, "result.lens[0]"), TOKENS);
    cJSON_Delete(answer);
    expect_tokens(1, TOKENS);
    ck_assert(wire_stat(&w, "methods['seq.append'].count") == 2 * TOKENS + 1);
    ck_assert(wire_stat(&w, "methods['seq.append'].errors") == 0);
    ck_assert(wire_stat(&w, "methods['seq.truncate'].count") == 1);
    wire_await_stat(&w, "sequences.live", 1);
    wire_refused(&w, "seq.info", "{\"seq\":2}", "not_found");
    ck_assert(wire_stat(&w, "sequences.disconnected") == 1);
    finish();
}
END_TEST

/* Goal: a client that dies in the middle of an answer: the rest of it is forgotten, and the memory
 * that it stood in comes back. Method: of answers that a socket does not hold, some bytes are read.
 */
START_TEST(while_answers_go_out)
{
    enum { MANY = 200, READS = 8, ANSWER = MANY * ROW_BYTES };
    static unsigned char rows[ANSWER];
    char some[5000];
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,"
               "\"params\":{\"seqs\":[1],\"tokens\":%d}}",
               ANSWER, MANY);
    wire_send(&w, rows, sizeof rows);
    cJSON_Delete(wire_answer(&w));
    for (int i = 0; i < READS; i++)
        wire_sendf(&dying, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.read\",\"params\":"
                           "{\"seq\":1}}");
    wire_bytes(&dying, some, sizeof some); /* of the first one: the rest is on its way */
    ck_assert(wire_stat(&w, "memory.staging_bytes") >= ANSWER);
    wire_close(&dying);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dying_clients");
    TCase *tests = tcase_create("dying_clients");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, queued_and_in_flight, 0, WAYS);
    tcase_add_test(tests, while_answers_go_out);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
