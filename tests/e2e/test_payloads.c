/* Frames by hand: payloads of every size, streams cut and ended anywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

static const char config[] =
    "models = ( " FX_TINY ",\n"
    "  { name = \"odd\"; n_layers = 1; n_kv_heads = 1; head_dim = 3;"
    " dtype = \"bf16\"; capacity = 5; } );\n"
    "limits: { max_header_bytes = \"32K\"; max_payload_bytes = \"64K\"; };\n";

static struct daemon d;
static struct wire w;

static void setup(void)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
}

/* Whatever a test did, the daemon still serves, its caches are right, and it ends in order. */
static void finish(void)
{
    wire_close(&w);
    wire_open(&w, &d);
    wire_ok(&w, "server.ping", NULL);
    wire_verify_ok(&w, false);
    daemon_stop(&d);
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

#define V16      "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"
#define VALUES32 "{\"values\":[" V16 "," V16 "]}"
#define PING(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"server.ping\"}"
#define REQUEST(id, method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" params "}"

static void send_append(const char *id, size_t bytes, const char *params)
{
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"seq.append\",\"payload\":%zu,"
               "\"params\":%s}",
               id, bytes, params);
}

/* Goal: bytes go in and come out the same. */
START_TEST(payloads)
{
    unsigned char out[3 * FX_TINY_BYTES], in[3 * FX_TINY_BYTES];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (unsigned char)(i * 7 + 1);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    send_append("1", sizeof out, "{\"seqs\":[1],\"tokens\":3}");
    wire_send(&w, out, sizeof out);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "result.lens", "[3]");
    cJSON_Delete(answer);
    answer = wire_call(&w, "seq.read", "{\"seq\":1}");
    json_expect(answer, "result.shape", "[2,2,2,3,4]");
    json_expect(answer, "result.data", "");
    ck_assert_uint_eq((size_t)json_number(answer, "payload"), sizeof in);
    wire_bytes(&w, in, sizeof in);
    ck_assert_mem_eq(in, out, sizeof in);
    cJSON_Delete(answer);
    finish();
}
END_TEST

/* Goal: a payload of another size than asked for, or one that nobody can use, is answered with its
 * error, writes nothing, and the connection goes on behind it. */
START_TEST(payloads_of_the_wrong_size)
{
    static const struct {
        const char *params;
        size_t bytes;
        const char *reason;
    } cases[] = {
        {"{\"seqs\":[1]}", FX_TINY_BYTES - 1, "\"invalid_params\""},
        {"{\"seqs\":[1]}", FX_TINY_BYTES + 1, "\"invalid_params\""},
        {"{\"seqs\":[1]}", 1, "\"invalid_params\""},
        {"{\"seqs\":[1],\"dtype\":\"f32\"}", FX_TINY_BYTES, "\"invalid_params\""},
        {"{\"seqs\":[1],\"tokens\":4294967295}", FX_TINY_BYTES, "\"invalid_params\""},
        {"{\"seqs\":[77]}", FX_TINY_BYTES, "\"not_found\""},
        {"{\"seqs\":[1],\"bogus\":1}", FX_TINY_BYTES, "\"invalid_params\""},
        {"{\"seqs\":[1],\"data\":{\"values\":[1]}}", FX_TINY_BYTES, "\"invalid_params\""},
        {"{\"seqs\":[1]}", 65536 + 1, "\"too_large\""},
        {"{\"seqs\":[1]}", 1000000, "\"too_large\""},
    };
    static char bytes[1000000];
    memset(bytes, '{', sizeof bytes); /* were they taken for a line, it would be an error */
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        send_append("1", cases[i].bytes, cases[i].params);
        wire_send(&w, bytes, cases[i].bytes);
        cJSON *answer = wire_answer(&w);
        json_expect(answer, "error.data.reason", cases[i].reason);
        if (cases[i].bytes == 1000000) {
            json_expect(answer, "error.data.limit", "65536");
            json_expect(answer, "error.data.size", "1000000");
        }
        cJSON_Delete(answer);
    }
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"server.ping\",\"payload\":3}\nabc"
               "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"nope\",\"payload\":3}\nabc" PING("7"));
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "error.data.param", "\"payload\"");
    cJSON_Delete(answer);
    answer = wire_answer(&w);
    json_expect(answer, "error.code", "-32601");
    cJSON_Delete(answer);
    ck_assert_str_eq(wire_line(&w), "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}");
    answer = wire_call(&w, "seq.info", "{\"seq\":1}");
    json_expect(answer, "result.len", "0");
    json_expect(answer, "result.appends", "0");
    cJSON_Delete(answer);
    finish();
}
END_TEST

