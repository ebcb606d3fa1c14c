#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/c/command/bench/load_impl.h"
#include "clients/c/connect.h"
#include "clients/c/envelope.h"

enum {
    IOV_PIECES = 256,
    READ_CHUNK = 64 * 1024,
    SCRATCH_BYTES = TRAFFIC_SCRATCH_BYTES,
    LINE_BYTES_MAX = 1 << 20
};

/* ---- Open and close ------------------------------------------------------------------------ */

static bool watch(struct load *l, int fd, uint32_t index, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = index};
    if (epoll_ctl(l->epoll, operation, fd, &event) == 0) return true;
    tkc_error_set(&l->why, TRUEKV_ENOMEM, errno, "epoll_ctl: %s", strerror(errno));
    return false;
}

/* Sends the token by a client of its own on a duplicate of the socket, which outlives it. */
static bool show_token(struct load *l, int fd)
{
    struct truekv *kv;
    struct truekv_options options = {.timeout_ms = l->plan->timeout_ms};
    if (l->app->token[0] == '\0') return true;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0 || truekv_open_fd(&kv, own, &options) != TRUEKV_OK) {
        if (own >= 0) close(own);
        tkc_error_set(&l->why, TRUEKV_ENOMEM, errno, "no memory for a client");
        return false;
    }
    enum truekv_status st = truekv_auth(kv, l->app->token);
    if (st != TRUEKV_OK) tkc_error_set(&l->why, st, 0, "%s", truekv_error(kv)->message);
    truekv_close(kv);
    return st == TRUEKV_OK;
}

bool traffic_open(struct load *l, int *fd, uint32_t index)
{
    if (tkc_connect(l->app->address, l->plan->timeout_ms, fd, &l->why) != TRUEKV_OK) return false;
    if (show_token(l, *fd) && watch(l, *fd, index, EPOLL_CTL_ADD, EPOLLIN)) return true;
    close(*fd);
    return false;
}

static uint32_t index_of(const struct load *l, const struct connection *c)
{
    return (uint32_t)(c - l->connections);
}

/* ---- Sending ------------------------------------------------------------------------------- */

void traffic_queue(struct load *l, struct connection *c, struct slot *s)
{
    assert(!s->sending && c->queued < l->plan->in_flight);
    if (tkv_buffer_status(&s->message.line) != TKV_OK)
        tkc_error_set(&l->why, TRUEKV_ENOMEM, 0, "no memory for a request");
    c->queue[(c->first + c->queued++) % l->plan->in_flight] = s->id;
    s->state = SLOT_QUEUED;
    s->sending = true;
}

static size_t message_bytes(const struct load *l, const struct bench_message *m)
{
    return m->line.len + m->body_bytes + (m->body_bytes > 0 ? l->messages.tail_bytes : 0);
}

/* Adds what is left of a piece after `skip` bytes, which it takes its share of. */
static void add_piece(struct iovec *iov, size_t *n, const void *bytes, size_t len, size_t *skip)
{
    size_t off = *skip < len ? *skip : len;
    *skip -= off;
    if (len > off) iov[(*n)++] = (struct iovec){(char *)(uintptr_t)bytes + off, len - off};
}

static size_t gather(const struct load *l, const struct connection *c, struct iovec *iov)
{
    size_t n = 0, skip = c->sent;
    for (uint32_t i = 0; i < c->queued && n + 3 <= IOV_PIECES; i++) {
        uint32_t id = c->queue[(c->first + i) % l->plan->in_flight];
        const struct bench_message *m = &c->slots[id].message;
        add_piece(iov, &n, m->line.data, m->line.len, &skip);
        if (m->body_bytes == 0) continue;
        add_piece(iov, &n, m->body, m->body_bytes, &skip);
        add_piece(iov, &n, l->messages.tail, l->messages.tail_bytes, &skip);
    }
    return n;
}

/* A refusal may overtake the end of its request: then the slot waits no more. */
static void advance(const struct load *l, struct connection *c, size_t sent)
{
    c->sent += sent;
    while (c->queued > 0) {
        struct slot *s = &c->slots[c->queue[c->first]];
        size_t bytes = message_bytes(l, &s->message);
        if (c->sent < bytes) break;
        c->sent -= bytes;
        c->first = (c->first + 1) % l->plan->in_flight;
        c->queued--;
        s->sending = false;
        if (s->state == SLOT_QUEUED) s->state = SLOT_WAITING;
    }
}

static bool broken(struct load *l, int os_error)
{
    tkc_error_set(&l->why, TRUEKV_ELOST, os_error, "the connection broke: %s", strerror(os_error));
    return false;
}

/* What the daemon said before it went is the better reason. */
static bool hear_last_words(struct load *l, struct connection *c, int os_error)
{
    if (!traffic_receive(l, c)) return false;
    return broken(l, os_error);
}

