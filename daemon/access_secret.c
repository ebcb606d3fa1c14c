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

/* A FIFO, or a file without an end, would keep the loop waiting. */
static bool is_file(const struct stat *st, const char *path, char *message, size_t size)
{
    if (!S_ISREG(st->st_mode)) {
        snprintf(message, size, "%s: is no regular file", path);
        return false;
    }
    if (st->st_size <= TKV_AUTH_FILE_MAX) return true;
    snprintf(message, size, "%s: has %lld bytes; %d are the most", path, (long long)st->st_size,
             TKV_AUTH_FILE_MAX);
    return false;
}

/* Whether nobody but root and ourselves can have written it, or can read it. */
static bool is_safe(const struct stat *st, const char *path, char *message, size_t size)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
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

/* A descriptor, and how large it is; -1: message says why not. */
static int open_file(const char *path, enum tkv_secrecy secrecy, size_t *bytes, char *message,
                     size_t size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        snprintf(message, size, "%s: cannot be read: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return -1;
    }
    *bytes = (size_t)st.st_size;
    if (is_file(&st, path, message, size) &&
        (secrecy == TKV_FILE_OPEN || is_safe(&st, path, message, size)))
        return fd;
    close(fd);
    return -1;
}

/* To its end, or until there is no room. -1: errno says why. */
static ssize_t read_all(int fd, char *to, size_t room)
{
    size_t got = 0;
    ssize_t n = 1;
    while (n > 0 && got < room) {
        n = read(fd, to + got, room - got);
        if (n < 0) return -1;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* All room is taken at once: a buffer that grew would leave secrets in the memory that it left. */
enum tkv_status tkv_secret_read(const char *path, enum tkv_secrecy secrecy, struct tkv_buffer *out,
                                char *message, size_t size)
{
    size_t bytes;
    tkv_buffer_init(out, TKV_AUTH_FILE_MAX + 1);
    int fd = open_file(path, secrecy, &bytes, message, size);
    if (fd < 0) return TKV_EINVAL;
    char *to = tkv_buffer_reserve(out, bytes + 1);
    ssize_t n = to != NULL ? read_all(fd, to, bytes + 1) : 0;
    int error = errno;
    close(fd);
    if (to == NULL) {
        snprintf(message, size, "%s: no memory for it", path);
        return TKV_ENOMEM;
    }
    out->len = n > 0 ? (size_t)n : 0;
    if (n >= 0 && out->len <= bytes) return TKV_OK;
    snprintf(message, size, "%s: cannot be read: %s", path, n < 0 ? strerror(error) : "it grows");
    tkv_secret_forget(out);
    return TKV_EINVAL;
}

void tkv_secret_forget(struct tkv_buffer *bytes)
{
    if (bytes->data != NULL) OPENSSL_cleanse(bytes->data, bytes->len);
    tkv_buffer_close(bytes);
}

void tkv_secret_digest(const void *bytes, size_t n, struct tkv_digest *out)
{
    SHA256(bytes, n, out->bytes);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

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
             "%s: must hold %d to %d printable characters without space in them, and has %zu%s; "
             "openssl rand -hex 32 makes a good token",
             path, TKV_TOKEN_MIN, TKV_TOKEN_MAX, n, printable ? "" : ", some of them others");
    return TKV_EINVAL;
}

enum tkv_status tkv_secret_token(const char *path, struct tkv_digest *out, char *message,
                                 size_t size)
{
    struct tkv_buffer text;
    enum tkv_status st = tkv_secret_read(path, TKV_FILE_SECRET, &text, message, size);
    if (st != TKV_OK) return st;
    st = digest_of(path, (const char *)text.data, text.len, out, message, size);
    tkv_secret_forget(&text);
    return st;
}

bool tkv_secret_is(const struct tkv_digest *digest, const char *text)
{
    struct tkv_digest other;
    SHA256((const unsigned char *)text, strlen(text), other.bytes);
    return CRYPTO_memcmp(digest->bytes, other.bytes, sizeof other.bytes) == 0;
}
