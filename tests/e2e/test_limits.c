/* Requests that are repeated, come out of order, or ask for more than there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

static const char config[] =
    "models = ( " FX_TINY " );\nmemory: { budget = \"64M\"; };\n"
    "limits: { max_payload_bytes = \"64K\"; staging_bytes = \"256K\"; };\n";

static struct daemon d;
static struct wire w;

static void setup(void)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
}

static void teardown(void)
{
    wire_close(&w);
    daemon_stop(&d);
    daemon_close(&d);
}

/* --- retries ---------------------------------------------------------------------------------- */

/* Appends one token whose bytes are all `fill`, at pos; returns the answer. */
static cJSON *append_at(unsigned pos, unsigned char fill)
{
    unsigned char rows[FX_TINY_BYTES];
    memset(rows, fill, sizeof rows);
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,\"params\":"
               "{\"seqs\":[1],\"pos\":[%u]}}",
               FX_TINY_BYTES, pos);
    wire_send(&w, rows, sizeof rows);
    return wire_answer(&w);
}

static void expect_token(unsigned pos, unsigned char fill)
{
    unsigned char got[FX_TINY_BYTES], want[FX_TINY_BYTES];
    memset(want, fill, sizeof want);
    cJSON_Delete(wire_call(&w, "seq.read", "{\"seq\":1,\"pos\":%u,\"tokens\":1}", pos));
    wire_bytes(&w, got, sizeof got);
    ck_assert_mem_eq(got, want, sizeof got);
}

/* Goal: an append that is sent again after a lost answer writes nothing and says where the sequence
 * stands; one that comes too early does, too. Whatever their order, each is in once. */
START_TEST(retries_write_once)
{
    static const unsigned order[] = {0, 0, 2, 1, 0, 1, 3, 2, 2, 3};
    unsigned len = 0;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        char expected[16];
        unsigned char fill = (unsigned char)(10 + order[i] + (order[i] < len ? 100u : 0u));
        cJSON *answer = append_at(order[i], fill);
        if (order[i] == len) {
            len++;
            snprintf(expected, sizeof expected, "[%u]", len);
            json_expect(answer, "result.lens", expected);
        } else {
            snprintf(expected, sizeof expected, "%u", len);
            json_expect(answer, "error.data.reason", "\"position_mismatch\"");
            json_expect(answer, "error.data.expected", expected);
        }
        cJSON_Delete(answer);
    }
    ck_assert_uint_eq(len, 4);
    for (unsigned pos = 0; pos < len; pos++)
        expect_token(pos, (unsigned char)(10 + pos));
    wire_verify_ok(&w, true);
}
END_TEST

static unsigned length(void)
{
    cJSON *info = wire_call(&w, "seq.info", "{\"seq\":1}");
    unsigned len = (unsigned)json_number(info, "result.len");
    cJSON_Delete(info);
    return len;
}

/* Sends an append and is gone before its answer. With an answer unread, that is a reset. */
static void append_and_leave(unsigned pos, unsigned char fill, bool reset)
{
    unsigned char rows[FX_TINY_BYTES];
    struct wire leaving;
    char first;
    memset(rows, fill, sizeof rows);
    wire_open(&leaving, &d);
    if (reset) {
        wire_sendf(&leaving, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}");
        ck_assert_int_eq((int)recv(leaving.fd, &first, 1, MSG_PEEK), 1);
    }
    wire_sendf(&leaving,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,\"params\":"
               "{\"seqs\":[1],\"pos\":[%u]}}",
               FX_TINY_BYTES, pos);
    wire_send(&leaving, rows, sizeof rows);
    wire_close(&leaving);
}

/* Goal: after a lost answer the append is sent again by its position: whether the first one was
 * done or not, one of them is in, and the answer says which. Method: the two bring different
 * bytes. */
START_TEST(lost_answers_are_asked_for_again)
{
    enum { STEPS = 60 };
    unsigned char in[STEPS];
    unsigned first_ones = 0;
    for (unsigned pos = 0; pos < STEPS; pos++) {
        append_and_leave(pos, (unsigned char)pos, pos % 3 == 0);
        while (pos % 2 == 0 && length() == pos) /* the first is to be done */
            usleep(1000);
        cJSON *answer = append_at(pos, (unsigned char)(pos + 100));
        bool again = json_at(answer, "result") != NULL;
        char expected[16];
        snprintf(expected, sizeof expected, again ? "[%u]" : "%u", pos + 1);
        json_expect(answer, again ? "result.lens" : "error.data.expected", expected);
        cJSON_Delete(answer);
        in[pos] = (unsigned char)(again ? pos + 100 : pos);
        first_ones += !again;
    }
    for (unsigned pos = 0; pos < STEPS; pos++)
        expect_token(pos, in[pos]);
    ck_assert_uint_ge(first_ones, STEPS / 2);
    cJSON *info = wire_call(&w, "seq.info", "{\"seq\":1}");
    ck_assert_uint_eq((unsigned)json_number(info, "result.appends"), STEPS);
    cJSON_Delete(info);
    wire_verify_ok(&w, true);
}
END_TEST

