/* Each fault that can be injected is found by debug.verify, and named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

enum { SEQS = 4, LAYERS = 2, HEADS = 3, DIM = 8, TOKENS = 5 };
enum { ITEM_ELEMENTS = LAYERS * 2 * HEADS * TOKENS * DIM };

static const char config[] =
    "models = ( { name = \"m\"; n_layers = 2; n_kv_heads = 3; head_dim = 8;"
    " dtype = \"f16\"; capacity = 32; } );\n"
    "debug: { allow_fault_injection = true; };\n";

static struct daemon d;
static struct wire w;

static void setup(void)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
    for (int i = 0; i < SEQS; i++) {
        cJSON *answer = wire_call(&w, "seq.create", "{\"seq\":%d}", 10 + i);
        ck_assert_ptr_nonnull(json_at(answer, "result"));
        cJSON_Delete(answer);
    }
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

/* One step of all sequences, no two rows alike. */
static void append_step(unsigned step)
{
    uint16_t rows[SEQS * ITEM_ELEMENTS];
    for (unsigned i = 0; i < SEQS * ITEM_ELEMENTS; i++)
        rows[i] = (uint16_t)(0x3000 + (i * 2654435761u >> 16) % 0x0c00 + step);
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%zu,"
               "\"params\":{\"seqs\":[10,11,12,13],\"tokens\":%d}}",
               sizeof rows, TOKENS);
    wire_send(&w, rows, sizeof rows);
    cJSON *answer = wire_answer(&w);
    ck_assert_ptr_nonnull(json_at(answer, "result.lens"));
    cJSON_Delete(answer);
}

/* The first divergence whose kind is `kind`, or NULL. */
static const cJSON *of_kind(const cJSON *report, const char *kind)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_at(report, "result.divergences"))
    {
        const cJSON *got = cJSON_GetObjectItemCaseSensitive(one, "kind");
        if (got != NULL && strcmp(got->valuestring, kind) == 0) return one;
    }
    return NULL;
}

static const struct {
    const char *fault, *kind, *detail, *value; /* detail of the divergence, where one is told */
} faults[] = {
    {"shared_pointers", "wrong_item", "detail.source_seq", "13"},
    {"swap_items", "wrong_item", NULL, NULL},
    {"off_by_one", "wrong_position", "detail.offset", "1"},
    {"token_major", "wrong_head", "detail.layout", "\"token_major\""},
    {"stray_write", "stray_write", NULL, NULL},
};

/* Goal: a broken batch between good ones is found, named, and the only one that is. */
START_TEST(faults_are_named)
{
    const char *fault = faults[_i].fault;
    append_step(0);
    wire_verify_ok(&w, true);
    cJSON *answer = wire_call(&w, "debug.inject", "{\"fault\":\"%s\",\"batches\":1}", fault);
    ck_assert_str_eq(json_at(answer, "result.armed[0]")->valuestring, fault);
    cJSON_Delete(answer);
    append_step(1);
    append_step(2);
    answer = wire_call(&w, "debug.verify", NULL);
    char *text = cJSON_Print(answer);
    ck_assert_msg(json_is(answer, "result.ok", "false"), "%s: %s", fault, text);
    ck_assert_msg(json_number(answer, "result.divergent_items") > 0, "%s: %s", fault, text);
    const cJSON *found = of_kind(answer, faults[_i].kind);
    ck_assert_msg(found != NULL, "%s: no %s in %s", fault, faults[_i].kind, text);
    if (faults[_i].detail != NULL)
        ck_assert_msg(json_is(found, faults[_i].detail, faults[_i].value), "%s: no %s=%s in %s",
                      fault, faults[_i].detail, faults[_i].value, text);
    free(text);
    cJSON_Delete(answer);
    /* what was damaged goes with its sequences; what comes after is right */
    wire_ok(&w, "seq.free", "{\"seqs\":[10,11,12,13]}");
    for (int i = 0; i < SEQS; i++) {
        answer = wire_call(&w, "seq.create", "{\"seq\":%d}", 10 + i);
        cJSON_Delete(answer);
    }
    append_step(3);
    answer = wire_call(&w, "debug.verify", "{\"batches\":1}");
    json_expect(answer, "result.ok", "true");
    cJSON_Delete(answer);
    daemon_stop(&d);
}
END_TEST

