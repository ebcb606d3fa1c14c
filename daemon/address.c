#include "daemon/address.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_FLAGS = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, MODE = 0660 };

static enum tkv_status parse_unix(struct tkv_address *out, const char *path, char *message,
                                  size_t size)
{
    out->is_unix = true;
    if (path[0] != '/') {
        snprintf(message, size, "\"%.120s\" is no absolute path; unix:/run/truekv.sock is one",
                 path);
        return TKV_EINVAL;
    }
    if (strlen(path) > TKV_PATH_MAX) {
        snprintf(message, size,
                 "\"%.120s\" is longer than the %d bytes that a socket's path may have", path,
                 TKV_PATH_MAX);
        return TKV_EINVAL;
    }
    memcpy(out->path, path, strlen(path) + 1);
    return TKV_OK;
}

static bool is_port(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && n <= 5 && text[n] == '\0' && strtol(text, NULL, 10) <= 65535;
}

static enum tkv_status parse_tcp(struct tkv_address *out, const char *text, char *message,
                                 size_t size)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : 0;
    const char *host = text;
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    } else if (n > 0 && memchr(host, ':', n) != NULL) {
        n = 0; /* an IPv6 address needs its brackets */
    }
    if (n == 0 || n > TKV_HOST_MAX || !is_port(colon + 1)) {
        snprintf(message, size,
                 "\"tcp:%.120s\" is not tcp:HOST:PORT; tcp:127.0.0.1:7070 and tcp:[::1]:7070 are",
                 text);
        return TKV_EINVAL;
    }
    memcpy(out->host, host, n);
    memcpy(out->port, colon + 1, strlen(colon + 1) + 1);
    return TKV_OK;
}

enum tkv_status tkv_address_parse(struct tkv_address *out, const char *text, char *message,
                                  size_t size)
{
    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0) return parse_unix(out, text + 5, message, size);
    if (strncmp(text, "tcp:", 4) == 0) return parse_tcp(out, text + 4, message, size);
    snprintf(message, size, "\"%.120s\" is no address; unix:PATH and tcp:HOST:PORT are", text);
    return TKV_EINVAL;
}

/* Says what failed and closes fd. */
static enum tkv_status fail_errno(int fd, const char *text, const char *what, char *message,
                                  size_t size)
{
    snprintf(message, size, "%s: %s: %s", text, what, strerror(errno));
    if (fd >= 0) close(fd);
    return TKV_EINTERNAL;
}

/* Whether somebody listens on the socket file. A full queue (EAGAIN) is somebody, too. */
static bool is_answered(const struct sockaddr_un *to)
{
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) return true; /* nobody can tell: leave the file alone */
    bool refused = connect(fd, (const struct sockaddr *)to, sizeof *to) != 0 &&
                   (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    return !refused;
}

/* Binds fd; a stale socket file in its way is removed. */
static int bind_unix(int fd, const struct sockaddr_un *to)
{
    struct stat st;
    if (bind(fd, (const struct sockaddr *)to, sizeof *to) == 0) return 0;
    if (errno != EADDRINUSE) return -1;
    if (lstat(to->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && !is_answered(to)) {
        unlink(to->sun_path);
        return bind(fd, (const struct sockaddr *)to, sizeof *to);
    }
    errno = EADDRINUSE;
    return -1;
}

/* What is in the way, for people. errno stays as it is. */
static const char *why_unbound(const struct sockaddr_un *to)
{
    int saved = errno;
    struct stat st;
    bool other = lstat(to->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode);
    errno = saved;
    if (saved == ENOENT) return "cannot bind: its folder must exist; make it, or listen elsewhere";
    if (saved == EADDRINUSE && other) return "cannot bind: a file that is no socket is in the way";
    if (saved == EADDRINUSE) return "cannot bind: somebody answers there, another truekvd perhaps";
    return "cannot bind";
}

static enum tkv_status open_unix(struct tkv_listening *out, const struct tkv_address *address,
                                 const char *text, char *message, size_t size)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct stat st;
    memcpy(to.sun_path, address->path, sizeof address->path);
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) return fail_errno(fd, text, "no socket", message, size);
    if (bind_unix(fd, &to) != 0) return fail_errno(fd, text, why_unbound(&to), message, size);
    if (chmod(address->path, MODE) != 0 || lstat(address->path, &st) != 0) {
        unlink(address->path);
        return fail_errno(fd, text, "cannot set its mode", message, size);
    }
    out->fd = fd;
    out->is_unix = out->owns_file = true;
    out->dev = st.st_dev;
    out->ino = st.st_ino;
    memcpy(out->path, address->path, sizeof out->path);
    snprintf(out->name, sizeof out->name, "%s", text);
    return TKV_OK;
}

