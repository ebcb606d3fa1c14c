/* metrics.h - all that the daemon counts, as Prometheus reads it (text format 0.0.4). Any thread.
 */
#ifndef TKV_DAEMON_HTTP_METRICS_H
#define TKV_DAEMON_HTTP_METRICS_H

#include "base/buffer.h"
#include "daemon/server.h"

/* Appends the page to out; its status says whether it fits. */
void tkv_metrics_write(struct tkv_buffer *out, const struct tkv_server *server);

#endif
