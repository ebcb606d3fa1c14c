#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "proto/answer.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The line in memory of just its size, freed at once: messages must not borrow from it. */
static struct tkv_message *parse_bytes(const char *line, size_t len)
{
    char *exact = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, line, len);
    struct tkv_message *msg = tkv_message_parse(exact, len);
    memset(exact, '!', len);
    free(exact);
    ck_assert_ptr_nonnull(msg);
    return msg;
}

static struct tkv_message *parse(const char *line)
{
    return parse_bytes(line, strlen(line));
}

static void assert_id(const struct tkv_request *r, const char *id)
{
    ck_assert_msg(r->id_len == strlen(id) && memcmp(r->id, id, r->id_len) == 0, "id %.*s, not %s",
                  (int)r->id_len, r->id, id);
}

/* Goal: ids come back as they were sent, letter for letter. */
START_TEST(ids_are_echoed)
{
    static const char *const ids[] = {
        "\"a\"",
        "0",
        "-5",
        "-0",
        "12345678901234567890",
        "\"\\u0041\"",
        "\"\"",
        "\"\\u0000\"",
        "\"\\\"}\\\\\"",
        "\"id\"",
        "\"\xe2\x82\xac\"",
        "1234567890123456789012345678901234567890123456789012345678901234567890",
    };
    static const char *const forms[] = {
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"server.ping\"}",
        "  {\t\"method\" : \"server.ping\" , \"params\":{} ,\"id\"  :  %s  , \"jsonrpc\":\"2.0\"}",
        "{\"method\":\"server.ping\",\"jsonrpc\":\"2.0\",\"\\u0069d\":%s}",
        "{\"id\":%s,\"method\":\"server.ping\"}", /* invalid, but the id can be read */
        "{\"params\":{\"id\":[{\"id\":5}],\"s\":\"\\\"id\\\":7,\"},\"id\":%s,\"method\":\"x\"}",
    };
    for (size_t f = 0; f < COUNT(forms); f++) {
        for (size_t i = 0; i < COUNT(ids); i++) {
            struct tkv_buffer line;
            tkv_buffer_init(&line, 1000);
            const char *place = strstr(forms[f], "%s");
            tkv_buffer_append(&line, forms[f], (size_t)(place - forms[f]));
            tkv_buffer_puts(&line, ids[i]);
            tkv_buffer_puts(&line, place + 2);
            struct tkv_message *msg = parse_bytes((const char *)line.data, line.len);
            assert_id(&msg->requests[0], ids[i]);
            ck_assert(!msg->requests[0].notification);
            ck_assert_int_eq(msg->requests[0].error.status, f < 3 ? TKV_OK : TKV_EREQUEST);
            tkv_message_free(msg);
            tkv_buffer_close(&line);
        }
    }
}
END_TEST

/* Goal: what is no request gets its error, with the id where it can be read, and is never silent.
 */
START_TEST(broken_envelopes)
{
    static const struct {
        const char *line, *id;
        enum tkv_status st;
    } rows[] = {
        {"", "null", TKV_EPARSE},
        {"nope", "null", TKV_EPARSE},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}x", "null", TKV_EPARSE},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"method\":\"server.ping\"}", "null", TKV_EPARSE},
        {"1", "null", TKV_EREQUEST},
        {"\"server.ping\"", "null", TKV_EREQUEST},
        {"null", "null", TKV_EREQUEST},
        {"[]", "null", TKV_EREQUEST},
        {"{}", "null", TKV_EREQUEST},
        {"{\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"method\":1,\"params\":\"bar\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}", "1", TKV_EREQUEST},
        {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"server.ping\"}", "1", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.00\",\"id\":1,\"method\":\"server.ping\"}", "1", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\\u0000\",\"id\":1,\"method\":\"server.ping\"}", "1", TKV_EREQUEST},
        {"{\"JSONRPC\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}", "1", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":null}", "1", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":[\"server.ping\"]}", "1", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\",\"paylod\":3}", "1",
         TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\",\"\":3}", "1", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.0,\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1e0,\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"server.ping\"}", "null", TKV_EREQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"Server.ping\"}", "1", TKV_EMETHOD},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", "1", TKV_EMETHOD},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\\u0000\"}", "1", TKV_EMETHOD},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\",\"params\":[1]}", "1",
         TKV_EINVAL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tkv_message *msg = parse(rows[i].line);
        const struct tkv_request *r = &msg->requests[0];
        ck_assert_msg(r->error.status == rows[i].st, "%s: %s", rows[i].line, r->error.message);
        assert_id(r, rows[i].id);
        ck_assert(msg->n == 1 && !msg->is_batch && !r->notification && !msg->lost);
        ck_assert(r->error.message[0] != '\0');
        tkv_message_free(msg);
    }
}
END_TEST

