#include "tests/histories/peer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/wire.h"

enum { TIMEOUT_MS = 60000, CHUNK = 1 << 14 };

bool h_peer_open(struct h_peer *p, const char *path)
{
    tkv_buffer_init(&p->in, SIZE_MAX);
    p->fd = wire_connect(path);
    return p->fd >= 0;
}

void h_peer_close(struct h_peer *p)
{
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
    tkv_buffer_close(&p->in);
}

bool h_peer_send(struct h_peer *p, const void *bytes, size_t n)
{
    struct wire w = {.fd = p->fd};
    return wire_try_send(&w, bytes, n);
}

static bool receive(struct h_peer *p)
{
    struct pollfd ready = {.fd = p->fd, .events = POLLIN};
    void *room = tkv_buffer_reserve(&p->in, CHUNK);
    if (room == NULL || poll(&ready, 1, TIMEOUT_MS) != 1) return false;
    ssize_t n = recv(p->fd, room, CHUNK, 0);
    if (n <= 0) return false;
    p->in.len += (size_t)n;
    return true;
}

void *h_peer_bytes(struct h_peer *p, size_t n)
{
    while (p->in.len < n) {
        if (!receive(p)) return NULL;
    }
    char *out = malloc(n + 1);
    if (out == NULL) return NULL;
    memcpy(out, p->in.data, n);
    out[n] = '\0';
    tkv_buffer_consume(&p->in, n);
    return out;
}

char *h_peer_line(struct h_peer *p)
{
    for (size_t looked = 0;;) {
        const uint8_t *end =
            p->in.len > looked ? memchr(p->in.data + looked, '\n', p->in.len - looked) : NULL;
        if (end != NULL) {
            char *line = h_peer_bytes(p, (size_t)(end - p->in.data) + 1);
            if (line != NULL) line[strlen(line) - 1] = '\0';
            return line;
        }
        looked = p->in.len;
        if (!receive(p)) return NULL;
    }
}