/* Goal: two faults, each of a part of the rows, are found where they are. */
START_TEST(faults_in_their_scopes)
{
    append_step(0);
    cJSON *answer = wire_call(&w, "debug.inject",
                              "{\"fault\":\"kv_swapped\",\"layer\":1,\"kv_head\":2,"
                              "\"last_item\":true}");
    cJSON_Delete(answer);
    answer =
        wire_call(&w, "debug.inject", "{\"fault\":\"stray_write\",\"layer\":0,\"together\":true}");
    ck_assert_str_eq(json_at(answer, "result.armed[1]")->valuestring, "stray_write");
    cJSON_Delete(answer);
    append_step(1);
    answer = wire_call(&w, "debug.verify", NULL);
    json_expect(answer, "result.divergent_items", "1");
    ck_assert_int_eq(cJSON_GetArraySize(json_at(answer, "result.divergences")), 3);
    const cJSON *swapped = of_kind(answer, "kv_swapped"), *stray = of_kind(answer, "stray_write");
    ck_assert(swapped != NULL && stray != NULL);
    json_expect(swapped, "seq", "13");
    json_expect(swapped, "layer", "1");
    json_expect(swapped, "map.heads[0]", "0");
    ck_assert(json_number(swapped, "map.heads[2]") > 0);
    json_expect(swapped, "map.pos", "5");
    ck_assert_int_eq(cJSON_GetArraySize(json_at(swapped, "map.positions")), TOKENS);
    json_expect(stray, "layer", "0");
    json_expect(stray, "map.pos", "10");
    cJSON_Delete(answer);
    daemon_stop(&d);
}
END_TEST

/* Goal: a fault without a name is refused. */
START_TEST(unknown_faults_are_refused)
{
    wire_refused(&w, "debug.inject", "{\"fault\":\"gremlins\"}", "invalid_params");
    wire_refused(&w, "debug.inject", "{}", "invalid_params");
    wire_refused(&w, "debug.inject", "{\"fault\":\"bit_flip\",\"layer\":2}", "invalid_params");
    wire_refused(&w, "debug.inject", "{\"fault\":\"bit_flip\",\"kv_head\":3}", "invalid_params");
    wire_ok(&w, "debug.inject", "{\"fault\":\"bit_flip\",\"layer\":1}");
    cJSON *answer = wire_call(&w, "debug.inject", "{\"fault\":\"none\"}"); /* never mind */
    json_expect(answer, "result.armed", "[]");
    cJSON_Delete(answer);
    wire_refused(&w, "debug.inject", "{\"fault\":\"bit_flip\",\"together\":true}",
                 "invalid_params");
    append_step(0);
    wire_verify_ok(&w, true);
    daemon_stop(&d);
}
END_TEST

/* Goal: a flipped bit is found by a scrub at its place, and by shadow mode, which keeps its report
 * and latches health; a verification that reaches further back than the journal says so. */
START_TEST(damage_is_found_in_passing)
{
    static const char passing[] =
        "models = ( { name = \"m\"; n_layers = 2; n_kv_heads = 3; head_dim = 8;"
        " dtype = \"f16\"; capacity = 32; } );\n"
        "journal: { bytes = \"6K\"; };\n"
        "shadow: { sample = 1.0; on_divergence = \"latch\"; };\n"
        "debug: { allow_fault_injection = true; };\n";
    teardown();
    daemon_start(&d, passing);
    wire_open(&w, &d);
    for (int i = 0; i < SEQS; i++)
        cJSON_Delete(wire_call(&w, "seq.create", "{\"seq\":%d}", 10 + i));
    append_step(0);
    cJSON *answer = wire_call(&w, "debug.scrub", NULL);
    json_expect(answer, "result.ok", "true");
    json_expect(answer, "result.checksums_checked", "80"); /* sequences * layers * K|V * tokens */
    cJSON_Delete(answer);
    answer = wire_call(&w, "debug.last", NULL);
    json_expect(answer, "result.report", "null");
    cJSON_Delete(answer);
    wire_ok(&w, "debug.inject", "{\"fault\":\"bit_flip\"}");
    append_step(1);
    answer = wire_call(&w, "debug.scrub", "{\"seqs\":[13,10]}");
    json_expect(answer, "result.ok", "false");
    json_expect(answer, "result.damaged_tokens", "1");
    json_expect(answer, "result.damages[0].seq", "13");
    json_expect(answer, "result.damages[0].pos", "5");
    cJSON_Delete(answer);
    append_step(2);
    answer = wire_call(&w, "debug.verify", "{\"batches\":3}"); /* before shadow mode, or after */
    json_expect(answer, "result.skipped.evicted", "2");
    cJSON_Delete(answer);
    const struct timespec pause = {.tv_nsec = 10000000};
    answer = wire_call(&w, "debug.last", "{}");
    for (int i = 0; i < 1000 && json_is(answer, "result.report", "null"); i++) {
        nanosleep(&pause, NULL);
        cJSON_Delete(answer);
        answer = wire_call(&w, "debug.last", "{}");
    }
    json_expect(answer, "result.source", "\"shadow\"");
    json_expect(answer, "result.report.divergences[0].kind", "\"bit_flip\"");
    cJSON_Delete(answer);
    answer = wire_call(&w, "server.info", NULL);
    json_expect(answer, "result.healthy", "false");
    ck_assert_ptr_nonnull(
        strstr(json_at(answer, "result.unhealthy_because")->valuestring, "shadow"));
    cJSON_Delete(answer);
    wire_refused(&w, "debug.scrub", "{\"seqs\":[99]}", "not_found");
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("faults");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, faults_are_named, 0, sizeof faults / sizeof faults[0]);
    tcase_add_test(tests, faults_in_their_scopes);
    tcase_add_test(tests, unknown_faults_are_refused);
    tcase_add_test(tests, damage_is_found_in_passing);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