/* Goal: an error needs no payload to be said: a client that waits for its answer first gets it. */
START_TEST(refusals_do_not_wait_for_payloads)
{
    send_append("1", 9007199254740991, "{\"seqs\":[1]}");
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "error.data.reason", "\"too_large\"");
    json_expect(answer, "error.data.size", "9007199254740991");
    cJSON_Delete(answer);
    finish();
}
END_TEST

/* Goal: bytes may come one at a time. */
START_TEST(bytes_one_at_a_time)
{
    char message[512];
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    int n = snprintf(message, sizeof message,
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,"
                     "\"params\":{\"seqs\":[1]}}\r\n",
                     FX_TINY_BYTES);
    memset(message + n, '\n', FX_TINY_BYTES);
    for (int i = 0; i < n + FX_TINY_BYTES; i++) {
        wire_send(&w, message + i, 1);
        if (i % 16 == 0) usleep(500);
    }
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "result.lens", "[1]");
    cJSON_Delete(answer);
    finish();
}
END_TEST

/* --- ends ------------------------------------------------------------------------------------- */

/* Goal: who shuts its side after its requests still gets all answers, and then the end; a message
 * cut off by the end is nothing. */
START_TEST(half_close)
{
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    wire_sendf(&w, REQUEST("1", "debug.selftest", "{}"));
    wire_sendf(&w, REQUEST("2", "seq.append", "{\"seqs\":[1],\"data\":" VALUES32 "}"));
    send_append("3", FX_TINY_BYTES, "{\"seqs\":[1]}");
    wire_send(&w, "cut", 3);
    wire_shut(&w);
    for (int i = 0; i < 2; i++) {
        cJSON *answer = wire_answer(&w);
        ck_assert_ptr_nonnull(json_at(answer, "result"));
        cJSON_Delete(answer);
    }
    ck_assert_ptr_null(wire_line(&w));
    wire_close(&w);
    wire_open(&w, &d);
    cJSON *answer = wire_call(&w, "seq.info", "{\"seq\":1}");
    json_expect(answer, "result.len", "1");
    cJSON_Delete(answer);
    finish();
}
END_TEST

/* Goal: a client that dies in the middle of anything leaves nothing behind. Method: a message cut
 * at every byte, then the connection is closed. */
START_TEST(messages_cut_at_every_byte)
{
    char message[512];
    int n = snprintf(message, sizeof message,
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,"
                     "\"params\":{\"seqs\":[1]}}\n",
                     FX_TINY_BYTES);
    memset(message + n, 'x', FX_TINY_BYTES);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    for (int cut = 0; cut < n + FX_TINY_BYTES; cut++) {
        struct wire other;
        wire_open(&other, &d);
        wire_send(&other, message, (size_t)cut);
        wire_close(&other);
    }
    cJSON *answer = wire_call(&w, "seq.info", "{\"seq\":1}");
    json_expect(answer, "result.appends", "0");
    cJSON_Delete(answer);
    answer = wire_call(&w, "server.stats", NULL);
    json_expect(answer, "result.memory.staging_bytes", "0");
    cJSON_Delete(answer);
    finish();
}
END_TEST

/* Goal: a line over the limit is answered, and ends the connection; what the client still sends
 * does not keep it from reading why. */
START_TEST(lines_over_the_limit)
{
    static char line[1 << 20];
    memset(line, ' ', sizeof line);
    wire_sendf(&w, PING("1"));
    wire_try_send(&w, line, sizeof line);
    ck_assert_str_eq(wire_line(&w), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "id", "null");
    json_expect(answer, "error.data.reason", "\"too_large\"");
    json_expect(answer, "error.data.limit", "32768");
    cJSON_Delete(answer);
    ck_assert_ptr_null(wire_line(&w));
    /* one of exactly the limit is fine */
    wire_close(&w);
    wire_open(&w, &d);
    memcpy(line, PING("2"), sizeof PING("2") - 1); // NOLINT(bugprone-not-null-terminated-result)
    line[32768] = '\n';
    wire_send(&w, line, 32769);
    ck_assert_str_eq(wire_line(&w), "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("payloads");
    TCase *tests = tcase_create("payloads");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, payloads);
    tcase_add_test(tests, payloads_of_the_wrong_size);
    tcase_add_test(tests, refusals_do_not_wait_for_payloads);
    tcase_add_test(tests, bytes_one_at_a_time);
    tcase_add_test(tests, half_close);
    tcase_add_test(tests, messages_cut_at_every_byte);
    tcase_add_test(tests, lines_over_the_limit);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
