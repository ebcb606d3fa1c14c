#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "clients/c/envelope.h"
#include "tests/clients/fake_server.h"
#include "tests/support/check_main.h"

static const struct {
    const char *reason;
    enum truekv_status status;
    int code;
} statuses[] = {
#define X(name, reason, code) {reason, TRUEKV_##name, code},
    TRUEKV_STATUS_MAP(X)
#undef X
};

/* Goal: the client's list of reasons and codes is the daemon's. Method: compare entry by entry. */
START_TEST(statuses_are_the_protocols)
{
    for (int i = 0; i < TKV_STATUS_COUNT; i++) {
        ck_assert_str_eq(statuses[i].reason, tkv_status_reason(i));
        ck_assert_int_eq(statuses[i].code, tkv_status_code(i));
        ck_assert_str_eq(truekv_reason((enum truekv_status)i), statuses[i].reason);
    }
    for (int i = TKV_STATUS_COUNT; i < TRUEKV_STATUS_COUNT; i++)
        ck_assert_int_eq(statuses[i].code, 0);
}
END_TEST

/* Goal: a request is one line of JSON, to the byte; ids count; text is escaped. */
START_TEST(requests_to_the_byte)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\",\"params\":{}}",
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r\n\n"),
        FAKE_ANSWER(
            "\"id\":2,\"method\":\"seq.create\",\"params\":{\"seq\":0,\"model\":\"a\\\"\\\\b\","
            "\"label\":\"l\\u000a\\u0001\xc3\xa9\",\"on_disconnect\":\"free\"}}",
            "{\"id\":2,\"result\":{\"seq\":0,\"model\":\"m\",\"capacity\":64,\"len\":0,\"bytes\":9,"
            "\"device\":0}}\n"),
        FAKE_ANSWER("\"params\":{ \"a\" : 1 }}", "{\"id\":3,\"result\":[1, 2],\"x\":\"}{\\\"\"}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    struct truekv_created made;
    struct truekv_answer answer;
    uint64_t seq = 0;
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_OK);
    ck_assert_int_eq(truekv_error(kv)->status, TRUEKV_OK);
    struct truekv_create how = {
        .seq = &seq, .model = "a\"\\b", .label = "l\n\001\xc3\xa9", .free_on_disconnect = true};
    ck_assert_int_eq(truekv_seq_create(kv, &how, &made), TRUEKV_OK);
    ck_assert_uint_eq(made.capacity, 64);
    ck_assert_str_eq(made.model, "m");
    struct truekv_request r = {.method = "any.thing", .params = "{\n\"a\" : 1\r}"};
    ck_assert_int_eq(truekv_call(kv, &r, &answer), TRUEKV_OK);
    ck_assert_str_eq(answer.json, "[1, 2]");
    ck_assert_uint_eq(answer.json_len, 6);
    ck_assert_str_eq(truekv_last_answer(kv)->json, "[1, 2]");
    finish(kv);
}
END_TEST

static const char read_answer[] =
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"shape\":[1,2,1,3,2],\"dtype\":\"f16\"},"
    "\"payload\":24}\n0123456789abcdefghijkl\n{{\"id\":2,\"result\":{}}\n";

/* Goal: where the stream is cut does not matter. Method: an answer with a payload and one after it,
 * cut at every byte; the second half is sent only when the first has been taken. */
START_TEST(answers_cut_at_every_byte)
{
    for (size_t cut = 0; cut < sizeof read_answer - 1; cut++) {
        const struct fake_step steps[] = {FAKE_TAKE("seq.read"),
                                          {"server.ping", 0, read_answer, 0, cut, 0}};
        struct truekv *kv = start(steps, COUNT(steps));
        struct truekv_answer answer;
        struct truekv_request read = {.method = "seq.read"}, ping = {.method = "server.ping"};
        char room[24];
        uint64_t a, b;
        if (cut % 2 == 0) {
            read.into = room;
            read.into_bytes = sizeof room;
        }
        ck_assert_int_eq(truekv_submit(kv, &read, &a), TRUEKV_OK);
        ck_assert_int_eq(truekv_submit(kv, &ping, &b), TRUEKV_OK);
        ck_assert_int_eq(truekv_wait(kv, a, &answer), TRUEKV_OK);
        ck_assert_uint_eq(answer.payload_bytes, 24);
        ck_assert(memcmp(answer.payload, "0123456789abcdefghijkl\n{", 24) == 0);
        ck_assert(cut % 2 != 0 || answer.payload == room);
        ck_assert_int_eq(truekv_wait(kv, b, NULL), TRUEKV_OK);
        finish(kv);
    }
}
END_TEST

