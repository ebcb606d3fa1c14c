#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buffer.h"
#include "tests/proto/quick_check.h"
#include "tests/support/check_main.h"

#define COUNT(array)   (sizeof(array) / sizeof(array)[0])
#define HEAD           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"params\":"
#define APPEND(params) HEAD params ",\"payload\":8}"
#define WITH_ID(id)                                                                           \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"seq.append\",\"params\":{\"seqs\":[1]}," \
    "\"payload\":8}"

/* In memory of just the line's size, so that a sanitizer sees a read past its end. */
static bool takes(const char *line, size_t len)
{
    bool taken;
    char *exact = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, line, len);
    const char *fault = quick_fault(exact, len, &taken);
    ck_assert_msg(fault == NULL, "%s of %.*s", fault, (int)len, line);
    free(exact);
    return taken;
}

START_TEST(plain_appends_are_taken)
{
    static const char *const lines[] = {
        APPEND("{\"seqs\":[1]}"),
        APPEND("{\"seqs\":[0,9007199254740991]}"),
        APPEND("{\"seqs\":[7,7,7]}"),
        APPEND("{\"seqs\":[1,2],\"pos\":[0,9007199254740991]}"),
        APPEND("{\"pos\":[5],\"seqs\":[1]}"),
        APPEND("{\"seqs\":[1,2],\"tokens\":1}"),
        APPEND("{\"tokens\":4294967295,\"seqs\":[1,2]}"),
        APPEND("{\"seqs\":[1,2],\"tokens\":[1,4294967295]}"),
        APPEND("{\"layers\":[0,1],\"seqs\":[1]}"),
        APPEND("{\"seqs\":[1],\"layers\":[4294967294,4294967295]}"),
        APPEND("{\"seqs\":[1],\"dtype\":\"f16\"}"),
        APPEND("{\"seqs\":[1],\"dtype\":\"bf16\"}"),
        APPEND("{\"seqs\":[1],\"dtype\":\"f32\"}"),
        WITH_ID("0"),
        WITH_ID("4294967296"),
        WITH_ID("9999999999999999999"),
        WITH_ID("\"\""),
        WITH_ID("\"a-z 0~9 {}[],:\""),
        "{\"jsonrpc\":\"2.0\",\"method\":\"seq.append\",\"params\":{\"seqs\":[1]},\"payload\":1}",
        "{\"payload\":9007199254740991,\"params\":{\"seqs\":[1]},\"method\":\"seq.append\","
        "\"id\":1,\"jsonrpc\":\"2.0\"}",
        "  { \"jsonrpc\" : \"2.0\" , \"id\" : 1 , \"method\" : \"seq.append\" , \"params\" : "
        "{ \"seqs\" : [ 1 , 2 ] , \"layers\" : [ 0 , 3 ] , \"tokens\" : [ 1 , 2 ] , "
        "\"dtype\" : \"f16\" } , \"payload\" : 8 }  ",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        ck_assert_msg(takes(lines[i], strlen(lines[i])), "%s", lines[i]);
}
END_TEST

/* Goal: the rest is left, be it right or wrong: only the ordinary way has an opinion on it. */
START_TEST(the_rest_is_left)
{
    static const char *const lines[] = {
        "",
        " ",
        "}",
        "{}",
        "[]",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}",
        "[" APPEND("{\"seqs\":[1]}") "]",
        APPEND("{\"seqs\":[1]}") "}",
        APPEND("{\"seqs\":[1]}") " {}",
        "{" APPEND("{\"seqs\":[1]}"),
        HEAD "{\"seqs\":[1]}}", /* no payload */
        HEAD "{\"seqs\":[1]},\"payload\":0}",
        HEAD "{\"seqs\":[1]},\"payload\":9007199254740992}",
        HEAD "{\"seqs\":[1]},\"payload\":8,\"payload\":8}",
        HEAD "{\"seqs\":[1]},\"payload\":8.0}",
        HEAD "{\"seqs\":[1]},\"payload\":\"8\"}",
        HEAD "{\"seqs\":[1]},\"payload\":8,\"other\":1}",
        HEAD "{\"seqs\":[1]},\"payload\":8,}",
        HEAD "{\"seqs\":[1],\"payload\":8}",
        APPEND("[]"),
        APPEND("{}"),
        APPEND("{\"seqs\":[]}"),
        APPEND("{\"seqs\":1}"),
        APPEND("{\"seqs\":[1,]}"),
        APPEND("{\"seqs\":[1],}"),
        APPEND("{,\"seqs\":[1]}"),
        APPEND("{\"seqs\":[1 2]}"),
        APPEND("{\"seqs\"[1]}"),
        APPEND("{\"seqs\"\"pos\":[1]}"),
        APPEND("{\"seqs\":[1],\"seqs\":[1]}"),
        APPEND("{\"seqs\":[01]}"),
        APPEND("{\"seqs\":[-1]}"),
        APPEND("{\"seqs\":[-0]}"),
        APPEND("{\"seqs\":[+1]}"),
        APPEND("{\"seqs\":[1.0]}"),
        APPEND("{\"seqs\":[1e2]}"),
        APPEND("{\"seqs\":[9007199254740992]}"),
        APPEND("{\"seqs\":[18446744073709551617]}"), /* 2^64 + 1 */
        APPEND("{\"seqs\":[null]}"),
        APPEND("{\"seqs\":[[1]]}"),
        APPEND("{\"s\\u0065qs\":[1]}"),
        APPEND("{\"seqs\":[1],\"pos\":[]}"),
        APPEND("{\"seqs\":[1],\"pos\":[1,2]}"),
        APPEND("{\"seqs\":[1,2],\"pos\":[1]}"),
        APPEND("{\"seqs\":[1],\"pos\":1}"),
        APPEND("{\"seqs\":[1],\"tokens\":0}"),
        APPEND("{\"seqs\":[1],\"tokens\":4294967296}"),
        APPEND("{\"seqs\":[1],\"tokens\":[]}"),
        APPEND("{\"seqs\":[1],\"tokens\":[0]}"),
        APPEND("{\"seqs\":[1],\"tokens\":[1,1]}"),
        APPEND("{\"seqs\":[1],\"layers\":[1]}"),
        APPEND("{\"seqs\":[1],\"layers\":[1,1]}"),
        APPEND("{\"seqs\":[1],\"layers\":[2,1]}"),
        APPEND("{\"seqs\":[1],\"layers\":[1,2,3]}"),
        APPEND("{\"seqs\":[1],\"layers\":[0,4294967296]}"),
        APPEND("{\"seqs\":[1],\"dtype\":\"f64\"}"),
        APPEND("{\"seqs\":[1],\"dtype\":\"\\u0066\\u0031\\u0036\"}"),
        APPEND("{\"seqs\":[1],\"data\":{\"values\":[1]}}"),
        APPEND("{\"seqs\":[1],\"x\":1}"),
        APPEND("{\"seqs\":\t[1]}"),
        WITH_ID("-1"),
        WITH_ID("01"),
        WITH_ID("1.5"),
        WITH_ID("null"),
        WITH_ID("12345678901234567890"),
        WITH_ID("\"\\n\""),
        WITH_ID("\"\xc3\xa9\""),
        WITH_ID("\"\x7f\""),
        WITH_ID("1,\"id\":1"),
        "{\"id\":1,\"method\":\"seq.append\",\"params\":{\"seqs\":[1]},\"payload\":8}",
        "{\"jsonrpc\":\"2\",\"method\":\"seq.append\",\"params\":{\"seqs\":[1]},\"payload\":8}",
        "{\"jsonrpc\":\"2.0\",\"params\":{\"seqs\":[1]},\"payload\":8}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"seq.append\",\"payload\":8}",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        ck_assert_msg(!takes(lines[i], strlen(lines[i])), "%s", lines[i]);
}
END_TEST

static void put_ones(struct tkv_buffer *line, const char *name, size_t n)
{
    tkv_buffer_puts(line, name);
    for (size_t i = 0; i < n; i++)
        tkv_buffer_puts(line, i == 0 ? "[1" : ",1");
    tkv_buffer_puts(line, "]");
}

/* Goal: long lists are taken up to the limit, and each of them is looked at. */
START_TEST(lists_have_a_limit)
{
    enum { MAX = TKV_QUICK_ITEMS_MAX };
    static const size_t sizes[] = {1, 2, 31, 32, 33, 64, MAX - 1, MAX, MAX + 1};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct tkv_buffer line;
        tkv_buffer_init(&line, 1 << 16);
        tkv_buffer_puts(&line, HEAD "{");
        put_ones(&line, "\"seqs\":", sizes[i]);
        put_ones(&line, ",\"pos\":", sizes[i]);
        put_ones(&line, ",\"tokens\":", sizes[i]);
        tkv_buffer_puts(&line, "},\"payload\":8}");
        ck_assert(takes((const char *)line.data, line.len) == (sizes[i] <= MAX));
        tkv_buffer_close(&line);
    }
}
END_TEST

