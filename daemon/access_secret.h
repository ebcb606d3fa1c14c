/* access_secret.h - the files that the group auth names: regular ones of moderate size, since the
 * loop waits for them at a reload; secrets only where nobody else can read or write them. Start-up
 * and reloads only. */
#ifndef TKV_DAEMON_ACCESS_SECRET_H
#define TKV_DAEMON_ACCESS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/status.h"
#include "proto/method.h"

enum {
    TKV_TOKEN_MIN = 16,
    TKV_TOKEN_MAX = TKV_TOKEN_BYTES_MAX,
    TKV_DIGEST_BYTES = 32,
    TKV_AUTH_FILE_MAX = 1 << 20
};

/* What is kept of a file. */
struct tkv_digest {
    unsigned char bytes[TKV_DIGEST_BYTES]; /* SHA-256; all 0: of none */
};

enum tkv_secrecy {
    TKV_FILE_OPEN,  /* whoever likes may read it */
    TKV_FILE_SECRET /* root's or the process's user's; its group cannot write it, others nothing */
};

/* All that is in a file, into *out, initialised here; the caller gives it to tkv_secret_forget().
 * TKV_EINVAL: message says what is wrong with the file; never what it holds. TKV_ENOMEM. */
enum tkv_status tkv_secret_read(const char *path, enum tkv_secrecy secrecy, struct tkv_buffer *out,
                                char *message, size_t size);

/* Overwrites and frees it. */
void tkv_secret_forget(struct tkv_buffer *bytes);

void tkv_secret_digest(const void *bytes, size_t n, struct tkv_digest *out);

/* The digest of the token in a file, without the space around it. TKV_EINVAL: message says what is
 * wrong with the file; never what it holds. */
enum tkv_status tkv_secret_token(const char *path, struct tkv_digest *out, char *message,
                                 size_t size);

/* Whether text has that digest; takes as long for any text of its length. */
bool tkv_secret_is(const struct tkv_digest *digest, const char *text);

#endif
