#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/answer.h"
#include "proto/gate.h"
#include "tests/support/check_main.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct tkv_buffer out;
static struct tkv_json json;

/* What has been written must be this, must pass our own gate and be read by cJSON. */
static void assert_line(const char *expected)
{
    struct tkv_gate_error err;
    ck_assert_int_eq(tkv_buffer_status(&out), TKV_OK);
    tkv_buffer_append(&out, "", 1);
    ck_assert_str_eq((const char *)out.data, expected);
    ck_assert_int_eq(tkv_gate_check((const char *)out.data, out.len - 1, &err), TKV_OK);
    cJSON *root = cJSON_ParseWithLengthOpts((const char *)out.data, out.len - 1, NULL, 0);
    ck_assert_ptr_nonnull(root);
    cJSON_Delete(root);
    tkv_buffer_clear(&out);
}

static struct tkv_json *begin(void)
{
    tkv_answer_begin(&json, &out, "7", 1);
    return &json;
}

#define JOURNAL        "\"journal\":{\"oldest\":0,\"newest\":0,\"left\":0},"
#define ANSWER(result) "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":" result "}"

static void assert_answer(const char *expected)
{
    tkv_answer_end(&json, 0);
    assert_line(expected);
}

START_TEST(envelope)
{
    tkv_put_empty(begin());
    assert_answer(ANSWER("{}"));
    tkv_answer_begin(&json, &out, "\"\\u0041\"", 8);
    tkv_put_empty(&json);
    tkv_answer_end(&json, 4096);
    assert_line("{\"jsonrpc\":\"2.0\",\"id\":\"\\u0041\",\"result\":{},\"payload\":4096}");
}
END_TEST

START_TEST(server_info)
{
    const struct tkv_model_info models[] = {{"m", 30, 3, 64, TKV_BF16, 2048}, {"n", 1, 1, 1, 0, 1}};
    const struct tkv_server_info info = {
        .version = "0.1.0",
        .backend = "cpu",
        .device = {0, "x86 \"CPU\"", 8, 4},
        .models = models,
        .n_models = 2,
        .limits = {1, 2, 3, 4, UINT64_MAX},
        .uptime_s = 1.5,
    };
    tkv_put_server_info(begin(), &info);
    assert_answer(ANSWER(
        "{\"name\":\"truekv\",\"version\":\"0.1.0\",\"protocol\":1,\"backend\":\"cpu\",\"devices\":"
        "[{\"ordinal\":0,\"name\":\"x86 \\\"CPU\\\"\",\"memory_total\":8,\"memory_used\":4}],"
        "\"models\":[{\"name\":\"m\",\"n_layers\":30,\"n_kv_heads\":3,\"head_dim\":64,"
        "\"dtype\":\"bf16\",\"capacity\":2048},{\"name\":\"n\",\"n_layers\":1,\"n_kv_heads\":1,"
        "\"head_dim\":1,\"dtype\":\"f16\",\"capacity\":1}],\"limits\":{\"max_header_bytes\":1,"
        "\"max_payload_bytes\":2,\"max_connections\":3,\"max_sequences\":4,"
        "\"memory_budget_bytes\":18446744073709551615},\"uptime_s\":1.5,\"healthy\":true}"));
}
END_TEST

