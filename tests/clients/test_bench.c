/* The parts of truekv bench that need no daemon: the requests as bytes, the series of time, the
 * picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/bench/message.h"
#include "clients/c/command/bench/tell.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define HEAD(id, method) \
    "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"method\":\"" method "\",\"params\":{"
#define ROLLBACK(seq) \
    "{\"jsonrpc\":\"2.0\",\"method\":\"seq.truncate\",\"params\":{\"seq\":" #seq ",\"len\":0}}\n"

static const uint64_t seqs[] = {11, 12, 13, 14};
static struct bench_messages m;
static struct bench_message out;

/* Two groups of two; two tokens of 8 bytes each item, and room for two appends. */
static struct bench_plan plan_of(enum bench_method method)
{
    return (struct bench_plan){.method = method,
                               .clients = 1,
                               .in_flight = 1,
                               .items = method == BENCH_APPEND ? 2 : 1,
                               .tokens = 2,
                               .n_layers = 1,
                               .data_dtype = TRUEKV_F16,
                               .sequences = method == BENCH_PING ? 0 : 4,
                               .capacity = 4,
                               .model = "a\"b",
                               .backend = "cpu",
                               .token_bytes = 8,
                               .request_bytes = method == BENCH_PING ? 0 : 32};
}

static void expect_line(uint32_t id, size_t group, const char *line)
{
    bench_message_build(&m, &out, id, group);
    ck_assert_str_eq(strndupa((const char *)out.line.data, out.line.len), line);
}

static void done(void)
{
    tkv_buffer_close(&out.line);
    out = (struct bench_message){0};
    bench_messages_close(&m);
}

/* Goal: appends name their group, and a full one is rolled back right before, once. */
START_TEST(appends)
{
    struct bench_plan plan = plan_of(BENCH_APPEND);
    ck_assert(bench_messages_init(&m, &plan, seqs));
    ck_assert_uint_eq(m.n_groups, 2);
    static const char line[] =
        HEAD(3, "seq.append") "\"seqs\":[11,12],\"tokens\":2},\"payload\":32}\n";
    expect_line(3, 0, line);
    expect_line(3, 0, line);
    char both[512];
    snprintf(both, sizeof both, ROLLBACK(11) ROLLBACK(12) "%s", line);
    expect_line(3, 0, both);
    expect_line(3, 0, line);
    out.ready = false; /* as when the slot turns to another group */
    expect_line(3, 1, HEAD(3, "seq.append") "\"seqs\":[13,14],\"tokens\":2},\"payload\":32}\n");
    done();
}
END_TEST

/* Goal: pos is where the tokens go, also after a rollback; layers and dtype are said when given. */
START_TEST(appends_with_all_options)
{
    struct bench_plan plan = plan_of(BENCH_APPEND);
    plan.with_pos = true;
    plan.tokens = 1;
    plan.capacity = 2;
    plan.layers = (struct truekv_layers){1, 3};
    plan.dtype = TRUEKV_F32;
    ck_assert(bench_messages_init(&m, &plan, seqs));
    static const char rest[] = ",\"layers\":[1,3],\"dtype\":\"f32\"},\"payload\":32}\n";
    char line[512];
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "%s" HEAD(0, "seq.append") "\"seqs\":[11,12],\"pos\":[%d,%d]%s",
                 i == 2 ? ROLLBACK(11) ROLLBACK(12) : "", i % 2, i % 2, rest);
        expect_line(0, 0, line);
    }
    done();
}
END_TEST

/* Goal: each request sends other rows, which all lie within the data. */
START_TEST(rows_differ)
{
    struct bench_plan plan = plan_of(BENCH_APPEND);
    const void *before = NULL;
    ck_assert(bench_messages_init(&m, &plan, seqs));
    for (int i = 0; i < 3000; i++) {
        bench_message_build(&m, &out, 0, 0);
        size_t at = (size_t)((const char *)out.body - (const char *)m.data);
        ck_assert_uint_eq(out.body_bytes, 32);
        ck_assert_uint_lt(at, m.spread);
        ck_assert(before == NULL || memcmp(before, out.body, 32) != 0);
        before = out.body;
    }
    done();
}
END_TEST

/* Goal: base64 is that of the rows, for each remainder of three. Method: the text is decoded here,
 * by the letters' places. */
START_TEST(base64)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t bytes = 30; bytes <= 34; bytes += 2) {
        struct bench_plan plan = plan_of(BENCH_APPEND), raw;
        struct bench_messages rows;
        plan.request_bytes = bytes;
        raw = plan;
        plan.base64 = true;
        ck_assert(bench_messages_init(&rows, &raw, seqs));
        ck_assert(bench_messages_init(&m, &plan, seqs));
        bench_message_build(&m, &out, 0, 0);
        const char *text = out.body;
        ck_assert_uint_eq(out.body_bytes, (bytes + 2) / 3 * 4);
        for (size_t i = 0; i < bytes * 8; i++) {
            size_t digit = (size_t)(strchr(digits, text[i / 6]) - digits);
            int bit = ((const uint8_t *)rows.data)[i / 8] >> (7 - i % 8) & 1;
            ck_assert_int_eq((int)(digit >> (5 - i % 6) & 1), bit);
        }
        for (size_t i = (bytes * 8 + 5) / 6; i < out.body_bytes; i++)
            ck_assert_int_eq(text[i], '=');
        bench_messages_close(&rows);
        done();
    }
}
END_TEST

/* Goal: whichever allocation fails, what is made once is not made, or is, and all of it is freed.
 * Method: fail the first, the second, ... until none is reached; the sanitizer looks for leaks. */
