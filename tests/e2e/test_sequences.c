/* Sequences from create to free, over the socket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

/* A GPU gives memory in pieces of 2M: all of the 32 sequences must fit. */
/* A GPU gives memory in pieces of 2M: what is created here must fit with that, too. */
static const char config[] = "models = ( " FX_TINY ",\n"
                             "  { name = \"wide\"; n_layers = 4; n_kv_heads = 8; head_dim = 128;"
                             " dtype = \"f16\"; capacity = 4096; } );\n"
                             "memory: { budget = \"256M\"; };\n"
                             "limits: { max_sequences = 32; max_connections = 8; };\n";

static struct daemon d;
static struct wire w;

static void setup(void)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
}

static void finish(void)
{
    wire_verify_ok(&w, false);
    daemon_stop(&d);
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

static void expect(const char *method, const char *params, const char *path, const char *want)
{
    cJSON *answer = wire_call(&w, method, "%s", params);
    json_expect(answer, path, want);
    cJSON_Delete(answer);
}

/* Appends tokens positions of f16 bit patterns counted up from first. */
static void append(unsigned seq, unsigned tokens, unsigned first, const char *want_lens)
{
    uint16_t rows[64 * FX_TINY_ELEMENTS];
    size_t n = (size_t)tokens * FX_TINY_ELEMENTS;
    for (size_t i = 0; i < n; i++)
        rows[i] = (uint16_t)(first + i);
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%zu,"
               "\"params\":{\"seqs\":[%u],\"tokens\":%u}}",
               n * 2, seq, tokens);
    wire_send(&w, rows, n * 2);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, want_lens != NULL ? "result.lens" : "error.data.reason",
                want_lens != NULL ? want_lens : "\"capacity_exceeded\"");
    cJSON_Delete(answer);
}

/* Reads positions [pos, pos + tokens) of all layers into rows. */
static void read_rows(unsigned seq, unsigned pos, unsigned tokens, uint16_t *rows)
{
    cJSON *answer =
        wire_call(&w, "seq.read", "{\"seq\":%u,\"pos\":%u,\"tokens\":%u}", seq, pos, tokens);
    size_t bytes = (size_t)tokens * FX_TINY_BYTES;
    ck_assert_uint_eq((size_t)json_number(answer, "payload"), bytes);
    cJSON_Delete(answer);
    wire_bytes(&w, rows, bytes);
}

/* Element (plane, token, dim) of a block of `tokens` positions; plane counts layer, K|V, head. */
static unsigned element(unsigned tokens, unsigned plane, unsigned token, unsigned dim)
{
    return (plane * tokens + token) * 4 + dim;
}

/* Goal: what was appended in several blocks reads back as one block, head-major; truncate takes the
 * end away, and what is appended then takes its place. */
START_TEST(append_read_truncate)
{
    uint16_t rows[5 * FX_TINY_ELEMENTS];
    wire_ok(&w, "seq.create", "{\"seq\":5}");
    append(5, 2, 1000, "[2]");
    append(5, 3, 2000, "[5]");
    read_rows(5, 0, 5, rows);
    for (unsigned plane = 0; plane < 8; plane++) {
        for (unsigned t = 0; t < 5; t++) {
            unsigned want =
                t < 2 ? 1000 + element(2, plane, t, 1) : 2000 + element(3, plane, t - 2, 1);
            ck_assert_uint_eq(rows[element(5, plane, t, 1)], want);
        }
    }
    expect("seq.truncate", "{\"seq\":5,\"len\":1}", "result.len", "1");
    expect("seq.truncate", "{\"seq\":5,\"len\":60}", "result.len", "1");
    append(5, 1, 3000, "[2]");
    read_rows(5, 1, 1, rows);
    ck_assert_uint_eq(rows[0], 3000);
    ck_assert_uint_eq(rows[31], 3031);
    expect("seq.read", "{\"seq\":5,\"pos\":2,\"tokens\":1}", "error.data.reason",
           "\"out_of_range\"");
    finish();
}
END_TEST

/* Goal: a sequence is never longer than its capacity; a block that does not fit writes nothing. */
START_TEST(capacity_is_a_wall)
{
    wire_ok(&w, "seq.create", "{\"seq\":1,\"capacity\":4}");
    append(1, 3, 0, "[3]");
    append(1, 2, 0, NULL);
    expect("seq.info", "{\"seq\":1}", "result.len", "3");
    append(1, 1, 0, "[4]");
    append(1, 1, 0, NULL);
    finish();
}
END_TEST

