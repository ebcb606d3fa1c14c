#include "daemon/access_token.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/connection.h"
#include "daemon/dispatch.h"
#include "proto/answer.h"

enum { WHY_MAX = 512, DENIAL_BYTES = 4096, CROWDED_RETRY_MS = 1000 };

static const char first_please[] = "the first request must be auth, with the token";

/* --- secrets ---------------------------------------------------------------------------------- */

static enum tkv_status read_token(struct tkv_secrets *out, const char *path, char *message,
                                  size_t size)
{
    char why[WHY_MAX];
    if (path == NULL) return TKV_OK;
    out->has_token = tkv_secret_token(path, &out->token, why, sizeof why) == TKV_OK;
    if (out->has_token) return TKV_OK;
    snprintf(message, size, "auth.token_file: %s", why);
    return TKV_EINVAL;
}

static bool same_path(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_tls_paths(const struct tkv_config *a, const struct tkv_config *b)
{
    return same_path(a->auth_tls_certificate, b->auth_tls_certificate) &&
           same_path(a->auth_tls_key, b->auth_tls_key) &&
           same_path(a->auth_tls_client_ca, b->auth_tls_client_ca);
}

enum tkv_status tkv_access_read(const struct tkv_server *server, const struct tkv_config *config,
                                struct tkv_secrets *fresh, char *message, size_t size)
{
    const struct tkv_config *running = server->config;
    enum tkv_status st = TKV_OK;
    *fresh = server->access.secrets;
    if (same_path(running->auth_token_file, config->auth_token_file))
        st = read_token(fresh, config->auth_token_file, message, size);
    if (st != TKV_OK) return st;
    if (same_tls_paths(running, config)) return tkv_tls_open(&fresh->tls, config, message, size);
    if (fresh->tls.ctx != NULL) SSL_CTX_up_ref(fresh->tls.ctx);
    return TKV_OK;
}

enum tkv_status tkv_access_open(struct tkv_server *server)
{
    char why[WHY_MAX];
    enum tkv_status st =
        tkv_access_read(server, server->config, &server->access.secrets, why, sizeof why);
    if (st != TKV_OK) tkv_log(TKV_LOG_ERROR, "start_failed", "what=\"%s\"", why);
    return st;
}

void tkv_access_close(struct tkv_server *server)
{
    SSL_CTX_free(server->access.secrets.tls.ctx);
    server->access.secrets.tls.ctx = NULL;
}

/* Connections with TLS keep the old one as long as they last. */
void tkv_access_renew(struct tkv_server *server, struct tkv_secrets *fresh,
                      struct tkv_reload *report)
{
    struct tkv_secrets *now = &server->access.secrets;
    if (memcmp(&now->token, &fresh->token, sizeof now->token) != 0)
        tkv_reload_tell(report, "auth.token_file");
    tkv_tls_tell(&now->tls, &fresh->tls, report);
    SSL_CTX_free(now->tls.ctx);
    *now = *fresh;
    *fresh = (struct tkv_secrets){0};
}

/* --- places ----------------------------------------------------------------------------------- */

static struct tkv_connection **free_place(struct tkv_access *access)
{
    for (size_t i = 0; i < TKV_UNAUTHENTICATED_MAX; i++) {
        if (access->waiting[i] == NULL) return &access->waiting[i];
    }
    return NULL;
}

enum tkv_status tkv_access_await(struct tkv_connection *conn, struct tkv_error *error)
{
    struct tkv_peer *peer = &conn->peer;
    struct tkv_access *access = &conn->server->access;
    peer->authenticated =
        conn->server->config->auth_tcp_without_token && access->secrets.tls.ctx == NULL;
    if (peer->authenticated) return TKV_OK;
    peer->place = free_place(access);
    if (peer->place == NULL) {
        tkv_error_set(error, TKV_EOVERLOADED,
                      "%d connections have not said who they are yet, the limit",
                      TKV_UNAUTHENTICATED_MAX);
        tkv_error_number(error, retry_after_ms, CROWDED_RETRY_MS);
        return error->status;
    }
    *peer->place = conn;
    peer->since_ms = uv_now(&conn->server->loop);
    tkv_frame_limit(&conn->frame, TKV_UNAUTHENTICATED_LINE);
    if (access->secrets.tls.ctx == NULL || tkv_tls_stream_open(conn) == TKV_OK) return TKV_OK;
    return tkv_error_set(error, TKV_EOVERLOADED, "no memory for one more connection");
}

static void leave_place(struct tkv_peer *peer)
{
    if (peer->place != NULL) *peer->place = NULL;
    peer->place = NULL;
}

void tkv_access_forget(struct tkv_connection *conn)
{
    leave_place(&conn->peer);
    tkv_buffer_close(&conn->peer.denial);
}

/* --- what they say ---------------------------------------------------------------------------- */

static void welcome(struct tkv_connection *conn)
{
    conn->peer.authenticated = true;
    leave_place(&conn->peer);
    tkv_frame_limit(&conn->frame, (size_t)conn->server->config->limits_max_header_bytes);
    tkv_log(TKV_LOG_DEBUG, "authenticated", "id=%" PRIu64, conn->id);
}

void tkv_access_shaken(struct tkv_connection *conn)
{
    if (conn->server->config->auth_tcp_without_token) welcome(conn);
}

static void log_failure(const struct tkv_connection *conn, const char *why)
{
    char name[TKV_ADDRESS_CHARS];
    tkv_log(TKV_LOG_WARNING, "auth_failed", "id=%" PRIu64 " %s why=\"%s\"", conn->id,
            tkv_access_name(conn, name, sizeof name), why);
}

/* From here on it is not listened to; it hears so later. */
static void deny(struct tkv_connection *conn, const char *id, size_t id_len, const char *why)
{
    struct tkv_error error;
    struct tkv_peer *peer = &conn->peer;
    log_failure(conn, why);
    tkv_error_set(&error, TKV_EPERM, "%s", why);
    tkv_buffer_init(&peer->denial, DENIAL_BYTES);
    tkv_answer_error(&peer->denial, id, id_len, &error, NULL, 0);
    tkv_buffer_puts(&peer->denial, "\n");
    peer->denied = true;
    peer->since_ms = uv_now(&conn->server->loop);
    tkv_connection_lose(conn, TKV_CLOSED_UNAUTHENTICATED, NULL);
}

/* Whether it is one request alone, which is auth and fine as a request. */
static bool is_auth(const struct tkv_message *msg)
{
    const struct tkv_request *r = &msg->requests[0];
    return !msg->is_batch && msg->payload_bytes == 0 && r->error.status == TKV_OK &&
           r->method == TKV_METHOD_AUTH;
}

void tkv_access_hear(struct tkv_connection *conn, const char *line, size_t len)
{
    const struct tkv_access *access = &conn->server->access;
    struct tkv_message *msg = tkv_message_parse(line, len);
    if (msg == NULL) {
        tkv_connection_doom(conn, TKV_CLOSED_NO_MEMORY);
        return;
    }
    const struct tkv_request *r = &msg->requests[0];
    if (is_auth(msg) && tkv_secret_is(&access->secrets.token, r->params.auth.token)) {
        welcome(conn);
        tkv_dispatch(conn, msg, NULL);
        return;
    }
    if (msg->is_batch)
        deny(conn, "null", 4, first_please);
    else
        deny(conn, r->id, r->id_len, is_auth(msg) ? "the token is not right" : first_please);
    tkv_message_free(msg);
}

void tkv_access_hear_too_much(struct tkv_connection *conn)
{
    deny(conn, "null", 4, first_please);
}

/* --- time passes ------------------------------------------------------------------------------ */

static void tell(struct tkv_connection *conn)
{
    struct tkv_peer *peer = &conn->peer;
    peer->denied = false;
    tkv_buffer_append(&conn->out, peer->denial.data, peer->denial.len);
    tkv_stat_add(&conn->server->stats->requests_errors, 1);
    tkv_tally_answered(&conn->server->telemetry.tally, TKV_METHOD_NONE, TKV_EPERM, 0);
    tkv_connection_touch(conn);
}

static void expire(struct tkv_connection *conn)
{
    struct tkv_error error;
    tkv_error_set(&error, TKV_EPERM, "no token within %u ms (auth.deadline_ms)",
                  conn->server->config->auth_deadline_ms);
    log_failure(conn, error.message);
    if (conn->tls != NULL && !tkv_tls_is_up(conn))
        tkv_connection_doom(conn, TKV_CLOSED_UNAUTHENTICATED); /* it would not understand */
    else
        tkv_connection_lose(conn, TKV_CLOSED_UNAUTHENTICATED, &error);
}

void tkv_access_check(struct tkv_server *server, uint64_t now_ms)
{
    for (size_t i = 0; i < TKV_UNAUTHENTICATED_MAX; i++) {
        struct tkv_connection *conn = server->access.waiting[i];
        if (conn == NULL) continue;
        uint64_t passed = now_ms - conn->peer.since_ms;
        if (conn->peer.denied && passed >= TKV_DENIAL_MS) tell(conn);
        if (conn->state == TKV_CONNECTION_OPEN && !conn->doomed &&
            passed >= server->config->auth_deadline_ms)
            expire(conn);
    }
}
