#include "clients/c/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "clients/c/connect.h"

enum {
    RECORD_BYTES = 16 * 1024,           /* the most that one record holds */
    UNSENT_BYTES = RECORD_BYTES + 4096, /* such a record encrypted, and some of TLS's own */
    HOST_BYTES = 256,
    WORDS_BYTES = 256
};

/* A record that the socket takes in part waits here, not in OpenSSL: there, a request of the peer's
 * to change keys that is read meanwhile would end the connection. */
struct tkc_tls {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO_METHOD *method;
    int fd;
    int os_error;                 /* of the socket's last call; 0: none, or it has ended */
    bool more;                    /* OpenSSL holds bytes that it may make something of */
    char words[WORDS_BYTES];      /* about the last EPROTO */
    uint8_t record[RECORD_BYTES]; /* small pieces, put together */
    uint8_t unsent[UNSENT_BYTES]; /* encrypted */
    size_t n_unsent;
    size_t sealed; /* bytes of a send's, encrypted, of which not all are sent yet */
};

/* ---- The socket, for OpenSSL ----------------------------------------------------------------- */
/* OpenSSL's own kind of BIO would raise SIGPIPE. */

static bool is_full(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static ssize_t send_now(struct tkc_tls *t, const void *bytes, size_t n)
{
    ssize_t sent = send(t->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    t->os_error = sent < 0 ? errno : 0;
    return sent;
}

/* What waits, as far as the socket takes it. false: errno says why it does not go. */
static bool flush(struct tkc_tls *t)
{
    if (t->n_unsent == 0) return true;
    ssize_t sent = send_now(t, t->unsent, t->n_unsent);
    if (sent < 0) return is_full(errno);
    t->n_unsent -= (size_t)sent;
    memmove(t->unsent, t->unsent + sent, t->n_unsent);
    return true;
}

static int bio_write(BIO *bio, const char *bytes, int n)
{
    struct tkc_tls *t = BIO_get_data(bio);
    size_t left = (size_t)n;
    BIO_clear_retry_flags(bio);
    if (t->n_unsent == 0) {
        ssize_t sent = send_now(t, bytes, left);
        if (sent < 0 && !is_full(errno)) return -1;
        if (sent > 0) left -= (size_t)sent;
    }
    size_t kept = left <= UNSENT_BYTES - t->n_unsent ? left : UNSENT_BYTES - t->n_unsent;
    memcpy(t->unsent + t->n_unsent, bytes + (size_t)n - left, kept);
    t->n_unsent += kept;
    left -= kept;
    if (left < (size_t)n) return n - (int)left;
    BIO_set_retry_write(bio);
    return -1;
}

static int bio_read(BIO *bio, char *to, int room)
{
    struct tkc_tls *t = BIO_get_data(bio);
    ssize_t n = recv(t->fd, to, (size_t)room, MSG_DONTWAIT);
    t->os_error = n < 0 ? errno : 0;
    BIO_clear_retry_flags(bio);
    if (n < 0 && is_full(errno)) BIO_set_retry_read(bio);
    return (int)n;
}

static long bio_control(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH ? 1 : 0; /* nothing is held back here */
}

static bool connect_bio(struct tkc_tls *t)
{
    t->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "truekv");
    if (t->method == NULL || BIO_meth_set_write(t->method, bio_write) != 1 ||
        BIO_meth_set_read(t->method, bio_read) != 1 ||
        BIO_meth_set_ctrl(t->method, bio_control) != 1)
        return false;
    BIO *bio = BIO_new(t->method);
    if (bio == NULL) return false;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); /* the SSL's from here on */
    return true;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* OpenSSL's oldest error of this thread, the cause of the others, and forgets all of them. */
static void take_words(struct tkc_tls *t, char *out, size_t size)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);
    int what = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    if (what == SSL_R_CERTIFICATE_VERIFY_FAILED && t->ssl != NULL)
        snprintf(out, size, "certificate verify failed: %s",
                 X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
    else if (what == SSL_R_WRONG_VERSION_NUMBER || what == SSL_R_HTTP_REQUEST)
        snprintf(out, size, "what answers does not speak TLS");
    else if (ERR_SYSTEM_ERROR(code))
        snprintf(out, size, "%s", strerror(ERR_GET_REASON(code)));
    else if (reason != NULL)
        snprintf(out, size, "%s", reason);
    else
        snprintf(out, size, "TLS failed (%lx)", code);
    ERR_clear_error();
}

const char *tkc_tls_words(const struct tkc_tls *t, int os_error)
{
    return os_error == EPROTO ? t->words : strerror(os_error);
}

/* ---- Open and close -------------------------------------------------------------------------- */

static enum truekv_status no_memory(struct truekv_error *why)
{
    ERR_clear_error();
    return tkc_error_set(why, TRUEKV_ENOMEM, 0, "no memory for TLS");
}

static int no_password(char *to, int size, int writing, void *arg)
{
    (void)to;
    (void)size;
    (void)writing;
    (void)arg;
    return -1; /* nobody is there to type it */
}

