/* What the command line's words mean, and tables: the parts of the command that need no daemon. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/command.h"
#include "clients/c/command/payload.h"
#include "clients/c/command/table.h"
#include "tests/clients/fake_server.h"
#include "tests/support/check_main.h"

/* Goal: numbers, lists and ranges are what people write, and nothing else. */
START_TEST(numbers)
{
    static const char *const bad[] = {"",   "-1", "+1",  "1.5",
                                      " 1", "1 ", "0x1", "18446744073709551616"};
    uint64_t n = 7;
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(!parse_u64(bad[i], &n) && n == 7, "%s", bad[i]);
    ck_assert(parse_u64("18446744073709551615", &n) && n == UINT64_MAX);
    ck_assert(parse_u64("007", &n) && n == 7);
}
END_TEST

START_TEST(lists)
{
    static const char *const bad[] = {"",   ",",   "1,", ",1",  "1,,2",   "2-1",
                                      "1-", "a-b", "-1", "1 2", "0-4096", "0-2500,0-2500"};
    struct u64_list list;
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(!parse_list(bad[i], &list), "%s", bad[i]);
    ck_assert(parse_list("3,5-8,3", &list));
    static const uint64_t expected[] = {3, 5, 6, 7, 8, 3};
    ck_assert_uint_eq(list.n, 6);
    ck_assert(memcmp(list.at, expected, sizeof expected) == 0);
    free(list.at);
    ck_assert(parse_list("18446744073709551614-18446744073709551615", &list) && list.n == 2);
    free(list.at);
    ck_assert(parse_list("0-4095", &list) && list.n == LIST_MAX);
    free(list.at);
    ck_assert(list_is_too_long("0-4096") && list_is_too_long("0-2500,0-2500"));
    ck_assert(list_is_too_long("1,0-18446744073709551615,0-18446744073709551615"));
    ck_assert(!list_is_too_long("0-4095") && !list_is_too_long("0-99999,") &&
              !list_is_too_long("0-99999x") && !list_is_too_long(""));
}
END_TEST

START_TEST(lists_of_numbers)
{
    static const char *const bad[] = {"", ",", "1,", "nan", "inf", "1,-inf", "x", "1, 2", "1e999"};
    struct f64_list list;
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(!parse_numbers(bad[i], &list), "%s", bad[i]);
    ck_assert(parse_numbers("1,-0.5,2e3", &list) && list.n == 3);
    ck_assert(list.at[0] == 1 && list.at[1] == -0.5 && list.at[2] == 2000);
    free(list.at);
}
END_TEST

START_TEST(layers_and_seconds)
{
    static const char *const bad[] = {"",   ":",    "3:",    "3:3",          "4:3",
                                      ":0", "-1:2", "1:2:3", "0:4294967296", "a"};
    static const char *const bad_seconds[] = {"", "-1", "x", "1s", "inf", "nan", "9999999999"};
    struct truekv_layers l;
    int ms;
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(!parse_layers(bad[i], &l), "%s", bad[i]);
    ck_assert(parse_layers("2:5", &l) && l.begin == 2 && l.end == 5);
    ck_assert(parse_layers(":5", &l) && l.begin == 0 && l.end == 5);
    ck_assert(parse_layers("7", &l) && l.begin == 7 && l.end == 8);
    ck_assert(parse_layers("0:4294967295", &l) && l.end == UINT32_MAX);
    for (size_t i = 0; i < COUNT(bad_seconds); i++)
        ck_assert_msg(!parse_seconds(bad_seconds[i], &ms), "%s", bad_seconds[i]);
    ck_assert(parse_seconds("1.5", &ms) && ms == 1500);
    ck_assert(parse_seconds("0.0001", &ms) && ms == 1);
    ck_assert(parse_seconds("0", &ms) && ms == -1);
}
END_TEST

/* Goal: made-up data are the protocol's reference generator. Method: its first values, worked out
 * by hand for seed 1, as f32 and as f16. */
START_TEST(made_up_data)
{
    uint64_t state = payload_seed(1), by_hand = UINT64_C(0x9E3779B97F4A7C15);
    struct payload p = {0};
    ck_assert(payload_make(&p, &state, 3, TRUEKV_F32));
    ck_assert(payload_make(&p, &state, 2, TRUEKV_F16));
    ck_assert_uint_eq(p.bytes, 3 * 4 + 2 * 2);
    for (size_t i = 0; i < 3; i++) {
        by_hand ^= by_hand << 13;
        by_hand ^= by_hand >> 7;
        by_hand ^= by_hand << 17;
        float value;
        memcpy(&value, (const char *)p.data + 4 * i, 4);
        ck_assert(value == ((float)by_hand / (float)UINT64_MAX * 2 - 1) * 0.3f);
        ck_assert(value >= -0.3f && value <= 0.3f);
    }
    ck_assert(!payload_make(&p, &state, SIZE_MAX / 2, TRUEKV_F32));
    payload_close(&p);
}
END_TEST

/* Goal: columns line up, empty ones go, nothing trails. */
START_TEST(tables)
{
    static const char *const heads[] = {"NAME", ">N", "EMPTY", "LABEL"};
    char *text = NULL;
    size_t size;
    struct out o = {.to = open_memstream(&text, &size), .width = 80};
    struct table t;
    table_init(&t, heads, 4);
    const char *const cells[] = {"a", "1", "", "", "l\xc3\xa4nger", "1000", "", "x\ty"};
    for (size_t i = 0; i < COUNT(cells); i++)
        table_cell(&t, "%s", cells[i]);
    table_print(&t, &o, 1);
    fclose(o.to);
    ck_assert_str_eq(text, " NAME       N  LABEL\n"
                           " a          1\n"
                           " l\xc3\xa4nger  1000  x?y\n");
    table_close(&t);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("parse");
    TCase *tc = tcase_create("parse");
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, lists);
    tcase_add_test(tc, lists_of_numbers);
    tcase_add_test(tc, layers_and_seconds);
    tcase_add_test(tc, made_up_data);
    tcase_add_test(tc, tables);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
