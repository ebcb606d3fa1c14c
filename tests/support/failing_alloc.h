/* failing_alloc.h - makes the nth allocation fail, for tests that try every one in turn. A program
 * that uses it links failing_alloc.c and wraps malloc, calloc and realloc (see tkv_failing_alloc()
 * in tests/CMakeLists.txt). Any thread's allocation counts, but those of a thread that has paused.
 */
#ifndef TKV_TESTS_SUPPORT_FAILING_ALLOC_H
#define TKV_TESTS_SUPPORT_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* The nth allocation from now on fails; 0: none does. */
void failing_alloc_arm(size_t nth);

/* Disarms; whether the allocation that was armed has been reached. */
bool failing_alloc_disarm(void);

/* The calling thread's allocations succeed and are not counted while paused: the test's own. */
void failing_alloc_pause(bool paused);

#endif
