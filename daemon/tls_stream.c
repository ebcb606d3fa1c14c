#include "daemon/tls_stream.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/log.h"
#include "daemon/connection_out.h"
#include "daemon/tls.h"

enum {
    PIECE_BYTES =
        63 * 1024,        /* encrypted at a time: server->trash holds it, with its records' heads */
    READ_BYTES = 1 << 30, /* asked of OpenSSL at a time; it gives a record */
    WHY_MAX = 128
};

/* An answer, as it is. */
struct piece {
    struct piece *next;
    struct tkv_buffer text;
    struct tkv_staging *block; /* a reference, or NULL */
    size_t bytes, done;        /* of both together; done: encrypted already */
};

struct tkv_tls_stream {
    SSL *ssl;
    BIO *in, *out;               /* the SSL's: encrypted bytes that arrived, that must go */
    bool broken;                 /* OpenSSL wants nothing more of it */
    struct piece *first, **last; /* answers that wait */
    size_t sealed;               /* bytes of answers that were encrypted, and are not written yet */
    struct tkv_buffer cipher;    /* on the way, where the socket did not take all at once */
    bool writing;                /* they are */
    uv_write_t req;              /* data: the connection */
};

/* --- life ------------------------------------------------------------------------------------- */

/* The BIOs are the SSL's from here on. */
static bool connect_bios(struct tkv_tls_stream *s)
{
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    if (s->in == NULL || s->out == NULL) {
        BIO_free(s->in);
        BIO_free(s->out);
        return false;
    }
    SSL_set_bio(s->ssl, s->in, s->out);
    SSL_set_accept_state(s->ssl);
    return true;
}

enum tkv_status tkv_tls_stream_open(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return TKV_ENOMEM;
    s->ssl = SSL_new(conn->server->access.secrets.tls.ctx);
    if (s->ssl == NULL || !connect_bios(s)) {
        SSL_free(s->ssl);
        free(s);
        ERR_clear_error();
        return TKV_ENOMEM;
    }
    s->last = &s->first;
    s->req.data = conn;
    tkv_buffer_init(&s->cipher, sizeof conn->server->trash);
    conn->tls = s;
    return TKV_OK;
}

static void drop_first(struct tkv_tls_stream *s)
{
    struct piece *piece = s->first;
    s->first = piece->next;
    if (s->first == NULL) s->last = &s->first;
    tkv_staging_unref(piece->block);
    tkv_buffer_close(&piece->text);
    free(piece);
}

void tkv_tls_stream_drop(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    if (s == NULL) return;
    for (; s->first != NULL; drop_first(s))
        conn->queued -= s->first->bytes - s->first->done;
    tkv_tls_finish(conn);
    if (s->writing) return; /* on_written() counts the rest */
    conn->queued -= s->sealed;
    s->sealed = 0;
}

void tkv_tls_stream_close(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    if (s == NULL) return;
    assert(s->first == NULL && !s->writing);
    SSL_free(s->ssl);
    tkv_buffer_close(&s->cipher);
    free(s);
    conn->tls = NULL;
}

bool tkv_tls_is_up(const struct tkv_connection *conn)
{
    return SSL_is_init_finished(conn->tls->ssl) == 1;
}

/* --- out -------------------------------------------------------------------------------------- */

/* Nothing more can be said to the other side. */
static void break_out(struct tkv_connection *conn, enum tkv_closed why)
{
    conn->tls->broken = true;
    ERR_clear_error();
    tkv_connection_doom(conn, why);
}

static void push(struct tkv_connection *conn);

static void on_written(uv_write_t *req, int status)
{
    struct tkv_connection *conn = req->data;
    struct tkv_tls_stream *s = conn->tls;
    s->writing = false;
    conn->queued -= s->sealed;
    s->sealed = 0;
    if (status == 0) tkv_stat_add(&conn->server->stats->network_bytes_out, s->cipher.len);
    conn->active_ms = uv_now(&conn->server->loop);
    tkv_buffer_close(&s->cipher);
    if (conn->state == TKV_CONNECTION_CLOSED) return;
    if (status != 0)
        tkv_connection_close(conn, tkv_connection_lost_by(conn, status));
    else
        tkv_connection_touch(conn); /* and so goes on */
}

/* What the socket did not take: a copy that libuv writes as it can. */
static void write_later(struct tkv_connection *conn, const char *bytes, size_t n)
{
    struct tkv_tls_stream *s = conn->tls;
    tkv_buffer_append(&s->cipher, bytes, n);
    if (tkv_buffer_status(&s->cipher) != TKV_OK) {
        break_out(conn, TKV_CLOSED_NO_MEMORY);
        return;
    }
    uv_buf_t buf = {.base = (char *)s->cipher.data, .len = n};
    int rc = uv_write(&s->req, &conn->handle.stream, &buf, 1, on_written);
    s->writing = rc == 0;
    if (rc != 0) break_out(conn, tkv_connection_lost_by(conn, rc));
}

/* Writes what OpenSSL has for the other side; the socket takes it at once, or it is kept. */
static void write_out(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    struct tkv_server *server = conn->server;
    int n = BIO_read(s->out, server->trash, sizeof server->trash);
    uv_buf_t buf = {.base = server->trash, .len = n > 0 ? (size_t)n : 0};
    int rc = uv_try_write(&conn->handle.stream, &buf, 1);
    if (rc < 0 && rc != UV_EAGAIN) {
        break_out(conn, tkv_connection_lost_by(conn, rc));
        return;
    }
    size_t written = rc > 0 ? (size_t)rc : 0;
    tkv_stat_add(&server->stats->network_bytes_out, written);
    if (written < buf.len) {
        write_later(conn, buf.base + written, buf.len - written);
        return;
    }
    conn->queued -= s->sealed;
    s->sealed = 0;
}