START_TEST(sequences)
{
    tkv_put_created(begin(), &(struct tkv_created){9, "m", 64, 8192, 0});
    assert_answer(ANSWER(
        "{\"seq\":9,\"model\":\"m\",\"capacity\":64,\"len\":0,\"bytes\":8192,\"device\":0}"));
    tkv_put_appended(begin(), (const uint64_t[]){5, 6}, 2, 17);
    assert_answer(ANSWER("{\"lens\":[5,6],\"batch\":17}"));
    tkv_put_truncated(begin(), 9, 3);
    assert_answer(ANSWER("{\"seq\":9,\"len\":3}"));
    tkv_put_freed(begin(), 2);
    assert_answer(ANSWER("{\"freed\":2}"));

    const uint32_t layer_lens[] = {3, 4};
    struct tkv_seq_state states[] = {
        {.seq = 1, .model = "m", .capacity = 8, .len = 4, .bytes = 99, .idle_ms = 5, .appends = 6},
        {.seq = 2, .model = "m", .label = "a\nb", .layer_lens = layer_lens, .n_layers = 2},
    };
#define INFO_1                                                                                    \
    "{\"seq\":1,\"model\":\"m\",\"label\":null,\"capacity\":8,\"len\":4,\"bytes\":99,\"device\":" \
    "0,"                                                                                          \
    "\"idle_ms\":5,\"appends\":6}"
    tkv_put_info(begin(), &states[0]);
    assert_answer(ANSWER(INFO_1));
    tkv_put_list(begin(), states, 2, &(struct tkv_maybe){true, 2});
    assert_answer(ANSWER(
        "{\"seqs\":[" INFO_1 ",{\"seq\":2,\"model\":\"m\",\"label\":\"a\\nb\",\"capacity\":0,"
        "\"len\":0,\"layer_lens\":[3,4],\"bytes\":0,\"device\":0,\"idle_ms\":0,\"appends\":0}],"
        "\"cursor\":2}"));
    tkv_put_list(begin(), NULL, 0, &(struct tkv_maybe){0});
    assert_answer(ANSWER("{\"seqs\":[]}"));

    const struct tkv_read_shape shape = {2, 3, 4, 5, TKV_F16};
    tkv_put_read(begin(), &shape, NULL, 480);
    tkv_answer_end(&json, 480);
    assert_line(
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"shape\":[2,2,3,4,5],\"dtype\":\"f16\"},"
        "\"payload\":480}");
    tkv_put_read(begin(), &shape, "\x01\x02\x03\x04", 4);
    assert_answer(
        ANSWER("{\"shape\":[2,2,3,4,5],\"dtype\":\"f16\",\"data\":{\"base64\":\"AQIDBA==\"}}"));
}
END_TEST

