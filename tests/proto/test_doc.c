#include <stdio.h>
#include <string.h>

#include "proto/answer.h"
#include "proto/gate.h"
#include "tests/support/check_main.h"

enum { LINE_BYTES = 8192 };

static char text[LINE_BYTES];

/* The next line of the page without its end; false at the page's end. */
static bool next_line(FILE *page)
{
    if (fgets(text, sizeof text, page) == NULL) return false;
    size_t n = strcspn(text, "\n");
    ck_assert_msg(text[n] == '\n', "a line of more than %d bytes", LINE_BYTES);
    text[n] = '\0';
    return true;
}

/* The answer of the page, in text, is what our own code says where it can say it all. */
static void check_answer(const struct tkv_message *msg)
{
    const struct tkv_request *r = &msg->requests[0];
    struct tkv_buffer out;
    struct tkv_gate_error err;
    ck_assert_msg(tkv_gate_check(text, strlen(text), &err) == TKV_OK, "%s", text);
    if (msg->is_batch) return;
    tkv_buffer_init(&out, LINE_BYTES);
    if (r->error.status != TKV_OK)
        tkv_answer_error(&out, r->id, r->id_len, &r->error, NULL, 0);
    else
        tkv_buffer_printf(&out, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,", (int)r->id_len, r->id);
    ck_assert_int_eq(tkv_buffer_status(&out), TKV_OK);
    ck_assert_msg(strncmp(text, (const char *)out.data, out.len) == 0, "%s", text);
    if (r->error.status != TKV_OK) ck_assert_uint_eq(out.len, strlen(text));
    tkv_buffer_close(&out);
}

/* A request of the page and, in the next line, its answer. */
static void check_example(FILE *page, unsigned *seen)
{
    struct tkv_message *msg = tkv_message_parse(text, strlen(text));
    ck_assert_ptr_nonnull(msg);
    const struct tkv_request *r = &msg->requests[0];
    if (r->error.status == TKV_OK) *seen |= 1u << r->method;
    ck_assert(next_line(page));
    check_answer(msg);
    tkv_message_free(msg);
}

/* Goal: the examples of the protocol's page are what it says they are, and no method is without.
 * Method: in blocks of json, lines are requests and answers by turns. */
START_TEST(examples)
{
    FILE *page = fopen("docs/protocol.md", "re");
    unsigned seen = 0, n = 0;
    ck_assert_ptr_nonnull(page);
    while (next_line(page)) {
        if (strcmp(text, "```json") != 0) continue;
        while (next_line(page) && strcmp(text, "```") != 0) {
            check_example(page, &seen);
            n++;
        }
    }
    (void)fclose(page);
    ck_assert_uint_gt(n, TKV_METHOD_COUNT);
    ck_assert_uint_eq(seen, (1u << TKV_METHOD_COUNT) - 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("doc");
    TCase *tc = tcase_create("doc");
    tcase_add_test(tc, examples);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
