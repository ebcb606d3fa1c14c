/* check_main.h - the main() of a Check program: run the suite, print what failed, exit 1 on
 * failure. */
#ifndef TKV_TESTS_SUPPORT_CHECK_MAIN_H
#define TKV_TESTS_SUPPORT_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

/* Runs suite in this process (threads, sanitizers and devices do not survive Check's fork). */
static inline int tkv_check_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
