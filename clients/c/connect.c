#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/c/client_impl.h"

enum { RETRY_MS = 5 }; /* between attempts at a Unix socket whose queue is full */

/* When to give up; at 0 never. */
static int remaining_ms(uint64_t deadline)
{
    uint64_t now = tkv_now_ms();
    if (deadline == 0) return -1;
    return now < deadline ? (int)(deadline - now) : 0;
}

/* Waits for a connect under way. 0, or an errno. */
static int finish_connect(int fd, uint64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n, error = 0;
    socklen_t size = sizeof error;
    do
        n = poll(&p, 1, remaining_ms(deadline));
    while (n < 0 && errno == EINTR);
    if (n == 0) return ETIMEDOUT;
    if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
    return error;
}

/* 0 with *out, or an errno. */
static int connect_to(const struct sockaddr *address, socklen_t len, uint64_t deadline, int *out)
{
    int error = 0;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    while (connect(fd, address, len) < 0) {
        error = errno;
        if (error == EINPROGRESS || error == EINTR) error = finish_connect(fd, deadline);
        if (error != EAGAIN) break; /* EAGAIN: a Unix socket whose queue is full */
        if (remaining_ms(deadline) == 0) error = ETIMEDOUT;
        if (error == ETIMEDOUT) break;
        (void)poll(NULL, 0, RETRY_MS);
        error = 0;
    }
    if (error == 0)
        *out = fd;
    else
        close(fd);
    return error;
}

static enum truekv_status say(struct truekv_error *why, const char *address, int error)
{
    if (error == ETIMEDOUT)
        return tkc_error_set(why, TRUEKV_ETIMEOUT, error, "%s did not take the connection in time",
                             address);
    return tkc_error_set(why, TRUEKV_ECONNECT, error, "cannot connect to %s: %s", address,
                         strerror(error));
}

static enum truekv_status connect_unix(const char *address, const char *path, uint64_t deadline,
                                       int *fd, struct truekv_error *why)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof un.sun_path)
        return tkc_error_set(why, TRUEKV_EARGUMENT, 0,
                             "the path in address \"%s\" must have 1 to %zu bytes", address,
                             sizeof un.sun_path - 1);
    memcpy(un.sun_path, path, strlen(path) + 1);
    int error = connect_to((struct sockaddr *)&un, sizeof un, deadline, fd);
    return error == 0 ? TRUEKV_OK : say(why, address, error);
}

/* "HOST:PORT" or "[HOST]:PORT" into its parts; host has size bytes. */
static bool split_host_port(const char *text, char *host, size_t size, const char **port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0') return false;
    size_t len = (size_t)(colon - text);
    if (text[0] == '[') {
        if (len < 3 || text[len - 1] != ']') return false;
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return false; /* an IPv6 address needs its brackets */
    }
    if (len == 0 || len >= size) return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

bool tkc_host_of(const char *address, char *host, size_t size)
{
    const char *port;
    return strncmp(address, "tcp:", 4) == 0 && split_host_port(address + 4, host, size, &port);
}

static enum truekv_status connect_tcp(const char *address, const char *rest, uint64_t deadline,
                                      int *fd, struct truekv_error *why)
{
    char host[256];
    const char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int on = 1, error = 0;
    if (!split_host_port(rest, host, sizeof host, &port))
        return tkc_error_set(why, TRUEKV_EARGUMENT, 0,
                             "address \"%s\" is not tcp:HOST:PORT (tcp:[::1]:PORT for IPv6)",
                             address);
    int none = getaddrinfo(host, port, &hints, &list);
    if (none != 0)
        return tkc_error_set(why, TRUEKV_ECONNECT, 0, "cannot connect to %s: %s", address,
                             gai_strerror(none));
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        error = connect_to(a->ai_addr, a->ai_addrlen, deadline, fd);
        if (error == 0) break;
    }
    freeaddrinfo(list);
    if (error != 0) return say(why, address, error);
    (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return TRUEKV_OK;
}

enum truekv_status tkc_connect(const char *address, int timeout_ms, int *fd,
                               struct truekv_error *why)
{
    uint64_t deadline = timeout_ms < 0 ? 0 : tkv_now_ms() + (uint64_t)timeout_ms;
    if (strncmp(address, "tcp:", 4) == 0)
        return connect_tcp(address, address + 4, deadline, fd, why);
    const char *path = strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
    return connect_unix(address, path, deadline, fd, why);
}
