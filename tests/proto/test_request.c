#include <string.h>

#include "base/buffer.h"
#include "proto/request.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define REQUEST(method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}"

static struct tkv_message *parse(const char *line)
{
    struct tkv_message *msg = tkv_message_parse(line, strlen(line));
    ck_assert_ptr_nonnull(msg);
    ck_assert_uint_ge(msg->n, 1);
    return msg;
}

/* The one request of a line, which must be fine. */
static struct tkv_message *parse_good(const char *line, enum tkv_method method)
{
    struct tkv_message *msg = parse(line);
    const struct tkv_request *r = &msg->requests[0];
    ck_assert_msg(r->error.status == TKV_OK, "%s: %s", line, r->error.message);
    ck_assert_int_eq(r->method, method);
    ck_assert(!r->notification && !msg->is_batch && msg->n == 1 && !msg->lost);
    ck_assert_int_eq(memcmp(r->id, "1", r->id_len), 0);
    return msg;
}

/* The one request of a line must carry this error. */
static void assert_error(const char *line, enum tkv_status st, const char *param)
{
    struct tkv_message *msg = parse(line);
    const struct tkv_error *e = &msg->requests[0].error;
    ck_assert_msg(e->status == st, "%s: %s (%s)", line, tkv_status_reason(e->status), e->message);
    ck_assert_msg(strcmp(e->param, param) == 0, "%s: param %s", line, e->param);
    ck_assert(e->message[0] != '\0');
    ck_assert_uint_eq(msg->n, 1);
    tkv_message_free(msg);
}

/* Goal: every method's word is its own and leads back to it. */
START_TEST(methods_without_params)
{
    static const char *const lines[] = {
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}",
        REQUEST("server.info", "{}"),
        " { \"params\" : { } , \"method\" : \"server.stats\" , \"id\" : 1 , \"jsonrpc\" : \"2.0\" "
        "} ",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        tkv_message_free(parse_good(lines[i], (enum tkv_method)i));
    ck_assert_str_eq(tkv_method_word(TKV_METHOD_DEBUG_VERIFY), "debug.verify");
    for (int i = 0; i < TKV_METHOD_COUNT; i++) {
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(tkv_method_word((enum tkv_method)i),
                             tkv_method_word((enum tkv_method)k));
    }
}
END_TEST

/* Goal: methods that are not served yet take any object. */
START_TEST(methods_not_served)
{
    tkv_message_free(parse_good(REQUEST("seq.export", "{\"seq\":\"?\"}"), TKV_METHOD_SEQ_EXPORT));
    tkv_message_free(parse_good(REQUEST("region.register", "{\"kind\":\"shm\",\"bytes\":1}"),
                                TKV_METHOD_REGION_REGISTER));
    tkv_message_free(
        parse_good(REQUEST("region.unregister", "{\"x\":1}"), TKV_METHOD_REGION_UNREGISTER));
    assert_error(REQUEST("seq.export", "[]"), TKV_EINVAL, "params");
}
END_TEST

START_TEST(auth)
{
    struct tkv_message *msg = parse_good(REQUEST("auth", "{\"token\":\"a b\"}"), TKV_METHOD_AUTH);
    ck_assert_str_eq(msg->requests[0].params.auth.token, "a b");
    tkv_message_free(msg);
    assert_error(REQUEST("auth", "{}"), TKV_EINVAL, "token");
    assert_error(REQUEST("auth", "{\"token\":1}"), TKV_EINVAL, "token");
    assert_error(REQUEST("auth", "{\"token\":\"\\u0000\"}"), TKV_EINVAL, "token");
    assert_error(REQUEST("auth", "{\"token\":\"a\",\"user\":\"b\"}"), TKV_EINVAL, "user");
}
END_TEST

