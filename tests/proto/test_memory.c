/* Any allocation can be made to fail here, see tests/support/failing_alloc.h. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "proto/answer.h"
#include "proto/frame.h"
#include "proto/gate.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const lines[] = {
    "nope",
    "[]",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}",
    "{\"jsonrpc\":\"2.0\",\"id\":\"a long id, a long id, a long id, a long id, a long id, a long "
    "id, "
    "a long id, a long id, a long id, a long id, a long id, a long id, a long id, a long id, a "
    "long "
    "id, a long id, a long id, a long id, a long id, a long id, a long id, a long id, a long id, a "
    "long id, a long id, a long id, a long id, a long id, a long id, a long id, a long id, a long "
    "id, a long id, a long id, a long id, a long id, a long id, a long id, a long id, a long id, a "
    "long id, a long id, a long id, a long id, a long id, a long id\",\"method\":\"server.ping\"}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"params\":{\"seqs\":[1,2,3,4,5,6,7,8,"
    "9,"
    "10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40],"
    "\"tokens\":3,\"dtype\":\"f16\",\"data\":{\"values\":[1,2,3]}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"params\":{\"seqs\":[1]},"
    "\"payload\":8}", /* read the quick way, and so is the next one */
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"params\":{\"seqs\":[1,2,3,4,5,6,7,8,"
    "9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,"
    "40,41,42,43,44]},\"payload\":8}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.free\",\"params\":{\"seqs\":[1,2,3,4,5,6,7,8,9,"
    "10,"
    "11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40]}}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.create\",\"params\":{\"label\":\"\\u0000\"}}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.create\",\"params\":{\"seq\":"
    "100000000000000000000000000000000000000000000000000000000000000000000000000000000000000}}",
    "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.info\",\"params\":{\"seq\":1}},7,{},"
    "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"no.such\"}]",
    "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,"
    "\"l\":0,"
    "\"m\":0,\"n\":0,\"o\":0,\"p\":0,\"q\":0,\"r\":0,\"s\":0,\"t\":0,\"u\":0,\"v\":0,\"w\":0,\"x\":"
    "0,"
    "\"y\":0,\"z\":0,\"A\":0,\"B\":0,\"C\":0,\"D\":0,\"E\":0,\"F\":0,\"G\":0,\"H\":0,\"I\":0,\"J\":"
    "0}",
};

/* Goal: out of memory anywhere is NULL, with nothing leaked and nothing broken.
 * Method: the 1st, 2nd, ... allocation fails, in our code and in cJSON, until none is left to. */
START_TEST(parsing)
{
    cJSON_Hooks hooks = {.malloc_fn = malloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
    for (size_t i = 0; i < COUNT(lines); i++) {
        bool failed = true;
        size_t nth = 1;
        for (; failed; nth++) {
            failing_alloc_arm(nth);
            struct tkv_message *msg = tkv_message_parse(lines[i], strlen(lines[i]));
            failed = failing_alloc_disarm();
            ck_assert_msg((msg == NULL) == failed, "line %zu, allocation %zu", i, nth);
            tkv_message_free(msg);
        }
        ck_assert_uint_gt(nth, 2); /* at least one allocation failed */
    }
    cJSON_InitHooks(NULL);
}
END_TEST

START_TEST(gate)
{
    const char *line = lines[COUNT(lines) - 1];
    struct tkv_gate_error err;
    failing_alloc_arm(1);
    ck_assert_int_eq(tkv_gate_check(line, strlen(line), &err), TKV_ENOMEM);
    ck_assert(failing_alloc_disarm());
    ck_assert_int_eq(tkv_gate_check(line, strlen(line), &err), TKV_OK);
}
END_TEST

START_TEST(answers)
{
    bool failed = true;
    for (size_t nth = 1; failed; nth++) {
        struct tkv_buffer out;
        struct tkv_json j;
        static const char data[1000];
        const struct tkv_read_shape shape = {1, 1, 1, 1, TKV_F16};
        tkv_buffer_init(&out, 1 << 16);
        failing_alloc_arm(nth);
        tkv_answer_begin(&j, &out, "1", 1);
        tkv_put_read(&j, &shape, data, sizeof data);
        tkv_answer_end(&j, 0);
        failed = failing_alloc_disarm();
        ck_assert_int_eq(tkv_buffer_status(&out), failed ? TKV_ENOMEM : TKV_OK);
        tkv_buffer_close(&out);
    }
}
END_TEST

START_TEST(frames)
{
    struct tkv_frame f;
    void *to;
    size_t room, len;
    const char *line;
    tkv_frame_init(&f, 1000);
    failing_alloc_arm(1);
    ck_assert_int_eq(tkv_frame_space(&f, &to, &room), TKV_ENOMEM);
    ck_assert(failing_alloc_disarm());
    ck_assert_int_eq(tkv_frame_next(&f, &line, &len), TKV_FRAME_FAILED);
    ck_assert_int_eq(tkv_frame_next(&f, &line, &len), TKV_FRAME_MORE);
    tkv_frame_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *tc = tcase_create("memory");
    tcase_add_test(tc, parsing);
    tcase_add_test(tc, gate);
    tcase_add_test(tc, answers);
    tcase_add_test(tc, frames);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