/* No older protocol than 1.2, of which only suites that keep earlier traffic secret when a key gets
 * lost. What the file of authorities holds is believed, be it an authority or the peer's own. */
static bool set_manner(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record by one recv() */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    return (SSL_CTX_get_min_proto_version(ctx) > TLS1_2_VERSION || /* the system's, stricter */
            SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1) &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN) == 1;
}

static enum truekv_status refuse(struct tkc_tls *t, const char *what, const char *file,
                                 struct truekv_error *why)
{
    char words[WORDS_BYTES];
    take_words(t, words, sizeof words);
    return tkc_error_set(why, TRUEKV_EARGUMENT, 0, "cannot take the %s from \"%s\": %s", what, file,
                         words);
}

static enum truekv_status read_files(struct tkc_tls *t, const struct truekv_options *o,
                                     struct truekv_error *why)
{
    const char *certificate = o->tls_certificate_file;
    const char *key = o->tls_key_file != NULL ? o->tls_key_file : certificate;
    if (SSL_CTX_load_verify_file(t->ctx, o->tls_ca_file) != 1)
        return refuse(t, "certificates to trust", o->tls_ca_file, why);
    if (certificate == NULL) return TRUEKV_OK;
    if (SSL_CTX_use_certificate_chain_file(t->ctx, certificate) != 1)
        return refuse(t, "client's certificate", certificate, why);
    if (SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) == 1) return TRUEKV_OK;
    if (o->tls_key_file != NULL) return refuse(t, "client's key", key, why);
    ERR_clear_error();
    return tkc_error_set(why, TRUEKV_EARGUMENT, 0,
                         "cannot take the client's key from \"%s\": there is none; name its file "
                         "(tls_key_file)",
                         key);
}

/* Only certificates for that name, or address, will do; names of servers are in their list of
 * names, not in the subject. */
static bool expect_name(SSL *ssl, const char *name)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1) return true;
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static enum truekv_status prepare(struct tkc_tls *t, const char *name,
                                  const struct truekv_options *o, struct truekv_error *why)
{
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (t->ctx == NULL || !set_manner(t->ctx)) return no_memory(why);
    enum truekv_status st = read_files(t, o, why);
    if (st != TRUEKV_OK) return st;
    t->ssl = SSL_new(t->ctx);
    if (t->ssl == NULL || !connect_bio(t) || !expect_name(t->ssl, name)) return no_memory(why);
    ERR_clear_error();
    return TRUEKV_OK;
}

/* What goes with what. *name: whose certificate it must be. */
static enum truekv_status check(const char *address, const struct truekv_options *o, char *host,
                                const char **name, struct truekv_error *why)
{
    if (o->tls_ca_file == NULL)
        return tkc_error_set(why, TRUEKV_EARGUMENT, 0,
                             "TLS needs the certificates to trust (tls_ca_file)");
    if (o->tls_key_file != NULL && o->tls_certificate_file == NULL)
        return tkc_error_set(why, TRUEKV_EARGUMENT, 0,
                             "a key (tls_key_file) needs its certificate (tls_certificate_file)");
    if (!tkc_host_of(address, host, HOST_BYTES))
        return tkc_error_set(why, TRUEKV_EARGUMENT, 0, "TLS is for tcp:HOST:PORT, not for \"%s\"",
                             address);
    *name = o->tls_name != NULL ? o->tls_name : host;
    if ((*name)[0] != '\0') return TRUEKV_OK; /* "" would be taken for any name */
    return tkc_error_set(why, TRUEKV_EARGUMENT, 0, "the name in the certificate is empty");
}

enum truekv_status tkc_tls_open(struct tkc_tls **out, const char *address,
                                const struct truekv_options *o, struct truekv_error *why)
{
    char host[HOST_BYTES];
    const char *name = NULL;
    enum truekv_status st = check(address, o, host, &name, why);
    if (st != TRUEKV_OK) return st;
    struct tkc_tls *t = calloc(1, sizeof *t);
    if (t == NULL) return no_memory(why);
    t->fd = -1;
    ERR_clear_error();
    st = prepare(t, name, o, why);
    if (st == TRUEKV_OK)
        *out = t;
    else
        tkc_tls_close(t, false);
    return st;
}

void tkc_tls_close(struct tkc_tls *t, bool well)
{
    if (t == NULL) return;
    ERR_clear_error();
    if (well) (void)SSL_shutdown(t->ssl); /* the peer's own end is not waited for */
    SSL_free(t->ssl);
    BIO_meth_free(t->method);
    SSL_CTX_free(t->ctx);
    ERR_clear_error();
    free(t);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* Why a call of OpenSSL did nothing, as errno has it. 0: the peer has ended. */
static ssize_t look_into(struct tkc_tls *t, int rc)
{
    int error = EPROTO;
    ssize_t n = -1;
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: error = EAGAIN; break;
    case SSL_ERROR_ZERO_RETURN:
        error = EPIPE;
        n = 0;
        break;
    case SSL_ERROR_SYSCALL:
        if (t->os_error != 0) error = t->os_error;
        snprintf(t->words, sizeof t->words, "%s",
                 SSL_is_init_finished(t->ssl) == 1 ? "it ended without the notice that TLS wants"
                                                   : "it hung up in the middle of the handshake");
        break;
    default: take_words(t, t->words, sizeof t->words);
    }
    ERR_clear_error();
    errno = error;
    return n;
}

