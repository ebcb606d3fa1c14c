#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base64.h"
#include "proto/number.h"
#include "proto/request.h"
#include "proto/text.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Goal: the vectors of RFC 4648, both ways. */
START_TEST(vectors)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tkv_buffer out;
        char back[8];
        size_t n;
        tkv_buffer_init(&out, 100);
        tkv_base64_write(&out, rows[i][0], strlen(rows[i][0]));
        ck_assert_uint_eq(out.len, strlen(rows[i][1]));
        ck_assert_int_eq(memcmp(out.data, rows[i][1], out.len), 0);
        ck_assert_int_eq(tkv_base64_size(rows[i][1], &n), TKV_OK);
        ck_assert_uint_eq(n, strlen(rows[i][0]));
        tkv_base64_read(rows[i][1], back);
        ck_assert_int_eq(memcmp(back, rows[i][0], n), 0);
        tkv_buffer_close(&out);
    }
}
END_TEST

/* Goal: every byte value at every place survives. */
START_TEST(round_trip)
{
    for (size_t n = 0; n < 300; n++) {
        struct tkv_buffer out;
        size_t back_n;
        uint8_t *bytes = malloc(n + 1), *back;
        ck_assert_ptr_nonnull(bytes);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(i * 7 + n);
        tkv_buffer_init(&out, 1000);
        tkv_base64_write(&out, bytes, n);
        tkv_buffer_append(&out, "", 1);
        ck_assert_int_eq(tkv_base64_size((const char *)out.data, &back_n), TKV_OK);
        ck_assert_uint_eq(back_n, n);
        back = malloc(n > 0 ? n : 1); /* of just its size */
        ck_assert_ptr_nonnull(back);
        tkv_base64_read((const char *)out.data, back);
        ck_assert_int_eq(memcmp(back, bytes, n), 0);
        free(back);
        free(bytes);
        tkv_buffer_close(&out);
    }
}
END_TEST

START_TEST(refused)
{
    static const char *const rows[] = {
        "A",    "AA",   "AAA",   "AAAAA", "=",      "==",         "====",     "A===",
        "AA=A", "=AAA", "AA==A", "AA\n=", "AA A",   "AA-A",       "AA_A",     "AB==",
        "AAB=", "AA=",  "AAAA=", "AAA\n", "AAAA\n", "\xc3\xa9==", "AA==AAAA", "AAAA====",
    };
    size_t n = 77;
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_msg(tkv_base64_size(rows[i], &n) == TKV_EINVAL, "%s", rows[i]);
    ck_assert_uint_eq(n, 77);
}
END_TEST

/* Goal: UTF-8 is cut between characters only. */
START_TEST(utf8_cuts)
{
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    for (size_t n = 0; n < COUNT(whole); n++)
        ck_assert_uint_eq(tkv_utf8_whole(text, n), whole[n]);
    char out[16];
    ck_assert_str_eq(tkv_text_short("123456789", out, sizeof out), "\"123456789\"");
    ck_assert_str_eq(tkv_text_short("1234567890", out, sizeof out), "\"1234567890\"");
    ck_assert_str_eq(tkv_text_short("12345678901", out, sizeof out), "\"1234567890...\"");
    ck_assert_str_eq(tkv_text_short("123456789\xc3\xa9", out, sizeof out), "\"123456789...\"");
}
END_TEST

/* Goal: decimal text is read as strtod reads it, digits beyond count and all. */
START_TEST(decimal_text)
{
    char text[2000];
    static const char *const rows[] = {
        "0",
        "-0",
        "1",
        "-1.5",
        "123.456e-7",
        "1e22",
        "1e23",
        "8.5e-324",
        "9007199254740993",
        "0.000001",
        "100000",
        "1.7976931348623157e308",
        "2.2250738585072011e-308",
        "12.3400e1",
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert(tkv_number_read(rows[i], strlen(rows[i])) == strtod(rows[i], NULL));
    /* 2^53 + 1 is a tie; a digit a thousand places on breaks it. */
    memset(text, '0', sizeof text);
    text[snprintf(text, 20, "9007199254740993.")] = '0';
    ck_assert(tkv_number_read(text, 1500) == 9007199254740992.0);
    text[1500] = '1';
    ck_assert(tkv_number_read(text, 1501) == 9007199254740994.0);
}
END_TEST

static void assert_uint(uint64_t value)
{
    char ours[TKV_NUMBER_CHARS], theirs[TKV_NUMBER_CHARS];
    int n = snprintf(theirs, sizeof theirs, "%" PRIu64, value);
    ck_assert_uint_eq(tkv_format_uint(value, ours), (size_t)n);
    ck_assert_str_eq(ours, theirs);
}

/* Goal: integers are written as printf() writes them. Method: around each power of ten and two. */
START_TEST(integer_text)
{
    for (uint64_t value = 0; value < 2000; value++)
        assert_uint(value);
    for (uint64_t power = 10; power < UINT64_MAX / 10; power *= 10) {
        assert_uint(power * 10 - 1);
        assert_uint(power * 10);
        assert_uint(power * 10 + 7);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        assert_uint((UINT64_C(1) << bit) - 1);
        assert_uint(UINT64_C(1) << bit);
    }
    assert_uint(UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text");
    TCase *tc = tcase_create("base64, text and numbers");
    tcase_add_test(tc, vectors);
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, utf8_cuts);
    tcase_add_test(tc, decimal_text);
    tcase_add_test(tc, integer_text);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
