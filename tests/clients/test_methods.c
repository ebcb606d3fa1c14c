#include <stdio.h>
#include <string.h>

#include "tests/clients/fake_server.h"
#include "tests/support/check_main.h"

/* Goal: blocks arrive in order, more of them than one sendmsg takes, empty ones among them. */
START_TEST(many_blocks)
{
    enum { BLOCKS = 3000, BYTES = 37 };
    static uint8_t bytes[BLOCKS][BYTES];
    static struct truekv_block blocks[BLOCKS];
    static const struct fake_step steps[] = {FAKE_PAYLOAD(
        "\"params\":{\"seqs\":[1,2],\"pos\":[5,9007199254740991],\"tokens\":[3,4],\"layers\":[2,7]"
        ","
        "\"dtype\":\"bf16\"},\"payload\":110926}",
        110926, "{\"id\":1,\"result\":{\"lens\":[8,9],\"batch\":812}}\n")};
    size_t n = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = i % 1500 == 1 ? 0 : BYTES;
        memset(bytes[i], (int)(i % 251), BYTES);
        blocks[i] = (struct truekv_block){size > 0 ? bytes[i] : NULL, size};
        n += size;
    }
    ck_assert_uint_eq(n, 110926);
    struct truekv *kv = start(steps, COUNT(steps));
    uint64_t seqs[] = {1, 2}, pos[] = {5, 9007199254740991}, tokens[] = {3, 4}, lens[2], batch;
    struct truekv_append append = {.m = 2,
                                   .seqs = seqs,
                                   .pos = pos,
                                   .tokens = tokens,
                                   .layers = {2, 7},
                                   .dtype = TRUEKV_BF16,
                                   .blocks = blocks,
                                   .n_blocks = BLOCKS};
    ck_assert_int_eq(truekv_seq_append(kv, &append, lens, &batch), TRUEKV_OK);
    ck_assert(lens[0] == 8 && lens[1] == 9 && batch == 812);
    ck_assert_uint_eq(server.payload_len, n);
    for (size_t i = 0, at = 0; i < BLOCKS; at += blocks[i].bytes, i++)
        ck_assert(blocks[i].bytes == 0 || memcmp(server.payload + at, bytes[i], BYTES) == 0);
    finish(kv);
}
END_TEST

/* Goal: what a call cannot mean is refused before anything is sent. */
START_TEST(bad_arguments)
{
    struct truekv *kv = start(NULL, 0);
    uint64_t seq = 1;
    double nan_value = 0.0 / 0.0, fine = 1;
    struct truekv_block empty = {NULL, 4}, huge[2] = {{"x", SIZE_MAX}, {"y", 2}}, ok = {"z", 1};
    struct truekv_append append = {.m = 1, .seqs = &seq, .blocks = &empty, .n_blocks = 1};
    ck_assert_int_eq(truekv_seq_append(kv, &append, NULL, NULL), TRUEKV_EARGUMENT);
    append.blocks = huge;
    append.n_blocks = 2;
    ck_assert_int_eq(truekv_seq_append(kv, &append, NULL, NULL), TRUEKV_EARGUMENT);
    append = (struct truekv_append){.m = 1, .seqs = &seq, .values = &nan_value, .n_values = 1};
    ck_assert_int_eq(truekv_seq_append(kv, &append, NULL, NULL), TRUEKV_EARGUMENT);
    append = (struct truekv_append){
        .m = 1, .seqs = &seq, .values = &fine, .n_values = 1, .blocks = &ok, .n_blocks = 1};
    ck_assert_int_eq(truekv_seq_append(kv, &append, NULL, NULL), TRUEKV_EARGUMENT);
    ck_assert_int_eq(truekv_raw(kv, "{}\n{}", NULL, 0, NULL), TRUEKV_EARGUMENT);
    ck_assert_int_eq(truekv_wait(kv, 77, NULL), TRUEKV_EARGUMENT);
    ck_assert_str_eq(truekv_error(kv)->reason, "bad_argument");
    finish(kv);
}
END_TEST