/* Goal: m items with one bad one write nothing, and the error names it. */
START_TEST(appends_are_atomic)
{
    char values[2 * 3 * FX_TINY_ELEMENTS];
    for (size_t i = 0; i < sizeof values; i++)
        values[i] = i % 2 == 0 ? '1' : ',';
    values[sizeof values - 1] = '\0';
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    wire_ok(&w, "seq.create", "{\"seq\":2,\"capacity\":1}");
    append(2, 1, 0, "[1]");
    for (int i = 0; i < 3; i++) {
        static const char *const seqs[] = {"[1,2,1]", "[2,1,1]", "[1,1,2]"};
        static const char *const index[] = {"1", "0", "2"};
        cJSON *answer = wire_call(&w, "seq.append", "{\"seqs\":%s,\"data\":{\"values\":[%s]}}",
                                  seqs[i], values);
        json_expect(answer, "error.code", "-32003");
        json_expect(answer, "error.data.items[0].index", index[i]);
        json_expect(answer, "error.data.items[0].seq", "2");
        json_expect(answer, "error.data.items[0].reason", "\"capacity_exceeded\"");
        json_expect(answer, "error.data.items[1]", "");
        cJSON_Delete(answer);
    }
    expect("seq.info", "{\"seq\":1}", "result.len", "0");
    expect("seq.info", "{\"seq\":1}", "result.appends", "0");
    finish();
}
END_TEST

/* Goal: a list comes in pages that hold every sequence once. */
START_TEST(lists_come_in_pages)
{
    enum { N = 25, PAGE = 8 };
    bool seen[N] = {false};
    char cursor[32] = "";
    size_t total = 0, pages = 0;
    for (int i = 0; i < N; i++) {
        cJSON *answer = wire_call(&w, "seq.create", "{\"seq\":%d,\"label\":\"n%d\"}", i * 1000, i);
        ck_assert_ptr_nonnull(json_at(answer, "result"));
        cJSON_Delete(answer);
    }
    for (bool more = true; more; pages++) {
        cJSON *answer = wire_call(&w, "seq.list", "{\"limit\":%d%s}", PAGE, cursor);
        const cJSON *one;
        cJSON_ArrayForEach(one, json_at(answer, "result.seqs"))
        {
            size_t i = (size_t)json_number(one, "seq") / 1000;
            ck_assert(i < N && !seen[i]);
            seen[i] = true;
            total++;
        }
        more = json_at(answer, "result.cursor") != NULL;
        if (more)
            snprintf(cursor, sizeof cursor, ",\"cursor\":%.0f",
                     json_number(answer, "result.cursor"));
        cJSON_Delete(answer);
    }
    ck_assert_uint_eq(total, N);
    ck_assert_uint_eq(pages, (N + PAGE - 1) / PAGE);
    finish();
}
END_TEST

/* Waits until seq.info of a sequence is not_found (its ttl must not be touched: list does not). */
static void wait_gone(int seq)
{
    for (int i = 0; i < 500; i++) {
        cJSON *answer = wire_call(&w, "seq.list", NULL);
        const cJSON *one;
        bool there = false;
        cJSON_ArrayForEach(one, json_at(answer, "result.seqs"))
        {
            if ((int)json_number(one, "seq") == seq) there = true;
        }
        cJSON_Delete(answer);
        if (!there) return;
        usleep(20000);
    }
    ck_abort_msg("sequence %d stays", seq);
}

/* Goal: ttl_ms frees a sequence that nobody names, and only that. */
START_TEST(ttl_frees)
{
    wire_ok(&w, "seq.create", "{\"seq\":1,\"ttl_ms\":300}");
    wire_ok(&w, "seq.create", "{\"seq\":2}");
    wire_ok(&w, "seq.create", "{\"seq\":3,\"ttl_ms\":600000}");
    wait_gone(1);
    wire_refused(&w, "seq.info", "{\"seq\":1}", "not_found");
    wire_ok(&w, "seq.info", "{\"seq\":2}");
    wire_ok(&w, "seq.info", "{\"seq\":3}");
    expect("server.stats", "{}", "result.sequences.expired", "1");
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    finish();
}
END_TEST

/* Goal: on_disconnect "free" goes with its connection, "keep" stays. */
START_TEST(disconnect_frees)
{
    struct wire other;
    wire_open(&other, &d);
    wire_ok(&other, "seq.create", "{\"seq\":1,\"on_disconnect\":\"free\"}");
    wire_ok(&other, "seq.create", "{\"seq\":2,\"on_disconnect\":\"keep\"}");
    wire_ok(&w, "seq.info", "{\"seq\":1}");
    wire_close(&other);
    wait_gone(1);
    wire_ok(&w, "seq.info", "{\"seq\":2}");
    expect("server.stats", "{}", "result.sequences.disconnected", "1");
    finish();
}
END_TEST

