/* The protocol by hand: every method, every error, every way to break a line. */
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

/* --- requests and answers --------------------------------------------------------------------- */

/* A request and what its answer must have, as "path=JSON"; "path=" for nothing there. */
struct example {
    const char *method, *params;
    const char *want[8];
};

#define V16            "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"
#define VALUES32       "{\"values\":[" V16 "," V16 "]}"
#define REASON(reason) "error.data.reason=\"" reason "\""
#define PARAM(p)       REASON("invalid_params"), "error.code=-32602", "error.data.param=\"" p "\""

/* In order: each builds on those before. */
static const struct example examples[] = {
    {"server.ping", NULL, {"result={}", "id=1", "jsonrpc=\"2.0\""}},
    {"server.ping", "{}", {"result={}"}},
    {"server.ping", "{\"x\":1}", {PARAM("x")}},
    {"server.ping", "[]", {PARAM("params")}},
    {"server.info",
     NULL,
     {"result.name=\"truekv\"", "result.protocol=1", "result.healthy=true",
      "result.models[0].name=\"tiny\"", "result.models[0].dtype=\"f16\"",
      "result.models[1].name=\"odd\"", "result.limits.max_payload_bytes=65536"}},
    {"server.stats", NULL, {"result.sequences.live=0", "result.connections.open=1"}},
    {"server.nonsense",
     NULL,
     {REASON("method_not_found"), "error.code=-32601", "error.data.method=\"server.nonsense\""}},
    {"SERVER.PING", NULL, {REASON("method_not_found")}},

    {"seq.create",
     "{\"seq\":1}",
     {"result.seq=1", "result.model=\"tiny\"", "result.capacity=64", "result.len=0"}},
    {"seq.create",
     "{\"seq\":1}",
     {REASON("already_exists"), "error.code=-32001", "error.data.seq=1"}},
    {"seq.create", "{\"seq\":-1}", {PARAM("seq")}},
    {"seq.create", "{\"seq\":1.5}", {PARAM("seq")}},
    {"seq.create", "{\"seq\":\"7\"}", {PARAM("seq")}},
    {"seq.create", "{\"seq\":9007199254740992}", {PARAM("seq")}},
    {"seq.create", "{\"seq\":9007199254740993}", {PARAM("seq")}},
    {"seq.create", "{\"seq\":18446744073709551617}", {PARAM("seq")}},
    {"seq.create", "{\"seq\":9007199254740991}", {"result.seq=9007199254740991"}},
    {"seq.create", "{\"seq\":null}", {PARAM("seq")}},
    {"seq.create", "{\"Seq\":5}", {PARAM("Seq")}},
    {"seq.create",
     "{\"seq\":2,\"model\":\"odd\",\"capacity\":9,\"label\":\"a b\\u00e9\"}",
     {"result.seq=2", "result.model=\"odd\"", "result.capacity=9"}},
    {"seq.create", "{\"seq\":3,\"model\":\"nope\"}", {PARAM("model")}},
    {"seq.create", "{\"seq\":3,\"capacity\":0}", {PARAM("capacity")}},
    {"seq.create", "{\"seq\":3,\"ttl_ms\":-1}", {PARAM("ttl_ms")}},
    {"seq.create", "{\"seq\":3,\"on_disconnect\":\"maybe\"}", {PARAM("on_disconnect")}},

    {"seq.append", "{\"seqs\":[1],\"data\":" VALUES32 "}", {"result.lens=[1]", "error="}},
    {"seq.append",
     "{\"seqs\":[1],\"pos\":[0],\"data\":" VALUES32 "}",
     {REASON("position_mismatch"), "error.code=-32002", "error.data.seq=1",
      "error.data.expected=1"}},
    {"seq.append", "{\"seqs\":[1],\"pos\":[1],\"data\":" VALUES32 "}", {"result.lens=[2]"}},
    {"seq.append",
     "{\"seqs\":[1],\"layers\":[0,1],\"data\":{\"values\":[" V16 "]}}",
     {"result.lens=[2]"}},
    {"seq.info", "{\"seq\":1}", {"result.len=2", "result.layer_lens=[3,2]", "result.appends=3"}},
    {"seq.append", "{\"seqs\":[1],\"data\":" VALUES32 "}", {"error.code=-32602"}},
    {"seq.append",
     "{\"seqs\":[1],\"layers\":[1,2],\"data\":{\"values\":[" V16 "]}}",
     {"result.lens=[3]"}},
    {"seq.append",
     "{\"seqs\":[77],\"data\":" VALUES32 "}",
     {REASON("not_found"), "error.code=-32000", "error.data.seq=77"}},
    {"seq.append",
     "{\"seqs\":[1,77],\"data\":{\"values\":[" V16 "," V16 "," V16 "," V16 "]}}",
     {REASON("not_found"), "error.data.items[0].index=1", "error.data.items[0].seq=77",
      "error.data.items[0].reason=\"not_found\""}},
    {"seq.append", "{\"seqs\":[],\"data\":" VALUES32 "}", {PARAM("seqs")}},
    {"seq.append", "{\"seqs\":[1]}", {PARAM("payload")}},
    {"seq.append", "{\"seqs\":[1],\"data\":{}}", {PARAM("data")}},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"values\":[1,null]}}", {PARAM("data.values")}},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"values\":[1,2,3]}}", {"error.code=-32602"}},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"base64\":\"!\"}}", {PARAM("data.base64")}},
    {"seq.append", "{\"seqs\":[1],\"data\":{\"base64\":\"\"}}", {"error.code=-32602"}},
    {"seq.append", "{\"seqs\":[1],\"tokens\":0,\"data\":" VALUES32 "}", {PARAM("tokens")}},
    {"seq.append", "{\"seqs\":[1],\"tokens\":[1,1],\"data\":" VALUES32 "}", {PARAM("tokens")}},
    {"seq.append", "{\"seqs\":[1],\"pos\":[3,3],\"data\":" VALUES32 "}", {PARAM("pos")}},
    {"seq.append", "{\"seqs\":[1],\"layers\":[1,1],\"data\":" VALUES32 "}", {PARAM("layers")}},
    {"seq.append", "{\"seqs\":[1],\"layers\":[0,3],\"data\":" VALUES32 "}", {"error.code=-32602"}},
    {"seq.append", "{\"seqs\":[1],\"dtype\":\"f64\",\"data\":" VALUES32 "}", {PARAM("dtype")}},
    {"seq.append",
     "{\"seqs\":[1],\"tokens\":4294967295,\"data\":" VALUES32 "}",
     {"error.code=-32602"}},
    {"seq.append",
     "{\"seqs\":[1],\"data\":{\"region\":1,\"offset\":0}}",
     {REASON("not_supported"), "error.code=-32010"}},
    {"seq.append",
     "{\"seqs\":[1],\"dtype\":\"f16\",\"data\":{\"base64\":\""
     "ADwAPAA8ADwAPAA8ADwAPAA8ADwAPAA8ADwAPAA8ADwAPAA8ADwAPAA8ADwAPAA8ADwAPAA8"
     "ADwAPAA8ADwAPA==\"}}",
     {"result.lens=[4]"}},

    {"seq.read",
     "{\"seq\":1,\"layers\":[0,1],\"pos\":1,\"tokens\":1,\"dtype\":\"f32\","
     "\"encoding\":\"base64\"}",
     {"result.shape=[1,2,2,1,4]", "result.dtype=\"f32\"",
      "result.data.base64=\"AACAPwAAAEAAAEBAAACAQAAAoEAAAMBAAADgQAAAAEEAABBBAAAgQQAAMEEAAEBBAABQQQA"
      "AYEEAAHBBAACAQQ==\""}},
    {"seq.read",
     "{\"seq\":1,\"pos\":4,\"encoding\":\"base64\"}",
     {"result.shape=[2,2,2,0,4]", "result.data.base64=\"\""}},
    {"seq.read", "{\"seq\":1,\"pos\":4}", {"result.shape=[2,2,2,0,4]", "payload="}},
    {"seq.read", "{\"seq\":1,\"pos\":5}", {REASON("out_of_range"), "error.code=-32011"}},
    {"seq.read", "{\"seq\":1,\"pos\":3,\"tokens\":2}", {REASON("out_of_range")}},
    {"seq.read",
     "{\"seq\":1,\"pos\":9007199254740991,\"tokens\":9007199254740991}",
     {"error.code=-32011"}},
    {"seq.read", "{\"seq\":77}", {REASON("not_found"), "error.data.seq=77"}},
    {"seq.read", "{\"seq\":1,\"encoding\":\"morse\"}", {PARAM("encoding")}},

    {"seq.truncate", "{\"seq\":1,\"len\":1}", {"result={\"seq\":1,\"len\":1}"}},
    {"seq.truncate", "{\"seq\":77,\"len\":1}", {REASON("not_found")}},
    {"seq.truncate", "{\"seq\":1}", {PARAM("len")}},
    {"seq.info", "{\"seq\":1}", {"result.len=1", "result.model=\"tiny\"", "result.layer_lens="}},
    {"seq.info", "{\"seq\":77}", {REASON("not_found"), "error.data.seq=77"}},
    {"seq.list", "{\"limit\":2}", {"result.seqs[1].seq=9007199254740991"}},
    {"seq.free",
     "{\"seqs\":[2,77]}",
     {REASON("not_found"), "error.data.items[0].index=1", "error.data.items[0].seq=77"}},
    {"seq.info", "{\"seq\":2}", {"result.label=\"a b\303\251\"", "result.capacity=9"}},
    {"seq.free", "{\"seqs\":[2]}", {"result.freed=1"}},
    {"seq.free", "{\"seqs\":[1,1]}", {PARAM("seqs")}},
    {"seq.export", "{\"seq\":1}", {REASON("not_supported")}},
    {"region.register", "{\"kind\":\"shm\",\"bytes\":4096}", {REASON("not_supported")}},
    {"region.unregister", "{\"region\":1}", {REASON("not_supported")}},

    {"debug.verify", NULL, {"result.ok=true", "result.divergences=[]", "result.divergent_items=0"}},
    {"debug.verify", "{\"seqs\":[1],\"batches\":1}", {"result.ok=true"}},
    {"debug.verify", "{\"batches\":0}", {"error.code=-32602"}},
    {"debug.inject",
     "{\"fault\":\"off_by_one\"}",
     {REASON("permission_denied"), "error.code=-32009"}},
    {"debug.selftest", NULL, {"result.ok=true", "result.items[7].mismatched_bytes=0"}},
    {"debug.selftest", "{\"m\":0}", {PARAM("m")}},
};

