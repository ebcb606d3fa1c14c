/* tls_stream.h - TLS between a connection's socket on one side and its frame and answers on the
 * other. Loop thread only.
 *
 * What arrives goes through a memory BIO, and is decrypted straight to where the frame wants it: a
 * payload into its staging block. Answers wait as they are and are encrypted a piece at a time, as
 * the socket takes them, so that a slow reader costs what it does without TLS. */
#ifndef TKV_DAEMON_TLS_STREAM_H
#define TKV_DAEMON_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct tkv_connection;
struct tkv_staging;
struct tkv_tls_stream; /* opaque: tkv_tls_stream_open() .. tkv_tls_stream_close() */

/* Gives the connection its stream (conn->tls), as a server's. TKV_ENOMEM. */
enum tkv_status tkv_tls_stream_open(struct tkv_connection *conn);

/* The connection goes: what waits to be sent is dropped; it is told that this is the end, where its
 * socket takes that at once. */
void tkv_tls_stream_drop(struct tkv_connection *conn);
void tkv_tls_stream_close(struct tkv_connection *conn); /* its handle is closed */

/* Whether the handshake is done. */
bool tkv_tls_is_up(const struct tkv_connection *conn);

/* Bytes from the socket. */
void tkv_tls_arrived(struct tkv_connection *conn, const void *bytes, size_t n);

/* Goes on with the handshake, or puts what can be decrypted into the connection's frame. False: no
 * more now. The connection may be ENDED, LOST or doomed then. */
bool tkv_tls_decrypt(struct tkv_connection *conn);

/* Sends what is in the connection's out, and then bytes of block (a reference that is taken; may be
 * NULL). */
void tkv_tls_send(struct tkv_connection *conn, struct tkv_staging *block, size_t bytes);

/* Sends what is in out, and goes on with what waits. */
void tkv_tls_flush(struct tkv_connection *conn);

/* All has been sent: says that no more will come. */
void tkv_tls_finish(struct tkv_connection *conn);

#endif
