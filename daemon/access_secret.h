/* access_secret.h - files that hold a secret: read only where nobody else can read or write them.
 * Start-up and reloads only. */
#ifndef TKV_DAEMON_ACCESS_SECRET_H
#define TKV_DAEMON_ACCESS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "proto/method.h"

enum { TKV_TOKEN_MIN = 16, TKV_TOKEN_MAX = TKV_TOKEN_BYTES_MAX, TKV_DIGEST_BYTES = 32 };

/* What is kept of a token. */
struct tkv_digest {
    unsigned char bytes[TKV_DIGEST_BYTES]; /* SHA-256 */
};

/* Opens a regular file of root's or of the process's user that its group cannot write, and others
 * neither read nor write. A descriptor for reading; -1: message says why not. */
int tkv_secret_open(const char *path, char *message, size_t size);

/* The digest of the token in a file, without the space around it. TKV_EINVAL: message says what is
 * wrong with the file; never what it holds. */
enum tkv_status tkv_secret_token(const char *path, struct tkv_digest *out, char *message,
                                 size_t size);

/* Whether text has that digest; takes as long for any text of its length. */
bool tkv_secret_is(const struct tkv_digest *digest, const char *text);

#endif
