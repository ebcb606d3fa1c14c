#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/gate.h"
#include "proto/scan.h"
#include "tests/proto/gate_cases.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The text in memory of just its size, so that a sanitizer sees a read past its end. */
static enum tkv_status check(const char *text, size_t len, struct tkv_gate_error *err)
{
    char *exact = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, text, len);
    enum tkv_status st = tkv_gate_check(exact, len, err);
    free(exact);
    ck_assert(st == TKV_OK || st == TKV_EPARSE);
    if (st == TKV_EPARSE) ck_assert(err->what != NULL && err->offset <= len);
    return st;
}

static bool passes(const char *text, size_t len)
{
    struct tkv_gate_error err;
    return check(text, len, &err) == TKV_OK;
}

static void assert_cjson_reads(const char *text, size_t len)
{
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, NULL, 0);
    ck_assert_msg(root != NULL, "cJSON does not read %.*s", (int)len, text);
    cJSON_Delete(root);
}

/* Goal: the table. What passes is read by cJSON, too, where it need not be mended for it. */
START_TEST(table)
{
    for (size_t i = 0; i < COUNT(must_pass); i++) {
        const struct gate_case *c = &must_pass[i];
        ck_assert_msg(passes(c->text, c->len), "refused: %.*s", (int)c->len, c->text);
        if (c->len < 60) assert_cjson_reads(c->text, c->len);
    }
    for (size_t i = 0; i < COUNT(must_fail); i++) {
        const struct gate_case *c = &must_fail[i];
        ck_assert_msg(!passes(c->text, c->len), "passed: %.*s", (int)c->len, c->text);
    }
    ck_assert_uint_ge(COUNT(must_pass) + COUNT(must_fail), 150);
}
END_TEST

/* Goal: every value stands as well in an array and in an object as alone, and a broken one breaks
 * them. */
START_TEST(table_inside_others)
{
    char text[512];
    for (size_t i = 0; i < COUNT(must_pass) + COUNT(must_fail); i++) {
        bool good = i < COUNT(must_pass);
        const struct gate_case *c = good ? &must_pass[i] : &must_fail[i - COUNT(must_pass)];
        if (c->len + 16 > sizeof text || memchr(c->text, '\0', c->len) != NULL) continue;
        if (strncmp(c->text, "[[[[[[", 6) == 0) continue; /* one level more is another matter */
        int n = snprintf(text, sizeof text, "[[],%.*s]", (int)c->len, c->text);
        bool two = strcmp(c->text, "1,2") == 0 || strcmp(c->text, "1,5") == 0;
        ck_assert_msg(passes(text, (size_t)n) == (good || two), "%s", text);
        n = snprintf(text, sizeof text, "{\"_\":%.*s}", (int)c->len, c->text);
        ck_assert_msg(passes(text, (size_t)n) == good, "%s", text);
    }
}
END_TEST

static const char document[] =
    " {\"jsonrpc\" : \"2.0\", \"id\":\"\\ud83d\\ude00\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\\n\","
    "\"a\":[1,-0.5e+3,{\"b\":null,\"c\":true},[false,[]]],\"\\u0061b\":{}, \"n\":12.25} ";

/* Goal: a prefix of a document is no document. */
START_TEST(every_prefix)
{
    const size_t n = sizeof document - 1;
    for (size_t len = 0; len <= n; len++)
        ck_assert_int_eq(passes(document, len), len >= n - 1); /* the last byte is a space */
    for (size_t i = 0; i < COUNT(must_pass); i++) { /* numbers: a prefix may be one; no crash */
        for (size_t len = 0; len < must_pass[i].len; len++) {
            if (passes(must_pass[i].text, len) && len < 60)
                assert_cjson_reads(must_pass[i].text, len);
        }
    }
}
END_TEST

/* Goal: no single byte, put in place of another, put in between or taken out, makes the gate crash
 * or pass what cJSON then refuses. */
START_TEST(every_mutation)
{
    char text[sizeof document + 1];
    const size_t n = sizeof document - 1;
    for (size_t at = 0; at < n; at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, document, n);
            text[at] = (char)byte;
            if (passes(text, n)) assert_cjson_reads(text, n);
            memmove(text + at + 1, document + at, n - at);
            if (passes(text, n + 1)) assert_cjson_reads(text, n + 1);
        }
        memcpy(text, document, at);
        memcpy(text + at, document + at + 1, n - at - 1);
        if (passes(text, n - 1)) assert_cjson_reads(text, n - 1);
    }
}
END_TEST