bool traffic_send(struct load *l, struct connection *c)
{
    struct iovec iov[IOV_PIECES];
    while (c->queued > 0) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather(l, c, iov)};
        ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            advance(l, c, (size_t)sent);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) break;
        if (errno != EINTR) return hear_last_words(l, c, errno);
    }
    bool wants = c->queued > 0;
    if (wants == c->wants_out) return true;
    c->wants_out = wants;
    return watch(l, c->fd, index_of(l, c), EPOLL_CTL_MOD, wants ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* ---- Receiving ----------------------------------------------------------------------------- */

/* The line as truekvd writes it, without looking at what is in a result. false: it is another. */
static bool scan_quickly(const char *line, size_t len, struct tkc_envelope *e)
{
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":", next[] = ",\"result\":";
    size_t at = sizeof head - 1, n_next = sizeof next - 1;
    if (len < at || memcmp(line, head, at) != 0) return false;
    uint64_t id = 0;
    size_t first = at;
    for (; at < len && line[at] >= '0' && line[at] <= '9' && at - first < 9; at++)
        id = id * 10 + (uint64_t)(line[at] - '0');
    if (at == first || len - at <= n_next || memcmp(line + at, next, n_next) != 0) return false;
    at += n_next;
    *e = (struct tkc_envelope){.has_id = true, .id = id, .result = {at, len - at - 1}};
    return true;
}

/* Of the result of a create; such numbers are at most 16 digits long. */
static uint64_t seq_of(const char *text, size_t len)
{
    static const char name[] = "\"seq\":";
    const char *end = text + len;
    const char *at = memmem(text, len, name, sizeof name - 1);
    uint64_t seq = 0;
    if (at == NULL) return 0;
    for (at += sizeof name - 1; at < end && *at >= '0' && *at <= '9'; at++)
        seq = seq * 10 + (uint64_t)(*at - '0');
    return seq;
}

static bool bad_answer(struct load *l, const char *what)
{
    tkc_error_set(&l->why, TRUEKV_EANSWER, 0, "%s", what);
    return false;
}

static bool take_line(struct load *l, struct connection *c, const char *line, size_t len,
                      uint64_t now_ns)
{
    struct tkc_envelope e;
    bool quick = l->plan->method != BENCH_READ && scan_quickly(line, len, &e);
    if (!quick && !tkc_envelope_scan(line, len, &e))
        return bad_answer(l, "an answer is no JSON object");
    struct slot *s = e.has_id && e.id < l->plan->in_flight ? &c->slots[e.id] : NULL;
    if (e.error.len > 0) return load_refused(l, s, line + e.error.at, e.error.len, now_ns);
    if (s == NULL || s->state != SLOT_WAITING || e.result.len == 0)
        return bad_answer(l, "an answer to no request in flight");
    if (e.payload_bytes > 0) {
        c->skip = e.payload_bytes;
        c->filled = s;
        return true;
    }
    bool created = l->plan->method == BENCH_CHURN && !s->freeing;
    load_answered(l, c, s, created ? seq_of(line + e.result.at, e.result.len) : 0, now_ns);
    return true;
}

static void take_payload(struct load *l, struct connection *c, size_t n, uint64_t now_ns)
{
    c->skip -= n;
    if (c->skip == 0) load_answered(l, c, c->filled, 0, now_ns);
}

static bool take_buffered(struct load *l, struct connection *c, uint64_t now_ns)
{
    size_t at = 0;
    bool fine = true;
    while (fine && at < c->in.len) {
        const char *from = (const char *)c->in.data + at;
        size_t left = c->in.len - at;
        if (c->skip > 0) {
            size_t n = left < c->skip ? left : (size_t)c->skip;
            at += n;
            take_payload(l, c, n, now_ns);
            continue;
        }
        const char *end = memchr(from, '\n', left);
        if (end == NULL) break;
        at += (size_t)(end - from) + 1;
        fine = take_line(l, c, from, (size_t)(end - from), now_ns);
    }
    tkv_buffer_consume(&c->in, at);
    if (fine && c->in.len > LINE_BYTES_MAX) return bad_answer(l, "an answer's line is too long");
    return fine;
}

static bool stopped(struct load *l, ssize_t n, bool *again)
{
    *again = n < 0 && errno == EINTR;
    if (*again || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))) return true;
    if (n < 0) return broken(l, errno);
    tkc_error_set(&l->why, TRUEKV_ELOST, 0, "truekvd closed a connection");
    return false;
}

/* One recv, unless it filled all the room that it was given: a short one has emptied the socket. */
bool traffic_receive(struct load *l, struct connection *c)
{
    bool fine = true, again = true;
    while (fine && again) {
        bool direct = c->skip > 0 && c->in.len == 0;
        size_t room = direct ? SCRATCH_BYTES : READ_CHUNK;
        if (direct && c->skip < room) room = (size_t)c->skip;
        void *to = direct ? l->scratch : tkv_buffer_reserve(&c->in, READ_CHUNK);
        if (to == NULL) return bad_answer(l, "no memory for an answer");
        ssize_t n = recv(c->fd, to, room, MSG_DONTWAIT);
        if (n <= 0) {
            fine = stopped(l, n, &again);
            continue;
        }
        again = (size_t)n == room;
        l->moved_ns = tkv_now_ns();
        if (direct) {
            take_payload(l, c, (size_t)n, l->moved_ns);
            continue;
        }
        c->in.len += (size_t)n;
        fine = take_buffered(l, c, l->moved_ns);
    }
    return fine && l->why.status == TRUEKV_OK;
}
