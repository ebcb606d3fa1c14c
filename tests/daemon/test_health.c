/* Health as it is seen from outside the loop: what loop and device have done lately. Method: the
 * clock and the device are the test's (--wrap). */
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/core.h"
#include "daemon/health.h"
#include "tests/support/check_main.h"

enum { DEVICE_MS = 30000 };

static uint64_t now_ms = 1000000, busy_since_ns;

uint64_t __wrap_tkv_now_ms(void);
uint64_t __wrap_tkv_now_ns(void);
uint64_t __wrap_tkv_core_busy_since_ns(const struct tkv_core *core);

uint64_t __wrap_tkv_now_ms(void)
{
    return now_ms;
}

uint64_t __wrap_tkv_now_ns(void)
{
    return now_ms * 1000000;
}

uint64_t __wrap_tkv_core_busy_since_ns(const struct tkv_core *core)
{
    return busy_since_ns;
}

static struct tkv_health health;

static void setup(void)
{
    busy_since_ns = 0;
    health = (struct tkv_health){0};
    atomic_store(&health.beat_ms, now_ms);
    atomic_store(&health.device_ms, DEVICE_MS);
}

/* Goal: a loop that turns, or did so a moment ago, is alive; one that does not is dead, until it
 * turns again. */
START_TEST(a_loop_that_stands_still_is_told)
{
    ck_assert_ptr_null(tkv_health_stalled(&health));
    now_ms += TKV_HEALTH_STALL_MS - 1;
    ck_assert_ptr_null(tkv_health_stalled(&health));
    now_ms += 1;
    ck_assert_str_eq(tkv_health_stalled(&health), "the event loop stands still");
    ck_assert_str_eq(tkv_health_unready(&health), "the event loop stands still");
    atomic_store(&health.beat_ms, now_ms);
    ck_assert_ptr_null(tkv_health_stalled(&health));
}
END_TEST

/* Goal: a device that works on one job for half of what is allowed is told; one that is idle, or
 * has just begun, is not. */
START_TEST(a_device_without_progress_is_told)
{
    busy_since_ns = (now_ms - DEVICE_MS / 2 + 1) * 1000000;
    ck_assert_ptr_null(tkv_health_stalled(&health));
    busy_since_ns -= 1000000;
    ck_assert_str_eq(tkv_health_stalled(&health), "the device makes no progress");
    busy_since_ns = 0;
    ck_assert_ptr_null(tkv_health_stalled(&health));
}
END_TEST

/* Goal: draining and a latched divergence make it unready, and not dead; a lost device is dead. */
START_TEST(unready_is_not_dead)
{
    atomic_store(&health.unhealthy, "a divergence");
    ck_assert_ptr_null(tkv_health_stalled(&health));
    ck_assert_str_eq(tkv_health_unready(&health), "a divergence");
    atomic_store(&health.draining, true);
    ck_assert_ptr_null(tkv_health_stalled(&health));
    ck_assert_str_eq(tkv_health_unready(&health), "draining");
    atomic_store(&health.failed, true);
    ck_assert_ptr_nonnull(tkv_health_stalled(&health));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("health");
    TCase *tc = tcase_create("health");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_loop_that_stands_still_is_told);
    tcase_add_test(tc, a_device_without_progress_is_told);
    tcase_add_test(tc, unready_is_not_dead);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
