#include "tests/support/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/connection.h"
#include "proto/gate.h"
#include "tests/fuzz/target.h"

enum { TURNS_MAX = 100000, READ_BYTES = 1 << 16 };

/* Where a program makes allocations fail, only those of the daemon do; the program itself has
 * paused its own. */
void failing_alloc_pause(bool paused) __attribute__((weak));

static void inside_daemon(bool inside)
{
    if (failing_alloc_pause != NULL) failing_alloc_pause(!inside);
}

void peer_open(struct peer *p, struct tkv_server *server)
{
    int pair[2];
    memset(p, 0, sizeof *p);
    p->server = server;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    MUST(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    p->fd = pair[0];
    tkv_buffer_init(&p->in, 64 << 20);
    tkv_buffer_init(&p->line, 64 << 20);
    inside_daemon(true);
    tkv_connection_adopt(server, pair[1]);
    inside_daemon(false);
}

void peer_close(struct peer *p)
{
    close(p->fd);
    tkv_buffer_close(&p->in);
    tkv_buffer_close(&p->line);
}

static void take_line(struct peer *p, const char *line, size_t len)
{
    struct tkv_gate_error err;
    MUST(tkv_gate_check(line, len, &err) == TKV_OK);
    cJSON *answer = cJSON_ParseWithLength(line, len);
    const cJSON *payload = cJSON_GetObjectItemCaseSensitive(answer, "payload");
    MUST(answer != NULL && (payload == NULL || cJSON_IsNumber(payload)));
    p->payload = payload != NULL ? (uint64_t)payload->valuedouble : 0;
    cJSON_Delete(answer);
    p->lines++;
    tkv_buffer_clear(&p->line);
    tkv_buffer_append(&p->line, line, len);
    tkv_buffer_append(&p->line, "", 1);
}

/* Takes lines and payloads, as far as they are whole. */
static void take(struct peer *p)
{
    for (;;) {
        size_t skip = p->payload < p->in.len ? (size_t)p->payload : p->in.len;
        tkv_buffer_consume(&p->in, skip);
        p->payload -= skip;
        char *end = p->payload == 0 && p->in.len > 0 ? memchr(p->in.data, '\n', p->in.len) : NULL;
        if (end == NULL) return;
        size_t len = (size_t)(end - (char *)p->in.data);
        take_line(p, (const char *)p->in.data, len);
        tkv_buffer_consume(&p->in, len + 1);
    }
}

static void receive(struct peer *p)
{
    while (!p->ended) {
        char *to = tkv_buffer_reserve(&p->in, READ_BYTES);
        MUST(to != NULL);
        ssize_t n = recv(p->fd, to, READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        p->ended = n <= 0;
        if (n <= 0) return;
        p->in.len += (size_t)n;
        take(p);
    }
}

/* A turn of the daemon. It is waited for where `wait`, and something must come. */
static void turn(struct peer *p, bool wait)
{
    inside_daemon(true);
    uv_run(&p->server->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    inside_daemon(false);
    receive(p);
}

void peer_send(struct peer *p, const void *data, size_t size, size_t piece)
{
    const uint8_t *at = data;
    for (int turns = 0; size > 0 && !p->ended; turns++) {
        MUST(turns < TURNS_MAX);
        ssize_t n = send(p->fd, at, size < piece ? size : piece, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return; /* it has been closed */
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
        turn(p, n < 0);
    }
}

void peer_end(struct peer *p)
{
    shutdown(p->fd, SHUT_WR);
    for (int turns = 0; !p->ended; turns++) {
        MUST(turns < TURNS_MAX);
        turn(p, true);
    }
    MUST(p->payload == 0 && p->in.len == 0);
}

cJSON *peer_call(struct peer *p, const char *line)
{
    size_t before = p->lines;
    peer_send(p, line, strlen(line), SIZE_MAX);
    for (int turns = 0; p->lines == before && !p->ended; turns++) {
        MUST(turns < TURNS_MAX);
        turn(p, true);
    }
    if (p->lines == before) return NULL;
    cJSON *answer = cJSON_Parse((const char *)p->line.data);
    MUST(answer != NULL);
    return answer;
}