/* Encrypts bytes of answers, which count as queued. */
static bool seal(struct tkv_connection *conn, const void *bytes, size_t n)
{
    size_t taken = 0;
    ERR_clear_error();
    if (SSL_write_ex(conn->tls->ssl, bytes, n, &taken) == 1 && taken == n) {
        conn->tls->sealed += n;
        return true;
    }
    break_out(conn, TKV_CLOSED_FAILED); /* of memory: a memory BIO takes all */
    return false;
}

/* The bytes of a piece that are next, at most max of them. */
static const void *next_of(const struct piece *piece, size_t max, size_t *n)
{
    const uint8_t *at = piece->text.data;
    size_t left = piece->text.len - piece->done;
    if (piece->done < piece->text.len) {
        at += piece->done;
    } else {
        at = piece->block->ptr + (piece->done - piece->text.len);
        left = piece->bytes - piece->done;
    }
    *n = left < max ? left : max;
    return at;
}

static void seal_some(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    while (s->first != NULL && s->sealed < PIECE_BYTES) {
        size_t n;
        const void *at = next_of(s->first, PIECE_BYTES - s->sealed, &n);
        if (!seal(conn, at, n)) return;
        s->first->done += n;
        if (s->first->done == s->first->bytes) drop_first(s);
    }
}

/* As much as the socket takes. */
static void push(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    while (!s->writing && !conn->doomed) {
        if (!s->broken) seal_some(conn);
        if (conn->doomed || BIO_pending(s->out) == 0) return;
        write_out(conn);
    }
}

void tkv_tls_send(struct tkv_connection *conn, struct tkv_staging *block, size_t bytes)
{
    struct tkv_tls_stream *s = conn->tls;
    struct piece *piece = calloc(1, sizeof *piece);
    if (piece == NULL) {
        tkv_staging_unref(block);
        tkv_connection_doom(conn, TKV_CLOSED_NO_MEMORY);
        return;
    }
    piece->text = conn->out;
    piece->block = block;
    piece->bytes = piece->text.len + bytes;
    tkv_buffer_init(&conn->out, piece->text.max);
    conn->queued += piece->bytes;
    *s->last = piece;
    s->last = &piece->next;
    push(conn);
}

/* Small answers with nothing before them need no piece. */
static bool flush_at_once(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    size_t n = conn->out.len;
    if (s->first != NULL || s->writing || s->sealed + n > PIECE_BYTES) return false;
    conn->queued += n;
    if (!seal(conn, conn->out.data, n)) conn->queued -= n;
    tkv_connection_clear_out(conn);
    return true;
}

void tkv_tls_flush(struct tkv_connection *conn)
{
    if (conn->tls->broken || !tkv_tls_is_up(conn)) tkv_buffer_clear(&conn->out);
    if (conn->out.len > 0 && !flush_at_once(conn)) tkv_tls_send(conn, NULL, 0);
    push(conn);
}

void tkv_tls_finish(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    if (s->broken || !tkv_tls_is_up(conn)) return;
    if ((SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN) != 0) return;
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl); /* 0: the other side has not done so yet */
    push(conn);
}

/* --- in --------------------------------------------------------------------------------------- */

void tkv_tls_arrived(struct tkv_connection *conn, const void *bytes, size_t n)
{
    assert(n <= INT_MAX);
    if (BIO_write(conn->tls->in, bytes, (int)n) != (int)n) break_out(conn, TKV_CLOSED_NO_MEMORY);
}

/* What came is no TLS, or not from whom it must be. OpenSSL has an alert for the other side. */
static void break_in(struct tkv_connection *conn)
{
    char why[WHY_MAX], name[TKV_ADDRESS_CHARS];
    bool known = conn->peer.authenticated;
    tkv_tls_error(why, sizeof why);
    tkv_log(TKV_LOG_WARNING, "tls_failed", "id=%" PRIu64 " %s why=\"%s\"", conn->id,
            tkv_access_name(conn, name, sizeof name), why);
    conn->tls->broken = true;
    push(conn);
    if (!conn->doomed)
        tkv_connection_lose(conn, known ? TKV_CLOSED_BROKEN_STREAM : TKV_CLOSED_UNAUTHENTICATED,
                            NULL);
}

/* Why there are no bytes. */
static void look_into(struct tkv_connection *conn, int rc)
{
    switch (SSL_get_error(conn->tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ: push(conn); break; /* also an answer of the protocol itself */
    case SSL_ERROR_ZERO_RETURN: tkv_connection_end_input(conn); break;
    default: break_in(conn);
    }
}

static bool shake_hands(struct tkv_connection *conn)
{
    int rc = SSL_do_handshake(conn->tls->ssl);
    if (rc != 1) {
        look_into(conn, rc);
        return false;
    }
    push(conn);
    tkv_access_shaken(conn);
    return true;
}

bool tkv_tls_decrypt(struct tkv_connection *conn)
{
    struct tkv_tls_stream *s = conn->tls;
    void *to;
    size_t room, n = 0;
    if (s->broken) return false;
    ERR_clear_error();
    if (!tkv_tls_is_up(conn)) return shake_hands(conn);
    if (tkv_frame_space(&conn->frame, &to, &room) != TKV_OK) {
        tkv_connection_doom(conn, TKV_CLOSED_NO_MEMORY);
        return false;
    }
    int rc = SSL_read_ex(s->ssl, to, room < READ_BYTES ? room : READ_BYTES, &n);
    if (rc != 1) {
        look_into(conn, rc);
        return false;
    }
    tkv_frame_filled(&conn->frame, n);
    return true;
}