START_TEST(seq_create)
{
    struct tkv_message *msg = parse_good(
        REQUEST("seq.create", "{\"seq\":9007199254740991,\"model\":\"m\",\"capacity\":64,"
                              "\"label\":\"\\u00e9\",\"ttl_ms\":1,\"on_disconnect\":\"free\"}"),
        TKV_METHOD_SEQ_CREATE);
    const struct tkv_seq_create *p = &msg->requests[0].params.seq_create;
    ck_assert(p->seq.given && p->seq.value == TKV_SEQ_MAX);
    ck_assert_str_eq(p->model, "m");
    ck_assert(p->capacity.given && p->capacity.value == 64);
    ck_assert_str_eq(p->label, "\xc3\xa9");
    ck_assert(p->ttl_ms.given && p->ttl_ms.value == 1 && p->free_on_disconnect);
    tkv_message_free(msg);

    msg = parse_good(REQUEST("seq.create", "{\"on_disconnect\":\"keep\"}"), TKV_METHOD_SEQ_CREATE);
    p = &msg->requests[0].params.seq_create;
    ck_assert(!p->seq.given && !p->capacity.given && !p->ttl_ms.given && !p->free_on_disconnect);
    ck_assert(p->model == NULL && p->label == NULL);
    tkv_message_free(msg);
}
END_TEST

START_TEST(seq_append_from_payload)
{
    struct tkv_message *msg = parse_good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\","
                                         "\"payload\":96,\"params\":{\"pos\":"
                                         "[4,0,7],\"tokens\":[1,4294967295,3],\"layers\":[2,5],"
                                         "\"dtype\":\"bf16\",\"seqs\":[7,0,7]}}",
                                         TKV_METHOD_SEQ_APPEND);
    const struct tkv_seq_append *p = &msg->requests[0].params.seq_append;
    ck_assert_uint_eq(msg->payload_bytes, 96);
    ck_assert_uint_eq(msg->requests[0].payload_bytes, 96);
    ck_assert_uint_eq(p->m, 3);
    ck_assert(p->seqs[0] == 7 && p->seqs[1] == 0 && p->seqs[2] == 7);
    ck_assert(p->pos[0] == 4 && p->pos[1] == 0 && p->pos[2] == 7);
    ck_assert(p->tokens[0] == 1 && p->tokens[1] == UINT32_MAX && p->tokens[2] == 3);
    ck_assert(p->layers.given && p->layers.begin == 2 && p->layers.end == 5);
    ck_assert(p->dtype.given && p->dtype.value == TKV_BF16);
    ck_assert_int_eq(p->source, TKV_SOURCE_PAYLOAD);
    tkv_message_free(msg);
}
END_TEST

START_TEST(seq_append_from_data)
{
    struct tkv_message *msg = parse_good(
        REQUEST("seq.append", "{\"seqs\":[1,2],\"tokens\":5,\"data\":{\"base64\":\"AQI=\"}}"),
        TKV_METHOD_SEQ_APPEND);
    const struct tkv_seq_append *p = &msg->requests[0].params.seq_append;
    ck_assert(p->pos == NULL && !p->layers.given && !p->dtype.given);
    ck_assert(p->tokens[0] == 5 && p->tokens[1] == 5);
    ck_assert_int_eq(p->source, TKV_SOURCE_BASE64);
    ck_assert_str_eq(p->base64, "AQI=");
    tkv_message_free(msg);

    msg = parse_good(REQUEST("seq.append", "{\"seqs\":[1],\"data\":{\"values\":[1,-2.5,1e300]}}"),
                     TKV_METHOD_SEQ_APPEND);
    p = &msg->requests[0].params.seq_append;
    ck_assert_uint_eq(p->tokens[0], 1);
    ck_assert_int_eq(p->source, TKV_SOURCE_VALUES);
    ck_assert_uint_eq(p->n_values, 3);
    float values[3];
    tkv_values_read(p, TKV_F32, values);
    ck_assert(values[0] == 1.0f && values[1] == -2.5f && values[2] > 3.4e38f);
    tkv_message_free(msg);

    msg = parse_good(REQUEST("seq.append", "{\"seqs\":[1],\"data\":{\"offset\":64,\"region\":3}}"),
                     TKV_METHOD_SEQ_APPEND);
    p = &msg->requests[0].params.seq_append;
    ck_assert_int_eq(p->source, TKV_SOURCE_REGION);
    ck_assert(p->region == 3 && p->offset == 64);
    tkv_message_free(msg);
}
END_TEST

