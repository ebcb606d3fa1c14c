#include "daemon/connection.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/connection_out.h"
#include "daemon/dispatch.h"
#include "proto/answer.h"

enum { REST_MS = 1000 /* of silence, after which memory is given back */ };

/* A payload that comes quickly, so many bytes in a read, keeps the engine awake: asleep, it takes
 * some 50 us to wake, and on a virtual machine now and then a millisecond. What an append names is
 * brought near when no more than so many bytes are missing, which do not push it out again. */
enum { QUICK_READ_BYTES = 64 << 10, EXPECT_BYTES = 512 << 10 };

/* What one connection's messages may take of a stretch of the loop (server.h), past their first. */
enum { SHARE_NS = 250000 };

static const unsigned state_moves[] = {
#define X(state, moves) moves,
    TKV_CONNECTION_STATES(X)
#undef X
};

/* The one function that moves a connection's state. */
static void enter(struct tkv_connection *conn, enum tkv_connection_state to)
{
    assert((state_moves[conn->state] & 1u << to) != 0);
    if (conn->state == TKV_CONNECTION_LINGERING) conn->server->n_lingering--;
    if (to == TKV_CONNECTION_LINGERING) conn->server->n_lingering++;
    conn->state = to;
}

static struct tkv_stats *stats_of(const struct tkv_connection *conn)
{
    return conn->server->stats;
}

/* --- what happened to whom -------------------------------------------------------------------- */

void tkv_connection_untouch(struct tkv_connection *conn)
{
    if (conn->unsettled_at == NULL) return;
    *conn->unsettled_at = conn->unsettled;
    if (conn->unsettled != NULL) conn->unsettled->unsettled_at = conn->unsettled_at;
    conn->unsettled_at = NULL;
}

void tkv_connection_touch(struct tkv_connection *conn)
{
    struct tkv_server *server = conn->server;
    if (conn->state == TKV_CONNECTION_CLOSED || conn->unsettled_at != NULL) return;
    conn->unsettled = server->unsettled;
    conn->unsettled_at = &server->unsettled;
    if (conn->unsettled != NULL) conn->unsettled->unsettled_at = &conn->unsettled;
    server->unsettled = conn;
    tkv_server_kick(server);
}

void tkv_connection_doom(struct tkv_connection *conn, enum tkv_closed why)
{
    if (!conn->doomed) conn->why = why;
    conn->doomed = true;
    tkv_connection_touch(conn);
}

bool tkv_connection_is_quiet(const struct tkv_connection *conn)
{
    return conn->n_calls == 0 && tkv_connection_unread(conn) == 0;
}

/* --- those that keep us waiting --------------------------------------------------------------- */

static void leave_unfinished(struct tkv_connection *conn)
{
    if (conn->unfinished_at == NULL) return;
    *conn->unfinished_at = conn->unfinished;
    if (conn->unfinished != NULL) conn->unfinished->unfinished_at = conn->unfinished_at;
    conn->unfinished_at = NULL;
}

static void enter_unfinished(struct tkv_connection *conn)
{
    struct tkv_server *server = conn->server;
    if (conn->unfinished_at != NULL) return;
    conn->unfinished_ms = uv_now(&server->loop);
    conn->unfinished = server->unfinished;
    conn->unfinished_at = &server->unfinished;
    if (conn->unfinished != NULL) conn->unfinished->unfinished_at = &conn->unfinished;
    server->unfinished = conn;
}

/* After what arrived has been taken: whether the rest of a message is still owed. */
static void note_unfinished(struct tkv_connection *conn)
{
    if (conn->state != TKV_CONNECTION_OPEN || tkv_frame_is_whole(&conn->frame))
        leave_unfinished(conn);
    else
        enter_unfinished(conn);
}

/* While we do not read, it is not the client who is slow. */
static void check_unfinished(struct tkv_server *server, uint64_t now_ms)
{
    uint64_t patience = server->config->limits_frame_ms;
    for (struct tkv_connection *c = server->unfinished; c != NULL; c = c->unfinished) {
        if (!c->reading) c->unfinished_ms = now_ms;
        if (patience > 0 && now_ms - c->unfinished_ms >= patience)
            tkv_connection_doom(c, TKV_CLOSED_SLOW_WRITER);
    }
}

