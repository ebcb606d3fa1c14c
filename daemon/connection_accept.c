/* connection_accept.c - the beginning of a connection: it is served, or turned away. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/connection.h"
#include "daemon/connection_out.h"

enum { REFUSED_RETRY_MS = 1000, KEEPALIVE_S = 60 };

static struct tkv_stats *stats_of(const struct tkv_connection *conn)
{
    return conn->server->stats;
}

static struct tkv_connection *new_connection(struct tkv_server *server, bool is_unix)
{
    struct tkv_connection *conn = calloc(1, sizeof *conn);
    if (conn == NULL) return NULL;
    if (is_unix)
        uv_pipe_init(&server->loop, &conn->handle.pipe, 0);
    else
        uv_tcp_init(&server->loop, &conn->handle.tcp);
    conn->handle.stream.data = conn;
    conn->server = server;
    conn->id = ++server->newest_connection;
    conn->active_ms = uv_now(&server->loop);
    conn->next = server->connections;
    if (conn->next != NULL) conn->next->prev = conn;
    server->connections = conn;
    server->n_connections++;
    tkv_frame_init(&conn->frame, (size_t)server->config->limits_max_header_bytes);
    tkv_connection_init_out(conn);
    return conn;
}

/* It hears why, unless too many are told so already, or only TLS would be understood. */
static void turn_away(struct tkv_connection *conn, enum tkv_closed why,
                      const struct tkv_error *error)
{
    const struct tkv_server *server = conn->server;
    bool mute = server->access.secrets.tls.ctx != NULL && !conn->peer.is_unix;
    if (mute || server->n_connections > server->n_clients + TKV_REFUSED_MAX + TKV_INLET_MAX)
        tkv_connection_close(conn, why);
    else
        tkv_connection_lose(conn, why, error);
}

static void refuse(struct tkv_connection *conn, const struct tkv_error *error)
{
    tkv_stat_add(&stats_of(conn)->connections_refused, 1);
    turn_away(conn, TKV_CLOSED_REFUSED, error);
}

static void refuse_many(struct tkv_connection *conn)
{
    struct tkv_error error;
    tkv_error_set(&error, TKV_EOVERLOADED, "there are %zu connections, the limit",
                  conn->server->n_clients);
    tkv_error_number(&error, retry_after_ms, REFUSED_RETRY_MS);
    refuse(conn, &error);
}

/* Somebody who may not connect. */
static void deny(struct tkv_connection *conn, const struct tkv_error *error)
{
    char name[TKV_ADDRESS_CHARS];
    tkv_log(TKV_LOG_WARNING, "connection_denied", "id=%" PRIu64 " %s why=\"%s\"", conn->id,
            tkv_access_name(conn, name, sizeof name), error->message);
    turn_away(conn, TKV_CLOSED_UNAUTHENTICATED, error);
}

static void admit(struct tkv_connection *conn, const struct tkv_listener *listener)
{
    char name[TKV_ADDRESS_CHARS];
    conn->counted = true;
    conn->server->n_clients++;
    tkv_stat_add(&stats_of(conn)->connections_accepted, 1);
    tkv_stat_add(&stats_of(conn)->connections_open, 1);
    tkv_log(TKV_LOG_DEBUG, "connection_open", "id=%" PRIu64 " listen=%s %s", conn->id,
            listener->socket.name, tkv_access_name(conn, name, sizeof name));
    tkv_connection_touch(conn); /* it is read from the turn on */
}

void tkv_connection_accept(struct tkv_listener *listener)
{
    struct tkv_server *server = listener->server;
    struct tkv_error error;
    struct tkv_connection *conn = new_connection(server, listener->socket.is_unix);
    if (conn == NULL) {
        tkv_log(TKV_LOG_ERROR, "accept_failed", "what=\"no memory\"");
        return;
    }
    int rc = uv_accept(&listener->handle.stream, &conn->handle.stream);
    if (rc != 0) {
        tkv_log(TKV_LOG_WARNING, "accept_failed", "what=\"%s\"", uv_strerror(rc));
        tkv_connection_close(conn, TKV_CLOSED_FAILED);
        return;
    }
    if (!listener->socket.is_unix) {
        uv_tcp_nodelay(&conn->handle.tcp, 1);
        uv_tcp_keepalive(&conn->handle.tcp, 1, KEEPALIVE_S);
    }
    enum tkv_status st = tkv_access_meet(conn, listener->socket.is_unix, &error);
    if (st == TKV_EPERM)
        deny(conn, &error);
    else if (st != TKV_OK)
        refuse(conn, &error);
    else if (server->n_clients >= server->config->limits_max_connections)
        refuse_many(conn);
    else
        admit(conn, listener);
}

void tkv_connection_adopt(struct tkv_server *server, int fd)
{
    struct tkv_connection *conn = new_connection(server, true);
    if (conn == NULL) {
        close(fd);
        return;
    }
    conn->internal = true;
    conn->peer = (struct tkv_peer){.is_unix = true, .uid = geteuid(), .authenticated = true};
    conn->client.principal = geteuid();
    if (uv_pipe_open(&conn->handle.pipe, fd) != 0) {
        close(fd);
        tkv_connection_close(conn, TKV_CLOSED_FAILED);
        return;
    }
    tkv_connection_touch(conn);
}