/* Goal: numbers are rounded to 16 bits once. Method: a value just above a tie of f16 (and bf16)
 * that the nearest float would make the tie itself. */
START_TEST(values_are_rounded_once)
{
    static const char line[] = REQUEST(
        "seq.append", "{\"seqs\":[1],\"data\":{\"values\":[1.00048828125,1.0004882812500002,"
                      "-1.0004882812500002,1.00390625,1.0039062500000002,1e39,-1e-300]}}");
    static const uint16_t f16[] = {0x3c00, 0x3c01, 0xbc01, 0x3c04, 0x3c04, 0x7c00, 0x8000};
    static const uint16_t bf16[] = {0x3f80, 0x3f80, 0xbf80, 0x3f80, 0x3f81, 0x7f80, 0x8000};
    uint16_t got[COUNT(f16)];
    struct tkv_message *msg = parse_good(line, TKV_METHOD_SEQ_APPEND);
    const struct tkv_seq_append *p = &msg->requests[0].params.seq_append;
    ck_assert_uint_eq(p->n_values, COUNT(f16));
    tkv_values_read(p, TKV_F16, got);
    for (size_t i = 0; i < COUNT(f16); i++)
        ck_assert_uint_eq(got[i], f16[i]);
    tkv_values_read(p, TKV_BF16, got);
    for (size_t i = 0; i < COUNT(bf16); i++)
        ck_assert_uint_eq(got[i], bf16[i]);
    tkv_message_free(msg);
}
END_TEST

START_TEST(seq_others)
{
    struct tkv_message *msg =
        parse_good(REQUEST("seq.truncate", "{\"seq\":3,\"len\":0}"), TKV_METHOD_SEQ_TRUNCATE);
    ck_assert_uint_eq(msg->requests[0].params.seq_truncate.seq, 3);
    ck_assert_uint_eq(msg->requests[0].params.seq_truncate.len, 0);
    tkv_message_free(msg);
    msg = parse_good(REQUEST("seq.free", "{\"seqs\":[3,1,2]}"), TKV_METHOD_SEQ_FREE);
    ck_assert_uint_eq(msg->requests[0].params.seq_free.m, 3);
    ck_assert_uint_eq(msg->requests[0].params.seq_free.seqs[0], 3); /* as they were sent */
    tkv_message_free(msg);
    msg = parse_good(REQUEST("seq.info", "{\"seq\":1e2}"), TKV_METHOD_SEQ_INFO);
    ck_assert_uint_eq(msg->requests[0].params.seq_info.seq, 100);
    tkv_message_free(msg);
    msg = parse_good(REQUEST("seq.list", "{\"cursor\":0,\"limit\":10}"), TKV_METHOD_SEQ_LIST);
    ck_assert(msg->requests[0].params.seq_list.cursor.given);
    ck_assert_uint_eq(msg->requests[0].params.seq_list.limit.value, 10);
    tkv_message_free(msg);
    msg =
        parse_good(REQUEST("seq.read", "{\"seq\":1,\"layers\":[0,4294967295],\"pos\":2,\"tokens\":"
                                       "0,\"dtype\":\"f32\",\"encoding\":\"base64\"}"),
                   TKV_METHOD_SEQ_READ);
    const struct tkv_seq_read *p = &msg->requests[0].params.seq_read;
    ck_assert(p->layers.given && p->layers.end == UINT32_MAX && p->pos.value == 2);
    ck_assert(p->tokens.given && p->tokens.value == 0 && p->dtype.value == TKV_F32 && p->base64);
    tkv_message_free(msg);
    msg = parse_good(REQUEST("seq.read", "{\"seq\":1,\"encoding\":\"payload\"}"),
                     TKV_METHOD_SEQ_READ);
    p = &msg->requests[0].params.seq_read;
    ck_assert(!p->layers.given && !p->pos.given && !p->tokens.given && !p->dtype.given);
    ck_assert(!p->base64);
    tkv_message_free(msg);
}
END_TEST