/* Who says nothing for a while holds no memory for what it may say; later, it is closed. */
static void check_idle(struct tkv_server *server, uint64_t now_ms)
{
    uint64_t patience = server->config->limits_idle_ms;
    for (struct tkv_connection *c = server->connections; c != NULL; c = c->next) {
        if (c->state != TKV_CONNECTION_OPEN || !tkv_connection_is_quiet(c)) continue;
        uint64_t silent_ms = now_ms - c->active_ms;
        if (patience > 0 && silent_ms >= patience) tkv_connection_doom(c, TKV_CLOSED_IDLE);
        if (silent_ms < REST_MS || c->sated) continue;
        tkv_frame_trim(&c->frame);
        tkv_buffer_close(&c->out);
    }
}

void tkv_connections_check(struct tkv_server *server, uint64_t now_ms)
{
    check_unfinished(server, now_ms);
    check_idle(server, now_ms);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct tkv_connection *conn = handle->data;
    assert(conn->calls == NULL && conn->unsettled_at == NULL && conn->queued == 0);
    conn->server->n_connections--;
    tkv_tls_stream_close(conn);
    tkv_buffer_close(&conn->out);
    tkv_frame_close(&conn->frame);
    free(conn);
}

/* The message whose payload is on the way is nothing yet. */
static void drop_unfinished(struct tkv_connection *conn)
{
    tkv_message_free(conn->message);
    tkv_staging_unref(conn->block);
    conn->message = NULL;
    conn->block = NULL;
}

static void unlink_from_server(struct tkv_connection *conn)
{
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        conn->server->connections = conn->next;
    if (conn->next != NULL) conn->next->prev = conn->prev;
    if (!conn->counted) return;
    conn->server->n_clients--;
    tkv_stat_sub(&stats_of(conn)->connections_open, 1);
}

void tkv_connection_close(struct tkv_connection *conn, enum tkv_closed why)
{
    if (conn->state == TKV_CONNECTION_CLOSED) return;
    tkv_log(TKV_LOG_DEBUG, "connection_closed", "id=%" PRIu64 " why=%s calls=%zu unread=%zu",
            conn->id, tkv_closed_word(why), conn->n_calls, tkv_connection_unread(conn));
    if (!conn->internal) tkv_tally_closed(&conn->server->telemetry.tally, why);
    tkv_tls_stream_drop(conn);
    enter(conn, TKV_CONNECTION_CLOSED);
    tkv_connection_untouch(conn);
    leave_unfinished(conn);
    tkv_access_forget(conn);
    unlink_from_server(conn);
    drop_unfinished(conn);
    tkv_dispatch_abandon(conn);
    tkv_core_client_gone(conn->server->core, &conn->client);
    uv_close((uv_handle_t *)&conn->handle.stream, on_closed);
}

void tkv_connection_check_linger(struct tkv_connection *conn, uint64_t now_ms)
{
    if (conn->state == TKV_CONNECTION_LINGERING && now_ms >= conn->linger_until_ms)
        tkv_connection_close(conn, conn->why);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    free(req);
}

/* Our side is shut; the peer reads what we wrote, and closes. */
static void linger(struct tkv_connection *conn)
{
    if (conn->tls != NULL) tkv_tls_finish(conn);
    uv_shutdown_t *req = calloc(1, sizeof *req);
    if (req == NULL || uv_shutdown(req, &conn->handle.stream, on_shut) != 0) {
        free(req);
        tkv_connection_close(conn, TKV_CLOSED_FAILED);
        return;
    }
    enter(conn, TKV_CONNECTION_LINGERING);
    conn->linger_until_ms = tkv_now_ms() + TKV_LINGER_MS;
    tkv_server_start_tick(conn->server);
}

/* --- messages --------------------------------------------------------------------------------- */

static void count_error(struct tkv_connection *conn, enum tkv_status st)
{
    tkv_stat_add(&stats_of(conn)->requests_errors, 1);
    tkv_tally_answered(&conn->server->telemetry.tally, TKV_METHOD_NONE, st, 0);
}

/* An error with id null. */
static void tell(struct tkv_connection *conn, const struct tkv_error *error)
{
    tkv_log(TKV_LOG_DEBUG, "stream_lost", "connection=%" PRIu64 " why=\"%s\"", conn->id,
            error->message);
    tkv_answer_error(&conn->out, "null", 4, error, NULL, 0);
    tkv_buffer_puts(&conn->out, "\n");
    count_error(conn, error->status);
}

void tkv_connection_lose(struct tkv_connection *conn, enum tkv_closed why,
                         const struct tkv_error *error)
{
    if (error != NULL) tell(conn, error);
    conn->why = why;
    enter(conn, TKV_CONNECTION_LOST);
    tkv_connection_touch(conn);
}

