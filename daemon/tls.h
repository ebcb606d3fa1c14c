/* tls.h - what all connections with TLS share: certificate, key, and whose clients' certificates
 * count. Start-up and reloads only. */
#ifndef TKV_DAEMON_TLS_H
#define TKV_DAEMON_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct tkv_config;

/* Reads the files of the configuration. *out is NULL where it has no certificate; else the caller
 * frees it with SSL_CTX_free(). TKV_EINVAL: message says which setting's file is wrong, and why. */
enum tkv_status tkv_tls_open(SSL_CTX **out, const struct tkv_config *config, char *message,
                             size_t size);

/* Whether both, where there are any, show the same certificate. */
bool tkv_tls_same(const SSL_CTX *a, const SSL_CTX *b);

/* OpenSSL's oldest error of this thread in words, in out; forgets all of them. Returns out. */
const char *tkv_tls_error(char *out, size_t size);

#endif
