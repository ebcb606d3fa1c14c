/* Requests that are repeated, come out of order, or ask for more than there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    {"seq.append", "{\"seqs\":[],\"data\":{\"values\":[]}}", "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"base64\":\"====\"}}", "invalid_params"},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"region\":9007199254740991,\"offset\":0}}",
     "not_supported"},
    {"seq.read", "{\"seq\":1,\"pos\":4294967295,\"tokens\":4294967295}", "out_of_range"},
    {"seq.read", "{\"seq\":1,\"layers\":[0,1000000]}", "invalid_params"},
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

/* Goal: payloads that are announced larger than allowed, or than any memory, are answered; what
 * follows is skipped where it can be, and else the connection ends. */
START_TEST(greedy_payloads_are_refused)
{
    static const struct {
        const char *bytes;
        bool goes_on;
    } cases[] = {{"65537", true}, {"18446744073709551615", false}, {"1.5", false}, {"-1", false}};
    static char zeros[65537];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire other;
        wire_open(&other, &d);
        wire_sendf(&other,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%s,"
                   "\"params\":{\"seqs\":[1]}}",
                   cases[i].bytes);
        cJSON *answer = wire_answer(&other);
        ck_assert_ptr_nonnull(json_at(answer, "error.code"));
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
    tcase_add_test(tc, greedy_requests_are_refused);
    tcase_add_test(tc, greedy_payloads_are_refused);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
