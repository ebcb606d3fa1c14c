/* api.h - what the dashboard asks of the loop: requests of the protocol, made here, over a
 * connection of the inlet. Any thread; waits for the answer. */
#ifndef TKV_DAEMON_HTTP_API_H
#define TKV_DAEMON_HTTP_API_H

#include "base/buffer.h"
#include "daemon/server.h"

/* Asks `method` with params (JSON text of an object) and writes its result to out, or
 * {"error": ...}. Returns the HTTP status that says as much: 200, 400, 403, 404, 503, 504 (no
 * answer within timeout_ms) or 500. */
unsigned tkv_api_call(struct tkv_server *server, const char *method, const char *params,
                      int timeout_ms, struct tkv_buffer *out);

#endif