/* --- sizes ------------------------------------------------------------------------------------ */

static const struct {
    const char *method, *params, *reason;
} greedy[] = {
    {"seq.create", "{\"capacity\":4294967296}", "invalid_params"},
    {"seq.create", "{\"capacity\":18446744073709551615}", "invalid_params"},
    {"seq.create", "{\"capacity\":1e300}", "invalid_params"},
    {"seq.create", "{\"seq\":9223372036854775807}", "invalid_params"},
    {"seq.create", "{\"seq\":99999999999999999999999999}", "invalid_params"},
    {"seq.create", "{\"ttl_ms\":18446744073709551616}", "invalid_params"},
    {"seq.create", "{\"capacity\":1000000000}", "out_of_memory"},
    {"seq.append", "{\"seqs\":[1],\"tokens\":4294967295,\"data\":{\"values\":[1]}}",
     "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"tokens\":4294967296,\"data\":{\"values\":[1]}}",
     "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"layers\":[0,4294967295],\"data\":{\"values\":[1]}}",
     "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"tokens\":0,\"data\":{\"values\":[]}}", "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"pos\":[9007199254740992],\"data\":{\"values\":[1]}}",
     "invalid_params"},
    {"seq.append", "{\"seqs\":[9223372036854775808],\"data\":{\"values\":[1]}}", "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"layers\":[0,9007199254740993],\"data\":{\"values\":[1]}}",
     "invalid_params"},
    {"seq.append", "{\"seqs\":[1,1],\"tokens\":[4294967295,4294967295],\"data\":{\"values\":[1]}}",
     "invalid_params"},
    {"seq.append", "{\"seqs\":[],\"data\":{\"values\":[]}}", "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"base64\":\"====\"}}", "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"region\":9007199254740991,\"offset\":0}}",
     "not_supported"},
    {"seq.read", "{\"seq\":1,\"pos\":4294967295,\"tokens\":4294967295}", "out_of_range"},
    {"seq.read", "{\"seq\":1,\"layers\":[0,1000000]}", "invalid_params"},
    {"seq.read", "{\"seq\":1,\"pos\":9007199254740991,\"tokens\":1}", "out_of_range"},
    {"seq.read", "{\"seq\":1,\"pos\":9223372036854775807,\"tokens\":1}", "invalid_params"},
    {"seq.truncate", "{\"seq\":1,\"len\":9223372036854775808}", "invalid_params"},
    {"seq.truncate", "{\"seq\":1,\"len\":4294967296}", NULL},
    {"seq.list", "{\"limit\":18446744073709551615}", "invalid_params"},
    {"debug.selftest", "{\"m\":4096,\"n_kv_heads\":4096,\"head_dim\":65536,\"capacity\":1048576}",
     "too_large"},
    {"debug.verify", "{\"scratch_bytes\":9007199254740991}", NULL},
    {"debug.verify", "{\"batches\":9007199254740991}", NULL},
};

static void expect_reason(const cJSON *answer, const char *what, const char *reason)
{
    char *text = cJSON_PrintUnformatted(answer);
    const cJSON *got = json_at(answer, "error.data.reason");
    bool refused = got != NULL && (reason == NULL || strcmp(got->valuestring, reason) == 0);
    bool done = reason == NULL && json_at(answer, "result") != NULL;
    ck_assert_msg(refused || done, "%s -> %s", what, text);
    free(text);
}

/* Goal: numbers at the edges of 32, 53 and 64 bits, and products that overflow, are refused with
 * their reasons; nothing is taken for them, and the daemon serves on. */
START_TEST(greedy_requests_are_refused)
{
    for (size_t i = 0; i < sizeof greedy / sizeof greedy[0]; i++) {
        cJSON *answer = wire_call(&w, greedy[i].method, "%s", greedy[i].params);
        expect_reason(answer, greedy[i].params, greedy[i].reason);
        cJSON_Delete(answer);
    }
    cJSON *stats = wire_call(&w, "server.stats", NULL);
    ck_assert(json_number(stats, "result.sequences.live") == 1);
    ck_assert(json_number(stats, "result.memory.staging_bytes") == 0);
    cJSON_Delete(stats);
    wire_verify_ok(&w, false);
}
END_TEST

/* A request whose line has n times `piece` between head and tail; its reason must be `reason`. */
static void refuse_long(const char *head, const char *piece, size_t n, const char *tail,
                        const char *reason)
{
    const size_t len = strlen(piece), bytes = len * n;
    char *middle = malloc(bytes);
    ck_assert_ptr_nonnull(middle);
    for (size_t i = 0; i < bytes; i++)
        middle[i] = piece[i % len];
    wire_send(&w, head, strlen(head));
    wire_send(&w, middle, bytes);
    wire_sendf(&w, "%s", tail);
    cJSON *answer = wire_answer(&w);
    expect_reason(answer, head, reason);
    cJSON_Delete(answer);
    free(middle);
}

#define APPEND_TO(seqs) \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"params\":{\"seqs\":[" seqs "],"

