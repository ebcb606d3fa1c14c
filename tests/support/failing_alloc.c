#include "tests/support/failing_alloc.h"

#include <stdatomic.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static _Atomic long countdown; /* 0: disarmed or reached */
static atomic_bool reached;
static _Thread_local bool paused_here;

void failing_alloc_arm(size_t nth)
{
    atomic_store(&reached, false);
    atomic_store(&countdown, (long)nth);
}

bool failing_alloc_disarm(void)
{
    atomic_store(&countdown, 0);
    return atomic_load(&reached);
}

void failing_alloc_pause(bool paused)
{
    paused_here = paused;
}

static bool fails_now(void)
{
    if (paused_here || atomic_load(&countdown) <= 0) return false;
    if (atomic_fetch_sub(&countdown, 1) != 1) return false;
    atomic_store(&reached, true);
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return fails_now() ? NULL : __real_realloc(ptr, size);
}