/* ---- Lines drawn at random ----------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* true once in n. */
static bool rarely(uint64_t n)
{
    return draw(n) == 0;
}

static void put_space(struct tkv_buffer *line)
{
    static const char *const spaces[] = {" ", "  ", "\t", "\r"};
    if (rarely(40)) tkv_buffer_puts(line, spaces[rarely(20) ? draw(COUNT(spaces)) : 0]);
}

/* Mostly small; seldom at an edge, or no integer. */
static void put_number(struct tkv_buffer *line)
{
    static const char *const edges[] = {"0",
                                        "1",
                                        "4294967294",
                                        "4294967295",
                                        "4294967296",
                                        "9007199254740990",
                                        "9007199254740991",
                                        "9007199254740992",
                                        "9007199254740993",
                                        "9999999999999999",
                                        "10000000000000000",
                                        "9223372036854775808",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "18446744073709551617",
                                        "36893488147419103233",
                                        "00",
                                        "07",
                                        "-0",
                                        "-1",
                                        "1.0",
                                        "1e1",
                                        "1E+2",
                                        "0.5",
                                        "\"1\"",
                                        "null",
                                        "[1]",
                                        ""};
    if (rarely(30))
        tkv_buffer_puts(line, edges[draw(COUNT(edges))]);
    else
        tkv_buffer_printf(line, "%" PRIu64, 1 + draw(rarely(2) ? 5 : 100000));
    put_space(line);
}

