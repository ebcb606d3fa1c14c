/* connection_out.h - a connection's answers on their way out, and how many are unread. Loop thread
 * only. */
#ifndef TKV_DAEMON_CONNECTION_OUT_H
#define TKV_DAEMON_CONNECTION_OUT_H

#include "daemon/connection.h"

void tkv_connection_init_out(struct tkv_connection *conn);

/* Answers not yet written, in bytes. Past the hard mark a read is refused, unless nothing else is
 * unread; past the last one (room for one answer more) the connection is closed. */
size_t tkv_connection_unread(const struct tkv_connection *conn);
size_t tkv_connection_hard_mark(const struct tkv_connection *conn);
size_t tkv_connection_last_mark(const struct tkv_connection *conn);

/* Why a write that failed with this errno of libuv ends the connection. */
enum tkv_closed tkv_connection_lost_by(const struct tkv_connection *conn, int status);

/* What was in out has been sent: its memory is kept where it is little. */
void tkv_connection_clear_out(struct tkv_connection *conn);

/* Sends what is in out, and then bytes of block, whose reference is taken. */
void tkv_connection_send_block(struct tkv_connection *conn, struct tkv_staging *block,
                               size_t bytes);

/* Sends what is in out; closes the connection where nobody reads it any more. Not from within the
 * core. */
void tkv_connection_flush(struct tkv_connection *conn);

#endif