/* Goal: whatever byte is the last, the loss is an error that is told, and stays. Method: the stream
 * ends after every byte of the answer. */
START_TEST(connection_lost_at_every_byte)
{
    size_t whole = strchr(read_answer, '\n') + 1 + 24 - read_answer;
    for (size_t n = 1; n < whole; n++) {
        const struct fake_step steps[] = {{"seq.read", 0, read_answer, n, 0, 0}};
        struct truekv *kv = start(steps, COUNT(steps));
        struct truekv_read read = {.seq = 1};
        struct truekv_rows rows;
        ck_assert_int_eq(truekv_seq_read(kv, &read, NULL, 0, &rows), TRUEKV_ELOST);
        ck_assert_str_eq(truekv_error(kv)->message,
                         "truekvd closed the connection in the middle of an answer");
        ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_ELOST);
        ck_assert_str_eq(truekv_error(kv)->reason, "connection_lost");
        finish(kv);
    }
}
END_TEST

/* Goal: answers find their requests by id, in any order, and may be waited for in any other. */
START_TEST(answers_out_of_order)
{
    static const struct fake_step steps[] = {
        FAKE_TAKE("\"id\":1,"),
        FAKE_TAKE("\"id\":2,"),
        FAKE_ANSWER(
            "\"id\":3,",
            "{\"id\":3,\"result\":{\"n\":3}}\n{\"result\":{\"n\":1},\"id\":1,\"payload\":2}\nhi"
            "{\"id\":2,\"error\":{\"code\":-32000,\"message\":\"no\",\"data\":{\"reason\":"
            "\"not_found\",\"seq\":7}}}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    struct truekv_request r = {.method = "x.y"};
    struct truekv_answer answer;
    uint64_t t[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(truekv_submit(kv, &r, &t[i]), TRUEKV_OK);
    ck_assert_uint_eq(truekv_in_flight(kv), 3);
    ck_assert_int_eq(truekv_wait(kv, t[1], &answer), TRUEKV_ENOTFOUND);
    ck_assert_int_eq(truekv_error(kv)->seq, 7);
    ck_assert_int_eq(truekv_wait(kv, t[0], &answer), TRUEKV_OK);
    ck_assert_str_eq(answer.json, "{\"n\":1}");
    ck_assert(answer.payload_bytes == 2 && memcmp(answer.payload, "hi", 2) == 0);
    ck_assert_int_eq(truekv_wait(kv, t[2], &answer), TRUEKV_OK);
    ck_assert_str_eq(answer.json, "{\"n\":3}");
    ck_assert_int_eq(truekv_wait(kv, t[2], &answer), TRUEKV_EARGUMENT);
    ck_assert_uint_eq(truekv_in_flight(kv), 0);
    finish(kv);
}
END_TEST

/* Goal: each reason of the protocol becomes its status, with message and numbers. */
START_TEST(errors_of_every_reason)
{
    for (size_t i = 1; i < COUNT(statuses) && statuses[i].code != 0; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"id\":1,\"error\":{\"code\":%d,\"message\":\"it is so\",\"data\":{\"reason\":"
                 "\"%s\",\"expected\":9007199254740991}}}\n",
                 statuses[i].code, statuses[i].reason);
        const struct fake_step steps[] = {FAKE_ANSWER("x.y", text)};
        struct truekv *kv = start(steps, COUNT(steps));
        struct truekv_request r = {.method = "x.y"};
        ck_assert_int_eq(truekv_call(kv, &r, NULL), statuses[i].status);
        const struct truekv_error *e = truekv_error(kv);
        ck_assert_int_eq(e->code, statuses[i].code);
        ck_assert_str_eq(e->reason, statuses[i].reason);
        ck_assert_str_eq(e->message, "it is so");
        ck_assert_int_eq(e->expected, INT64_C(9007199254740991));
        ck_assert_int_eq(e->seq, -1);
        ck_assert_ptr_nonnull(strstr(e->json, "\"data\":{"));
        finish(kv);
    }
}
END_TEST

/* Goal: what an atomic request's error says of its items, and reasons that nobody knows yet. */
START_TEST(errors_of_items_and_of_the_future)
{
    static const struct fake_step steps[] = {
        FAKE_PAYLOAD(
            "seq.append", 2,
            "{\"id\":1,\"error\":{\"code\":-32002,\"message\":\"two\\nitems\",\"data\":{\"reason\":"
            "\"position_mismatch\",\"items\":[{\"index\":0,\"seq\":4,\"reason\":\"position_"
            "mismatch\","
            "\"expected\":3},{\"index\":2,\"seq\":6,\"reason\":\"not_found\"}]}}}\n"),
        FAKE_ANSWER(
            "x.y",
            "{\"id\":2,\"error\":{\"code\":-32004,\"message\":\"m\",\"data\":{\"reason\":\"new\"}}}"
            "\n"),
        FAKE_ANSWER("x.y", "{\"id\":3,\"error\":{\"code\":-32099,\"message\":\"m\"}}\n"),
        FAKE_ANSWER("x.y", "{\"id\":4,\"error\":7}\n"),
        FAKE_ANSWER("x.y", "{\"id\":5}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    uint64_t seqs[] = {4, 5, 6};
    struct truekv_block block = {"ab", 2};
    struct truekv_append append = {.m = 3, .seqs = seqs, .blocks = &block, .n_blocks = 1};
    struct truekv_request r = {.method = "x.y"};
    ck_assert_int_eq(truekv_seq_append(kv, &append, NULL, NULL), TRUEKV_EPOS);
    const struct truekv_error *e = truekv_error(kv);
    ck_assert_str_eq(e->message, "two items");
    ck_assert_uint_eq(e->n_items, 2);
    ck_assert(e->items[0].expected == 3 && e->items[0].status == TRUEKV_EPOS);
    ck_assert(e->items[1].index == 2 && e->items[1].seq == 6 && e->items[1].expected == -1);
    ck_assert_str_eq(e->items[1].reason, "not_found");
    ck_assert_int_eq(truekv_call(kv, &r, NULL), TRUEKV_ENOMEM);
    ck_assert_str_eq(truekv_error(kv)->reason, "new");
    ck_assert_int_eq(truekv_call(kv, &r, NULL), TRUEKV_EUNKNOWN);
    ck_assert_int_eq(truekv_error(kv)->code, -32099);
    ck_assert_int_eq(truekv_call(kv, &r, NULL), TRUEKV_EANSWER);
    ck_assert_int_eq(truekv_call(kv, &r, NULL), TRUEKV_EANSWER);
    finish(kv);
}
END_TEST

/* Goal: answers that are not answers end the connection with a reason. */
START_TEST(broken_answers)
{
    static const struct {
        const char *send;
        enum truekv_status status;
        const char *message;
    } rows[] = {
        {"hello\n", TRUEKV_EANSWER, "no JSON object"},
        {"{\"id\":1,\"result\":{}\n", TRUEKV_EANSWER, "no JSON object"},
        {"{\"id\":1,\"result\":{}}x\n", TRUEKV_EANSWER, "no JSON object"},
        {"{\"id\":1,\"result\":{},\"payload\":-4}\n", TRUEKV_EANSWER, "no JSON object"},
        {"{\"id\":1,\"result\":{},\"payload\":99999999999999999999}\n", TRUEKV_EANSWER, "no JSON"},
        {"{\"id\":2,\"result\":{}}\n", TRUEKV_EANSWER, "no request in flight (id 2)"},
        {"{\"id\":\"1\",\"result\":{}}\n", TRUEKV_EANSWER, "no request in flight"},
        {"{\"id\":null,\"error\":{\"code\":-32005,\"message\":\"full\",\"data\":{\"reason\":"
         "\"overloaded\",\"retry_after_ms\":5}}}\n",
         TRUEKV_EOVERLOADED, "full"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_step steps[] = {FAKE_ANSWER("server.ping", rows[i].send)};
        struct truekv *kv = start(steps, COUNT(steps));
        ck_assert_int_eq(truekv_server_ping(kv), rows[i].status);
        ck_assert_ptr_nonnull(strstr(truekv_error(kv)->message, rows[i].message));
        ck_assert_int_eq(truekv_server_ping(kv), rows[i].status);
        ck_assert_uint_eq(truekv_in_flight(kv), 0);
        finish(kv);
    }
}
END_TEST

/* Goal: a daemon that refuses the connection is heard, though the first request meets a closed
 * socket. Method: the server says why and closes before the client sends. */
START_TEST(refused_with_a_reason)
{
    static const struct fake_step steps[] = {FAKE_ANSWER(
        NULL,
        "{\"id\":null,\"error\":{\"code\":-32005,\"message\":\"too many connections\",\"data\":"
        "{\"reason\":\"overloaded\",\"retry_after_ms\":250}}}\n")};
    struct truekv *kv = start(steps, COUNT(steps));
    pthread_join(server.thread, NULL);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_EOVERLOADED);
    ck_assert_int_eq(truekv_error(kv)->retry_after_ms, 250);
    truekv_close(kv);

    fake_server_start(&server, NULL, 0);
    pthread_join(server.thread, NULL);
    ck_assert_int_eq(truekv_open_fd(&kv, server.peer, NULL), TRUEKV_OK);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_ELOST);
    truekv_close(kv);
}
END_TEST

/* Goal: an answer too large is refused and the connection lives; a line too long ends it. */
START_TEST(oversized_answers)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("seq.read", "{\"id\":1,\"result\":{},\"payload\":5}\n12345"),
        FAKE_ANSWER("seq.read", "{\"id\":2,\"result\":{},\"payload\":9}\n123456789"),
        FAKE_ANSWER("seq.read", "{\"id\":3,\"result\":{},\"payload\":8}\n12345678"),
    };
    const struct truekv_options small = {.line_max_bytes = 100, .held_max_bytes = 8};
    struct truekv *kv = start_with(steps, COUNT(steps), &small);
    char room[4] = {'z', 'z', 'z', 'z'};
    struct truekv_request r = {.method = "seq.read", .into = room, .into_bytes = sizeof room};
    struct truekv_answer answer;
    ck_assert_int_eq(truekv_call(kv, &r, &answer), TRUEKV_ETOOLARGE);
    ck_assert(truekv_error(kv)->size == 5 && truekv_error(kv)->limit == 4);
    ck_assert(room[0] == 'z' && truekv_error(kv)->code == 0);
    r.into = NULL;
    ck_assert_int_eq(truekv_call(kv, &r, &answer), TRUEKV_ETOOLARGE);
    ck_assert(truekv_error(kv)->size == 9 && truekv_error(kv)->limit == 8);
    ck_assert_int_eq(truekv_call(kv, &r, &answer), TRUEKV_OK);
    ck_assert(memcmp(answer.payload, "12345678", 8) == 0);
    finish(kv);

    static const struct fake_step long_line[] = {FAKE_ANSWER(
        "x.y", "{\"id\":1,\"result\":{\"a\":\"01234567890123456789012345678901234567890123456789"
               "01234567890123456789012345678901234567890123456789\"}")};
    kv = start_with(long_line, COUNT(long_line), &small);
    r = (struct truekv_request){.method = "x.y"};
    ck_assert_int_eq(truekv_call(kv, &r, NULL), TRUEKV_EANSWER);
    ck_assert_str_eq(truekv_error(kv)->message, "a line of the answer is longer than 100 bytes");
    finish(kv);
}
END_TEST

/* Goal: the number of tickets is bounded; ids step over the place of a slow answer. */
START_TEST(tickets_are_bounded)
{
    static const struct fake_step steps[] = {
        FAKE_TAKE("\"id\":1,"),
        FAKE_TAKE("\"id\":2,"),
        FAKE_ANSWER("\"id\":3,", "{\"id\":2,\"result\":{}}\n{\"id\":3,\"result\":{}}\n"),
        FAKE_ANSWER("\"id\":5,", "{\"id\":5,\"result\":{}}\n"),
        FAKE_ANSWER("\"id\":6,", "{\"id\":6,\"result\":{}}\n{\"id\":1,\"result\":{}}\n"),
    };
    const struct truekv_options options = {.in_flight_max = 3};
    struct truekv *kv = start_with(steps, COUNT(steps), &options);
    struct truekv_request r = {.method = "x.y"};
    uint64_t t[3], more;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(truekv_submit(kv, &r, &t[i]), TRUEKV_OK);
    ck_assert_int_eq(truekv_submit(kv, &r, &more), TRUEKV_EFULL);
    ck_assert_int_eq(truekv_wait(kv, t[1], NULL), TRUEKV_OK);
    ck_assert_int_eq(truekv_wait(kv, t[2], NULL), TRUEKV_OK);
    ck_assert_int_eq(truekv_call(kv, &r, NULL), TRUEKV_OK); /* 4 has 1's place */
    ck_assert_int_eq(truekv_call(kv, &r, NULL), TRUEKV_OK);
    ck_assert_int_eq(truekv_wait(kv, t[0], NULL), TRUEKV_OK);
    finish(kv);
}
END_TEST

/* Goal: a timeout leaves the ticket; an abandoned ticket's late answer touches nothing. */
START_TEST(timeouts_and_abandoned_tickets)
{
    static const struct fake_step steps[] = {
        {"\"id\":1,", 0, "{\"id\":1,\"result\":{\"n\":1}}\n", 0, 0, 150},
        FAKE_TAKE("\"id\":2,"),
        FAKE_ANSWER("\"id\":3,",
                    "{\"id\":2,\"result\":{},\"payload\":4}\nabcd{\"id\":3,\"result\":{}}\n"),
    };
    struct truekv_options options = {.timeout_ms = 30};
    struct truekv *kv = start_with(steps, COUNT(steps), &options);
    char room[4] = {'z', 'z', 'z', 'z'};
    struct truekv_request r = {.method = "x.y"};
    struct truekv_answer answer;
    uint64_t ticket;
    ck_assert_int_eq(truekv_submit(kv, &r, &ticket), TRUEKV_OK);
    ck_assert_int_eq(truekv_wait(kv, ticket, &answer), TRUEKV_ETIMEOUT);
    ck_assert_str_eq(truekv_error(kv)->message, "truekvd did not answer within 0.03 s");
    truekv_set_timeout(kv, -1);
    ck_assert_int_eq(truekv_wait(kv, ticket, &answer), TRUEKV_OK);
    ck_assert_str_eq(answer.json, "{\"n\":1}");
    truekv_set_timeout(kv, 20);
    r.into = room;
    r.into_bytes = sizeof room;
    ck_assert_int_eq(truekv_call(kv, &r, &answer), TRUEKV_ETIMEOUT);
    ck_assert_uint_eq(truekv_in_flight(kv), 0);
    truekv_set_timeout(kv, 0);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_OK);
    ck_assert(room[0] == 'z');
    finish(kv);
}
END_TEST