static void check_wants(const struct example *e, const cJSON *answer)
{
    char *text = cJSON_PrintUnformatted(answer);
    for (const char *const *want = e->want; *want != NULL; want++) {
        char path[64];
        size_t n = strcspn(*want, "=");
        snprintf(path, sizeof path, "%.*s", (int)n, *want);
        ck_assert_msg(json_is(answer, path, *want + n + 1), "%s %s\n-> %s\nwanted %s", e->method,
                      e->params, text, *want);
    }
    free(text);
}

/* Goal: every method answers as the protocol says, every bad value gets its error and writes
 * nothing. */
START_TEST(methods_by_hand)
{
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *e = &examples[i];
        cJSON *answer = e->params != NULL ? wire_call(&w, e->method, "%s", e->params)
                                          : wire_call(&w, e->method, NULL);
        check_wants(e, answer);
        cJSON_Delete(answer);
    }
    finish();
}
END_TEST

#define PING(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"server.ping\"}"

/* Goal: an id comes back as it was sent, to the byte. */
START_TEST(ids_come_back)
{
    static const char *const ids[] = {"1",
                                      "0",
                                      "-7",
                                      "12345678901234567890123",
                                      "\"\"",
                                      "\"a\"",
                                      "\"\\u00e9\\n\"",
                                      "\"\303\251\"",
                                      "-0",
                                      "9007199254740993"};
    char want[256];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        wire_sendf(&w, "{\"jsonrpc\":\"2.0\", \"id\" : %s ,\"method\":\"server.ping\"}", ids[i]);
        snprintf(want, sizeof want, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}", ids[i]);
        ck_assert_str_eq(wire_line(&w), want);
    }
    finish();
}
END_TEST