/* Goal: no id, no answer, also where there would have been an error. */
START_TEST(notifications)
{
    static const struct {
        const char *line;
        enum tkv_status st;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"method\":\"server.ping\"}", TKV_OK},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}", TKV_EMETHOD},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"seq.info\"}", TKV_EINVAL},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"seq.info\",\"params\":7}", TKV_EINVAL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tkv_message *msg = parse(rows[i].line);
        ck_assert(msg->requests[0].notification);
        ck_assert_int_eq(msg->requests[0].error.status, rows[i].st);
        tkv_message_free(msg);
    }
}
END_TEST

/* Goal: it is known what follows a line however broken its request is, or that nobody knows. */
START_TEST(payloads)
{
#define WITH(payload, rest) "{\"jsonrpc\":\"2.0\",\"id\":1,\"payload\":" payload rest "}"
    static const struct {
        const char *line;
        bool lost;
        uint64_t bytes;
    } rows[] = {
        {WITH("5", ",\"method\":\"seq.append\",\"params\":{\"seqs\":[1]}"), false, 5},
        {WITH("5", ",\"method\":\"seq.append\",\"params\":{\"seqs\":[]}"), false, 5},
        {WITH("5", ",\"method\":\"server.ping\""), false, 5},
        {WITH("5", ",\"method\":\"no.such\""), false, 5},
        {WITH("5", ""), false, 5},
        {WITH("5", ",\"x\":1"), false, 5},
        {"{\"id\":[],\"payload\":7}", false, 7},
        {WITH("0", ",\"method\":\"server.ping\""), false, 0},
        {WITH("9007199254740991", ""), false, TKV_SEQ_MAX},
        {WITH("9007199254740992", ""), true, 0},
        {WITH("99999999999999999999999", ""), true, 0},
        {WITH("-1", ",\"method\":\"server.ping\""), true, 0},
        {WITH("1.5", ",\"method\":\"server.ping\""), true, 0},
        {WITH("\"5\"", ",\"method\":\"server.ping\""), true, 0},
        {WITH("null", ",\"method\":\"server.ping\""), true, 0},
        {WITH("[5]", ",\"method\":\"server.ping\""), true, 0},
        {WITH("5", ",\"id\":2"), true, 0}, /* not JSON, but of payload it speaks */
        {WITH("5", ",\"method\":"), true, 0},
        {"{\"payloads\":5,}", false, 0},
        {"[" WITH("5", ",\"method\":\"server.ping\"") "]", false, 0},
        {"{\"params\":{\"payload\":5}}", false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tkv_message *msg = parse(rows[i].line);
        ck_assert_msg(msg->lost == rows[i].lost, "%s", rows[i].line);
        ck_assert_msg(msg->payload_bytes == rows[i].bytes, "%s", rows[i].line);
        if (msg->lost) ck_assert_int_ne(msg->requests[0].error.status, TKV_OK);
        tkv_message_free(msg);
    }
}
END_TEST

/* Goal: each member of an array is judged by itself. */
START_TEST(batch_array)
{
    struct tkv_message *msg =
        parse(" [ {\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"server.ping\"} , 7, [[]],"
              "{\"jsonrpc\":\"2.0\",\"method\":\"server.ping\"},"
              "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"seq.read\",\"params\":{\"seq\":1}},"
              "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"seq.read\","
              "\"params\":{\"seq\":1,\"encoding\":\"base64\"}},"
              "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"server.ping\",\"payload\":0},"
              "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"seq.free\",\"params\":{\"seqs\":[]}} ]");
    static const struct {
        const char *id, *param;
        enum tkv_status st;
    } expected[] = {
        {"\"a\"", "", TKV_OK},   {"null", "", TKV_EREQUEST},    {"null", "", TKV_EREQUEST},
        {"null", "", TKV_OK},    {"2", "encoding", TKV_EINVAL}, {"3", "", TKV_OK},
        {"4", "", TKV_EREQUEST}, {"5", "seqs", TKV_EINVAL},
    };
    ck_assert(msg->is_batch && !msg->lost && msg->payload_bytes == 0);
    ck_assert_uint_eq(msg->n, COUNT(expected));
    for (size_t i = 0; i < msg->n; i++) {
        const struct tkv_request *r = &msg->requests[i];
        assert_id(r, expected[i].id);
        ck_assert_int_eq(r->error.status, expected[i].st);
        ck_assert_str_eq(r->error.param, expected[i].param);
        ck_assert(r->notification == (i == 3));
    }
    tkv_message_free(msg);
}
END_TEST

/* Goal: an array of a thousand requests is fine, one of more is one error. */
START_TEST(batch_array_at_its_limit)
{
    for (size_t n = TKV_BATCH_MAX; n <= TKV_BATCH_MAX + 1; n++) {
        struct tkv_buffer line;
        tkv_buffer_init(&line, 1 << 20);
        for (size_t i = 0; i < n; i++)
            tkv_buffer_printf(&line,
                              "%c{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"server.ping\"}",
                              i > 0 ? ',' : '[', i);
        tkv_buffer_puts(&line, "]");
        struct tkv_message *msg = parse_bytes((const char *)line.data, line.len);
        if (n == TKV_BATCH_MAX) {
            ck_assert_uint_eq(msg->n, n);
            ck_assert_int_eq(msg->requests[n - 1].error.status, TKV_OK);
            assert_id(&msg->requests[n - 1], "1023");
        } else {
            ck_assert(msg->n == 1 && !msg->is_batch);
            ck_assert_int_eq(msg->requests[0].error.status, TKV_ETOOLARGE);
            ck_assert_uint_eq(msg->requests[0].error.size, n);
        }
        tkv_message_free(msg);
        tkv_buffer_close(&line);
    }
}
END_TEST

static const char request[] =
    "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0041\",\"method\":\"seq.append\",\"params\":{\"seqs\":[1,2],"
    "\"pos\":[0,4],\"tokens\":[1,2],\"layers\":[0,2],\"dtype\":\"f32\",\"data\":{\"values\":"
    "[1,-0.5,1e3]}}}";

/* Goal: a line cut anywhere, or with one byte changed, is a message with its error, or another good
 * request; and its answer can be written. */
START_TEST(cut_and_mutated)
{
    const size_t n = sizeof request - 1;
    char text[sizeof request];
    struct tkv_buffer out;
    tkv_buffer_init(&out, 1 << 16);
    for (size_t len = 0; len <= n; len++) {
        struct tkv_message *msg = parse_bytes(request, len);
        ck_assert_int_eq(msg->requests[0].error.status, len < n ? TKV_EPARSE : TKV_OK);
        tkv_message_free(msg);
    }
    for (size_t at = 0; at < n; at++) {
        for (int byte = 1; byte < 256; byte += byte < 127 ? 1 : 16) {
            memcpy(text, request, n);
            text[at] = (char)byte;
            struct tkv_message *msg = parse_bytes(text, n);
            const struct tkv_request *r = &msg->requests[0];
            if (r->error.status != TKV_OK)
                tkv_answer_error(&out, r->id, r->id_len, &r->error, NULL, 0);
            ck_assert_int_eq(tkv_buffer_status(&out), TKV_OK);
            tkv_buffer_clear(&out);
            tkv_message_free(msg);
        }
    }
    tkv_buffer_close(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("message");
    TCase *tc = tcase_create("message");
    tcase_add_test(tc, ids_are_echoed);
    tcase_add_test(tc, broken_envelopes);
    tcase_add_test(tc, notifications);
    tcase_add_test(tc, payloads);
    tcase_add_test(tc, batch_array);
    tcase_add_test(tc, batch_array_at_its_limit);
    tcase_add_test(tc, cut_and_mutated);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
