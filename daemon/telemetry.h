/* telemetry.h - all that the daemon counts, for whoever tells it: server.stats, metrics, health.
 * Any thread: everything in here is written by the loop thread as relaxed atomics. */
#ifndef TKV_DAEMON_TELEMETRY_H
#define TKV_DAEMON_TELEMETRY_H

#include "base/window.h"
#include "daemon/stats.h"
#include "daemon/steps.h"
#include "daemon/tally.h"
#include "kernels/device.h"
#include "proto/json.h"

struct tkv_telemetry {
    const struct tkv_stats *stats; /* the core's; gauges are of its last look at them */
    const struct tkv_steps *steps; /* the core's; only its histograms */
    struct tkv_tally tally;
    struct tkv_window appends; /* of the latency of seq.append, ticks of a second */
    struct tkv_window batches; /* of the items in a batch */
    uint64_t started_us;       /* as tkv_now_us() */
    double started_unix;       /* the same, in Unix time */
    enum tkv_backend backend;
};

/* Zeroed before. */
void tkv_telemetry_start(struct tkv_telemetry *t);

/* Loop thread, once a second. */
void tkv_telemetry_tick(struct tkv_telemetry *t);

double tkv_telemetry_uptime_s(const struct tkv_telemetry *t);

/* Memory of the process that is in RAM, bytes; 0: unknown. */
uint64_t tkv_telemetry_rss_bytes(void);

/* The result of server.stats. */
void tkv_telemetry_put(struct tkv_json *j, const struct tkv_telemetry *t);

#endif