/* A line and its error. Afterwards the connection still serves, unless closes. */
static const struct {
    const char *line, *reason;
    const char *id;
    bool closes;
} broken_lines[] = {
    {"nonsense", "parse_error", "null", false},
    {"{", "parse_error", "null", false},
    {"{}", "invalid_request", "null", false},
    {"1", "invalid_request", "null", false},
    {"[]", "invalid_request", "null", false},
    {PING("1") " x", "parse_error", "null", false},
    {PING("1") PING("2"), "parse_error", "null", false},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"server.ping\"}", "parse_error", "null",
     false},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\xff\"}", "parse_error", "null", false},
    {"{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"server.ping\"}", "parse_error", "null", false},
    {"{\"id\":3,\"method\":\"server.ping\"}", "invalid_request", "3", false},
    {"{\"jsonrpc\":\"1.0\",\"id\":3,\"method\":\"server.ping\"}", "invalid_request", "3", false},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":7}", "invalid_request", "3", false},
    {"{\"jsonrpc\":\"2.0\",\"id\":3}", "invalid_request", "3", false},
    {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"server.ping\"}", "invalid_request", "null",
     false},
    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"server.ping\"}", "invalid_request", "null",
     false},
    {"{\"jsonrpc\":\"2.0\",\"id\":4,\"Method\":\"server.ping\"}", "invalid_request", "4", false},
    {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"server.ping\",\"payload\":-1}", "invalid_request",
     "4", true},
    {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"server.ping\",\"payload\":1.5}", "invalid_request",
     "4", true},
    {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"server.ping\",\"payload\":18446744073709551616}",
     "invalid_request", "4", true},
    {"{\"jsonrpc\":\"2.0\",\"id\":4,\"payload\":5,", "parse_error", "null", true},
};