/* Goal: pairs of submit and wait for appends; values as JSON. */
START_TEST(appends_in_flight)
{
    static const struct fake_step steps[] = {
        FAKE_TAKE(
            "\"id\":1,\"method\":\"seq.append\",\"params\":{\"seqs\":[3],\"tokens\":2,\"data\":"
            "{\"values\":[1,-0.5,0.10000000000000001]}}}"),
        FAKE_ANSWER("\"id\":2,", "{\"id\":2,\"result\":{\"lens\":[7],\"batch\":2}}\n"
                                 "{\"id\":1,\"result\":{\"lens\":[4],\"batch\":1}}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    uint64_t seq = 3, tokens = 2, a, b, len, batch;
    double values[] = {1, -0.5, 0.1};
    struct truekv_append append = {
        .m = 1, .seqs = &seq, .tokens = &tokens, .values = values, .n_values = 3};
    ck_assert_int_eq(truekv_seq_append_submit(kv, &append, &a), TRUEKV_OK);
    ck_assert_int_eq(truekv_seq_append_submit(kv, &append, &b), TRUEKV_OK);
    ck_assert_int_eq(truekv_seq_append_wait(kv, a, 1, &len, &batch), TRUEKV_OK);
    ck_assert(len == 4 && batch == 1);
    ck_assert_int_eq(truekv_seq_append_wait(kv, b, 1, &len, NULL), TRUEKV_OK);
    ck_assert_uint_eq(len, 7);
    finish(kv);
}
END_TEST

/* Goal: every typed result, with members that a newer daemon may add. */
START_TEST(typed_results)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER(
            "server.info",
            "{\"id\":1,\"result\":{\"name\":\"truekv\",\"version\":\"0.1.0\",\"protocol\":1,"
            "\"backend\":\"cpu\",\"devices\":[],\"models\":[{\"name\":\"m\",\"n_layers\":30,"
            "\"n_kv_heads\":3,\"head_dim\":64,\"dtype\":\"f16\",\"capacity\":2048,\"new\":1}],"
            "\"limits\":{\"max_payload_bytes\":1048576},\"uptime_s\":1.5,\"healthy\":true}}\n"),
        FAKE_ANSWER("\"params\":{\"seq\":7,\"len\":3}",
                    "{\"id\":2,\"result\":{\"seq\":7,\"len\":3}}\n"),
        FAKE_ANSWER("\"params\":{\"seqs\":[7,8]}", "{\"id\":3,\"result\":{\"freed\":2}}\n"),
        FAKE_ANSWER(
            "seq.info",
            "{\"id\":4,\"result\":{\"seq\":9,\"model\":\"m\",\"label\":\"x\",\"capacity\":64,"
            "\"len\":1,\"layer_lens\":[1,2],\"bytes\":10,\"device\":0,\"idle_ms\":3,"
            "\"appends\":4}}\n"),
        FAKE_ANSWER("\"params\":{\"cursor\":9,\"limit\":2}",
                    "{\"id\":5,\"result\":{\"seqs\":[{\"seq\":1,\"len\":2,\"layer_lens\":[2,5]},"
                    "{\"seq\":2,\"len\":3,\"label\":null,\"layer_lens\":[3]}],\"cursor\":12}}\n"),
        FAKE_ANSWER("\"params\":{\"seqs\":[1],\"batches\":4,\"scratch_bytes\":4096}",
                    "{\"id\":6,\"result\":{\"ok\":false,\"batches_checked\":4,\"items_checked\":9,"
                    "\"bytes_compared\":100,\"divergent_items\":1,\"divergences\":[],\"duration_"
                    "us\":5}}\n"),
        FAKE_ANSWER("\"params\":{\"m\":2,\"cache_len\":0}",
                    "{\"id\":7,\"result\":{\"ok\":true}}\n"),
        FAKE_ANSWER("\"params\":{\"fault\":\"off_by_one\",\"batches\":2}",
                    "{\"id\":8,\"result\":{\"armed\":[\"off_by_one\"]}}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    struct truekv_info info;
    struct truekv_seq seq;
    struct truekv_page page;
    struct truekv_verdict verdict;
    uint64_t seqs[] = {7, 8}, freed, cursor = 9, one = 1, none = 0;
    ck_assert_int_eq(truekv_server_info(kv, &info), TRUEKV_OK);
    ck_assert(info.n_models == 1 && info.models[0].n_layers == 30 && info.healthy);
    ck_assert(info.models[0].dtype == TRUEKV_F16 && info.max_payload_bytes == 1048576);
    ck_assert_int_eq(truekv_seq_truncate(kv, 7, 3, &freed), TRUEKV_OK);
    ck_assert_int_eq(truekv_seq_free(kv, seqs, 2, &freed), TRUEKV_OK);
    ck_assert_uint_eq(freed, 2);
    ck_assert_int_eq(truekv_seq_info(kv, 9, &seq), TRUEKV_OK);
    ck_assert(seq.n_layer_lens == 2 && seq.layer_lens[1] == 2 && seq.appends == 4);
    ck_assert_int_eq(truekv_seq_list(kv, &cursor, 2, &page), TRUEKV_OK);
    ck_assert(page.n == 2 && page.more && page.cursor == 12);
    ck_assert(page.seqs[0].layer_lens[1] == 5 && page.seqs[1].layer_lens[0] == 3);
    ck_assert(page.seqs[1].label == NULL);
    struct truekv_verify verify = {.seqs = &one, .m = 1, .batches = 4, .scratch_bytes = 4096};
    ck_assert_int_eq(truekv_debug_verify(kv, &verify, &verdict), TRUEKV_OK);
    ck_assert(!verdict.ok && verdict.items_checked == 9);
    struct truekv_selftest selftest = {.m = 2, .cache_len = &none};
    ck_assert_int_eq(truekv_debug_selftest(kv, &selftest, &verdict), TRUEKV_OK);
    ck_assert(verdict.ok);
    struct truekv_inject inject = {.batches = 2};
    ck_assert_int_eq(truekv_debug_inject(kv, "off_by_one", &inject), TRUEKV_OK);
    finish(kv);
}
END_TEST

/* Goal: an injection's limits are sent where they are given, 0 among them, and only there. */
START_TEST(limited_injections)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("\"params\":{\"fault\":\"bit_flip\"}}", "{\"id\":1,\"result\":{}}\n"),
        FAKE_ANSWER(
            "\"params\":{\"fault\":\"bit_flip\",\"layer\":0,\"kv_head\":3,\"last_item\":true,"
            "\"together\":true}}",
            "{\"id\":2,\"result\":{}}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    uint64_t layer = 0, head = 3;
    struct truekv_inject how = {
        .layer = &layer, .kv_head = &head, .last_item = true, .together = true};
    ck_assert_int_eq(truekv_debug_inject(kv, "bit_flip", NULL), TRUEKV_OK);
    ck_assert_int_eq(truekv_debug_inject(kv, "bit_flip", &how), TRUEKV_OK);
    finish(kv);
}
END_TEST

/* Goal: the kept report and a scrub's, with and without findings, and what is neither. */
START_TEST(kept_reports_and_scrubs)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("\"method\":\"debug.last\",\"params\":{}",
                    "{\"id\":1,\"result\":{\"report\":null}}\n"),
        FAKE_ANSWER("debug.last", "{\"id\":2,\"result\":{\"report\":{\"ok\":false,"
                                  "\"divergent_items\":3},\"source\":\"shadow\",\"age_ms\":12}}\n"),
        FAKE_ANSWER("debug.last", "{\"id\":3,\"result\":{\"report\":7}}\n"),
        FAKE_ANSWER("\"method\":\"debug.scrub\",\"params\":{\"seqs\":[7]}",
                    "{\"id\":4,\"result\":{\"ok\":false,\"seqs_checked\":1,\"checksums_checked\":"
                    "64,\"bytes_read\":4096,\"damaged_tokens\":2,\"damages\":[]}}\n"),
        FAKE_ANSWER("\"method\":\"debug.scrub\",\"params\":{}}", "{\"id\":5,\"result\":{}}\n"),
    };
    struct truekv *kv = start(steps, COUNT(steps));
    struct truekv_last last;
    struct truekv_scrub scrub;
    uint64_t seq = 7;
    ck_assert_int_eq(truekv_debug_last(kv, &last), TRUEKV_OK);
    ck_assert(last.source == NULL && last.age_ms == 0);
    ck_assert_int_eq(truekv_debug_last(kv, &last), TRUEKV_OK);
    ck_assert_str_eq(last.source, "shadow");
    ck_assert(last.age_ms == 12 && !last.verdict.ok && last.verdict.divergent_items == 3);
    ck_assert_int_eq(truekv_debug_last(kv, &last), TRUEKV_EANSWER);
    ck_assert_int_eq(truekv_debug_scrub(kv, &seq, 1, &scrub), TRUEKV_OK);
    ck_assert(!scrub.ok && scrub.damaged_tokens == 2 && scrub.checksums_checked == 64);
    ck_assert_int_eq(truekv_debug_scrub(kv, NULL, 0, &scrub), TRUEKV_EANSWER);
    finish(kv);
}
END_TEST