START_TEST(debug_methods)
{
    struct tkv_message *msg = parse_good(
        REQUEST("debug.verify", "{\"seqs\":[4,4],\"batches\":2,\"scratch_bytes\":1048576}"),
        TKV_METHOD_DEBUG_VERIFY);
    const struct tkv_debug_verify *v = &msg->requests[0].params.debug_verify;
    ck_assert(v->m == 2 && v->seqs[1] == 4 && v->batches.value == 2);
    ck_assert(v->scratch_bytes.given && v->scratch_bytes.value == 1 << 20);
    tkv_message_free(msg);
    msg = parse_good(REQUEST("debug.verify", "{}"), TKV_METHOD_DEBUG_VERIFY);
    ck_assert_uint_eq(msg->requests[0].params.debug_verify.m, 0);
    tkv_message_free(msg);

    msg = parse_good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"debug.selftest\"}",
                     TKV_METHOD_DEBUG_SELFTEST);
    const struct tkv_debug_selftest *s = &msg->requests[0].params.debug_selftest;
    ck_assert(s->m == 4 && s->n_kv_heads == 8 && s->head_dim == 128 && s->capacity == 64);
    ck_assert(s->cache_len == 4 && s->layers == 1 && s->seed == 1);
    tkv_message_free(msg);
    msg = parse_good(REQUEST("debug.selftest", "{\"m\":4096,\"head_dim\":65536,\"cache_len\":0,"
                                               "\"capacity\":1048576,\"seed\":9}"),
                     TKV_METHOD_DEBUG_SELFTEST);
    s = &msg->requests[0].params.debug_selftest;
    ck_assert(s->m == 4096 && s->head_dim == 65536 && s->capacity == 1 << 20 && s->seed == 9);
    ck_assert(s->cache_len == 0 && s->n_kv_heads == 8);
    tkv_message_free(msg);

    msg =
        parse_good(REQUEST("debug.inject", "{\"fault\":\"swap_items\"}"), TKV_METHOD_DEBUG_INJECT);
    ck_assert_str_eq(msg->requests[0].params.debug_inject.fault, "swap_items");
    ck_assert_uint_eq(msg->requests[0].params.debug_inject.batches.value, 1);
    ck_assert(!msg->requests[0].params.debug_inject.layer.given);
    ck_assert(!msg->requests[0].params.debug_inject.last_item);
    tkv_message_free(msg);
    msg = parse_good(REQUEST("debug.inject", "{\"fault\":\"x\",\"layer\":0,\"kv_head\":4294967294,"
                                             "\"last_item\":true,\"together\":true}"),
                     TKV_METHOD_DEBUG_INJECT);
    const struct tkv_debug_inject *inject = &msg->requests[0].params.debug_inject;
    ck_assert(inject->layer.given && inject->layer.value == 0);
    ck_assert(inject->kv_head.given && inject->kv_head.value == 4294967294u);
    ck_assert(inject->last_item && inject->together && !inject->batches.given);
    tkv_message_free(msg);
}
END_TEST

#define APPEND(params) REQUEST("seq.append", params)
#define BYTES          ",\"data\":{\"base64\":\"AAAA\"}}"

