/* Goal: a daemon that does something wrong does not get past the histories, whatever it says of
 * itself. Method: an epoch as ever, and at its end a batch of four sequences through a kernel that
 * is broken on purpose; what is read then no order of operations explains. The same without a fault
 * is right. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/histories/epoch.h"
#include "tests/support/check_main.h"

enum { SEED = 4711, CLIENTS = 4, OPERATIONS = 400 };

/* All that change what is read of a batch of four; stray_write writes where nobody reads. */
static const char *const faults[] = {
    "shared_pointers", "stale_lengths", "half_lengths", "swap_items", "token_major",
    "off_by_one",      "short_grid",    "kv_swapped",   "bit_flip",
};

static struct daemon d;
static struct wire w;

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

static bool is_right(const char *fault)
{
    struct h_totals totals = {0};
    struct h_epoch e = {SEED, CLIENTS, OPERATIONS, fault};
    return h_epoch_run(&e, &d, &w, &totals);
}

START_TEST(a_fault_is_noticed)
{
    ck_assert_msg(!is_right(faults[_i]), "%s, seed %d, was not noticed", faults[_i], SEED);
    daemon_stop(&d);
}
END_TEST

/* Goal: it is the fault that is noticed: "none" takes back whatever is armed. */
START_TEST(no_fault_is_right)
{
    ck_assert(is_right(NULL));
    ck_assert(is_right("none"));
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("history_faults");
    TCase *tests = tcase_create("history_faults");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_fault_is_noticed, 0, (int)(sizeof faults / sizeof faults[0]));
    tcase_add_test(tests, no_fault_is_right);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
