/* clock.h - monotonic time. Any thread. */
#ifndef TKV_BASE_CLOCK_H
#define TKV_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t tkv_now_ns(void);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t tkv_now_us(void);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t tkv_now_ms(void);

/* What a loop that waits for another thread does in between. */
static inline void tkv_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

#endif