/* Goal: results that lack what the protocol promises are EANSWER, and the connection lives. */
START_TEST(typed_results_that_are_wrong)
{
    static const char *const results[] = {
        "{\"shape\":[1,2,1,1,2],\"dtype\":\"f32\"}",
        "{\"shape\":[1,2,1,1,2],\"dtype\":\"f64\"}",
        "{\"shape\":[1,3,1,1,1],\"dtype\":\"f32\"}",
        "{\"shape\":[1,2,1,1],\"dtype\":\"f32\"}",
        "{\"shape\":[1,2,1,-1,1],\"dtype\":\"f32\"}",
        "{\"shape\":[1,2,1,0.5,1],\"dtype\":\"f32\"}",
        "{\"shape\":[1e300,2,1,1,1],\"dtype\":\"f32\"}",
        "{\"dtype\":\"f32\"}",
        "[]",
        "{\"shape\":}",
        "{\"shape\":[4294967295,2,4294967295,4503599627370496,1],\"dtype\":\"f16\"}",
    };
    for (size_t i = 0; i < COUNT(results); i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"id\":1,\"result\":%s,\"payload\":8}\n12345678", results[i]);
        struct fake_step steps[] = {FAKE_ANSWER("seq.read", text),
                                    {"server.ping", 0, "{\"id\":2,\"result\":{}}\n", 0, 0, 0}};
        struct truekv *kv = start(steps, COUNT(steps));
        struct truekv_read read = {.seq = 1};
        struct truekv_rows rows;
        ck_assert_int_eq(truekv_seq_read(kv, &read, NULL, 0, &rows), TRUEKV_EANSWER);
        ck_assert_int_eq(truekv_server_ping(kv), TRUEKV_OK);
        finish(kv);
    }
}
END_TEST

