#include "tests/clients/fake_server.h"

#include <check.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char fake_restart[] = "restart";

static bool read_line(struct fake_server *s)
{
    size_t n = 0;
    while (n + 1 < sizeof s->line) {
        if (recv(s->fd, s->line + n, 1, 0) != 1) return false;
        if (s->line[n] == '\n') {
            s->line[n] = '\0';
            return true;
        }
        n++;
    }
    return false;
}

static bool read_payload(struct fake_server *s, size_t n)
{
    s->payload = realloc(s->payload, s->payload_len + n);
    while (n > 0) {
        ssize_t got = recv(s->fd, s->payload + s->payload_len, n, 0);
        if (got <= 0) return false;
        s->payload_len += (size_t)got;
        n -= (size_t)got;
    }
    return true;
}

static bool send_all(struct fake_server *s, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(s->fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Until the client has taken everything sent so far. */
static void wait_taken(struct fake_server *s)
{
    int unread;
    while (ioctl(s->fd, SIOCOUTQ, &unread) == 0 && unread > 0)
        sched_yield();
}

static int listen_at(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    (void)unlink(path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

static bool restart(struct fake_server *s, int away_ms)
{
    close(s->listener);
    (void)unlink(s->path);
    close(s->fd);
    (void)poll(NULL, 0, away_ms);
    s->listener = listen_at(s->path);
    s->fd = accept(s->listener, NULL, NULL);
    return s->fd >= 0;
}

static bool run_step(struct fake_server *s, const struct fake_step *step)
{
    if (step->expect == fake_restart) return restart(s, step->pause_ms);
    if (step->expect != NULL && !read_line(s)) {
        snprintf(s->failure, sizeof s->failure, "no line where \"%.100s\" was due", step->expect);
        return false;
    }
    if (step->expect != NULL && strstr(s->line, step->expect) == NULL) {
        snprintf(s->failure, sizeof s->failure, "got %.100s, expected %.100s", s->line,
                 step->expect);
        return false;
    }
    if (step->payload_bytes > 0 && !read_payload(s, step->payload_bytes)) {
        snprintf(s->failure, sizeof s->failure, "the payload ended early");
        return false;
    }
    if (step->pause_ms > 0) (void)poll(NULL, 0, step->pause_ms);
    if (step->send == NULL) return true;
    size_t n = step->send_bytes > 0 ? step->send_bytes : strlen(step->send);
    if (step->cut > 0) {
        if (!send_all(s, step->send, step->cut)) return false;
        wait_taken(s);
    }
    return send_all(s, step->send + step->cut, n - step->cut);
}

static void *run(void *arg)
{
    struct fake_server *s = arg;
    if (s->listener >= 0) s->fd = accept(s->listener, NULL, NULL);
    for (size_t i = 0; i < s->n; i++) {
        if (!run_step(s, &s->steps[i])) break;
    }
    close(s->fd);
    return NULL;
}

void fake_server_start(struct fake_server *s, const struct fake_step *steps, size_t n)
{
    int pair[2];
    memset(s, 0, sizeof *s);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    s->steps = steps;
    s->n = n;
    s->listener = -1;
    s->fd = pair[0];
    s->peer = pair[1];
    ck_assert_int_eq(pthread_create(&s->thread, NULL, run, s), 0);
}

void fake_server_listen(struct fake_server *s, const char *path, const struct fake_step *steps,
                        size_t n)
{
    memset(s, 0, sizeof *s);
    s->steps = steps;
    s->n = n;
    s->path = path;
    s->listener = listen_at(path);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, run, s), 0);
}

void fake_server_end(struct fake_server *s)
{
    pthread_join(s->thread, NULL);
    if (s->listener >= 0) close(s->listener);
    free(s->payload);
    s->payload = NULL;
}

void fake_server_finish(struct fake_server *s)
{
    fake_server_end(s);
    ck_assert_str_eq(s->failure, "");
}

struct fake_server server;

struct truekv *start_with(const struct fake_step *steps, size_t n,
                          const struct truekv_options *options)
{
    struct truekv *kv;
    fake_server_start(&server, steps, n);
    ck_assert_int_eq(truekv_open_fd(&kv, server.peer, options), TRUEKV_OK);
    return kv;
}

struct truekv *start(const struct fake_step *steps, size_t n)
{
    return start_with(steps, n, NULL);
}

void finish(struct truekv *kv)
{
    truekv_close(kv);
    fake_server_finish(&server);
}
