#include <assert.h>
#include <stdlib.h>

#include "daemon/connection_out.h"

enum { KEPT_BYTES = 64 * 1024 /* an empty buffer above this is given back */ };

/* Bytes on their way that did not go at once. */
struct chunk {
    uv_write_t req; /* data: the connection */
    struct tkv_buffer text;
    struct tkv_staging *block; /* a reference, or NULL */
    size_t bytes;
};

void tkv_connection_init_out(struct tkv_connection *conn)
{
    size_t answer = (size_t)conn->server->config->limits_max_payload_bytes * 2; /* in base64 */
    tkv_buffer_init(&conn->out, tkv_connection_last_mark(conn) + answer);
    conn->read_bytes = SIZE_MAX; /* unknown: one at a time */
}

size_t tkv_connection_unread(const struct tkv_connection *conn)
{
    return conn->out.len + conn->queued + conn->gathered;
}

size_t tkv_connection_hard_mark(const struct tkv_connection *conn)
{
    return (size_t)conn->server->config->limits_output_bytes * TKV_HARD_MARK;
}

size_t tkv_connection_last_mark(const struct tkv_connection *conn)
{
    return tkv_connection_hard_mark(conn) +
           (size_t)conn->server->config->limits_max_payload_bytes * 2;
}

static void free_chunk(struct chunk *chunk)
{
    tkv_staging_unref(chunk->block);
    tkv_buffer_close(&chunk->text);
    free(chunk);
}

enum tkv_closed tkv_connection_lost_by(const struct tkv_connection *conn, int status)
{
    bool gone = status == UV_EPIPE || status == UV_ECONNRESET || status == UV_ECANCELED;
    return gone ? conn->why : TKV_CLOSED_FAILED;
}

static void on_written(uv_write_t *req, int status)
{
    struct chunk *chunk = (struct chunk *)req;
    struct tkv_connection *conn = req->data;
    assert(conn->queued >= chunk->bytes);
    conn->queued -= chunk->bytes;
    if (status == 0) tkv_stat_add(&conn->server->stats->network_bytes_out, chunk->bytes);
    conn->active_ms = uv_now(&conn->server->loop);
    free_chunk(chunk);
    if (conn->state == TKV_CONNECTION_CLOSED) return;
    if (status != 0)
        tkv_connection_close(conn, tkv_connection_lost_by(conn, status));
    else
        tkv_connection_touch(conn);
}

/* Queues what is in out but its first `skip` bytes, and `bytes` of block (a reference that is
 * taken; may be NULL). */
static void queue(struct tkv_connection *conn, size_t skip, struct tkv_staging *block, size_t bytes)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) {
        tkv_staging_unref(block);
        tkv_connection_doom(conn, TKV_CLOSED_NO_MEMORY);
        return;
    }
    chunk->text = conn->out;
    chunk->block = block;
    chunk->bytes = chunk->text.len - skip + bytes;
    tkv_buffer_init(&conn->out, chunk->text.max);
    uv_buf_t bufs[2] = {{(char *)chunk->text.data + skip, chunk->text.len - skip}, {NULL, bytes}};
    if (block != NULL) bufs[1].base = (char *)block->ptr;
    chunk->req.data = conn;
    conn->queued += chunk->bytes;
    int rc = uv_write(&chunk->req, &conn->handle.stream, bufs, block != NULL ? 2 : 1, on_written);
    if (rc == 0) return;
    conn->queued -= chunk->bytes;
    free_chunk(chunk);
    tkv_connection_doom(conn, tkv_connection_lost_by(conn, rc));
}

void tkv_connection_send_block(struct tkv_connection *conn, struct tkv_staging *block, size_t bytes)
{
    if (conn->tls != NULL)
        tkv_tls_send(conn, block, bytes);
    else
        queue(conn, 0, block, bytes);
}

void tkv_connection_clear_out(struct tkv_connection *conn)
{
    tkv_buffer_clear(&conn->out);
    if (conn->out.cap > KEPT_BYTES) tkv_buffer_close(&conn->out);
}

void tkv_connection_flush(struct tkv_connection *conn)
{
    size_t len = conn->out.len;
    if (conn->tls != NULL) {
        tkv_tls_flush(conn);
        return;
    }
    if (len == 0) return;
    uv_buf_t buf = {.base = (char *)conn->out.data, .len = len};
    int n = conn->queued == 0 ? uv_try_write(&conn->handle.stream, &buf, 1) : UV_EAGAIN;
    if (n < 0 && n != UV_EAGAIN) {
        tkv_connection_close(conn, tkv_connection_lost_by(conn, n));
        return;
    }
    size_t written = n > 0 ? (size_t)n : 0;
    tkv_stat_add(&conn->server->stats->network_bytes_out, written);
    if (written < len) {
        queue(conn, written, NULL, 0);
        return;
    }
    tkv_connection_clear_out(conn);
}