/* Goal: nesting is bounded without recursion: 16 levels pass, 17 do not, nor do 10,000 brackets. */
START_TEST(depth)
{
    enum { MANY = 10000 };
    char *text = malloc(2 * MANY + 1);
    ck_assert_ptr_nonnull(text);
    for (size_t n = 1; n <= MANY; n = n < 40 ? n + 1 : n * 5) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        ck_assert_int_eq(passes(text, 2 * n), n <= TKV_JSON_DEPTH);
        ck_assert(!passes(text, n));
        ck_assert(!passes(text + n, n));
    }
    memset(text, '[', MANY);
    struct tkv_gate_error err;
    ck_assert_int_eq(check(text, MANY, &err), TKV_EPARSE);
    ck_assert_uint_eq(err.offset, TKV_JSON_DEPTH);
    free(text);
}
END_TEST

/* An object of n keys made by fmt from 0, 1, ...; key `twice` stands there once more, at the end.
 */
static char *object_of(size_t n, const char *fmt, size_t twice, size_t *len)
{
    const size_t each = 64;
    char *text = malloc((n + 2) * each), *to = text;
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < n + (twice < n); i++) {
        to += snprintf(to, each, "%c\"", i == 0 ? '{' : ',');
        to += snprintf(to, each, fmt, (unsigned)(i < n ? i : twice));
        to += snprintf(to, each, "\":0");
    }
    *to++ = '}';
    *len = (size_t)(to - text);
    return text;
}

/* Goal: one duplicate among many keys is found wherever it stands, at every size, in no time.
 * Method: sizes around the tables' edges; 20,000 keys, with a common start and escaped. */
START_TEST(many_keys)
{
    static const char *const formats[] = {"k%u", "the same long beginning of all %08x", "\\u%04x~"};
    static const size_t sizes[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 65, 100, 20000};
    for (size_t f = 0; f < COUNT(formats); f++) {
        for (size_t s = 0; s < COUNT(sizes); s++) {
            size_t len, n = sizes[s], step = n / 17 + 1;
            char *text = object_of(n, formats[f], n, &len);
            ck_assert(passes(text, len));
            free(text);
            for (size_t twice = 0; twice < n; twice += step) {
                struct tkv_gate_error err;
                text = object_of(n, formats[f], twice, &len);
                ck_assert_int_eq(check(text, len, &err), TKV_EPARSE);
                ck_assert_str_eq(err.what, "key stands twice in an object");
                ck_assert_uint_gt(err.offset + 64, len); /* the later one is named */
                free(text);
            }
        }
    }
}
END_TEST

/* Goal: a megabyte of keys, open in nested objects at once, is no trouble. */
START_TEST(a_megabyte_of_keys)
{
    size_t len;
    char *text = object_of(150000, "%u", 150000, &len);
    ck_assert_uint_gt(len, 1 << 20);
    ck_assert(passes(text, len));
    free(text);
}
END_TEST

/* Goal: errors say where. */
START_TEST(offsets)
{
    static const struct {
        const char *text, *what;
        size_t offset;
    } rows[] = {
        {"", "text ends too early", 0},
        {"[1,2", "text ends too early", 4},
        {"[1,x]", "value expected", 3},
        {"{\"a\":1,\"a\":2}", "key stands twice in an object", 7},
        {"[\"abc\n\"]", "control character in a string", 5},
        {"\"ab\\x\"", "invalid escape", 3},
        {"\"\\ud800\"", "half of a surrogate pair", 1},
        {"[\"a", "string without end", 1},
        {"[01]", "invalid number", 2},
        {"[1e999]", "number out of range", 1},
        {"[1]]", "text after the value", 3},
        {"\"\xff\"", "invalid UTF-8", 1},
        {"{1}", "key expected", 1},
        {"{\"a\"}", "':' expected", 4},
        {"[1}", "',' or ']' expected", 2},
        {"{\"a\":1]", "',' or '}' expected", 6},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tkv_gate_error err;
        ck_assert_int_eq(check(rows[i].text, strlen(rows[i].text), &err), TKV_EPARSE);
        ck_assert_str_eq(err.what, rows[i].what);
        ck_assert_msg(err.offset == rows[i].offset, "%s: %zu", rows[i].text, err.offset);
    }
}
END_TEST

/* Goal: the walk over a text ends where its value ends, for every value of the table. */
START_TEST(skipping_values)
{
    for (size_t i = 0; i < COUNT(must_pass); i++) {
        const char *text = must_pass[i].text, *end = text + must_pass[i].len;
        const char *value = tkv_skip_space(text, end);
        ck_assert_ptr_eq(tkv_skip_space(tkv_skip_value(value, end), end), end);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gate");
    TCase *tc = tcase_create("gate");
    tcase_add_test(tc, table);
    tcase_add_test(tc, table_inside_others);
    tcase_add_test(tc, every_prefix);
    tcase_add_test(tc, every_mutation);
    tcase_add_test(tc, depth);
    tcase_add_test(tc, many_keys);
    tcase_add_test(tc, a_megabyte_of_keys);
    tcase_add_test(tc, offsets);
    tcase_add_test(tc, skipping_values);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
