/* dispatch.h - requests to the core and results to answers, each method by one table.
 *
 * A line is an exchange: one request, or a batch array whose answers are gathered into one line. A
 * request under way is a call, the edge's frame around the core's operation. Loop thread only. */
#ifndef TKV_DAEMON_DISPATCH_H
#define TKV_DAEMON_DISPATCH_H

#include "daemon/connection.h"
#include "proto/request.h"

/* A block for the payload that follows the message's line; it becomes tkv_dispatch()'s. NULL: there
 * is none, or nobody can use it: whatever comes is to be thrown away, and the request in msg has
 * its error. */
struct tkv_staging *tkv_dispatch_payload(struct tkv_connection *conn, struct tkv_message *msg);

/* Starts every request of msg (taken); block (taken; may be NULL) holds the payload. Answers go to
 * the connection, some before this returns. */
void tkv_dispatch(struct tkv_connection *conn, struct tkv_message *msg, struct tkv_staging *block);

/* Answers what the connection has under way with backend_failed; what the core says later is
 * dropped. */
void tkv_dispatch_fail(struct tkv_connection *conn);

/* The connection goes: what it has under way is answered to nobody. */
void tkv_dispatch_abandon(struct tkv_connection *conn);

#endif