static void put_list(struct tkv_buffer *line, size_t n)
{
    tkv_buffer_puts(line, "[");
    put_space(line);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) tkv_buffer_puts(line, ",");
        put_space(line);
        put_number(line);
    }
    tkv_buffer_puts(line, "]");
}

static void put_name(struct tkv_buffer *line, const char *name)
{
    tkv_buffer_printf(line, "\"%s\"", name);
    put_space(line);
    tkv_buffer_puts(line, ":");
    put_space(line);
}

static size_t near(size_t m)
{
    if (m == 0 || !rarely(20)) return m;
    return rarely(3) ? 0 : m + draw(3) - 1;
}

static void put_param(struct tkv_buffer *line, size_t which, size_t m)
{
    static const char *const names[] = {"seqs", "pos", "tokens", "layers", "dtype", "data"};
    static const char *const words[] = {"\"f16\"", "\"bf16\"", "\"f32\"", "\"f64\"", "1"};
    put_name(line, names[which]);
    switch (which) {
    case 0: put_list(line, m); break;
    case 1: put_list(line, near(m)); break;
    case 2:
        if (rarely(2))
            put_number(line);
        else
            put_list(line, near(m));
        break;
    case 3:
        if (rarely(5))
            put_list(line, near(2));
        else
            tkv_buffer_printf(line, "[%d,%d]", (int)draw(4), 2 + (int)draw(4));
        break;
    case 4: tkv_buffer_puts(line, words[rarely(20) ? draw(COUNT(words)) : draw(3)]); break;
    default: tkv_buffer_puts(line, "{\"values\":[1]}");
    }
}

/* 0 .. n - 1 in an order of its own. */
static void shuffle(size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = draw(i + 1);
        order[i] = order[k];
        order[k] = i;
    }
}

static void put_params(struct tkv_buffer *line)
{
    size_t order[6] = {0}, m = rarely(50) ? 0 : 1 + draw(rarely(10) ? 70 : 4), n = 0;
    shuffle(order, COUNT(order));
    tkv_buffer_puts(line, "{");
    put_space(line);
    for (size_t i = 0; i < COUNT(order); i++) {
        bool is_seqs = order[i] == 0, is_data = order[i] == 5;
        if (is_seqs ? rarely(100) : is_data ? !rarely(100) : rarely(2)) continue;
        for (size_t times = rarely(200) ? 2 : 1; times > 0; times--) {
            if (n++ > 0) tkv_buffer_puts(line, ",");
            put_space(line);
            put_param(line, order[i], m);
            put_space(line);
        }
    }
    tkv_buffer_puts(line, "}");
}

static void put_id(struct tkv_buffer *line)
{
    static const char *const ids[] = {"\"a\"",        "\"\"",     "\"}\"",       "\"\\\"\"",
                                      "\"\xc3\xa9\"", "\"\xc3\"", "\"\\u0000\"", "null",
                                      "{}",           "true"};
    if (rarely(8))
        tkv_buffer_puts(line, ids[draw(COUNT(ids))]);
    else
        put_number(line);
}

