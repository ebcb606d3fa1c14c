#include "daemon/server.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sizes.h"
#include "daemon/dispatch.h"
#include "daemon/notify.h"

enum {
    TICK_MS = 20,
    FAILED_FLUSH_MS = 1000, /* what is left to tell clients once the device is lost */
    DEAF_AFTER_MS = 500,    /* of a drain: from then on, who still talks does not hold it up */
    PULSE_MS = 250,
    SECOND_MS = 1000,
    EXIT_FAILED = 1
};

static const unsigned phase_moves[] = {
#define X(phase, moves) moves,
    TKV_PHASES(X)
#undef X
};

/* The one function that moves the phase. */
static void enter(struct tkv_server *server, enum tkv_phase to)
{
    assert((phase_moves[server->phase] & 1u << to) != 0);
    server->phase = to;
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool is_quiet(const struct tkv_server *server)
{
    for (const struct tkv_connection *c = server->connections; c != NULL; c = c->next) {
        if (!tkv_connection_is_quiet(c)) return false;
    }
    return true;
}

/* Whether somebody's messages have arrived and wait for the next turn. */
static bool is_behind(const struct tkv_server *server)
{
    for (const struct tkv_connection *c = server->connections; c != NULL; c = c->next) {
        if (c->sated) return true;
    }
    return false;
}

static void stop(struct tkv_server *server)
{
    enter(server, TKV_PHASE_STOPPED);
    tkv_inlet_close(&server->inlet);
    for (struct tkv_connection *c = server->connections, *next; c != NULL; c = next) {
        next = c->next;
        tkv_connection_close(c, TKV_CLOSED_STOPPED);
    }
    uv_stop(&server->loop);
}

static void begin_end(struct tkv_server *server, enum tkv_phase phase, uint64_t patience_ms)
{
    enter(server, phase);
    server->stop_by_ms = tkv_now_ms() + patience_ms;
    atomic_store(&server->health.draining, true);
    atomic_store(&server->health.failed, phase == TKV_PHASE_FAILING);
    tkv_listeners_close(server);
    tkv_server_start_tick(server);
}

void tkv_server_drain(struct tkv_server *server, const char *why)
{
    if (server->phase != TKV_PHASE_SERVING) return;
    tkv_log(TKV_LOG_INFO, "draining", "why=%s clients=%zu patience_ms=%u", why, server->n_clients,
            server->config->limits_drain_ms);
    tkv_notify_stopping("draining");
    tkv_core_drain(server->core);
    server->seen_bytes_in = UINT64_MAX;
    server->deaf_from_ms = tkv_now_ms() + DEAF_AFTER_MS;
    begin_end(server, TKV_PHASE_DRAINING, server->config->limits_drain_ms);
}

/* A device that hangs answers nothing: the edge does, for all that is under way. */
static void fail(struct tkv_server *server)
{
    tkv_log(TKV_LOG_ERROR, "backend_failed", "clients=%zu what=\"the device is lost; exiting\"",
            server->n_clients);
    tkv_notify_stopping("the device is lost");
    server->failed = true;
    for (struct tkv_connection *c = server->connections; c != NULL; c = c->next)
        tkv_dispatch_fail(c);
    begin_end(server, TKV_PHASE_FAILING, FAILED_FLUSH_MS);
}

/* Draining is over once all is answered and nothing came in since the last tick: what clients had
 * sent before they could know is answered, too. Who goes on talking does not hold it up for long.
 */
static bool is_over(struct tkv_server *server)
{
    bool quiet = is_quiet(server);
    if (server->phase == TKV_PHASE_FAILING) return quiet;
    uint64_t bytes_in = tkv_stat_get(&server->stats->network_bytes_in);
    bool silent = bytes_in == server->seen_bytes_in && !is_behind(server);
    if (tkv_now_ms() >= server->deaf_from_ms) server->deaf = true;
    server->seen_bytes_in = bytes_in;
    return quiet && (silent || server->deaf) && tkv_core_idle(server->core);
}

static void look_after_end(struct tkv_server *server)
{
    if (is_over(server)) {
        stop(server);
    } else if (tkv_now_ms() >= server->stop_by_ms) {
        tkv_log(TKV_LOG_WARNING, "patience_ended", "what=\"requests or answers are left\"");
        stop(server);
    }
}

/* --- turns ------------------------------------------------------------------------------------ */

/* An idle handle makes libuv poll without waiting; the turn then follows by itself. */
static void on_idle(uv_idle_t *idle)
{
}

void tkv_server_kick(struct tkv_server *server)
{
    if (server->turn_follows) return;
    uv_idle_start(&server->kick, on_idle);
}

static void settle_all(struct tkv_server *server)
{
    struct tkv_connection *list = server->unsettled, *conn;
    server->unsettled = NULL; /* who is touched from now on waits for the next turn */
    if (list != NULL) list->unsettled_at = &list;
    while ((conn = list) != NULL) {
        tkv_connection_untouch(conn);
        tkv_connection_settle(conn);
    }
}

/* From here on the loop looks at sockets; a turn follows whatever comes. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct tkv_server *server = prepare->data;
    server->turn_follows = true;
    server->stretch++;
}

/* Turns follow each other without sleep while a batch is about to come back; where no bytes come
 * either, the system is not asked each time. */
static void look_out(struct tkv_server *server)
{
    uint64_t bytes_in = tkv_stat_get(&server->stats->network_bytes_in);
    bool silent = bytes_in == server->turn_bytes_in;
    server->turn_bytes_in = bytes_in;
    if (!tkv_core_spins(server->core)) return;
    if (silent) tkv_core_linger(server->core);
    tkv_core_poll(server->core);
}

static void on_turn(uv_check_t *check)
{
    struct tkv_server *server = check->data;
    server->turn_follows = false;
    server->stretch++;
    atomic_store_explicit(&server->health.beat_ms, tkv_now_ms(), memory_order_relaxed);
    uv_idle_stop(&server->kick);
    look_out(server);
    tkv_core_turn(server->core);
    if (tkv_core_failed(server->core) && server->phase < TKV_PHASE_FAILING) fail(server);
    settle_all(server);
    tkv_steps_answered(tkv_core_steps(server->core));
    if (tkv_core_spins(server->core)) tkv_server_kick(server);
    tkv_alarm_set(&server->alarm, tkv_core_deadline_us(server->core));
}

static void on_wake(uv_async_t *async)
{
    struct tkv_server *server = async->data;
    tkv_core_poll(server->core);
}

/* Called by the core's threads. */
static void wake(void *arg)
{
    struct tkv_server *server = arg;
    uv_async_send(&server->wake);
}

static void on_alarm(struct tkv_alarm *alarm)
{
    (void)alarm; /* the turn follows by itself */
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct tkv_server *server = handle->data;
    if (server->phase == TKV_PHASE_SERVING) {
        tkv_server_drain(server, signum == SIGTERM ? "SIGTERM" : "SIGINT");
        return;
    }
    tkv_log(TKV_LOG_WARNING, "killed", "signal=%d what=\"a second signal; exiting at once\"",
            signum);
    _exit(EXIT_FAILED); /* the socket files are gone already */
}

static void on_hangup(uv_signal_t *handle, int signum)
{
    struct tkv_error error;
    (void)tkv_admin_reload(handle->data, NULL, &error); /* it says by itself how it went */
}

static void on_tick(uv_timer_t *timer)
{
    struct tkv_server *server = timer->data;
    uint64_t now = tkv_now_ms();
    for (struct tkv_connection *c = server->connections, *next; c != NULL; c = next) {
        next = c->next;
        tkv_connection_check_linger(c, now);
    }
    if (server->phase == TKV_PHASE_DRAINING || server->phase == TKV_PHASE_FAILING)
        look_after_end(server);
    else if (server->n_lingering == 0)
        uv_timer_stop(timer);
}

void tkv_server_start_tick(struct tkv_server *server)
{
    if (!uv_is_active((uv_handle_t *)&server->tick))
        uv_timer_start(&server->tick, on_tick, TICK_MS, TICK_MS);
}

static void publish_health(struct tkv_server *server)
{
    struct tkv_health *health = &server->health;
    atomic_store(&health->beat_ms, tkv_now_ms());
    atomic_store(&health->device_ms, server->config->limits_device_ms);
    atomic_store(&health->unhealthy, tkv_core_unhealthy(server->core));
}

/* For `systemctl status`. */
static void publish_status(const struct tkv_server *server)
{
    char text[160], taken[32], budget[32];
    const struct tkv_stats *s = server->stats;
    if (server->phase != TKV_PHASE_SERVING) return;
    snprintf(text, sizeof text,
             "serving %" PRIu64 " sequences to %zu clients; caches take %s of %s",
             tkv_stat_get(&s->sequences_live), server->n_clients,
             tkv_format_size(tkv_stat_get(&s->memory_cache_bytes), taken, sizeof taken),
             tkv_format_size(tkv_stat_get(&s->memory_budget_bytes), budget, sizeof budget));
    tkv_notify_status(text);
}

/* The turn that follows sees whether the device hangs. */
static void on_pulse(uv_timer_t *timer)
{
    struct tkv_server *server = timer->data;
    uint64_t now = uv_now(&server->loop);
    publish_health(server);
    tkv_connections_check(server, now);
    tkv_access_check(server, now);
    (void)tkv_core_stats(server->core); /* who reads the gauges from outside sees new ones */
    if (now - server->ticked_ms >= SECOND_MS) {
        server->ticked_ms = now;
        tkv_telemetry_tick(&server->telemetry);
        publish_status(server);
    }
    tkv_server_kick(server);
}

/* systemd restarts a daemon whose loop no longer turns, or whose device no longer works. */
static void on_watchdog(uv_timer_t *timer)
{
    struct tkv_server *server = timer->data;
    if (tkv_health_stalled(&server->health) == NULL) tkv_notify_alive();
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_inlet(void *arg, int fd)
{
    tkv_connection_adopt(arg, fd);
}

static enum tkv_status init_handles(struct tkv_server *server)
{
    uv_loop_t *loop = &server->loop;
    int rc = uv_async_init(loop, &server->wake, on_wake);
    if (rc == 0) rc = uv_prepare_init(loop, &server->before);
    if (rc == 0) rc = uv_check_init(loop, &server->after);
    if (rc == 0) rc = uv_idle_init(loop, &server->kick);
    if (rc == 0) rc = uv_timer_init(loop, &server->tick);
    if (rc == 0) rc = uv_timer_init(loop, &server->watchdog);
    if (rc == 0) rc = uv_timer_init(loop, &server->pulse);
    if (rc == 0) rc = uv_signal_init(loop, &server->signals[0]);
    if (rc == 0) rc = uv_signal_init(loop, &server->signals[1]);
    if (rc == 0) rc = uv_signal_init(loop, &server->signals[2]);
    if (rc == 0) rc = tkv_inlet_open(&server->inlet, loop, on_inlet, server);
    if (rc == 0) rc = tkv_alarm_init(&server->alarm, loop, on_alarm) == TKV_OK ? 0 : UV_EMFILE;
    server->before.data = server;
    server->wake.data = server->after.data = server->tick.data = server;
    server->watchdog.data = server;
    server->pulse.data = server;
    server->signals[0].data = server->signals[1].data = server->signals[2].data = server;
    if (rc == 0) return TKV_OK;
    tkv_log(TKV_LOG_ERROR, "start_failed", "what=\"event loop: %s\"", uv_strerror(rc));
    return TKV_EINTERNAL;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    struct tkv_server *server = arg;
    if (uv_is_closing(handle)) return;
    if (handle == (uv_handle_t *)&server->alarm.poll)
        tkv_alarm_close(&server->alarm);
    else
        uv_close(handle, NULL);
}

/* Closes the loop with all handles that are left, and frees the server. */
static void close_loop(struct tkv_server *server)
{
    uv_walk(&server->loop, close_handle, server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&server->loop);
    assert(rc == 0);
    (void)rc;
    tkv_access_close(server);
    free(server);
}

static void start_signals(struct tkv_server *server)
{
    uv_signal_start(&server->signals[0], on_signal, SIGTERM);
    uv_signal_start(&server->signals[1], on_signal, SIGINT);
    uv_signal_start(&server->signals[2], on_hangup, SIGHUP);
}

static void start_handles(struct tkv_server *server)
{
    uint64_t us = tkv_notify_watchdog_us(), pulse_ms = server->config->limits_device_ms / 4 + 1;
    if (pulse_ms > PULSE_MS) pulse_ms = PULSE_MS;
    uv_prepare_start(&server->before, on_prepare);
    uv_check_start(&server->after, on_turn);
    uv_timer_start(&server->pulse, on_pulse, pulse_ms, pulse_ms);
    if (us > 0) uv_timer_start(&server->watchdog, on_watchdog, 0, us / 2000 + 1);
    tkv_server_kick(server); /* the first turn sets the alarm */
}

enum tkv_status tkv_server_open(struct tkv_server **out, const struct tkv_config *config,
                                struct tkv_device *dev)
{
    enum tkv_status st = TKV_ENOMEM;
    struct tkv_server *server = calloc(1, sizeof *server);
    if (server == NULL || uv_loop_init(&server->loop) != 0) goto fail_device;
    server->config = config;
    tkv_telemetry_start(&server->telemetry);
    st = init_handles(server);
    if (st == TKV_OK) st = tkv_access_open(server);
    if (st != TKV_OK) goto fail_loop;
    st = tkv_core_open(&server->core, config, dev, wake, server);
    dev = NULL; /* the core's, or closed */
    if (st != TKV_OK) {
        tkv_log(TKV_LOG_ERROR, "start_failed", "what=\"core: %s\"", tkv_status_reason(st));
        goto fail_loop;
    }
    server->stats = tkv_core_stats(server->core);
    server->telemetry.stats = server->stats;
    server->health.core = server->core;
    publish_health(server);
    server->telemetry.steps = tkv_core_steps(server->core);
    server->telemetry.backend = tkv_core_device(server->core)->backend;
    start_signals(server); /* before anybody can know that it is there */
    st = tkv_listeners_open(server);
    if (st != TKV_OK) goto fail_core;
    start_handles(server);
    *out = server;
    return TKV_OK;
fail_core:
    tkv_core_close(server->core);
fail_loop:
    close_loop(server);
    server = NULL;
fail_device:
    free(server);
    tkv_device_close(dev);
    return st;
}

int tkv_server_run(struct tkv_server *server)
{
    uv_run(&server->loop, UV_RUN_DEFAULT);
    assert(server->phase == TKV_PHASE_STOPPED);
    return server->failed ? EXIT_FAILED : 0;
}

bool tkv_server_close(struct tkv_server *server)
{
    if (server->failed || !tkv_core_idle(server->core)) return false;
    while (server->n_connections > 0)
        uv_run(&server->loop, UV_RUN_NOWAIT);
    tkv_core_close(server->core);
    close_loop(server);
    return true;
}