/* Goal: two full sockets do not wait for each other. Method: the server sends answers of 4 MiB each
 * before it reads the next request, whose payload is as large. */
START_TEST(full_sockets_both_ways)
{
    enum { BYTES = 4 << 20, N = 3 };
    char *answers[N], *block = calloc(1, BYTES);
    struct fake_step steps[N + 1] = {{0}};
    struct truekv_request r = {.method = "x.y"};
    uint64_t t[N];
    for (int i = 0; i < N; i++) {
        answers[i] = malloc(BYTES + 64);
        int n = sprintf(answers[i], "{\"id\":%d,\"result\":{},\"payload\":%d}\n", i + 1, BYTES);
        memset(answers[i] + n, 'a' + i, BYTES);
        steps[i] =
            (struct fake_step){"x.y", i == 0 ? 0 : BYTES, answers[i], (size_t)n + BYTES, 0, 0};
    }
    struct truekv *kv = start(steps, N);
    struct truekv_block b = {block, BYTES};
    for (int i = 0; i < N; i++) {
        r.blocks = &b;
        r.n_blocks = i == 0 ? 0 : 1;
        ck_assert_int_eq(truekv_submit(kv, &r, &t[i]), TRUEKV_OK);
    }
    for (int i = 0; i < N; i++) {
        struct truekv_answer answer;
        ck_assert_int_eq(truekv_wait(kv, t[i], &answer), TRUEKV_OK);
        ck_assert_uint_eq(answer.payload_bytes, BYTES);
        ck_assert_int_eq(((const char *)answer.payload)[BYTES - 1], 'a' + i);
    }
    finish(kv);
    for (int i = 0; i < N; i++)
        free(answers[i]);
    free(block);
}
END_TEST