static void lose_too_long(struct tkv_connection *conn)
{
    struct tkv_error error;
    uint64_t limit = conn->server->config->limits_max_header_bytes;
    if (!conn->peer.authenticated) {
        tkv_access_hear_too_much(conn);
        return;
    }
    tkv_error_set(&error, TKV_ETOOLARGE, "a line of more than %" PRIu64 " bytes", limit);
    tkv_error_number(&error, limit, limit);
    tkv_connection_lose(conn, TKV_CLOSED_BROKEN_STREAM, &error);
}

static void lose_memory(struct tkv_connection *conn)
{
    struct tkv_error error;
    tkv_error_set(&error, TKV_ENOMEM, "no memory for a line");
    tkv_connection_lose(conn, TKV_CLOSED_NO_MEMORY, &error);
}

/* A line and the payload that belongs to it: a payload that nobody can use is thrown away as it
 * comes, and its request answered at once. */
static void take_line(struct tkv_connection *conn, const char *line, size_t len)
{
    conn->line_ns = tkv_now_ns();
    struct tkv_message *msg = tkv_message_parse(line, len);
    conn->parse_ns = tkv_now_ns() - conn->line_ns;
    if (msg == NULL) {
        lose_memory(conn);
        return;
    }
    bool lost = msg->lost;
    uint64_t bytes = msg->payload_bytes;
    struct tkv_staging *block = tkv_dispatch_payload(conn, msg);
    if (bytes > 0) tkv_frame_expect(&conn->frame, block != NULL ? block->ptr : NULL, bytes);
    if (block != NULL) {
        conn->message = msg;
        conn->block = block;
        conn->expected = false;
        return;
    }
    tkv_dispatch(conn, msg, NULL);
    if (lost) tkv_connection_lose(conn, TKV_CLOSED_BROKEN_STREAM, NULL);
}

static void hear_line(struct tkv_connection *conn, const char *line, size_t len)
{
    if (conn->peer.authenticated)
        take_line(conn, line, len);
    else
        tkv_access_hear(conn, line, len);
}

static void take_payload(struct tkv_connection *conn)
{
    struct tkv_message *msg = conn->message;
    struct tkv_staging *block = conn->block;
    if (msg == NULL) return; /* thrown away; answered already */
    conn->message = NULL;
    conn->block = NULL;
    tkv_dispatch(conn, msg, block);
}

/* Whether the connection has enough under way. What it may get back is counted, too: a seq.read
 * under way is expected to be as large as its last one. */
static bool is_full(struct tkv_connection *conn)
{
    size_t unread = tkv_connection_unread(conn), expected;
    uint64_t mark = conn->server->config->limits_output_bytes;
    if (unread > mark) conn->full = true;
    if (unread <= mark / 2) conn->full = false;
    if (conn->full || conn->n_calls >= TKV_CALLS_MAX) return true;
    if (conn->n_reads == 0) return false;
    if (__builtin_mul_overflow(conn->n_reads, conn->read_bytes, &expected)) return true;
    return expected >= mark - unread;
}

static bool takes_more(struct tkv_connection *conn)
{
    return conn->state == TKV_CONNECTION_OPEN && !conn->doomed && !conn->sated &&
           !conn->server->deaf && !is_full(conn);
}

/* After a message: whether it began when its share was over. No clock is read for that: the share
 * begins with the first line of the stretch, or with the bytes that ended an earlier one's payload.
 */
static void note_share(struct tkv_connection *conn)
{
    if (conn->stretch != conn->server->stretch) {
        uint64_t begin = conn->read_ns > conn->line_ns ? conn->read_ns : conn->line_ns;
        conn->stretch = conn->server->stretch;
        conn->share_ends_ns = begin + SHARE_NS;
    }
    if (conn->line_ns < conn->share_ends_ns) return;
    conn->sated = true;
    tkv_connection_touch(conn);
}

/* Takes messages as far as they have arrived, or as others should not wait for longer. */
static void take_messages(struct tkv_connection *conn)
{
    const char *line;
    size_t len;
    while (takes_more(conn)) {
        switch (tkv_frame_next(&conn->frame, &line, &len)) {
        case TKV_FRAME_MORE: return;
        case TKV_FRAME_LINE: hear_line(conn, line, len); break;
        case TKV_FRAME_PAYLOAD: take_payload(conn); break;
        case TKV_FRAME_TOO_LONG: lose_too_long(conn); break;
        case TKV_FRAME_FAILED: lose_memory(conn);
        }
        if (tkv_frame_payload_left(&conn->frame) == 0)
            leave_unfinished(conn); /* what follows is another message, and its time begins anew */
        note_share(conn);
    }
}

/* Takes what has arrived. */
static void pump(struct tkv_connection *conn)
{
    take_messages(conn);
    while (conn->tls != NULL && takes_more(conn) && tkv_tls_decrypt(conn))
        take_messages(conn);
}

