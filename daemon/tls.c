#include "daemon/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/config.h"

const char *tkv_tls_error(char *out, size_t size)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_reason_error_string(code);
    if (reason != NULL)
        snprintf(out, size, "%s", reason);
    else
        snprintf(out, size, "error %lx", code);
    ERR_clear_error();
    return out;
}

/* --- files ------------------------------------------------------------------------------------ */

static const char *const settings[] = {
#define X(file, setting) [TKV_TLS_##file] = (setting),
    TKV_TLS_FILES(X)
#undef X
};

static const char *path_of(const struct tkv_config *config, enum tkv_tls_file file)
{
    switch (file) {
    case TKV_TLS_CERTIFICATE: return config->auth_tls_certificate;
    case TKV_TLS_KEY: return config->auth_tls_key;
    default: return config->auth_tls_client_ca;
    }
}

static enum tkv_status fail(const char *what, const char *path, char *message, size_t size)
{
    char why[128];
    snprintf(message, size, "%s: %s: %s", what, path, tkv_tls_error(why, sizeof why));
    return TKV_EINVAL;
}

static int no_password(char *to, int size, int writing, void *arg)
{
    return -1; /* nobody is there to type it */
}

/* Whether the last read failed since there is nothing more of its kind; forgets it then. */
static bool is_at_end(void)
{
    unsigned long code = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (ended) ERR_clear_error();
    return ended;
}

/* Ours, and those that lead from it to somebody whom clients trust. */
static bool take_chain(SSL_CTX *ctx, BIO *from)
{
    X509 *one = PEM_read_bio_X509(from, NULL, no_password, NULL);
    bool fine = one != NULL && SSL_CTX_use_certificate(ctx, one) == 1;
    X509_free(one);
    while (fine && (one = PEM_read_bio_X509(from, NULL, no_password, NULL)) != NULL) {
        fine = SSL_CTX_add0_chain_cert(ctx, one) == 1; /* the context's from here on */
        if (!fine) X509_free(one);
    }
    return fine && is_at_end();
}

static bool take_key(SSL_CTX *ctx, BIO *from)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(from, NULL, no_password, NULL);
    bool fine =
        key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return fine;
}

static bool take_client_ca(SSL_CTX *ctx, BIO *from)
{
    size_t n = 0;
    X509 *one;
    for (; (one = PEM_read_bio_X509(from, NULL, no_password, NULL)) != NULL; n++) {
        bool fine = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), one) == 1 &&
                    SSL_CTX_add_client_CA(ctx, one) == 1;
        X509_free(one);
        if (!fine) return false;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return n > 0 && is_at_end();
}

static bool take(SSL_CTX *ctx, enum tkv_tls_file file, const struct tkv_buffer *bytes)
{
    BIO *from = BIO_new_mem_buf(bytes->data, (int)bytes->len);
    bool fine = from != NULL && (file == TKV_TLS_CERTIFICATE ? take_chain(ctx, from)
                                 : file == TKV_TLS_KEY       ? take_key(ctx, from)
                                                             : take_client_ca(ctx, from));
    BIO_free(from);
    return fine;
}

static enum tkv_status take_file(struct tkv_tls *tls, enum tkv_tls_file file, const char *path,
                                 char *message, size_t size)
{
    char why[256];
    struct tkv_buffer bytes;
    enum tkv_secrecy secrecy = file == TKV_TLS_KEY ? TKV_FILE_SECRET : TKV_FILE_OPEN;
    if (path == NULL) return TKV_OK;
    enum tkv_status st = tkv_secret_read(path, secrecy, &bytes, why, sizeof why);
    if (st != TKV_OK) {
        snprintf(message, size, "%s: %s", settings[file], why);
        return st;
    }
    tkv_secret_digest(bytes.data, bytes.len, &tls->files[file]);
    if (!take(tls->ctx, file, &bytes)) st = fail(settings[file], path, message, size);
    tkv_secret_forget(&bytes);
    return st;
}

/* --- all of it -------------------------------------------------------------------------------- */

/* No older protocol than 1.2, of which only suites that keep earlier traffic secret when the key
 * gets lost. No resumption: connections last, and a session would outlive a removed certificate. */
static bool set_manner(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set_num_tickets(ctx, 0) == 1;
}

static void warn_of_age(const SSL_CTX *ctx, const char *path)
{
    const X509 *certificate = SSL_CTX_get0_certificate(ctx);
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        tkv_log(TKV_LOG_WARNING, "certificate_expired", "file=%s", path);
}

static enum tkv_status fill(struct tkv_tls *tls, const struct tkv_config *config, char *message,
                            size_t size)
{
    enum tkv_status st = TKV_OK;
    if (!set_manner(tls->ctx)) return fail("TLS", "OpenSSL", message, size);
    for (enum tkv_tls_file file = 0; st == TKV_OK && file < TKV_TLS_FILES_COUNT; file++)
        st = take_file(tls, file, path_of(config, file), message, size);
    if (st == TKV_OK) warn_of_age(tls->ctx, config->auth_tls_certificate);
    return st;
}

enum tkv_status tkv_tls_open(struct tkv_tls *out, const struct tkv_config *config, char *message,
                             size_t size)
{
    *out = (struct tkv_tls){0};
    if (config->auth_tls_certificate == NULL) return TKV_OK;
    ERR_clear_error();
    out->ctx = SSL_CTX_new(TLS_server_method());
    if (out->ctx == NULL) return fail("TLS", "OpenSSL", message, size);
    enum tkv_status st = fill(out, config, message, size);
    if (st == TKV_OK) return st;
    SSL_CTX_free(out->ctx);
    *out = (struct tkv_tls){0};
    return st;
}

void tkv_tls_tell(const struct tkv_tls *a, const struct tkv_tls *b, struct tkv_reload *report)
{
    for (size_t i = 0; i < TKV_TLS_FILES_COUNT; i++) {
        if (memcmp(&a->files[i], &b->files[i], sizeof a->files[i]) != 0)
            tkv_reload_tell(report, settings[i]);
    }
}