/* Pieces of which some bytes have gone. */
struct rest {
    const struct iovec *iov;
    size_t n, offset;
};

static void skip(struct rest *r, size_t bytes)
{
    for (r->offset += bytes; r->n > 0 && r->offset >= r->iov->iov_len; r->n--)
        r->offset -= r->iov++->iov_len;
}

/* The next bytes to encrypt: a large piece as it is, small ones put together, so that they do not
 * become a record each. */
static size_t gather(struct tkc_tls *t, const struct rest *r, const void **bytes)
{
    size_t len = 0, offset = r->offset, first = r->iov[0].iov_len - offset;
    *bytes = (const uint8_t *)r->iov[0].iov_base + offset;
    if (r->n == 1 || first >= RECORD_BYTES) return first;
    for (size_t i = 0; i < r->n && len < RECORD_BYTES; i++) {
        size_t piece = r->iov[i].iov_len - offset;
        if (piece > RECORD_BYTES - len) piece = RECORD_BYTES - len;
        memcpy(t->record + len, (const uint8_t *)r->iov[i].iov_base + offset, piece);
        len += piece;
        offset = 0;
    }
    *bytes = t->record;
    return len;
}

/* One record; its bytes count as sealed until the socket has all of it. -1: errno says why not. */
static int seal(struct tkc_tls *t, const struct rest *r)
{
    const void *bytes;
    size_t len = gather(t, r, &bytes);
    ERR_clear_error();
    int rc = SSL_write_ex(t->ssl, bytes, len, &t->sealed);
    if (rc == 1) return 0;
    t->sealed = 0;
    (void)look_into(t, rc);
    return -1;
}

ssize_t tkc_tls_send(struct tkc_tls *t, const struct iovec *iov, size_t n)
{
    struct rest r = {iov, n, 0};
    size_t total = 0;
    for (;;) {
        if (!flush(t)) break;
        errno = EAGAIN;
        if (t->n_unsent > 0) break;
        total += t->sealed;
        skip(&r, t->sealed);
        t->sealed = 0;
        if (r.n == 0 || seal(t, &r) < 0) break;
    }
    return total > 0 ? (ssize_t)total : -1; /* the next call finds the same errno */
}

ssize_t tkc_tls_receive(struct tkc_tls *t, void *to, size_t room)
{
    size_t n = 0;
    (void)flush(t); /* what keeps it from going, keeps bytes from coming, and they say it better */
    ERR_clear_error();
    int rc = SSL_read_ex(t->ssl, to, room, &n);
    t->more = rc == 1 && SSL_has_pending(t->ssl) == 1;
    return rc == 1 ? (ssize_t)n : look_into(t, rc);
}

bool tkc_tls_holds_more(const struct tkc_tls *t)
{
    return t->more;
}

short tkc_tls_events(const struct tkc_tls *t, short events)
{
    if (t->n_unsent == UNSENT_BYTES) return POLLOUT; /* what is read may need an answer */
    return t->n_unsent > 0 ? (short)(events | POLLOUT) : events;
}

/* ---- The handshake --------------------------------------------------------------------------- */

/* Until `deadline`, at 0 for ever. false: it has passed. */
static bool wait_until(struct tkc_tls *t, uint64_t deadline)
{
    struct pollfd p = {.fd = t->fd, .events = tkc_tls_events(t, POLLIN)};
    uint64_t now = tkv_now_ms();
    int left = deadline == 0 ? -1 : deadline > now ? (int)(deadline - now) : 0;
    return poll(&p, 1, left) != 0; /* where it was interrupted, the caller comes again */
}

enum truekv_status tkc_tls_shake_hands(struct tkc_tls *t, int fd, const char *address,
                                       int timeout_ms, struct truekv_error *why)
{
    uint64_t deadline = timeout_ms < 0 ? 0 : tkv_now_ms() + (uint64_t)timeout_ms;
    t->fd = fd;
    for (;;) {
        (void)flush(t);
        ERR_clear_error();
        int rc = SSL_connect(t->ssl);
        if (rc == 1) break;
        (void)look_into(t, rc);
        if (errno != EAGAIN)
            return tkc_error_set(why, TRUEKV_ECONNECT, errno, "no TLS with %s: %s", address,
                                 tkc_tls_words(t, errno));
        if (!wait_until(t, deadline))
            return tkc_error_set(why, TRUEKV_ETIMEOUT, ETIMEDOUT,
                                 "%s did not finish the TLS handshake in time", address);
    }
    t->more = SSL_has_pending(t->ssl) == 1;
    return TRUEKV_OK;
}