/* Goal: what an operator asks for is sent as the protocol has it, and what it was is told. */
START_TEST(operator)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("\"method\":\"auth\",\"params\":{\"token\":\"a\\\"b\"}",
                    "{\"id\":1,\"result\":{}}\n"),
        FAKE_ANSWER("\"method\":\"admin.reload\",\"params\":{}",
                    "{\"id\":2,\"result\":{\"changed\":[\"log.level\"]}}\n"),
        FAKE_ANSWER("\"method\":\"admin.log_level\",\"params\":{\"level\":\"debug\"}",
                    "{\"id\":3,\"result\":{\"level\":\"debug\",\"was\":\"info\"}}\n"),
        FAKE_ANSWER("admin.log_level", "{\"id\":4,\"result\":{\"level\":\"debug\",\"was\":7}}\n"),
        FAKE_ANSWER("\"method\":\"admin.drain\",\"params\":{}",
                    "{\"id\":5,\"error\":{\"code\":-32009,\"message\":\"no\",\"data\":{"
                    "\"reason\":\"permission_denied\"}}}\n")};
    const char *was = NULL;
    struct truekv *kv = start(steps, COUNT(steps));
    ck_assert_int_eq(truekv_fd(kv), server.peer);
    ck_assert_int_eq(truekv_auth(kv, "a\"b"), TRUEKV_OK);
    ck_assert_int_eq(truekv_admin_reload(kv), TRUEKV_OK);
    ck_assert_str_eq(truekv_last_answer(kv)->json, "{\"changed\":[\"log.level\"]}");
    ck_assert_int_eq(truekv_admin_log_level(kv, "debug", &was), TRUEKV_OK);
    ck_assert_str_eq(was, "info");
    ck_assert_int_eq(truekv_admin_log_level(kv, "debug", NULL), TRUEKV_EANSWER);
    ck_assert_int_eq(truekv_admin_drain(kv), TRUEKV_EPERM);
    finish(kv);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("methods");
    TCase *tc = tcase_create("methods");
    tcase_add_test(tc, many_blocks);
    tcase_add_test(tc, bad_arguments);
    tcase_add_test(tc, appends_in_flight);
    tcase_add_test(tc, typed_results);
    tcase_add_test(tc, limited_injections);
    tcase_add_test(tc, kept_reports_and_scrubs);
    tcase_add_test(tc, typed_results_that_are_wrong);
    tcase_add_test(tc, operator);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