static void put_member(struct tkv_buffer *line, size_t which)
{
    static const char *const names[] = {"jsonrpc", "id", "method", "params", "payload", "other"};
    put_name(line, names[which]);
    switch (which) {
    case 0: tkv_buffer_puts(line, rarely(100) ? "\"2.1\"" : "\"2.0\""); break;
    case 1: put_id(line); break;
    case 2: tkv_buffer_puts(line, rarely(50) ? "\"seq.free\"" : "\"seq.append\""); break;
    case 3: put_params(line); break;
    default: put_number(line);
    }
}

static void put_line(struct tkv_buffer *line)
{
    size_t order[6] = {0}, n = 0;
    shuffle(order, COUNT(order));
    put_space(line);
    tkv_buffer_puts(line, "{");
    put_space(line);
    for (size_t i = 0; i < COUNT(order); i++) {
        bool is_id = order[i] == 1, is_other = order[i] == 5;
        if (is_other ? !rarely(100) : rarely(is_id ? 10 : 150)) continue;
        for (size_t times = rarely(200) ? 2 : 1; times > 0; times--) {
            if (n++ > 0) tkv_buffer_puts(line, ",");
            put_space(line);
            put_member(line, order[i]);
            put_space(line);
        }
    }
    tkv_buffer_puts(line, "}");
    put_space(line);
}

/* Changes one byte: to any other or to one that means something, or it is lost or doubled. Digits
 * often become other digits, which may leave the line as plain as it was. */
static void mutate(struct tkv_buffer *line)
{
    static const char marks[] = "{}[],:\"\\ 0123456789.-+eE\t";
    size_t at = draw(line->len);
    bool is_digit = line->data[at] >= '0' && line->data[at] <= '9';
    switch (is_digit && rarely(2) ? 5 : draw(5)) {
    case 0: line->data[at] = (uint8_t)draw(256); break;
    case 1: line->data[at] = (uint8_t)marks[draw(sizeof marks - 1)]; break;
    case 2: line->data[at] ^= (uint8_t)(1u << draw(8)); break;
    case 3:
        memmove(line->data + at, line->data + at + 1, line->len - at - 1);
        line->len--;
        break;
    case 4:
        tkv_buffer_append(line, "?", 1);
        memmove(line->data + at + 1, line->data + at, line->len - at - 1);
        break;
    default: line->data[at] = (uint8_t)('0' + draw(10));
    }
    if (line->len > 0 && rarely(10)) line->len = draw(line->len + 1);
}

/* Goal: what is read the quick way reads the same the ordinary way, whatever the line.
 * Method: lines drawn around what serving sends, whole and then changed byte by byte; both ways,
 * all that they say compared. It must come to both outcomes often, or it says nothing. */
START_TEST(the_quick_way_is_the_ordinary_way)
{
    const char *seed = getenv("TKV_TEST_SEED"), *count = getenv("TKV_TEST_LINES");
    uint64_t start = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2 + 1;
    size_t lines = count != NULL ? strtoull(count, NULL, 10) : 20000, taken[2] = {0}, left[2] = {0};
    struct tkv_buffer line;
    tkv_buffer_init(&line, 1 << 16);
    random_state = start != 0 ? start : 1;
    printf("TKV_TEST_SEED=%" PRIu64 " TKV_TEST_LINES=%zu\n", start, lines);
    (void)fflush(stdout);
    for (size_t i = 0; i < lines; i++) {
        tkv_buffer_clear(&line);
        put_line(&line);
        for (size_t changes = 0; changes <= 3 && line.len > 0; changes++) {
            bool took = takes((const char *)line.data, line.len);
            (took ? taken : left)[changes > 0]++;
            mutate(&line);
        }
    }
    ck_assert_int_eq(tkv_buffer_status(&line), TKV_OK);
    tkv_buffer_close(&line);
    printf("whole: %zu taken, %zu left; changed: %zu taken, %zu left\n", taken[0], left[0],
           taken[1], left[1]);
    for (size_t i = 0; i < 2; i++)
        ck_assert_msg(taken[i] >= lines / 40 && left[i] >= lines / 40, "one-sided");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("quick");
    TCase *tc = tcase_create("quick");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, plain_appends_are_taken);
    tcase_add_test(tc, the_rest_is_left);
    tcase_add_test(tc, lists_have_a_limit);
    tcase_add_test(tc, the_quick_way_is_the_ordinary_way);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
