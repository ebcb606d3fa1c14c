/* health.h - whether the daemon makes progress, for those who ask from outside the loop: HTTP, the
 * watchdog. The loop thread writes; any thread reads, also while the loop stands still. */
#ifndef TKV_DAEMON_HEALTH_H
#define TKV_DAEMON_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tkv_core;

enum { TKV_HEALTH_STALL_MS = 5000 /* a loop that has not turned for so long stands still */ };

/* Zeroed at start, but for core. */
struct tkv_health {
    const struct tkv_core *core;
    _Atomic uint64_t beat_ms;   /* the loop's last turn, tkv_now_ms() */
    _Atomic uint32_t device_ms; /* limits.device_ms */
    atomic_bool draining, failed;
    _Atomic(const char *) unhealthy; /* tkv_core_unhealthy(); static text */
};

/* Why it is not alive: the loop or the device makes no progress, or the device is lost. NULL: it
 * is. Static text. */
const char *tkv_health_stalled(const struct tkv_health *h);

/* Why nobody should send requests: not alive, draining, or a divergence has latched health. NULL:
 * it is ready. Static text. */
const char *tkv_health_unready(const struct tkv_health *h);

#endif