/* Goal: what is no request is answered with its error; the connection lives on where anybody can
 * tell where the next message begins. */
START_TEST(broken_lines_are_answered)
{
    for (size_t i = 0; i < sizeof broken_lines / sizeof broken_lines[0]; i++) {
        char reason[64];
        wire_sendf(&w, "%s", broken_lines[i].line);
        cJSON *answer = wire_answer(&w);
        snprintf(reason, sizeof reason, "\"%s\"", broken_lines[i].reason);
        ck_assert_msg(json_is(answer, "error.data.reason", reason), "%s", broken_lines[i].line);
        json_expect(answer, "id", broken_lines[i].id);
        cJSON_Delete(answer);
        if (!broken_lines[i].closes) {
            wire_ok(&w, "server.ping", NULL);
            continue;
        }
        ck_assert_ptr_null(wire_line(&w));
        wire_close(&w);
        wire_open(&w, &d);
    }
    finish();
}
END_TEST

/* Goal: depth. 16 levels are taken, 17 and 10,000 are not. */
START_TEST(nesting_is_bounded)
{
    static char deep[10001];
    memset(deep, '[', 10000);
    wire_sendf(&w, "%s", deep);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "error.data.reason", "\"parse_error\"");
    cJSON_Delete(answer);
    deep[14] = '\0'; /* with params and its member: 16 */
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"region.register\",\"params\":"
               "{\"x\":%s]]]]]]]]]]]]]]}}",
               deep);
    answer = wire_answer(&w);
    json_expect(answer, "error.data.reason", "\"not_supported\"");
    cJSON_Delete(answer);
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"region.register\",\"params\":"
               "{\"x\":[%s]]]]]]]]]]]]]]]}}",
               deep);
    answer = wire_answer(&w);
    json_expect(answer, "error.data.reason", "\"parse_error\"");
    cJSON_Delete(answer);
    finish();
}
END_TEST

/* --- arrays, notifications, pipelines --------------------------------------------------------- */

#define REQUEST(id, method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" params "}"
#define NOTICE(method, params) \
    "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":" params "}"