/* Goal: text that stands for more than a payload may be, lists of more names than a request may
 * have, and nesting without end are refused for what they are, before memory is taken for them;
 * the connection goes on. */
START_TEST(bombs_are_refused)
{
    enum { LARGE = 100000 }; /* fits a line, and no payload */
    refuse_long(APPEND_TO("1") "\"data\":{\"base64\":\"", "AAAA", LARGE, "\"}}}", "too_large");
    refuse_long(APPEND_TO("1") "\"data\":{\"base64\":\"", "AAAA", 1000, "\"}}}", "invalid_params");
    refuse_long(APPEND_TO("1") "\"data\":{\"values\":[0", ",1", LARGE, "]}}}", "too_large");
    refuse_long(APPEND_TO("1") "\"data\":{\"values\":[0", ",1", 1000, "]}}}", "invalid_params");
    refuse_long("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.free\",\"params\":{\"seqs\":[1",
                ",1", LARGE, "]}}", "too_large");
    refuse_long("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.free\",\"params\":{\"seqs\":", "[",
                LARGE, "", "parse_error");
    refuse_long("[0", ",0", LARGE, "]", "too_large");
    cJSON *stats = wire_call(&w, "server.stats", NULL);
    json_expect(stats, "result.memory.staging_bytes", "0");
    json_expect(stats, "result.connections.accepted", "2"); /* w, and who looked whether it is up */
    json_expect(stats, "result.append.requests", "0");
    cJSON_Delete(stats);
    wire_ok(&w, "seq.info", "{\"seq\":1}");
}
END_TEST

/* Goal: to read all that there is may be more than an answer may be: it is refused with both
 * sizes, and what fits comes. */
START_TEST(reading_everything_is_refused)
{
    enum { TOKENS = 64, ALL = TOKENS * FX_TINY_BYTES };
    unsigned char rows[ALL], got[ALL];
    wire_close(&w);
    daemon_stop(&d);
    daemon_close(&d);
    daemon_start(&d, "models = ( " FX_TINY " );\nlimits: { max_payload_bytes = \"4K\"; };\n");
    wire_open(&w, &d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    for (unsigned i = 0; i < ALL; i++)
        rows[i] = (unsigned char)(i % 251 & 0x7b);
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,\"params\":"
               "{\"seqs\":[1],\"tokens\":%d}}",
               ALL, TOKENS);
    wire_send(&w, rows, sizeof rows);
    cJSON_Delete(wire_answer(&w));
    for (int i = 0; i < 2; i++) {
        cJSON *answer =
            wire_call(&w, "seq.read", "{\"seq\":1,\"dtype\":\"f32\",\"encoding\":\"%s\"}",
                      i == 0 ? "payload" : "base64");
        json_expect(answer, "error.data.reason", "\"too_large\"");
        json_expect(answer, "error.data.limit", "4096");
        json_expect(answer, "error.data.size", "8192");
        cJSON_Delete(answer);
    }
    cJSON_Delete(wire_call(&w, "seq.read", "{\"seq\":1}"));
    wire_bytes(&w, got, sizeof got);
    ck_assert_mem_eq(got, rows, sizeof got);
    wire_verify_ok(&w, true);
}
END_TEST

/* Goal: payloads that are announced larger than allowed, or than any memory, are answered; what
 * follows is skipped where it can be, and else the connection ends. */
START_TEST(greedy_payloads_are_refused)
{
    static const struct {
        const char *bytes, *reason;
        bool goes_on;
    } cases[] = {
        {"65537", "too_large", true},
        {"9007199254740991", "too_large", false}, /* it goes on, but nobody sends so much */
        {"9007199254740992", "invalid_request", false},
        {"9223372036854775808", "invalid_request", false},
        {"18446744073709551615", "invalid_request", false},
        {"18446744073709551680", "invalid_request", false}, /* 2^64 + 64: of the right size, cut */
        {"1e400", "parse_error", false},
        {"1.5", "invalid_request", false},
        {"-1", "invalid_request", false},
    };
    static char zeros[65537];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire other;
        wire_open(&other, &d);
        wire_sendf(&other,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%s,"
                   "\"params\":{\"seqs\":[1]}}",
                   cases[i].bytes);
        cJSON *answer = wire_answer(&other);
        expect_reason(answer, cases[i].bytes, cases[i].reason);
        cJSON_Delete(answer);
        if (cases[i].goes_on) {
            wire_send(&other, zeros, sizeof zeros);
            wire_ok(&other, "server.ping", NULL);
        }
        wire_close(&other);
    }
    wire_ok(&w, "seq.info", "{\"seq\":1}");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limits");
    TCase *tc = tcase_create("limits");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, retries_write_once);
    tcase_add_test(tc, lost_answers_are_asked_for_again);
    tcase_add_test(tc, bombs_are_refused);
    tcase_add_test(tc, reading_everything_is_refused);
    tcase_add_test(tc, greedy_requests_are_refused);
    tcase_add_test(tc, greedy_payloads_are_refused);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
