#include <stdatomic.h>

#include "kernels/cpu/pool.h"
#include "tests/support/check_main.h"

enum { TASKS = 1000 };

struct work {
    atomic_int times[TASKS];
    int plain[TASKS]; /* written by helpers, read by the owner: seen when the run returns */
};

static void do_task(void *ctx, size_t k)
{
    struct work *work = ctx;
    atomic_fetch_add(&work->times[k], 1);
    work->plain[k] = (int)k;
}

/* Goal: every task is done exactly once, and its writes are seen, for any number of helpers.
 * Method: many short rounds, so that helpers come late, come twice, and find nothing. */
START_TEST(every_task_once)
{
    static const size_t sizes[] = {1, 2, 3, 64, TASKS};
    struct tkv_pool pool;
    tkv_pool_init(&pool, (unsigned)_i);
    for (int round = 0; round < 300; round++) {
        struct work work = {0};
        size_t n = sizes[round % 5];
        tkv_pool_run(&pool, do_task, &work, n);
        for (size_t k = 0; k < TASKS; k++) {
            bool once = atomic_load(&work.times[k]) == (k < n);
            if (!once || work.plain[k] != (k < n ? (int)k : 0)) ck_abort_msg("task %zu", k);
        }
    }
    tkv_pool_close(&pool);
}
END_TEST

/* Goal: a pool that never ran closes. */
START_TEST(unused_pool)
{
    struct tkv_pool pool;
    tkv_pool_init(&pool, 100);
    ck_assert_uint_eq(pool.wanted, TKV_POOL_HELPERS_MAX);
    tkv_pool_close(&pool);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *tc = tcase_create("pool");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, every_task_once, 0, 4);
    tcase_add_test(tc, unused_pool);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