/* The member of an array of answers with this id; fails where there is none. */
static const cJSON *by_id(const cJSON *answers, int id)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, answers)
    {
        const cJSON *at = cJSON_GetObjectItemCaseSensitive(one, "id");
        if (cJSON_IsNumber(at) && at->valueint == id) return one;
    }
    ck_abort_msg("no answer with id %d", id);
    return NULL;
}

/* Goal: an array of requests gets one line with all answers, and none for notifications. */
START_TEST(batch_arrays)
{
    static const char *const members[] = {
        REQUEST("1", "seq.create", "{\"seq\":1}"),
        NOTICE("seq.append", "{\"seqs\":[1],\"data\":" VALUES32 "}"),
        REQUEST("2", "seq.info", "{\"seq\":1}"),
        REQUEST("3", "nope", "{}"),
        "7",
        "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"seq.append\",\"payload\":64}",
    };
    wire_sendf(&w, "[%s,%s,%s,%s,%s,%s]", members[0], members[1], members[2], members[3],
               members[4], members[5]);
    cJSON *answers = wire_answer(&w);
    ck_assert(cJSON_IsArray(answers));
    ck_assert_int_eq(cJSON_GetArraySize(answers), 5);
    json_expect(by_id(answers, 1), "result.seq", "1");
    json_expect(by_id(answers, 2), "result.len", "1");
    json_expect(by_id(answers, 3), "error.code", "-32601");
    json_expect(by_id(answers, 4), "error.code", "-32600");
    cJSON_Delete(answers);
    /* notifications alone get nothing: the next line is the ping's */
    wire_sendf(&w, "[" NOTICE("server.ping", "{}") "," NOTICE("nope", "{}") "]");
    wire_sendf(&w, NOTICE("seq.free", "{\"seqs\":[77]}"));
    wire_sendf(&w, PING("\"next\""));
    ck_assert_str_eq(wire_line(&w), "{\"jsonrpc\":\"2.0\",\"id\":\"next\",\"result\":{}}");
    /* a read in an array must be text */
    wire_sendf(&w, "[" REQUEST("1", "seq.read", "{\"seq\":1}") "]");
    answers = wire_answer(&w);
    json_expect(answers, "[0].error.code", "-32602");
    cJSON_Delete(answers);
    finish();
}
END_TEST

/* Goal: requests of one connection that name the same sequence take effect in order, however many
 * are sent before the first answer is read. */
START_TEST(pipelines)
{
    enum { N = 50 };
    wire_sendf(&w, REQUEST("0", "seq.create", "{\"seq\":1}"));
    for (int i = 0; i < N; i++) {
        wire_sendf(&w,
                   "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"seq.append\",\"params\":{\"seqs\":"
                   "[1],\"pos\":[%d],\"data\":" VALUES32 "}}",
                   2 * i + 1, i);
        wire_sendf(&w,
                   "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"seq.info\",\"params\":{\"seq\":1}}",
                   2 * i + 2);
    }
    for (int i = 0; i < 2 * N + 1; i++) {
        cJSON *answer = wire_answer(&w);
        int id = (int)json_number(answer, "id");
        if (id > 0 && id % 2 == 0) ck_assert_int_eq((int)json_number(answer, "result.len"), id / 2);
        if (id % 2 == 1) ck_assert_int_eq((int)json_number(answer, "result.lens[0]"), id / 2 + 1);
        cJSON_Delete(answer);
    }
    finish();
}
END_TEST

/* Goal: more requests in one breath than the daemon takes at once are all answered. */
START_TEST(long_pipelines)
{
    enum { N = 5000 };
    for (int i = 0; i < N; i++)
        wire_sendf(&w, PING("1") "\r\n\n");
    wire_shut(&w);
    for (int i = 0; i < N; i++)
        ck_assert_str_eq(wire_line(&w), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
    ck_assert_ptr_null(wire_line(&w));
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tests = tcase_create("wire");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, methods_by_hand);
    tcase_add_test(tests, ids_come_back);
    tcase_add_test(tests, broken_lines_are_answered);
    tcase_add_test(tests, nesting_is_bounded);
    tcase_add_test(tests, batch_arrays);
    tcase_add_test(tests, pipelines);
    tcase_add_test(tests, long_pipelines);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
