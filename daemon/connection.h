/* connection.h - one client: bytes in, requests to dispatch, answers out. Loop thread only.
 * Life and reading; connection_accept.c has the beginning, connection_out.h the writing. */
#ifndef TKV_DAEMON_CONNECTION_H
#define TKV_DAEMON_CONNECTION_H

#include "daemon/access.h"
#include "daemon/server.h"
#include "daemon/tls_stream.h"
#include "proto/frame.h"

/* X(state, may become)
 * OPEN: requests are read and answered. ENDED: the peer sends no more; what it asked is still
 * answered, then it is closed. LOST: nobody can tell where its next message begins; it hears why,
 * what it sends is thrown away. LINGERING: all has been written and our side is shut; until the
 * peer closes, or a short while: to close with bytes unread would make TCP take the last answers
 * back. CLOSED: libuv still has the handle. */
#define TKV_CONNECTION_STATES(X)                                                                  \
    X(OPEN, 1u << TKV_CONNECTION_ENDED | 1u << TKV_CONNECTION_LOST | 1u << TKV_CONNECTION_CLOSED) \
    X(ENDED, 1u << TKV_CONNECTION_CLOSED)                                                         \
    X(LOST,                                                                                       \
      1u << TKV_CONNECTION_ENDED | 1u << TKV_CONNECTION_LINGERING | 1u << TKV_CONNECTION_CLOSED)  \
    X(LINGERING, 1u << TKV_CONNECTION_CLOSED)                                                     \
    X(CLOSED, 0u)

enum tkv_connection_state {
#define X(state, moves) TKV_CONNECTION_##state,
    TKV_CONNECTION_STATES(X)
#undef X
};

enum {
    TKV_CALLS_MAX = 1024, /* requests of one connection under way, past which it is not read */
    TKV_HARD_MARK = 4,    /* times limits.output_bytes: past it reads are refused */
    TKV_LINGER_MS = 2000
};

struct tkv_call;

struct tkv_connection {
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } handle; /* data: the connection */
    struct tkv_server *server;
    enum tkv_connection_state state;
    uint64_t id;   /* for the log */
    bool counted;  /* among the clients; a refused one, or one of our own, is not */
    bool internal; /* of the daemon's own threads */
    struct tkv_peer peer;
    struct tkv_tls_stream *tls; /* NULL: plain */
    struct tkv_client client;

    struct tkv_frame frame;
    struct tkv_message *message; /* its payload is on the way */
    struct tkv_staging *block;   /* where that goes */
    bool expected;               /* the core has been told of it */
    bool reading;
    uint64_t read_ns;           /* when bytes came last */
    uint64_t line_ns, parse_ns; /* when its last line was taken; what it took to understand */

    struct tkv_call *calls;  /* requests under way */
    size_t n_calls, n_reads; /* n_reads of them are seq.read */
    size_t read_bytes;       /* how large an answer a seq.read is expected to get */

    struct tkv_buffer out; /* answers of this turn */
    size_t gathered;       /* bytes of answers to batch arrays that are not whole yet */
    size_t queued;         /* bytes that libuv has still to write */
    bool full;             /* too much is unread: no more requests are taken */
    bool doomed;           /* it must be closed when it is settled */
    enum tkv_closed why;   /* what ended it: the client, unless it was doomed or LOST before */
    bool sated;            /* it has had its share: the rest waits for the next turn */
    uint64_t stretch, share_ends_ns; /* of which one that is (server.h); when it ends */

    uint64_t linger_until_ms;
    uint64_t active_ms;     /* when a request came or an answer went last */
    uint64_t unfinished_ms; /* since when a message is not whole; valid in the list of those */
    struct tkv_connection **unfinished_at, *unfinished; /* server->unfinished */
    struct tkv_connection *prev, *next;                 /* server->connections */
    struct tkv_connection **unsettled_at, *unsettled;   /* server->unsettled; NULL: not in it */
};

/* Takes the connection that waits at the listener: serves it, or tells it that there are many. */
void tkv_connection_accept(struct tkv_listener *listener);

/* Serves a connection of the daemon's own (inlet.h), beyond the limit of clients; takes fd. */
void tkv_connection_adopt(struct tkv_server *server, int fd);

/* Writes, reads on, closes: whatever its state asks for. */
void tkv_connection_settle(struct tkv_connection *conn);

/* Its requests go on for nobody. Not from within the core. */
void tkv_connection_close(struct tkv_connection *conn, enum tkv_closed why);

/* Something happened to it: it is settled in this turn. */
void tkv_connection_touch(struct tkv_connection *conn);
void tkv_connection_untouch(struct tkv_connection *conn);

/* Nobody listens to it any more: it hears why (NULL: not now), and what it sends is thrown away
 * until it ends. It is OPEN. */
void tkv_connection_lose(struct tkv_connection *conn, enum tkv_closed why,
                         const struct tkv_error *error);

/* Its peer will send no more. It is OPEN. */
void tkv_connection_end_input(struct tkv_connection *conn);

/* It is closed when it is settled. The way to close it from within the core. */
void tkv_connection_doom(struct tkv_connection *conn, enum tkv_closed why);

/* Closes it where it has lingered for long enough. */
void tkv_connection_check_linger(struct tkv_connection *conn, uint64_t now_ms);

/* Closes those whose message is not whole in time, and those that are idle for too long, where
 * limits.frame_ms and limits.idle_ms say so. */
void tkv_connections_check(struct tkv_server *server, uint64_t now_ms);

/* Whether all that was asked has been answered and all answers written. */
bool tkv_connection_is_quiet(const struct tkv_connection *conn);

#endif