/* Of the append whose payload is under way, after a read of n bytes. */
static void announce(struct tkv_connection *conn, size_t n)
{
    struct tkv_core *core = conn->server->core;
    if (conn->message == NULL) return;
    if (n >= QUICK_READ_BYTES) tkv_core_alert(core);
    if (conn->expected || tkv_frame_payload_left(&conn->frame) > EXPECT_BYTES) return;
    tkv_core_expect(core, &conn->message->requests[0]);
    conn->expected = true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void update_reading(struct tkv_connection *conn);

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tkv_connection *conn = handle->data;
    struct tkv_server *server = conn->server;
    void *to = server->trash;
    size_t room = sizeof server->trash;
    bool direct = conn->state == TKV_CONNECTION_OPEN && conn->tls == NULL;
    if (direct && tkv_frame_space(&conn->frame, &to, &room) != TKV_OK) {
        to = NULL; /* on_read hears of it */
        room = 0;
    }
    *buf = (uv_buf_t){.base = to, .len = room};
}

void tkv_connection_end_input(struct tkv_connection *conn)
{
    drop_unfinished(conn);
    tkv_frame_discard(&conn->frame);
    enter(conn, TKV_CONNECTION_ENDED);
    tkv_connection_touch(conn);
}

static void on_end(struct tkv_connection *conn)
{
    conn->reading = false; /* libuv has stopped by itself */
    if (conn->state == TKV_CONNECTION_LINGERING) {
        tkv_connection_close(conn, conn->why);
        return;
    }
    tkv_connection_end_input(conn);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tkv_connection *conn = stream->data;
    if (n == 0) return;
    if (n == UV_EOF) {
        on_end(conn);
        return;
    }
    if (n < 0) {
        tkv_connection_close(conn, n == UV_ECONNRESET ? conn->why : TKV_CLOSED_FAILED);
        return;
    }
    tkv_stat_add(&stats_of(conn)->network_bytes_in, (uint64_t)n);
    if (conn->state != TKV_CONNECTION_OPEN) return;
    conn->read_ns = tkv_now_ns();
    conn->active_ms = uv_now(&conn->server->loop);
    if (conn->tls != NULL)
        tkv_tls_arrived(conn, buf->base, (size_t)n);
    else
        tkv_frame_filled(&conn->frame, (size_t)n);
    pump(conn);
    note_unfinished(conn);
    announce(conn, (size_t)n);
    update_reading(conn); /* at once: libuv would go on to read what must wait, and its end */
}

static bool wants_input(struct tkv_connection *conn)
{
    switch (conn->state) {
    case TKV_CONNECTION_OPEN: return !conn->sated && !conn->server->deaf && !is_full(conn);
    case TKV_CONNECTION_LOST: return !conn->peer.denied; /* a reset would free its place */
    case TKV_CONNECTION_LINGERING: return true;
    case TKV_CONNECTION_ENDED:
    case TKV_CONNECTION_CLOSED: break;
    }
    return false;
}

static void update_reading(struct tkv_connection *conn)
{
    bool wanted = wants_input(conn);
    if (wanted == conn->reading) return;
    conn->reading = wanted;
    if (!wanted)
        uv_read_stop(&conn->handle.stream);
    else if (uv_read_start(&conn->handle.stream, on_space, on_read) != 0)
        tkv_connection_close(conn, TKV_CLOSED_FAILED);
}

void tkv_connection_settle(struct tkv_connection *conn)
{
    if (!conn->doomed) tkv_connection_flush(conn);
    if (conn->state == TKV_CONNECTION_CLOSED) return;
    if (conn->doomed) {
        bool left = conn->why == TKV_CLOSED_BY_CLIENT;
        tkv_log(left ? TKV_LOG_DEBUG : TKV_LOG_WARNING, "connection_dropped",
                "id=%" PRIu64 " why=\"%s\"", conn->id, tkv_closed_meaning(conn->why));
        tkv_connection_close(conn, conn->why);
        return;
    }
    conn->sated = false;
    pump(conn); /* what had to wait, as far as it need not any longer */
    note_unfinished(conn);
    if (conn->state != TKV_CONNECTION_OPEN && tkv_connection_is_quiet(conn) && !conn->peer.denied) {
        if (conn->state == TKV_CONNECTION_ENDED)
            tkv_connection_close(conn, conn->why);
        else if (conn->state == TKV_CONNECTION_LOST)
            linger(conn);
    }
    if (conn->state == TKV_CONNECTION_CLOSED) return;
    update_reading(conn);
    if (conn->n_calls == 0) tkv_frame_rest(&conn->frame);
}
