/* Shadow mode: batches of production verified in passing. Goal: what it samples it checks, what it
 * finds it counts, keeps for debug.last and, where asked to, latches health; and it never answers
 * for anybody. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "daemon/shadow.h"
#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { TOKEN_ELEMENTS = 3 * 2 * 2 * 5 };

static struct fixture fx;

static void open_with(uint32_t sample, bool latch, size_t journal_bytes)
{
    fx_init(&fx);
    fx.config.shadow_sample = sample;
    fx.config.shadow_on_divergence = latch ? TKV_DIVERGENCE_LATCH : TKV_DIVERGENCE_LOG;
    fx.config.journal_bytes = journal_bytes;
    tkv_log_set_level(TKV_LOG_ERROR);
    fx_open(&fx);
}

static void append(uint64_t seq, uint16_t first)
{
    uint16_t rows[TOKEN_ELEMENTS];
    uint32_t one = 1;
    for (int i = 0; i < TOKEN_ELEMENTS; i++)
        rows[i] = (uint16_t)(first * 91 + i * 7);
    ck_assert_int_eq(fx_do(&fx, fx_append(&fx, 1, &seq, &one, NULL, rows, sizeof rows)), TKV_OK);
}

static const struct tkv_stats *stats(void)
{
    return tkv_core_stats(fx.core);
}

/* Turns the core until shadow mode has seen n batches. */
static void turn_until_checked(uint64_t n)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 20000; i++) {
        uint64_t seen =
            tkv_stat_get(&stats()->shadow_batches) + tkv_stat_get(&stats()->shadow_missed);
        if (seen >= n) return;
        tkv_core_turn(fx.core);
        tkv_core_poll(fx.core);
        nanosleep(&pause, NULL);
    }
    ck_abort_msg("shadow mode saw fewer than %d batches", (int)n);
}

static struct fx_op *last(void)
{
    struct fx_op *x = fx_simple(TKV_METHOD_DEBUG_LAST);
    ck_assert_int_eq(fx_run(&fx, x), TKV_OK);
    return x;
}

START_TEST(right_batches_are_checked_and_nothing_is_said)
{
    open_with(TKV_WHOLE, true, _i == 0 ? 8 << 20 : 0); /* without a journal, too */
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    for (uint16_t i = 0; i < 30; i++)
        append(1, i);
    turn_until_checked(30);
    ck_assert_uint_gt(tkv_stat_get(&stats()->shadow_batches), 0);
    ck_assert_uint_eq(tkv_stat_get(&stats()->shadow_divergent_items), 0);
    ck_assert(tkv_core_unhealthy(fx.core) == NULL);
    struct fx_op *x = last();
    ck_assert(!x->last_given);
    fx_drop(x);
    fx_close(&fx);
}
END_TEST

START_TEST(a_divergence_is_counted_kept_and_latched)
{
    open_with(TKV_WHOLE, _i == 1, 0);
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    append(1, 0);
    append(1, 1);
    ck_assert_int_eq(fx_do(&fx, fx_inject("kv_swapped", 1)), TKV_OK);
    append(1, 2);
    turn_until_checked(3);
    append(1, 3);
    turn_until_checked(4);
    ck_assert_uint_eq(tkv_stat_get(&stats()->shadow_divergent_items), 1);
    ck_assert((tkv_core_unhealthy(fx.core) == NULL) == (_i == 0));
    struct fx_op *x = last();
    ck_assert(x->last_given && x->last_shadow && !x->report.ok);
    ck_assert_uint_eq(x->report.batches_checked, 1);
    ck_assert_uint_eq(x->report.n_divergences, 6); /* layers, K and V */
    ck_assert_int_eq(x->report.divergences[0].kind, TKV_KIND_KV_SWAPPED);
    ck_assert_uint_eq(x->report.divergences[0].batch, 3);
    ck_assert_uint_eq(x->first_batch, 0);
    fx_drop(x);
    for (uint16_t i = 0; i < 2; i++) { /* later ones replace each other, the first one stays */
        ck_assert_int_eq(fx_do(&fx, fx_inject("off_by_one", 1)), TKV_OK);
        append(1, i);
        turn_until_checked(5 + i);
    }
    x = last();
    ck_assert_uint_eq(x->report.divergences[0].batch, 6);
    ck_assert_uint_eq(x->first_batch, 3);
    fx_drop(x);
    fx_close(&fx);
}
END_TEST

/* Goal: a verification that somebody asked for is kept, too, and its answer is whole. */
START_TEST(a_verification_is_kept)
{
    open_with(0, true, 8 << 20);
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    append(1, 0);
    ck_assert_int_eq(fx_do(&fx, fx_inject("off_by_one", 1)), TKV_OK);
    append(1, 1);
    struct fx_op *v = fx_verify();
    ck_assert_int_eq(fx_run(&fx, v), TKV_OK);
    ck_assert_uint_gt(v->report.n_divergences, 0);
    struct fx_op *x = last();
    ck_assert(x->last_given && !x->last_shadow);
    ck_assert_uint_eq(x->report.n_divergences, v->report.n_divergences);
    ck_assert(tkv_core_unhealthy(fx.core) == NULL); /* who asks, reads the answer */
    ck_assert_uint_eq(tkv_stat_get(&stats()->shadow_batches), 0);
    fx_drop(x);
    fx_drop(v);
    fx_close(&fx);
}
END_TEST

/* Goal: a share is a share. 2000 batches at 0.25: 500 expected, 19 a standard deviation. */
START_TEST(a_share_is_chosen_by_chance)
{
    open_with(TKV_WHOLE / 4, false, 0);
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    for (uint16_t i = 0; i < 2000; i++) {
        append(1, i);
        if (i % 30 == 29) ck_assert_int_eq(fx_do(&fx, fx_truncate(1, 0)), TKV_OK);
    }
    uint64_t chosen = tkv_stat_get(&stats()->shadow_batches) +
                      tkv_stat_get(&stats()->shadow_missed) + TKV_SHADOW_PENDING_MAX / 2;
    ck_assert_uint_gt(chosen, 350);
    ck_assert_uint_lt(chosen, 650);
    fx_close(&fx); /* with some of them waiting */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shadow");
    TCase *tc = tcase_create("shadow");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, right_batches_are_checked_and_nothing_is_said, 0, 2);
    tcase_add_loop_test(tc, a_divergence_is_counted_kept_and_latched, 0, 2);
    tcase_add_test(tc, a_verification_is_kept);
    tcase_add_test(tc, a_share_is_chosen_by_chance);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