/* The socket's own address in our words. */
static enum tkv_status name_tcp(struct tkv_listening *out)
{
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof at;
    char host[TKV_HOST_MAX - 2], port[8];
    if (getsockname(out->fd, (struct sockaddr *)&at, &len) != 0) return TKV_EINTERNAL;
    if (getnameinfo((struct sockaddr *)&at, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return TKV_EINTERNAL;
    snprintf(out->name, sizeof out->name, at.ss_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s",
             host, port);
    return TKV_OK;
}

static int bind_tcp(const struct addrinfo *to)
{
    int one = 1;
    int fd = socket(to->ai_family, SOCKET_FLAGS, to->ai_protocol);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, to->ai_addr, to->ai_addrlen) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static enum tkv_status open_tcp(struct tkv_listening *out, const struct tkv_address *address,
                                const char *text, char *message, size_t size)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    int rc = getaddrinfo(address->host, address->port, &hints, &all);
    if (rc != 0) {
        snprintf(message, size, "%s: %s", text, gai_strerror(rc));
        return TKV_EINTERNAL;
    }
    int fd = -1;
    for (const struct addrinfo *to = all; to != NULL && fd < 0; to = to->ai_next)
        fd = bind_tcp(to);
    freeaddrinfo(all);
    if (fd < 0) return fail_errno(fd, text, "cannot bind", message, size);
    out->fd = fd;
    if (name_tcp(out) != TKV_OK) return fail_errno(fd, text, "has no name", message, size);
    return TKV_OK;
}

enum tkv_status tkv_listening_open(struct tkv_listening *out, const char *text, char *message,
                                   size_t size)
{
    struct tkv_address address;
    memset(out, 0, sizeof *out);
    enum tkv_status st = tkv_address_parse(&address, text, message, size);
    if (st != TKV_OK) return st;
    return address.is_unix ? open_unix(out, &address, text, message, size)
                           : open_tcp(out, &address, text, message, size);
}

enum tkv_status tkv_listening_inherit(struct tkv_listening *out, int fd, char *message, size_t size)
{
    struct sockaddr_un at = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof at;
    int type = 0, listens = 0;
    socklen_t int_len = sizeof type;
    memset(out, 0, sizeof *out);
    out->fd = fd;
    snprintf(message, size, "descriptor %d, handed over at start, is no listening stream socket",
             fd);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_len) != 0 || type != SOCK_STREAM)
        return TKV_EINVAL;
    int_len = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_len) != 0 || listens == 0)
        return TKV_EINVAL;
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0) return TKV_EINVAL;
    if (at.sun_family != AF_UNIX) return name_tcp(out) == TKV_OK ? TKV_OK : TKV_EINVAL;
    out->is_unix = true;
    snprintf(out->name, sizeof out->name, "unix:%.*s", TKV_PATH_MAX, at.sun_path);
    return TKV_OK;
}

void tkv_listening_remove(struct tkv_listening *l)
{
    struct stat st;
    if (!l->owns_file) return;
    l->owns_file = false;
    if (lstat(l->path, &st) != 0 || st.st_dev != l->dev || st.st_ino != l->ino) return;
    unlink(l->path);
}