START_TEST(verify)
{
    struct tkv_divergence d = {
        .seq = 5,
        .batch = 6,
        .layer = 7,
        .is_v = true,
        .kind = TKV_KIND_WRONG_ITEM,
        .finite = true,
        .max_abs_diff = 0.5,
        .mismatched_bytes = 8,
        .worst = {1, 2, 3, -0.25, INFINITY},
        .nonzero_per_item = 9,
        .nonzero_other = 10,
        .map = {.n_heads = 2,
                .heads_per_cell = 1,
                .n_positions = 1,
                .positions_per_cell = 3,
                .pos = 2,
                .heads = {6, 2},
                .positions = {8}},
        .detail = {.source_seq = {true, 4},
                   .offset = {true, -1},
                   .ambiguous = true,
                   .source_seqs = {4, 9},
                   .n_source_seqs = 2,
                   .layout = "token_major",
                   .text = "holds the rows of sequence 4"},
    };
    struct tkv_verify_report report = {.ok = true, .batches_checked = 1, .duration_us = 2};
    tkv_put_verify(begin(), &report);
    assert_answer(ANSWER("{\"ok\":true,\"batches_checked\":1,\"items_checked\":0,"
                         "\"bytes_compared\":0,\"skipped\":{},\"divergent_items\":0,"
                         "" JOURNAL "\"divergences\":[],\"duration_us\":2}"));
    report =
        (struct tkv_verify_report){.divergent_items = 1, .divergences = &d, .n_divergences = 1};
    report.skipped[TKV_SKIP_TRUNCATED] = 3;
    tkv_put_verify(begin(), &report);
    assert_answer(ANSWER(
        "{\"ok\":false,\"batches_checked\":0,\"items_checked\":0,\"bytes_compared\":0,"
        "\"skipped\":{\"truncated\":3},\"divergent_items\":1," JOURNAL
        "\"divergences\":[{\"seq\":5,"
        "\"batch\":6,\"layer\":7,\"kv\":\"v\",\"between\":\"per_item/batched\","
        "\"kind\":\"wrong_item\",\"max_abs_diff\":0.5,\"mismatched_bytes\":8,\"worst\":{"
        "\"kv_head\":1,\"kv_pos\":2,\"dim\":3,\"per_item\":-0.25,\"other\":null},\"nonzero\":{"
        "\"per_item\":9,\"other\":10},\"map\":{\"heads\":[6,2],\"heads_per_cell\":1,\"pos\":2,"
        "\"positions_per_cell\":3,\"positions\":[8]},\"detail\":{\"source_seq\":4,\"offset\":-1,"
        "\"ambiguous\":true,\"source_seqs\":[4,9],"
        "\"layout\":\"token_major\",\"text\":\"holds the rows of sequence 4\"}}],"
        "\"duration_us\":0}"));
    d = (struct tkv_divergence){.live = true, .kind = TKV_KIND_BIT_FLIP, .detail.bits = {true, 1}};
    report = (struct tkv_verify_report){.divergences = &d, .n_divergences = 1};
    tkv_put_verify(begin(), &report);
    assert_answer(ANSWER(
        "{\"ok\":false,\"batches_checked\":0,\"items_checked\":0,\"bytes_compared\":0,"
        "\"skipped\":{},\"divergent_items\":0," JOURNAL
        "\"divergences\":[{\"seq\":0,\"batch\":0,\"layer\":0,"
        "\"kv\":\"k\",\"between\":\"per_item/live\",\"kind\":\"bit_flip\",\"max_abs_diff\":null,"
        "\"mismatched_bytes\":0,\"worst\":{\"kv_head\":0,\"kv_pos\":0,\"dim\":0,\"per_item\":0,"
        "\"other\":0},\"nonzero\":{\"per_item\":0,\"other\":0},\"detail\":{\"bits\":1,"
        "\"text\":\"\"}}],\"duration_us\":0}"));
}
END_TEST

START_TEST(scrub_and_last)
{
    struct tkv_damage d = {7, 3, 12, true, 0x0123456789abcdefu, 0xfedcu};
    struct tkv_scrub_report scrub = {.seqs_checked = 2,
                                     .checksums_checked = 30,
                                     .bytes_read = 64,
                                     .damaged_tokens = 1,
                                     .damages = &d,
                                     .n_damages = 1,
                                     .duration_us = 5};
    scrub.skipped[TKV_SKIP_FREED] = 1;
    tkv_put_scrub(begin(), &scrub);
    assert_answer(ANSWER("{\"ok\":false,\"seqs_checked\":2,\"checksums_checked\":30,"
                         "\"bytes_read\":64,\"skipped\":{\"freed\":1},\"damaged_tokens\":1,"
                         "\"damages\":[{\"seq\":7,\"layer\":3,\"kv\":\"v\",\"pos\":12,"
                         "\"expected\":\"0123456789abcdef\",\"found\":\"000000000000fedc\"}],"
                         "\"duration_us\":5}"));
    tkv_put_last(begin(), &(struct tkv_last_report){0});
    assert_answer(ANSWER("{\"report\":null}"));
    struct tkv_verify_report report = {.divergent_items = 1, .duration_us = 9};
    report.skipped[TKV_SKIP_EVICTED] = 4;
    tkv_put_last(begin(), &(struct tkv_last_report){.newest = {&report, true, 77}});
    assert_answer(ANSWER("{\"report\":{\"ok\":false,\"batches_checked\":0,\"items_checked\":0,"
                         "\"bytes_compared\":0,\"skipped\":{\"evicted\":4},"
                         "\"divergent_items\":1," JOURNAL "\"divergences\":[],\"duration_us\":9},"
                         "\"source\":\"shadow\",\"age_ms\":77}"));
}
END_TEST