/* Goal: a connection that dies under a large payload is an error, never a signal. Method: SIGPIPE
 * has its default action here, which would end the test. */
START_TEST(lost_while_sending)
{
    enum { BYTES = 8 << 20 };
    static const struct fake_step steps[] = {FAKE_PAYLOAD("seq.append", 1000, NULL)};
    char *bytes = calloc(1, BYTES);
    uint64_t seq = 1;
    struct truekv_block block = {bytes, BYTES};
    struct truekv_append append = {.m = 1, .seqs = &seq, .blocks = &block, .n_blocks = 1};
    signal(SIGPIPE, SIG_DFL);
    struct truekv *kv = start(steps, COUNT(steps));
    ck_assert_int_eq(truekv_seq_append(kv, &append, NULL, NULL), TRUEKV_ELOST);
    finish(kv);
    free(bytes);
}
END_TEST

/* Goal: any line may be sent, and any line that comes is the answer. */
START_TEST(raw_lines)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("[1,2]", "[{\"id\":\"a\"}]\n"),
        FAKE_PAYLOAD("{nonsense", 3, "{\"id\":null,\"error\":{\"code\":-32700},\"payload\":2}\nxy"),
        FAKE_TAKE("{\"note\":1}"),
        FAKE_ANSWER("\"id\":1,", "{\"id\":1,\"result\":{}}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    struct truekv_block block = {"abc", 3};
    struct truekv_answer answer;
    ck_assert_int_eq(truekv_raw(kv, "[1,2]", NULL, 0, &answer), TRUEKV_OK);
    ck_assert_str_eq(answer.json, "[{\"id\":\"a\"}]");
    ck_assert_int_eq(truekv_raw(kv, "{nonsense", &block, 1, &answer), TRUEKV_OK);
    ck_assert_uint_eq(answer.payload_bytes, 2);
    ck_assert(memcmp(answer.payload, "xy", 2) == 0);
    ck_assert_int_eq(truekv_raw(kv, "{\"note\":1}", NULL, 0, NULL), TRUEKV_OK);
    ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_OK);
    finish(kv);
}
END_TEST

