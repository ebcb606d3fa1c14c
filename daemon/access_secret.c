#include "daemon/access_secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(TKV_DIGEST_BYTES == SHA256_DIGEST_LENGTH, "a digest is a SHA-256");

/* Whether nobody but root and ourselves can have written it, or can read it. */
static bool is_safe(const struct stat *st, const char *path, char *message, size_t size)
{
    if (!S_ISREG(st->st_mode)) {
        snprintf(message, size, "%s: is no regular file", path);
    } else if (st->st_uid != 0 && st->st_uid != geteuid()) {
        snprintf(message, size, "%s: belongs to user %u; it must be root's, or that of user %u",
                 path, (unsigned)st->st_uid, (unsigned)geteuid());
    } else if ((st->st_mode & (S_IWGRP | S_IRWXO)) != 0) {
        snprintf(message, size,
                 "%s: its mode is %04o; others must have no access and its group must not write: "
                 "chmod 0640 or less",
                 path, (unsigned)st->st_mode & 07777u);
    } else {
        return true;
    }
    return false;
}

int tkv_secret_open(const char *path, char *message, size_t size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(message, size, "%s: cannot be read: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return -1;
    }
    if (is_safe(&st, path, message, size)) return fd;
    close(fd);
    return -1;
}

/* As many bytes as there are, size at most; -1: errno says why. */
static ssize_t read_all(int fd, char *to, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, to + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static enum tkv_status digest_of(const char *path, const char *text, size_t n,
                                 struct tkv_digest *out, char *message, size_t size)
{
    while (n > 0 && isspace((unsigned char)text[0])) {
        text++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    bool printable = true;
    for (size_t i = 0; i < n; i++)
        printable = printable && text[i] > ' ' && text[i] <= '~';
    if (printable && n >= TKV_TOKEN_MIN && n <= TKV_TOKEN_MAX) {
        SHA256((const unsigned char *)text, n, out->bytes);
        return TKV_OK;
    }
    snprintf(message, size,
             "%s: must hold %d to %d printable characters without space in them, and has %s%zu%s; "
             "openssl rand -hex 32 makes a good token",
             path, TKV_TOKEN_MIN, TKV_TOKEN_MAX, n > TKV_TOKEN_MAX ? "at least " : "", n,
             printable ? "" : ", some of them others");
    return TKV_EINVAL;
}

enum tkv_status tkv_secret_token(const char *path, struct tkv_digest *out, char *message,
                                 size_t size)
{
    char text[TKV_TOKEN_MAX * 2];
    int fd = tkv_secret_open(path, message, size);
    if (fd < 0) return TKV_EINVAL;
    ssize_t n = read_all(fd, text, sizeof text);
    enum tkv_status st = TKV_EINVAL;
    if (n < 0)
        snprintf(message, size, "%s: cannot be read: %s", path, strerror(errno));
    else
        st = digest_of(path, text, (size_t)n, out, message, size);
    close(fd);
    OPENSSL_cleanse(text, sizeof text);
    return st;
}

bool tkv_secret_is(const struct tkv_digest *digest, const char *text)
{
    struct tkv_digest other;
    SHA256((const unsigned char *)text, strlen(text), other.bytes);
    return CRYPTO_memcmp(digest->bytes, other.bytes, sizeof other.bytes) == 0;
}
