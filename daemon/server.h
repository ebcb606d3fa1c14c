/* server.h - the loop thread: listeners, connections, the core between them, and the end of it all.
 *
 * A turn of the loop: callbacks parse what arrived and submit it to the core; then, once, the core
 * gets its turn (so that all that arrived together goes into one batch) and every connection that
 * something happened to is settled: its answers go out in one write, and it is read on or closed.
 * Loop thread only; the struct is shared by the edge's files. */
#ifndef TKV_DAEMON_SERVER_H
#define TKV_DAEMON_SERVER_H

#include <stdbool.h>
#include <uv.h>

#include "daemon/access_token.h"
#include "daemon/admin.h"
#include "daemon/alarm.h"
#include "daemon/config.h"
#include "daemon/core.h"
#include "daemon/health.h"
#include "daemon/inlet.h"
#include "daemon/listener.h"
#include "daemon/telemetry.h"

struct tkv_connection;

enum {
    TKV_REFUSED_MAX = 32,       /* connections over the limit that hear why */
    TKV_DESCRIPTORS_SPARE = 128 /* descriptors for all but clients */
};

/* X(phase, may become) */
#define TKV_PHASES(X)                                              \
    X(SERVING, 1u << TKV_PHASE_DRAINING | 1u << TKV_PHASE_FAILING) \
    X(DRAINING, 1u << TKV_PHASE_FAILING | 1u << TKV_PHASE_STOPPED) \
    X(FAILING, 1u << TKV_PHASE_STOPPED)                            \
    X(STOPPED, 0u)

enum tkv_phase {
#define X(phase, moves) TKV_PHASE_##phase,
    TKV_PHASES(X)
#undef X
};

struct tkv_server {
    uv_loop_t loop;
    const struct tkv_config *config;
    struct tkv_core *core;
    struct tkv_stats *stats; /* the core's */
    struct tkv_telemetry telemetry;
    struct tkv_admin admin;
    struct tkv_health health;
    struct tkv_inlet inlet;
    struct tkv_access access;
    enum tkv_phase phase;

    uv_async_t wake;        /* the core has something for us */
    uv_prepare_t before;    /* sockets are looked at next */
    bool turn_follows;      /* they are: a turn comes by itself */
    uv_check_t after;       /* a turn, after all that arrived */
    uv_idle_t kick;         /* a turn is wanted though nothing arrives */
    uv_signal_t signals[3]; /* SIGTERM, SIGINT, SIGHUP */
    uv_timer_t tick;        /* runs while somebody lingers, and towards the end */
    uv_timer_t watchdog;    /* systemd's */
    uv_timer_t pulse;       /* looks at device and clients though nothing arrives */
    struct tkv_alarm alarm; /* tkv_core_deadline_us() */

    struct tkv_listener listeners[TKV_LISTENERS_MAX];
    size_t n_listeners;
    struct tkv_connection *connections; /* those not closed */
    struct tkv_connection *unfinished;  /* those of whose message a part is missing */
    struct tkv_connection *unsettled;   /* something happened to them in this turn */
    size_t n_connections;               /* also refused ones and those being closed */
    size_t n_clients;                   /* connections that are served */
    size_t n_lingering;
    uint64_t newest_connection;

    uint64_t ticked_ms;     /* the telemetry's last second */
    uint64_t stop_by_ms;    /* DRAINING, FAILING: patience ends */
    uint64_t seen_bytes_in; /* DRAINING: at the last tick */
    uint64_t turn_bytes_in; /* at the last turn */
    uint64_t stretch;       /* counts: one begins with the look at sockets, one with each turn */
    uint64_t deaf_from_ms;  /* DRAINING: from then on ... */
    bool deaf;              /* ... nobody is listened to any more */
    bool failed;            /* the device is lost */
    char trash[64 * 1024];  /* input that nobody wants; also where TLS puts bytes for a moment */
};

/* Opens the core on dev (which it owns from here on, also on failure), then listens.
 * TKV_EINVAL (a file that the configuration names is not right), TKV_EINTERNAL, TKV_ENOMEM,
 * TKV_EDEVICE: logged; nothing is left open. config is borrowed. */
enum tkv_status tkv_server_open(struct tkv_server **out, const struct tkv_config *config,
                                struct tkv_device *dev);

/* Serves until a signal or the device ends it; returns the process's exit code. */
int tkv_server_run(struct tkv_server *server);

/* Closes everything. False: nothing was closed, because the core still has work or its device is
 * lost (one that hangs would keep us for ever); the process must end by _exit(). */
bool tkv_server_close(struct tkv_server *server);

/* The end begins: accepted work is finished and answered, then the loop ends. Once more: nothing.
 */
void tkv_server_drain(struct tkv_server *server, const char *why);

/* The turn comes though nothing arrives. */
void tkv_server_kick(struct tkv_server *server);

/* The tick runs as long as there is something to look after. */
void tkv_server_start_tick(struct tkv_server *server);

#endif
