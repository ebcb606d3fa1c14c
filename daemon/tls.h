/* tls.h - what all connections with TLS share: certificate, key, and whose clients' certificates
 * count. Start-up and reloads only. */
#ifndef TKV_DAEMON_TLS_H
#define TKV_DAEMON_TLS_H

#include <openssl/ssl.h>
#include <stddef.h>

#include "daemon/access_secret.h"

struct tkv_config;
struct tkv_reload; /* config.h */

/* X(file, setting) */
#define TKV_TLS_FILES(X)                   \
    X(CERTIFICATE, "auth.tls_certificate") \
    X(KEY, "auth.tls_key")                 \
    X(CLIENT_CA, "auth.tls_client_ca")

enum tkv_tls_file {
#define X(file, setting) TKV_TLS_##file,
    TKV_TLS_FILES(X)
#undef X
        TKV_TLS_FILES_COUNT
};

struct tkv_tls {
    SSL_CTX *ctx;                                 /* NULL: TCP is plain */
    struct tkv_digest files[TKV_TLS_FILES_COUNT]; /* what was in them */
};

/* Reads the files of the configuration. out->ctx is NULL where it has no certificate; else the
 * caller frees it with SSL_CTX_free(). TKV_EINVAL: message says which setting's file is wrong, and
 * why. TKV_ENOMEM. */
enum tkv_status tkv_tls_open(struct tkv_tls *out, const struct tkv_config *config, char *message,
                             size_t size);

/* Adds the settings whose files hold something else in b than in a. */
void tkv_tls_tell(const struct tkv_tls *a, const struct tkv_tls *b, struct tkv_reload *report);

/* OpenSSL's oldest error of this thread in words, in out; forgets all of them. Returns out. */
const char *tkv_tls_error(char *out, size_t size);

#endif