static const struct {
    const char *line, *param;
} invalid_params[] = {
    {REQUEST("server.ping", "{\"x\":1}"), "x"},
    {REQUEST("server.ping", "[]"), "params"},
    {REQUEST("server.ping", "null"), "params"},
    {REQUEST("server.ping", "7"), "params"},
    {REQUEST("server.info", "{\"\":1}"), ""}, /* the empty name */
    {REQUEST("seq.create", "{\"seq\":-1}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":1.5}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":\"7\"}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":9007199254740992}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":9007199254740993}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":1e300}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":null}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":true}"), "seq"},
    {REQUEST("seq.create", "{\"seq\":[1]}"), "seq"},
    {REQUEST("seq.create", "{\"Seq\":1}"), "Seq"},
    {REQUEST("seq.create", "{\"seq\\u0000\":1}"), "seq\xef\xbf\xbf"},
    {REQUEST("seq.create", "{\"capacity\":0}"), "capacity"},
    {REQUEST("seq.create", "{\"capacity\":4294967296}"), "capacity"},
    {REQUEST("seq.create", "{\"model\":1}"), "model"},
    {REQUEST("seq.create", "{\"model\":\"a\\u0000b\"}"), "model"},
    {REQUEST("seq.create", "{\"label\":null}"), "label"},
    {REQUEST("seq.create", "{\"label\":\"\\u0000\"}"), "label"},
    {REQUEST("seq.create", "{\"ttl_ms\":0}"), "ttl_ms"},
    {REQUEST("seq.create", "{\"on_disconnect\":\"Free\"}"), "on_disconnect"},
    {REQUEST("seq.create", "{\"on_disconnect\":true}"), "on_disconnect"},
    {APPEND("{}"), "seqs"},
    {APPEND("{\"seqs\":[1]}"), "payload"},
    {APPEND("{\"seqs\":[]" BYTES), "seqs"},
    {APPEND("{\"seqs\":7" BYTES), "seqs"},
    {APPEND("{\"seqs\":[1,1.5]" BYTES), "seqs"},
    {APPEND("{\"seqs\":[1,-1]" BYTES), "seqs"},
    {APPEND("{\"seqs\":[1,2],\"pos\":[1]" BYTES), "pos"},
    {APPEND("{\"seqs\":[1,2],\"pos\":[1,2,3]" BYTES), "pos"},
    {APPEND("{\"seqs\":[1],\"pos\":0" BYTES), "pos"},
    {APPEND("{\"seqs\":[1],\"pos\":[-1]" BYTES), "pos"},
    {APPEND("{\"seqs\":[1],\"tokens\":0" BYTES), "tokens"},
    {APPEND("{\"seqs\":[1],\"tokens\":4294967296" BYTES), "tokens"},
    {APPEND("{\"seqs\":[1,2],\"tokens\":[1]" BYTES), "tokens"},
    {APPEND("{\"seqs\":[1,2],\"tokens\":[1,0]" BYTES), "tokens"},
    {APPEND("{\"seqs\":[1],\"tokens\":[]" BYTES), "tokens"},
    {APPEND("{\"seqs\":[1],\"tokens\":null" BYTES), "tokens"},
    {APPEND("{\"seqs\":[1],\"layers\":[1]" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"layers\":[1,1]" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"layers\":[2,1]" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"layers\":[0,1,2]" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"layers\":[-1,1]" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"layers\":[0,4294967296]" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"layers\":{\"begin\":0,\"end\":1}" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"layers\":\"all\"" BYTES), "layers"},
    {APPEND("{\"seqs\":[1],\"dtype\":\"F16\"" BYTES), "dtype"},
    {APPEND("{\"seqs\":[1],\"dtype\":16" BYTES), "dtype"},
    {APPEND("{\"seqs\":[1],\"token\":1" BYTES), "token"},
    {APPEND("{\"seqs\":[1],\"data\":\"AAAA\"}"), "data"},
    {APPEND("{\"seqs\":[1],\"data\":{}}"), "data"},
    {APPEND("{\"seqs\":[1],\"data\":{\"base64\":\"\",\"values\":[1]}}"), "data"},
    {APPEND("{\"seqs\":[1],\"data\":{\"base64\":\"\",\"region\":1}}"), "data"},
    {APPEND("{\"seqs\":[1],\"data\":{\"base64\":\"\",\"offset\":1}}"), "data.offset"},
    {APPEND("{\"seqs\":[1],\"data\":{\"bytes\":\"\"}}"), "data.bytes"},
    {APPEND("{\"seqs\":[1],\"data\":{\"base64\":7}}"), "data.base64"},
    {APPEND("{\"seqs\":[1],\"data\":{\"base64\":\"AAA\"}}"), "data.base64"},
    {APPEND("{\"seqs\":[1],\"data\":{\"base64\":\"AA AA\\n\"}}"), "data.base64"},
    {APPEND("{\"seqs\":[1],\"data\":{\"base64\":\"AAAA\\u0000AAA\"}}"), "data.base64"},
    {APPEND("{\"seqs\":[1],\"data\":{\"values\":[]}}"), "data.values"},
    {APPEND("{\"seqs\":[1],\"data\":{\"values\":[1,null]}}"), "data.values"},
    {APPEND("{\"seqs\":[1],\"data\":{\"values\":[\"1\"]}}"), "data.values"},
    {APPEND("{\"seqs\":[1],\"data\":{\"values\":[[1]]}}"), "data.values"},
    {APPEND("{\"seqs\":[1],\"data\":{\"values\":1}}"), "data.values"},
    {APPEND("{\"seqs\":[1],\"data\":{\"region\":-1}}"), "data.region"},
    {APPEND("{\"seqs\":[1],\"data\":{\"region\":1,\"offset\":0.5}}"), "data.offset"},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":0,\"params\":{\"seqs\":["
     "1]}}",
     "payload"},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":3,\"params\":{\"seqs\":["
     "1]" BYTES "}",
     "data"},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\",\"payload\":3}", "payload"},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.export\",\"payload\":3}", "payload"},
    {REQUEST("seq.truncate", "{\"seq\":1}"), "len"},
    {REQUEST("seq.truncate", "{\"len\":1}"), "seq"},
    {REQUEST("seq.truncate", "{\"seq\":1,\"len\":-1}"), "len"},
    {REQUEST("seq.free", "{}"), "seqs"},
    {REQUEST("seq.free", "{\"seqs\":[1,2,3,1]}"), "seqs"},
    {REQUEST("seq.free", "{\"seqs\":[]}"), "seqs"},
    {REQUEST("seq.free", "{\"seq\":1}"), "seq"},
    {REQUEST("seq.info", "{}"), "seq"},
    {REQUEST("seq.list", "{\"limit\":0}"), "limit"},
    {REQUEST("seq.list", "{\"cursor\":\"x\"}"), "cursor"},
    {REQUEST("seq.read", "{}"), "seq"},
    {REQUEST("seq.read", "{\"seq\":1,\"encoding\":\"hex\"}"), "encoding"},
    {REQUEST("seq.read", "{\"seq\":1,\"tokens\":-1}"), "tokens"},
    {REQUEST("seq.read", "{\"seq\":1,\"pos\":[0]}"), "pos"},
    {REQUEST("debug.verify", "{\"seqs\":[]}"), "seqs"},
    {REQUEST("debug.verify", "{\"batches\":0}"), "batches"},
    {REQUEST("debug.verify", "{\"scratch_bytes\":0}"), "scratch_bytes"},
    {REQUEST("debug.selftest", "{\"m\":0}"), "m"},
    {REQUEST("debug.selftest", "{\"m\":4097}"), "m"},
    {REQUEST("debug.selftest", "{\"n_kv_heads\":4097}"), "n_kv_heads"},
    {REQUEST("debug.selftest", "{\"head_dim\":65537}"), "head_dim"},
    {REQUEST("debug.selftest", "{\"capacity\":1048577}"), "capacity"},
    {REQUEST("debug.selftest", "{\"layers\":4097}"), "layers"},
    {REQUEST("debug.selftest", "{\"seed\":0}"), "seed"},
    {REQUEST("debug.selftest", "{\"capacity\":4}"), "cache_len"},
    {REQUEST("debug.inject", "{}"), "fault"},
    {REQUEST("debug.inject", "{\"fault\":1}"), "fault"},
    {REQUEST("debug.inject", "{\"fault\":\"x\",\"batches\":0}"), "batches"},
    {REQUEST("debug.inject", "{\"fault\":\"x\",\"layer\":-1}"), "layer"},
    {REQUEST("debug.inject", "{\"fault\":\"x\",\"layer\":4294967295}"), "layer"},
    {REQUEST("debug.inject", "{\"fault\":\"x\",\"kv_head\":1.5}"), "kv_head"},
    {REQUEST("debug.inject", "{\"fault\":\"x\",\"last_item\":1}"), "last_item"},
    {REQUEST("debug.inject", "{\"fault\":\"x\",\"together\":\"yes\"}"), "together"},
    {REQUEST("debug.inject", "{\"fault\":\"x\",\"together\":true,\"batches\":1}"), "batches"},
};

