/* truekv bench against the real daemon: runs of a few hundred requests, whose answer is read back.
 * Nothing here depends on how fast they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char config[] = "models = ( " FX_TINY " );\n"
                             "debug: { allow_fault_injection = true; };\n"
                             "limits: { max_connections = 64; staging_bytes = \"64K\";"
                             " max_payload_bytes = \"16K\"; };\n";

enum { POLLS = 6000, POLL_US = 10000 };

static struct daemon d;
static char output[1 << 16];

static void setup(void)
{
    daemon_start(&d, config);
}

static void teardown(void)
{
    daemon_close(&d);
}

/* Runs truekv bench, both streams into `output`. Its exit code. */
static int run_bench(const char *arguments)
{
    char line[1024];
    snprintf(line, sizeof line, "%s -s unix:%s bench %s 2>&1", TKV_TEST_TRUEKV, d.socket,
             arguments);
    FILE *f = popen(line, "r");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(output, 1, sizeof output - 1, f);
    output[n] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The result of a run, the last line; progress may stand before it. The caller deletes it. */
static cJSON *result_of(const char *arguments, int code)
{
    char with_json[512];
    snprintf(with_json, sizeof with_json, "--json %s", arguments);
    int got = run_bench(with_json);
    ck_assert_msg(got == code, "%s: %d\n%s", arguments, got, output);
    const char *line = strstr(output, "{\"ok\":");
    ck_assert_msg(line != NULL, "%s:\n%s", arguments, output);
    cJSON *result = cJSON_Parse(line);
    ck_assert_ptr_nonnull(result);
    return result;
}

/* Goal: the daemon frees what a run made. It does so once it has seen the connection's end. */
static void expect_nothing_left(void)
{
    struct wire w;
    bool empty = false;
    wire_open(&w, &d);
    for (int i = 0; i < POLLS && !empty; i++) {
        cJSON *answer = wire_call(&w, "seq.list", NULL);
        empty = json_is(answer, "result.seqs", "[]");
        cJSON_Delete(answer);
        if (!empty) (void)usleep(POLL_US);
    }
    ck_assert(empty);
    wire_close(&w);
}

static double latency(const cJSON *result, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "latency_us.%s", name);
    return json_number(result, path);
}

/* Goal: each kind of run makes as many requests as it was told, measures all of them, finds its
 * bytes right, and leaves nothing behind. Sequences are full after 64 tokens, or earlier where
 * --capacity says so: most runs roll back many times. */
START_TEST(runs)
{
    static const char *const rows[] = {
        "--requests 1",
        "--requests 200",
        "--requests 200 --clients 3 --in-flight 5",
        "--requests 201 --items 7 --in-flight 2 --tokens 3 --capacity 8 --pos",
        "--requests 200 --sequences 30 --items 3 --in-flight 2 --capacity 2",
        "--requests 200 --n-layers 1 --dtype f32 --in-flight 3",
        "--requests 200 --layers 1:2 --dtype bf16 --idle-connections 5",
        "--requests 200 --source base64 --tokens 2",
        "--requests 200 --in-flight 64 --clients 4 --tokens 16",
        "--requests 200 --warmup 0.05",
        "--requests 3 --in-flight 8",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        cJSON *r = result_of(rows[i], 0);
        uint64_t wanted = strtoull(rows[i] + strlen("--requests "), NULL, 10);
        json_expect(r, "ok", "true");
        json_expect(r, "verify.ok", "true");
        json_expect(r, "scrub.ok", "true");
        json_expect(r, "verify.divergent_items", "0");
        ck_assert(json_number(r, "requests") == (double)wanted);
        ck_assert(json_number(r, "verify.items_checked") > 0);
        ck_assert(json_number(r, "scrub.checksums_checked") > 0);
        ck_assert(json_number(r, "requests_per_second") > 0);
        ck_assert(latency(r, "min") > 0 && latency(r, "min") <= latency(r, "mean"));
        ck_assert(latency(r, "p50") <= latency(r, "p99") && latency(r, "p99") <= latency(r, "max"));
        ck_assert(latency(r, "mean") <= latency(r, "max"));
        cJSON_Delete(r);
        expect_nothing_left();
    }
    daemon_stop(&d);
}
END_TEST

