/* listener.h - the sockets that clients connect to. Loop thread only. */
#ifndef TKV_DAEMON_LISTENER_H
#define TKV_DAEMON_LISTENER_H

#include <uv.h>

#include "daemon/address.h"
#include "daemon/config.h"

struct tkv_server;

enum { TKV_LISTENERS_MAX = 2 * TKV_LISTEN_MAX /* our own, and as many handed over by systemd */ };

struct tkv_listener {
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } handle; /* data: the listener */
    struct tkv_server *server;
    struct tkv_listening socket;
};

/* Opens the sockets of the configuration and takes those handed over by systemd. */
enum tkv_status tkv_listeners_open(struct tkv_server *server);
void tkv_listeners_close(struct tkv_server *server); /* stops accepting; removes socket files */
/* Names of all of them, separated by commas, in out. Returns out. */
const char *tkv_listeners_names(const struct tkv_server *server, char *out, size_t size);

#endif