/* Goal: every rule on params has its error, which names the member at fault. */
START_TEST(invalid_params_name_the_member)
{
    for (size_t i = 0; i < COUNT(invalid_params); i++)
        assert_error(invalid_params[i].line, TKV_EINVAL, invalid_params[i].param);
}
END_TEST

/* Goal: messages say the value, shortened, and stay UTF-8 where they are cut. */
START_TEST(messages_name_the_value)
{
    struct tkv_message *msg = parse(REQUEST("seq.info", "{\"seq\":\"sev\\u0007en\"}"));
    ck_assert_str_eq(msg->requests[0].error.message,
                     "seq must be an integer from 0 to 9007199254740991, not \"sev?en\"");
    tkv_message_free(msg);
    msg = parse(APPEND("{\"seqs\":[1,2.5]" BYTES));
    ck_assert_ptr_nonnull(strstr(msg->requests[0].error.message, "seqs[1]"));
    ck_assert_ptr_nonnull(strstr(msg->requests[0].error.message, "not 2.5"));
    tkv_message_free(msg);
    char line[2000] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"";
    for (int i = 0; i < 300; i++)
        strncat(line, "\xe2\x82\xac", 4);
    strncat(line, "\"}", 3);
    msg = parse(line);
    const struct tkv_error *e = &msg->requests[0].error;
    ck_assert_int_eq(e->status, TKV_EMETHOD);
    ck_assert_uint_eq(strlen(e->method), 63);
    ck_assert_uint_eq(strlen(e->message) % 3, (strlen("no method \"...\"")) % 3);
    tkv_message_free(msg);
}
END_TEST