START_TEST(other_methods)
{
    static const char *const rows[] = {
        "--requests 200 --method ping --in-flight 16",
        "--requests 200 --method read --tokens 5 --in-flight 3 --clients 2",
        "--requests 200 --method read --n-layers 1 --sequences 9 --dtype f32",
        "--requests 200 --method create-free --in-flight 4 --capacity 3",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        cJSON *r = result_of(rows[i], 0);
        ck_assert(json_number(r, "requests") == 200);
        json_expect(r, "verify", "");
        cJSON_Delete(r);
        expect_nothing_left();
    }
    daemon_stop(&d);
}
END_TEST

/* Goal: the daemon did as many appends as the run says, with as many tokens. */
START_TEST(daemon_counts_the_same)
{
    struct wire w;
    cJSON_Delete(result_of("--requests 123 --items 3 --tokens 2 --in-flight 4", 0));
    wire_open(&w, &d);
    cJSON *stats = wire_call(&w, "server.stats", NULL);
    json_expect(stats, "result.append.requests", "123");
    json_expect(stats, "result.append.items", "369");
    json_expect(stats, "result.append.tokens", "738");
    cJSON_Delete(stats);
    wire_close(&w);
    daemon_stop(&d);
}
END_TEST

/* Goal: a wrong byte ends the run with 1, as text and as JSON. */
START_TEST(wrong_bytes_are_found)
{
    struct wire w;
    wire_open(&w, &d);
    wire_ok(&w, "debug.inject", "{\"fault\":\"kv_swapped\",\"batches\":1000}");
    wire_close(&w);
    ck_assert_int_eq(run_bench("--requests 20"), 1);
    ck_assert_ptr_nonnull(strstr(output, "FOUND: verify re-ran"));
    cJSON *r = result_of("--requests 20", 1);
    json_expect(r, "ok", "false");
    cJSON_Delete(r);
    daemon_stop(&d);
}
END_TEST

/* Goal: what the daemon refuses ends the run, in its words; what is wrong with the command line,
 * as soon as the daemon's limits are known. */
START_TEST(refusals)
{
    static const struct {
        const char *arguments;
        int code;
        const char *text;
    } rows[] = {
        {"--capacity 4000000000", 1, "(out_of_memory)"},
        {"--model none", 2, "the daemon has no model \"none\""},
        {"--n-layers 3", 2, "model tiny has 2 layers"},
        {"--layers 1:3", 2, "model tiny has 2 layers"},
        {"--items 4096", 2, "is more than the daemon takes, 16.0 KiB"},
        {"--clients 64", 2, "65 connections, the bench's own with them"},
        {"--tokens 5 --capacity 4", 2, "--capacity must be at least --tokens, 5"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int code = run_bench(rows[i].arguments);
        for (char *p = output; (p = strchr(p, '\n')) != NULL;)
            *p = ' ';
        ck_assert_msg(code == rows[i].code && strstr(output, rows[i].text) != NULL, "%s: %d\n%s",
                      rows[i].arguments, code, output);
    }
    daemon_stop(&d);
}
END_TEST

/* Goal: the table and the picture are there. */
START_TEST(text_and_picture)
{
    char arguments[256], file[128], head[16] = "";
    snprintf(file, sizeof file, "%s/plot.svg", d.dir);
    snprintf(arguments, sizeof arguments, "--requests 50 --plot %s", file);
    ck_assert_int_eq(run_bench(arguments), 0);
    static const char *const words[] = {"requests/s",        "p99.99",      "max", "mean",
                                        "OK: verify re-ran", "Drew it into"};
    for (size_t i = 0; i < COUNT(words); i++)
        ck_assert_msg(strstr(output, words[i]) != NULL, "%s: %s", words[i], output);
    FILE *f = fopen(file, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(head, sizeof head, f));
    ck_assert(strncmp(head, "<svg xmlns=", 11) == 0);
    fclose(f);
    unlink(file);
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench_e2e");
    TCase *tc = tcase_create("bench");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, runs);
    tcase_add_test(tc, other_methods);
    tcase_add_test(tc, daemon_counts_the_same);
    tcase_add_test(tc, wrong_bytes_are_found);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, text_and_picture);
    suite_add_tcase(suite, tc);
    return tkv_check_main(suite);
}
