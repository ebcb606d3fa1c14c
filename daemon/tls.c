#include "daemon/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/access_secret.h"
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

static enum tkv_status fail(const char *key, const char *path, char *message, size_t size)
{
    char why[128];
    snprintf(message, size, "%s: %s: %s", key, path, tkv_tls_error(why, sizeof why));
    return TKV_EINVAL;
}

static int no_password(char *to, int size, int writing, void *arg)
{
    return -1; /* nobody is there to type it */
}

/* The key in a file that is open already, so that it is the one that was found safe. */
static EVP_PKEY *read_key(int fd)
{
    FILE *file = fdopen(fd, "re");
    if (file == NULL) {
        close(fd);
        return NULL;
    }
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, no_password, NULL);
    fclose(file);
    return key;
}

static enum tkv_status take_key(SSL_CTX *ctx, const char *path, char *message, size_t size)
{
    char why[256];
    int fd = tkv_secret_open(path, why, sizeof why);
    if (fd < 0) {
        snprintf(message, size, "auth.tls_key: %s", why);
        return TKV_EINVAL;
    }
    EVP_PKEY *key = read_key(fd);
    bool fine =
        key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return fine ? TKV_OK : fail("auth.tls_key", path, message, size);
}

static enum tkv_status take_client_ca(SSL_CTX *ctx, const char *path, char *message, size_t size)
{
    if (path == NULL) return TKV_OK;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (names == NULL || SSL_CTX_load_verify_file(ctx, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail("auth.tls_client_ca", path, message, size);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return TKV_OK;
}

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

static enum tkv_status fill(SSL_CTX *ctx, const struct tkv_config *config, char *message,
                            size_t size)
{
    const char *path = config->auth_tls_certificate;
    if (!set_manner(ctx)) return fail("TLS", "OpenSSL", message, size);
    if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
        return fail("auth.tls_certificate", path, message, size);
    warn_of_age(ctx, path);
    enum tkv_status st = take_key(ctx, config->auth_tls_key, message, size);
    return st == TKV_OK ? take_client_ca(ctx, config->auth_tls_client_ca, message, size) : st;
}

enum tkv_status tkv_tls_open(SSL_CTX **out, const struct tkv_config *config, char *message,
                             size_t size)
{
    *out = NULL;
    if (config->auth_tls_certificate == NULL) return TKV_OK;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL) return fail("TLS", "OpenSSL", message, size);
    enum tkv_status st = fill(ctx, config, message, size);
    if (st == TKV_OK)
        *out = ctx;
    else
        SSL_CTX_free(ctx);
    return st;
}

bool tkv_tls_same(const SSL_CTX *a, const SSL_CTX *b)
{
    if (a == NULL || b == NULL) return a == b;
    return X509_cmp(SSL_CTX_get0_certificate(a), SSL_CTX_get0_certificate(b)) == 0;
}
