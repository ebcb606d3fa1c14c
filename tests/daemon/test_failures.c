/* Goal: whichever allocation or device call fails, every request is answered, nothing leaks, and
 * the core serves on. Method: one scenario over and over; in run n the nth allocation (or device
 * call) fails, until a run has none left to fail. Leaks are the sanitizer's to find. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"

enum { TOKEN_BYTES = 3 * 2 * 2 * 5 * 2 };

static struct fixture fx;

static struct fx_op *append(uint64_t a, uint64_t b)
{
    uint64_t seqs[] = {a, b};
    uint32_t tokens[] = {1, 1};
    uint8_t rows[2 * TOKEN_BYTES];
    memset(rows, (int)a + 1, sizeof rows);
    return fx_append(&fx, 2, seqs, tokens, NULL, rows, sizeof rows);
}

static struct fx_op *selftest(void)
{
    struct fx_op *x = fx_simple(TKV_METHOD_DEBUG_SELFTEST);
    x->request.params.debug_selftest = (struct tkv_debug_selftest){2, 2, 8, 8, 1, 1, 1};
    return x;
}

/* Everything once, some of it in flight together; the nth device call fails (0: none). What fails,
 * fails; but all is answered. Returns how many operations said st. */
static int scenario(unsigned nth, enum tkv_status st)
{
    int failed = 0;
    uint64_t both[] = {1, 2};
    struct fx_op *ops[] = {fx_create(1, 8), fx_create(2, 8),
                           append(1, 2),    append(2, 1),
                           fx_read(1),      fx_truncate(2, 1),
                           fx_info(2),      append(1, 2),
                           fx_list(0, 10),  fx_inject("swap_items", 1),
                           fx_verify(),     selftest(),
                           append(1, 2),    fx_verify(),
                           fx_free(2, both)};
    tkv_device_fail_nth(nth, st);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        fx_submit(&fx, ops[i]);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        fx_wait(&fx, ops[i]);
        failed += ops[i]->op.error.status == st;
        fx_drop(ops[i]);
    }
    tkv_device_fail_nth(0, TKV_OK);
    return failed;
}

static void must_serve_on(void)
{
    ck_assert_int_eq(fx_do(&fx, fx_create(101, 8)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_create(102, 8)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, append(101, 102)), TKV_OK);
    struct fx_op *r = fx_read(102);
    ck_assert_int_eq(fx_run(&fx, r), TKV_OK);
    ck_assert_uint_eq(r->op.result.read.block->ptr[0], 102);
    fx_drop(r);
}

START_TEST(every_allocation_fails_once)
{
    bool reached = true;
    size_t nth = 1;
    for (; reached; nth++) {
        fx_init(&fx);
        fx_open(&fx);
        failing_alloc_arm(nth);
        scenario(0, TKV_ENOMEM);
        reached = failing_alloc_disarm();
        must_serve_on();
        fx_close(&fx);
    }
    printf("%zu allocations were made to fail\n", nth - 2);
    ck_assert_uint_gt(nth, 20);
}
END_TEST

/* How many of the scenario's device calls are tried. It makes about as many: fewer where appends
 * happen to share a batch. */
enum { CALLS = 40, CALLS_AT_LEAST = 30 };

/* No memory is the device's answer that is not sticky. */
START_TEST(every_device_call_fails_once)
{
    int failed = 0;
    for (unsigned nth = 1; nth <= CALLS; nth++) {
        fx_init(&fx);
        fx_open(&fx);
        failed += scenario(nth, TKV_ENOMEM) > 0;
        must_serve_on();
        fx_close(&fx);
    }
    ck_assert_int_ge(failed, CALLS_AT_LEAST);
}
END_TEST

/* A lost device is: everything from there on is answered so, and the core can be closed. */
START_TEST(device_is_lost_at_every_call)
{
    int failed = 0;
    for (unsigned nth = 1; nth <= CALLS; nth++) {
        fx_init(&fx);
        fx_open(&fx);
        bool lost = scenario(nth, TKV_EDEVICE) > 0;
        ck_assert(!lost || tkv_core_failed(fx.core));
        failed += lost;
        fx_close(&fx);
    }
    ck_assert_int_ge(failed, CALLS_AT_LEAST);
}
END_TEST

START_TEST(open_fails_clean)
{
    bool reached = true;
    for (size_t nth = 1; reached; nth++) {
        struct tkv_device *dev;
        fx_init(&fx);
        ck_assert_int_eq(tkv_device_open(&dev, fx.config.backend, 0, NULL), TKV_OK);
        failing_alloc_arm(nth);
        failing_alloc_pause(false);
        enum tkv_status st = tkv_core_open(&fx.core, &fx.config, dev, NULL, NULL);
        failing_alloc_pause(true);
        reached = failing_alloc_disarm();
        ck_assert(!reached || st == TKV_ENOMEM || st == TKV_OK);
        if (st == TKV_OK) fx_close(&fx);
    }
}
END_TEST

int main(void)
{
    failing_alloc_pause(true); /* but inside of the core, see core_fixture.c */
    Suite *s = suite_create("failures");
    TCase *tc = tcase_create("failures");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_allocation_fails_once);
    tcase_add_test(tc, every_device_call_fails_once);
    tcase_add_test(tc, device_is_lost_at_every_call);
    tcase_add_test(tc, open_fails_clean);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