/* Goal: more sequences than one request may name are too large, with both numbers. */
START_TEST(too_many_seqs)
{
    enum { MORE = TKV_SEQS_MAX + 1 };
    for (int n = TKV_SEQS_MAX; n <= MORE; n++) {
        struct tkv_buffer line;
        tkv_buffer_init(&line, 1 << 20);
        tkv_buffer_puts(
            &line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.free\",\"params\":{\"seqs\":[");
        for (int i = 0; i < n; i++)
            tkv_buffer_printf(&line, "%s%d", i > 0 ? "," : "", i);
        tkv_buffer_puts(&line, "]}}");
        struct tkv_message *msg = tkv_message_parse((const char *)line.data, line.len);
        ck_assert_ptr_nonnull(msg);
        const struct tkv_error *e = &msg->requests[0].error;
        ck_assert_int_eq(e->status, n == MORE ? TKV_ETOOLARGE : TKV_OK);
        if (n == MORE) {
            ck_assert_uint_eq(e->numbers, 1u << TKV_ERROR_AT_limit | 1u << TKV_ERROR_AT_size);
            ck_assert(e->limit == TKV_SEQS_MAX && e->size == MORE);
        }
        tkv_message_free(msg);
        tkv_buffer_close(&line);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("request");
    TCase *tc = tcase_create("request");
    tcase_add_test(tc, methods_without_params);
    tcase_add_test(tc, methods_not_served);
    tcase_add_test(tc, auth);
    tcase_add_test(tc, seq_create);
    tcase_add_test(tc, seq_append_from_payload);
    tcase_add_test(tc, seq_append_from_data);
    tcase_add_test(tc, values_are_rounded_once);
    tcase_add_test(tc, seq_others);
    tcase_add_test(tc, debug_methods);
    tcase_add_test(tc, invalid_params_name_the_member);
    tcase_add_test(tc, messages_name_the_value);
    tcase_add_test(tc, too_many_seqs);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