/* Goal: a client that dies before its sequence exists leaves none behind, and nobody stumbles. */
START_TEST(disconnect_during_create)
{
    static const char create[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.create\",\"params\":"
        "{\"on_disconnect\":\"free\"}}\n";
    for (int i = 0; i < 300; i++) {
        struct wire dying;
        wire_open(&dying, &d);
        for (int k = 0; k <= i % 3; k++) /* it may be refused: there is a limit of connections */
            wire_try_send(&dying, create, sizeof create - 1);
        wire_close(&dying);
    }
    for (int i = 0;; i++) {
        cJSON *stats = wire_call(&w, "server.stats", NULL);
        bool clean = json_is(stats, "result.sequences.live", "0") &&
                     json_is(stats, "result.connections.open", "1");
        cJSON_Delete(stats);
        if (clean) break;
        ck_assert_int_lt(i, 500);
        usleep(10000);
    }
    finish();
}
END_TEST

/* Goal: the budget of device memory and the number of sequences are refused with their errors, and
 * what is freed can be taken again. */
START_TEST(budgets_are_kept)
{
    /* 4 layers * 2 * 8 heads * 4096 * 128 * 2 bytes: 64M; four fill the budget */
    for (int i = 0; i < 4; i++) {
        cJSON *answer = wire_call(&w, "seq.create", "{\"seq\":%d,\"model\":\"wide\"}", i);
        json_expect(answer, "result.bytes", "67108864");
        cJSON_Delete(answer);
    }
    cJSON *answer = wire_call(&w, "seq.create", "{\"seq\":9,\"model\":\"wide\"}");
    json_expect(answer, "error.code", "-32004");
    json_expect(answer, "error.data.needed", "67108864");
    json_expect(answer, "error.data.available", "0");
    cJSON_Delete(answer);
    wire_refused(&w, "seq.create", "{\"seq\":9,\"model\":\"wide\",\"capacity\":4294967295}",
                 "out_of_memory");
    wire_ok(&w, "seq.free", "{\"seqs\":[0,1]}");
    wire_ok(&w, "seq.create", "{\"seq\":9,\"model\":\"wide\"}");
    for (int i = 0; i < 29; i++)
        wire_ok(&w, "seq.create", "{\"capacity\":1}");
    wire_refused(&w, "seq.create", "{\"capacity\":1}", "overloaded");
    wire_refused(&w, "seq.info", "{\"seq\":1234567}", "not_found");
    finish();
}
END_TEST

/* Goal: one connection more than allowed hears why, and those before it do not notice. */
START_TEST(connections_are_limited)
{
    struct wire others[8];
    for (int i = 0; i < 7; i++) {
        wire_open(&others[i], &d);
        wire_ok(&others[i], "server.ping", NULL);
    }
    wire_open(&others[7], &d);
    cJSON *answer = wire_answer(&others[7]);
    json_expect(answer, "id", "null");
    json_expect(answer, "error.code", "-32005");
    json_expect(answer, "error.data.retry_after_ms", "1000");
    cJSON_Delete(answer);
    ck_assert_ptr_null(wire_line(&others[7]));
    wire_ok(&w, "server.ping", NULL);
    expect("server.stats", "{}", "result.connections.refused", "1");
    for (int i = 0; i < 8; i++)
        wire_close(&others[i]);
    for (int i = 0; i < 500; i++) { /* until the daemon has noticed */
        wire_open(&others[0], &d);
        wire_sendf(&others[0], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}");
        const char *line = wire_line(&others[0]);
        bool fine = line != NULL && strstr(line, "result") != NULL;
        wire_close(&others[0]);
        if (fine) break;
        ck_assert_int_lt(i, 499);
        usleep(10000);
    }
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sequences");
    TCase *tests = tcase_create("sequences");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, append_read_truncate);
    tcase_add_test(tests, capacity_is_a_wall);
    tcase_add_test(tests, appends_are_atomic);
    tcase_add_test(tests, lists_come_in_pages);
    tcase_add_test(tests, ttl_frees);
    tcase_add_test(tests, disconnect_frees);
    tcase_add_test(tests, disconnect_during_create);
    tcase_add_test(tests, budgets_are_kept);
    tcase_add_test(tests, connections_are_limited);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
