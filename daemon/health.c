#include "daemon/health.h"

#include <stddef.h>

#include "base/clock.h"
#include "daemon/core.h"

/* A job is waited for until limits.device_ms, when the daemon gives the device up; half of that is
 * far more than any job takes, and leaves time to take traffic away. */
static bool device_stalls(const struct tkv_health *h)
{
    uint64_t since = tkv_core_busy_since_ns(h->core), now = tkv_now_ns();
    uint64_t patience = (uint64_t)atomic_load(&h->device_ms) * 1000000 / 2;
    return since > 0 && now > since && now - since >= patience;
}

const char *tkv_health_stalled(const struct tkv_health *h)
{
    uint64_t beat = atomic_load(&h->beat_ms), now = tkv_now_ms();
    if (atomic_load(&h->failed)) return "the device is lost; the daemon is going down";
    if (now > beat && now - beat >= TKV_HEALTH_STALL_MS) return "the event loop stands still";
    if (device_stalls(h)) return "the device makes no progress";
    return NULL;
}

const char *tkv_health_unready(const struct tkv_health *h)
{
    const char *why = tkv_health_stalled(h);
    if (why == NULL && atomic_load(&h->draining)) why = "draining";
    return why != NULL ? why : atomic_load(&h->unhealthy);
}