START_TEST(selftest_and_inject)
{
    struct tkv_selftest_item item = {.item = 3, .finite = true, .worst = {1, 2, 3, 0.1f, 0.25}};
    tkv_put_selftest(begin(), &(struct tkv_selftest_report){true, &item, 1});
    assert_answer(ANSWER("{\"ok\":true,\"items\":[{\"item\":3,\"kv\":\"k\",\"max_abs_diff\":0,"
                         "\"mismatched_bytes\":0,\"worst\":{\"kv_head\":1,\"kv_pos\":2,\"dim\":3,"
                         "\"per_item\":0.10000000149011612,\"batched\":0.25},\"nonzero\":{"
                         "\"per_item\":0,\"batched\":0}}]}"));
    tkv_put_armed(begin(), (const char *const[]){"swap_items", "bit_flip"}, 2);
    assert_answer(ANSWER("{\"armed\":[\"swap_items\",\"bit_flip\"]}"));
}
END_TEST

START_TEST(errors)
{
    struct tkv_error e;
    ck_assert_int_eq(tkv_error_set(&e, TKV_EPARSE, "not %s", "JSON"), TKV_EPARSE);
    tkv_answer_error(&out, "null", 4, &e, NULL, 0);
    assert_line(
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"not JSON\","
        "\"data\":{\"reason\":\"parse_error\"}}}");
    ck_assert_int_eq(tkv_error_param(&e, "seqs", "bad"), TKV_EINVAL);
    tkv_answer_error(&out, "1", 1, &e, NULL, 0);
    assert_line("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"bad\","
                "\"data\":{\"reason\":\"invalid_params\",\"param\":\"seqs\"}}}");
    tkv_error_set(&e, TKV_EPOS, "two items");
    struct tkv_item_error items[2] = {{.index = 1}, {.index = 4}};
    tkv_error_set(&items[0].error, TKV_EPOS, "at 5, not 4");
    tkv_error_number(&items[0].error, seq, 8);
    tkv_error_number(&items[0].error, expected, 5);
    tkv_error_set(&items[1].error, TKV_ENOTFOUND, "no sequence 9");
    tkv_error_number(&items[1].error, seq, 9);
    tkv_error_number(&e, seq, 8);
    tkv_error_number(&e, expected, 5);
    tkv_answer_error(&out, "1", 1, &e, items, 2);
    assert_line(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32002,\"message\":\"two items\","
        "\"data\":{\"reason\":\"position_mismatch\",\"seq\":8,\"expected\":5,\"items\":["
        "{\"index\":1,\"seq\":8,\"reason\":\"position_mismatch\",\"expected\":5,"
        "\"message\":\"at 5, not 4\"},{\"index\":4,\"seq\":9,\"reason\":\"not_found\","
        "\"message\":\"no sequence 9\"}]}}}");
}
END_TEST

/* Goal: errors stick: what does not fit makes the buffer say so, and nothing is written past it. */
START_TEST(full_buffer)
{
    static const char whole[] =
        ANSWER("{\"shape\":[1,2,1,1,1],\"dtype\":\"f16\",\"data\":{\"base64\":\"AQIDBA==\"}}");
    const struct tkv_read_shape shape = {1, 1, 1, 1, TKV_F16};
    for (size_t max = 1; max < sizeof whole; max++) {
        struct tkv_buffer small;
        tkv_buffer_init(&small, max);
        tkv_answer_begin(&json, &small, "7", 1);
        tkv_put_read(&json, &shape, "\x01\x02\x03\x04", 4);
        tkv_answer_end(&json, 0);
        ck_assert_int_eq(tkv_buffer_status(&small),
                         max < sizeof whole - 1 ? TKV_ETOOLARGE : TKV_OK);
        ck_assert_uint_le(small.len, max);
        if (small.len > 0)
            ck_assert_int_eq(memcmp(small.data, whole, small.len < 10 ? small.len : 10), 0);
        tkv_buffer_close(&small);
    }
}
END_TEST

