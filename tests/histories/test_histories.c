/* Goal: whatever concurrent clients do to the daemon, what it answers is what a daemon would answer
 * that serves one request at a time; in the end nothing is left. Method: clients in threads ask at
 * random, in bursts, in arrays, and go at any instant; what they asked and heard becomes a history
 * of each sequence, which is searched for an order that explains it. Epochs of some thousand
 * operations follow one another, each with a seed of its own.
 *
 *   test_histories [--seed S] [--operations N] [--clients N]
 *
 * A failure tells its epoch's seed: --seed S --operations 5000 repeats that epoch's requests. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "tests/histories/epoch.h"
#include "tests/support/check_main.h"

enum { EPOCH_OPERATIONS = 5000, TELL_EVERY = 20 };

static struct daemon d;
static struct wire w;
static uint64_t seed, operations = 20000;
static uint64_t n_clients = 16;

static void setup(void)
{
    daemon_start(&d, h_config());
    wire_open(&w, &d);
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

static void tell(const struct h_totals *t, uint64_t epochs, uint64_t begin_ns)
{
    double seconds = (double)(tkv_now_ns() - begin_ns) / 1e9;
    printf("%" PRIu64 " operations in %.1f s (%.0f/s), seeds %" PRIu64 " to %" PRIu64 "; %" PRIu64
           " histories, %" PRIu64 " operations without an answer, %" PRIu64 " states in %" PRIu64
           " searches\n",
           t->operations, seconds, (double)t->operations / seconds, seed, seed + epochs - 1,
           t->sequences, t->unknown, t->states, t->searches);
    fflush(stdout);
}

START_TEST(histories_are_linearizable)
{
    struct h_totals totals = {0};
    uint64_t begin = tkv_now_ns(), epochs = 0;
    printf("histories: --seed %" PRIu64 " --operations %" PRIu64 " --clients %" PRIu64 "\n", seed,
           operations, n_clients);
    fflush(stdout);
    while (totals.operations < operations) {
        struct h_epoch e = {
            .seed = seed + epochs, .n_clients = n_clients, .operations = EPOCH_OPERATIONS};
        bool right = h_epoch_run(&e, &d, &w, &totals);
        ck_assert_msg(right, "a history is wrong: --seed %" PRIu64 " --operations %d", e.seed,
                      EPOCH_OPERATIONS);
        if (++epochs % TELL_EVERY == 0) tell(&totals, epochs, begin);
    }
    tell(&totals, epochs, begin);
    daemon_stop(&d);
}
END_TEST

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text != '\0' && *end == '\0' && value > 0) return value;
    fprintf(stderr, "not a number from 1 on: %s\n", text);
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"operations", required_argument, NULL, 'o'},
                                            {"clients", required_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    int option;
    seed = (uint64_t)time(NULL) % 1000000 * 1000 + 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?') exit(2);
        *(option == 's' ? &seed : option == 'o' ? &operations : &n_clients) = number(optarg);
    }
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("histories");
    TCase *tests = tcase_create("histories");
    parse(argc, argv);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, histories_are_linearizable);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
