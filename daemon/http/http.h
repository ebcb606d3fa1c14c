/* http.h - metrics, health and the dashboard over HTTP, by libmicrohttpd on threads of its own:
 * what they tell, they read from atomics, so that health is answered also while the loop stands
 * still. Whatever only the loop knows is asked as a client asks it, over a socket pair (api.h).
 *
 *   GET  /metrics           Prometheus text format
 *   GET  /healthz, /readyz  200, or 503 and why
 *   GET  /                  the dashboard, one page that fetches nothing from elsewhere
 *   GET  /api/...           what it shows, as JSON
 *   POST /api/verify        a debug.verify, where http.allow_verify says so
 *
 * Nobody is asked who they are: the address is to be one that only the operator's machines reach.
 */
#ifndef TKV_DAEMON_HTTP_HTTP_H
#define TKV_DAEMON_HTTP_HTTP_H

#include "daemon/server.h"

struct tkv_http; /* opaque: tkv_http_open() .. tkv_http_close() */

/* Listens on http.listen of the server's configuration; *out is NULL where there is none. The
 * server is borrowed. TKV_EINTERNAL, TKV_ENOMEM: logged. Main thread. */
enum tkv_status tkv_http_open(struct tkv_http **out, struct tkv_server *server);

/* Waits for its threads. The loop has ended, the server is still open. NULL is fine. */
void tkv_http_close(struct tkv_http *http);

/* The address as it can be connected to. */
const char *tkv_http_name(const struct tkv_http *http);

#endif
