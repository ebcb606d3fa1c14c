#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/connection.h"
#include "daemon/notify.h"
#include "daemon/server.h"

enum { BACKLOG = 1024, WHY_MAX = 512 };

static void on_connection(uv_stream_t *stream, int status)
{
    struct tkv_listener *listener = stream->data;
    if (status == 0)
        tkv_connection_accept(listener);
    else
        tkv_log(TKV_LOG_WARNING, "accept_failed", "listen=%s what=\"%s\"", listener->socket.name,
                uv_strerror(status));
}

/* The descriptor is libuv's once its handle has been opened with it. */
static int open_handle(struct tkv_listener *l, uv_loop_t *loop)
{
    int rc;
    if (l->socket.is_unix) {
        uv_pipe_init(loop, &l->handle.pipe, 0);
        rc = uv_pipe_open(&l->handle.pipe, l->socket.fd);
    } else {
        uv_tcp_init(loop, &l->handle.tcp);
        rc = uv_tcp_open(&l->handle.tcp, l->socket.fd);
    }
    if (rc != 0) close(l->socket.fd);
    return rc;
}

/* Listens on the socket of the next free listener. */
static enum tkv_status add(struct tkv_server *server)
{
    struct tkv_listener *l = &server->listeners[server->n_listeners];
    if (tkv_access_prepare(server, &l->socket) != TKV_OK) {
        tkv_listening_remove(&l->socket);
        close(l->socket.fd);
        return TKV_EINTERNAL;
    }
    server->n_listeners++;
    int rc = open_handle(l, &server->loop);
    l->handle.stream.data = l;
    l->server = server;
    if (rc == 0) rc = uv_listen(&l->handle.stream, BACKLOG, on_connection);
    if (rc == 0) return TKV_OK;
    tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"%s: %s\"", l->socket.name, uv_strerror(rc));
    return TKV_EINTERNAL;
}

static enum tkv_status add_inherited(struct tkv_server *server)
{
    char why[WHY_MAX];
    int first, n = tkv_notify_inherited(&first);
    if (n < 0) {
        tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"socket activation: %s\"", strerror(-n));
        return TKV_EINTERNAL;
    }
    if (n > TKV_LISTEN_MAX) {
        tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"%d sockets handed over, %d are the most\"",
                n, TKV_LISTEN_MAX);
        return TKV_EINTERNAL;
    }
    for (int i = 0; i < n; i++) {
        struct tkv_listening *socket = &server->listeners[server->n_listeners].socket;
        if (tkv_listening_inherit(socket, first + i, why, sizeof why) != TKV_OK) {
            tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"%s\"", why);
            return TKV_EINTERNAL;
        }
        if (add(server) != TKV_OK) return TKV_EINTERNAL;
    }
    return TKV_OK;
}

static bool has(const struct tkv_server *server, const char *name)
{
    for (size_t i = 0; i < server->n_listeners; i++) {
        if (strcmp(server->listeners[i].socket.name, name) == 0) return true;
    }
    return false;
}

enum tkv_status tkv_listeners_open(struct tkv_server *server)
{
    char why[WHY_MAX];
    enum tkv_status st = add_inherited(server);
    for (size_t i = 0; st == TKV_OK && i < server->config->n_listen; i++) {
        const char *address = server->config->listen[i];
        if (has(server, address)) continue; /* systemd has opened it for us */
        struct tkv_listening *socket = &server->listeners[server->n_listeners].socket;
        st = tkv_listening_open(socket, address, why, sizeof why);
        if (st == TKV_OK)
            st = add(server);
        else
            tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"%s\"", why);
    }
    if (st != TKV_OK) tkv_listeners_close(server);
    return st;
}

void tkv_listeners_close(struct tkv_server *server)
{
    for (size_t i = 0; i < server->n_listeners; i++) {
        uv_handle_t *handle = (uv_handle_t *)&server->listeners[i].handle.stream;
        tkv_listening_remove(&server->listeners[i].socket);
        if (!uv_is_closing(handle)) uv_close(handle, NULL);
    }
}

const char *tkv_listeners_names(const struct tkv_server *server, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < server->n_listeners && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%s", i > 0 ? "," : "",
                         server->listeners[i].socket.name);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}
