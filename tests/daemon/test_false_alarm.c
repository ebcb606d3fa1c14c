/* Goal: verification never cries wolf, and never calls something right that it did not look at.
 * Method: sequences that grow, roll back, are freed and created anew (so that memory is used
 * again), with several operations in flight all the time, verifications and scrubs among them, and
 * shadow mode and the background scrub beside them, until TKV_TEST_BATCHES device batches have run;
 * every report must be ok, and reasons for skipping are only those that can occur. The journal is
 * small, so that records leave it while they are checked. TKV_TEST_SEED repeats a run. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { SEQS = 16, CAPACITY = 40, IN_FLIGHT = 12, TOKEN_ELEMENTS = 3 * 2 * 2 * 5 };
enum { SCRUB_WAIT_US = 60 * 1000000 }; /* far beyond what a pass in the background needs */

static struct fixture fx;
static struct fx_op *flying[IN_FLIGHT];
static uint64_t random_state, verified, skipped, scrubbed;

static uint64_t rnd(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* Appends of several sequences; those that do not exist or are full make it fail, which is fine. */
static struct fx_op *random_append(void)
{
    uint64_t seqs[3];
    uint32_t tokens[3];
    uint16_t rows[3 * 5 * TOKEN_ELEMENTS];
    size_t m = rnd(3) + 1, n = 0;
    for (size_t i = 0; i < m; i++) {
        seqs[i] = rnd(SEQS);
        tokens[i] = (uint32_t)rnd(10) == 0 ? 5 : 1;
        n += (size_t)tokens[i] * TOKEN_ELEMENTS;
    }
    for (size_t i = 0; i < n; i++)
        rows[i] = (uint16_t)rnd(65536); /* NaN, infinities, subnormals and -0 among them */
    return fx_append(&fx, m, seqs, tokens, NULL, rows, n * sizeof *rows);
}

static struct fx_op *random_operation(void)
{
    uint64_t dice = rnd(1000), seq = rnd(SEQS);
    if (dice < 700) return random_append();
    if (dice < 730) return fx_truncate(seq, rnd(CAPACITY));
    if (dice < 740) return fx_free(1, &seq);
    if (dice < 990) return fx_create(seq, CAPACITY);
    return dice < 995 ? fx_verify() : fx_scrub(0, NULL);
}

static void land(size_t i)
{
    struct fx_op *x = flying[i];
    if (x == NULL) return;
    fx_wait(&fx, x);
    flying[i] = NULL;
    if (x->request.method == TKV_METHOD_DEBUG_VERIFY) {
        ck_assert_int_eq(x->op.error.status, TKV_OK);
        ck_assert_msg(x->report.ok, "a false alarm: %s",
                      x->report.n_divergences > 0 ? x->report.divergences[0].detail.text : "?");
        ck_assert_uint_le(x->report.skipped[TKV_SKIP_FREED] + x->report.skipped[TKV_SKIP_TRUNCATED],
                          x->report.items_checked);
        verified += x->report.items_checked;
        skipped += x->report.skipped[TKV_SKIP_FREED] + x->report.skipped[TKV_SKIP_TRUNCATED];
    }
    if (x->request.method == TKV_METHOD_DEBUG_SCRUB) {
        ck_assert_int_eq(x->op.error.status, TKV_OK);
        ck_assert_msg(x->scrub.ok, "scrub: a false alarm: sequence %d layer %u pos %u",
                      (int)x->scrub.damages[0].seq, x->scrub.damages[0].layer,
                      x->scrub.damages[0].pos);
        scrubbed += x->scrub.checksums_checked;
    }
    fx_drop(x);
}

/* The background scrub rests for a second where it finds nothing, as it does before the first
 * sequence is there: where the batches take less than that, they go on until it has ended a pass.
 */
static bool enough(uint64_t batches, uint64_t give_up_us)
{
    const struct tkv_stats *stats = tkv_core_stats(fx.core);
    if (tkv_stat_get(&stats->batch_count) < batches) return false;
    return tkv_stat_get(&stats->scrub_passes) > 0 || tkv_now_us() >= give_up_us;
}

START_TEST(no_false_alarm)
{
    const char *seed = getenv("TKV_TEST_SEED"), *count = getenv("TKV_TEST_BATCHES");
    uint64_t batches = count != NULL ? strtoull(count, NULL, 10) : 20000;
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2 + 1;
    printf("TKV_TEST_SEED=%" PRIu64 " TKV_TEST_BATCHES=%" PRIu64 "\n", random_state, batches);
    fflush(stdout);
    fx_init(&fx);
    fx.config.journal_bytes = 1 << 20;
    fx.config.shadow_sample = TKV_WHOLE / 20;
    fx.config.shadow_on_divergence = TKV_DIVERGENCE_LATCH;
    fx.config.scrub_bytes_per_second = 20 << 20;
    fx_open(&fx);
    uint64_t give_up_us = tkv_now_us() + SCRUB_WAIT_US;
    while (!enough(batches, give_up_us)) {
        size_t i = rnd(IN_FLIGHT);
        land(i);
        flying[i] = random_operation();
        fx_submit(&fx, flying[i]);
        if (rnd(2) == 0) tkv_core_turn(fx.core);
        if (rnd(2) == 0) tkv_core_poll(fx.core);
    }
    for (size_t i = 0; i < IN_FLIGHT; i++)
        land(i);
    const struct tkv_stats *stats = tkv_core_stats(fx.core);
    printf("%" PRIu64 " verifications of %" PRIu64 " items, %" PRIu64 " of them skipped; %" PRIu64
           " batches, %" PRIu64 " sequences\n",
           tkv_stat_get(&stats->verify_runs), verified, skipped, tkv_stat_get(&stats->batch_count),
           tkv_stat_get(&stats->sequences_created));
    printf("%" PRIu64 " checksums scrubbed on demand, %" PRIu64 " bytes in all; %" PRIu64
           " batches verified in passing, %" PRIu64 " missed\n",
           scrubbed, tkv_stat_get(&stats->scrub_bytes), tkv_stat_get(&stats->shadow_batches),
           tkv_stat_get(&stats->shadow_missed));
    ck_assert(tkv_core_unhealthy(fx.core) == NULL);
    ck_assert_uint_eq(tkv_stat_get(&stats->scrub_damaged_tokens), 0);
    ck_assert_uint_gt(scrubbed, 0);
    ck_assert_uint_gt(tkv_stat_get(&stats->scrub_passes), 0);
    ck_assert_uint_gt(tkv_stat_get(&stats->shadow_batches), 0);
    ck_assert_uint_gt(tkv_stat_get(&stats->journal_evicted), 0);
    ck_assert_uint_gt(verified - verified / 4,
                      skipped); /* most were looked at in the live cache, too */
    fx_close(&fx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("false_alarm");
    TCase *tc = tcase_create("false_alarm");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, no_false_alarm);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