/* Goal: the envelope's scanner takes any bytes. Method: a line cut at every byte and with every
 * byte replaced by each of the characters that mean something. */
START_TEST(envelope_takes_any_bytes)
{
    static const char line[] =
        "{\"id\":12,\"result\":{\"a\":[1,\"}\\\"\"]},\"payload\":3,\"x\":null}";
    static const char odd[] = "{}[]\",:\\0 -n";
    struct tkc_envelope e;
    ck_assert(tkc_envelope_scan(line, sizeof line - 1, &e));
    ck_assert(e.has_id && e.id == 12 && e.payload_bytes == 3 && e.error.len == 0);
    ck_assert(strncmp(line + e.result.at, "{\"a\":[1,\"}\\\"\"]}", e.result.len) == 0);
    for (size_t n = 0; n < sizeof line - 1; n++) {
        char *cut = malloc(n + 1); /* exactly: sanitizers see a step too far */
        memcpy(cut, line, n);
        ck_assert(!tkc_envelope_scan(cut, n, &e));
        for (size_t i = 0; i < sizeof odd && n > 0; i++) {
            char kept = cut[n - 1];
            cut[n - 1] = odd[i];
            (void)tkc_envelope_scan(cut, n, &e);
            cut[n - 1] = kept;
        }
        free(cut);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client");
    TCase *tc = tcase_create("client");
    tcase_add_test(tc, statuses_are_the_protocols);
    tcase_add_test(tc, requests_to_the_byte);
    tcase_add_test(tc, answers_cut_at_every_byte);
    tcase_add_test(tc, connection_lost_at_every_byte);
    tcase_add_test(tc, answers_out_of_order);
    tcase_add_test(tc, errors_of_every_reason);
    tcase_add_test(tc, errors_of_items_and_of_the_future);
    tcase_add_test(tc, broken_answers);
    tcase_add_test(tc, refused_with_a_reason);
    tcase_add_test(tc, oversized_answers);
    tcase_add_test(tc, tickets_are_bounded);
    tcase_add_test(tc, timeouts_and_abandoned_tickets);
    tcase_add_test(tc, full_sockets_both_ways);
    tcase_add_test(tc, lost_while_sending);
    tcase_add_test(tc, raw_lines);
    tcase_add_test(tc, envelope_takes_any_bytes);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