static void assert_string(const char *text, const char *expected)
{
    tkv_json_init(&json, &out);
    tkv_json_string(&json, text);
    assert_line(expected);
}

/* Goal: any bytes become a valid string. */
START_TEST(strings)
{
    assert_string("", "\"\"");
    assert_string("a\"\\/b", "\"a\\\"\\\\/b\"");
    assert_string("\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
    assert_string("\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xe2\x82\xac\xf0\x9f\x98\x80\"");
#define BAD "\xef\xbf\xbd"
    assert_string("a\xff"
                  "b",
                  "\"a" BAD "b\"");
    assert_string("\xe2\x82", "\"" BAD BAD "\"");
    assert_string("\xed\xa0\x80!", "\"" BAD BAD BAD "!\"");
    assert_string("\xc0\x80", "\"" BAD BAD "\"");
}
END_TEST

static void assert_double(double value, const char *expected)
{
    tkv_json_init(&json, &out);
    tkv_json_double(&json, value);
    assert_line(expected);
}

/* Goal: numbers are short, read back as they were, and know no locale. */
START_TEST(numbers)
{
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is such a locale */
    assert_double(0, "0");
    assert_double(-0.0, "-0");
    assert_double(0.1, "0.1");
    assert_double(1.0 / 3, "0.3333333333333333");
    assert_double(1.0 / 49, "0.02040816326530612");
    assert_double(-1.5e-7, "-1.5e-07");
    assert_double(9007199254740991.0, "9007199254740991");
    assert_double(1e300, "1e+300");
    assert_double(5e-324, "4.94065645841247e-324");
    assert_double(1.7976931348623157e308, "1.7976931348623157e+308");
    assert_double(NAN, "null");
    assert_double(-INFINITY, "null");
    (void)setlocale(LC_ALL, "C");
    tkv_json_init(&json, &out);
    tkv_json_open(&json, '[');
    tkv_json_uint(&json, UINT64_MAX);
    tkv_json_int(&json, INT64_MIN);
    tkv_json_int(&json, -1);
    tkv_json_int(&json, INT64_MAX);
    tkv_json_bool(&json, false);
    tkv_json_null(&json);
    tkv_json_raw(&json, "{}", 2);
    tkv_json_uints(&json, NULL, 0);
    tkv_json_uints(&json, (const uint64_t[]){UINT64_MAX, 0, 10}, 3);
    tkv_json_uint(&json, 1);
    tkv_json_close(&json, ']');
    assert_line("[18446744073709551615,-9223372036854775808,-1,9223372036854775807,false,null,{},"
                "[],[18446744073709551615,0,10],1]");
}
END_TEST

/* Goal: every double reads back as itself. Method: random bit patterns. */
START_TEST(doubles_read_back)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        double value;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(&value, &state, sizeof value);
        if (!isfinite(value)) continue;
        tkv_json_init(&json, &out);
        tkv_json_double(&json, value);
        tkv_buffer_append(&out, "", 1);
        ck_assert(strtod((const char *)out.data, NULL) == value);
        tkv_buffer_clear(&out);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("answer");
    TCase *tc = tcase_create("answer");
    tkv_buffer_init(&out, 1 << 16);
    tcase_add_test(tc, envelope);
    tcase_add_test(tc, server_info);
    tcase_add_test(tc, sequences);
    tcase_add_test(tc, verify);
    tcase_add_test(tc, scrub_and_last);
    tcase_add_test(tc, selftest_and_inject);
    tcase_add_test(tc, errors);
    tcase_add_test(tc, full_buffer);
    tcase_add_test(tc, strings);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, doubles_read_back);
    suite_add_tcase(s, tc);
    int status = tkv_check_main(s);
    tkv_buffer_close(&out);
    return status;
}