START_TEST(out_of_memory)
{
    for (int as_text = 0; as_text < 2; as_text++) {
        struct bench_plan plan = plan_of(BENCH_APPEND);
        bool reached = true, made = false;
        plan.base64 = as_text == 1;
        for (size_t nth = 1; reached; nth++) {
            failing_alloc_arm(nth);
            made = bench_messages_init(&m, &plan, seqs);
            reached = failing_alloc_disarm();
            ck_assert_int_eq(made, !reached);
            done();
        }
        ck_assert(made);
    }
    struct bench_plan plan = plan_of(BENCH_APPEND);
    ck_assert(bench_messages_init(&m, &plan, seqs));
    failing_alloc_arm(1);
    bench_message_build(&m, &out, 0, 0);
    ck_assert(failing_alloc_disarm());
    ck_assert_int_eq(tkv_buffer_status(&out.line), TKV_ENOMEM); /* the load looks there */
    done();
}
END_TEST

START_TEST(other_methods)
{
    struct bench_plan plan = plan_of(BENCH_PING);
    ck_assert(bench_messages_init(&m, &plan, NULL));
    expect_line(7, 0, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"server.ping\"}\n");
    done();
    plan = plan_of(BENCH_READ);
    ck_assert(bench_messages_init(&m, &plan, seqs));
    expect_line(0, 2, HEAD(0, "seq.read") "\"seq\":13,\"pos\":0,\"tokens\":2}}\n");
    done();
    plan = plan_of(BENCH_CHURN);
    ck_assert(bench_messages_init(&m, &plan, seqs));
    expect_line(0, 0,
                HEAD(0, "seq.create") "\"model\":\"a\\\"b\",\"capacity\":4,"
                                      "\"on_disconnect\":\"free\"}}\n");
    bench_message_free(&out, 0, 99);
    ck_assert_uint_eq(out.line.len, strlen(HEAD(0, "seq.free") "\"seqs\":[99]}}\n"));
    expect_line(0, 0,
                HEAD(0, "seq.create") "\"model\":\"a\\\"b\",\"capacity\":4,"
                                      "\"on_disconnect\":\"free\"}}\n");
    done();
}
END_TEST

/* Goal: however long a run is, no answer is lost, and the spans cover it. */
START_TEST(series_fold)
{
    struct bench_series s = {.span_ns = SERIES_FIRST_NS};
    uint64_t added = 0, sum = 0;
    for (uint64_t at = 0; at < UINT64_C(1000) * 1000000000; at += 123456789, added++)
        bench_series_add(&s, at);
    for (size_t i = 0; i < SERIES_SPANS; i++)
        sum += s.counts[i];
    ck_assert_uint_eq(sum, added);
    ck_assert(s.n > SERIES_SPANS / 2 && s.n <= SERIES_SPANS);
    ck_assert(s.n * s.span_ns >= UINT64_C(999) * 1000000000);
    ck_assert(s.counts[0] >= s.span_ns / 123456789 && s.counts[0] <= s.span_ns / 123456789 + 1);
}
END_TEST

/* Fails unless the tags of a text are all closed, in their order. */
static void check_tags(const char *text)
{
    size_t depth = 0;
    char open[16][16];
    for (const char *p = strchr(text, '<'); p != NULL; p = strchr(p + 1, '<')) {
        const char *end = strchr(p, '>');
        ck_assert_ptr_nonnull(end);
        size_t n = strcspn(p + 1, " />");
        if (p[1] == '/') {
            ck_assert_uint_gt(depth, 0);
            depth--;
            ck_assert(strncmp(p + 2, open[depth], strlen(open[depth])) == 0);
        } else if (end[-1] != '/') {
            ck_assert(depth < COUNT(open) && n < sizeof open[0]);
            snprintf(open[depth++], sizeof open[0], "%.*s", (int)n, p + 1);
        }
    }
    ck_assert_uint_eq(depth, 0);
}

/* Goal: any result is drawn: none, one, equal ones, longer than a minute; hostile names stay text;
 * no number is none. */
START_TEST(picture)
{
    static const uint64_t latencies[][3] = {{0, 0, 0},
                                            {1, 0, 0},
                                            {1000, 1000, 1000},
                                            {5000, 7000, 900000},
                                            {100, 0, UINT64_C(1) << 40}};
    struct bench_plan plan = plan_of(BENCH_APPEND);
    struct bench_result *result = malloc(sizeof *result);
    ck_assert_ptr_nonnull(result);
    snprintf(plan.model, sizeof plan.model, "</desc><script>&\"");
    for (size_t i = 0; i < COUNT(latencies); i++) {
        struct bench_report report = {&plan, result, NULL};
        char *text = NULL;
        size_t size;
        bench_result_init(result);
        for (int k = 0; k < 3; k++) {
            if (latencies[i][k] == 0) continue;
            histogram_add(&result->latency, latencies[i][k]);
            bench_series_add(&result->series, latencies[i][k]);
            result->elapsed_ns = latencies[i][k];
        }
        FILE *to = open_memstream(&text, &size);
        bench_plot(to, &report);
        fclose(to);
        check_tags(text);
        ck_assert(strncmp(text, "<svg xmlns=", 11) == 0);
        ck_assert(strstr(text, "<script") == NULL && strstr(text, "nan") == NULL);
        ck_assert(strstr(text, "inf ") == NULL && strstr(text, "inf\"") == NULL);
        free(text);
    }
    free(result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench");
    TCase *tc = tcase_create("parts");
    tcase_add_test(tc, appends);
    tcase_add_test(tc, appends_with_all_options);
    tcase_add_test(tc, rows_differ);
    tcase_add_test(tc, base64);
    tcase_add_test(tc, out_of_memory);
    tcase_add_test(tc, other_methods);
    tcase_add_test(tc, series_fold);
    tcase_add_test(tc, picture);
    suite_add_tcase(suite, tc);
    return tkv_check_main(suite);
}
