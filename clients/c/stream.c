#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "clients/c/client_impl.h"

enum {
    READ_CHUNK = 64 * 1024,
    IOV_PIECES = 1024, /* what one sendmsg takes */
    WORDS_BYTES = 256
};

/* ---- Receiving ----------------------------------------------------------------------------- */

static void finish(struct truekv *kv, struct tkc_slot *slot)
{
    kv->filling = NULL;
    kv->to = NULL;
    slot->state = TKC_DONE;
    if (!slot->abandoned) return;
    tkc_message_close(kv, &slot->message);
    slot->state = TKC_FREE;
    kv->in_flight--;
    kv->abandoned--;
}

/* Where the n bytes of an answer's payload go; NULL: nowhere, and the message says why. */
static uint8_t *place_payload(struct truekv *kv, struct tkc_slot *slot, uint64_t n)
{
    struct tkc_message *m = &slot->message;
    if (slot->abandoned) return NULL;
    m->room = slot->into != NULL ? slot->into_bytes : kv->options.held_max_bytes - kv->held;
    m->refused = n <= m->room ? TRUEKV_OK : TRUEKV_ETOOLARGE;
    if (m->refused != TRUEKV_OK) return NULL;
    m->payload = slot->into != NULL ? slot->into : malloc(n);
    m->owned = slot->into == NULL && m->payload != NULL;
    if (m->owned) kv->held += n;
    if (m->payload == NULL) m->refused = TRUEKV_ENOMEM;
    return m->payload;
}

static struct tkc_slot *slot_of_answer(struct truekv *kv, const struct tkc_envelope *e)
{
    if (!e->has_id) return NULL;
    struct tkc_slot *slot = &kv->slots[e->id % kv->options.in_flight_max];
    bool known = slot->state == TKC_WAITING && slot->id == e->id;
    return known ? slot : NULL;
}

static enum truekv_status take_answer(struct truekv *kv, struct tkc_slot *slot,
                                      const struct tkc_envelope *e, const char *line, size_t len)
{
    struct tkc_message *m = &slot->message;
    assert(m->line == NULL);
    if (!slot->abandoned) {
        m->line = malloc(len + 1);
        if (m->line == NULL) return tkc_lose(kv, TRUEKV_ENOMEM, 0, "no memory for an answer");
        memcpy(m->line, line, len);
        m->line[len] = '\0';
    }
    m->len = len;
    m->envelope = *e;
    kv->left = e->payload_bytes;
    kv->filling = slot;
    if (kv->left > 0) kv->to = place_payload(kv, slot, kv->left);
    if (kv->left == 0) finish(kv, slot);
    return TRUEKV_OK;
}

/* What a daemon with TLS says to a client without: an alert of TLS, of 7 bytes. */
static bool is_alert(const struct truekv *kv, const char *bytes, size_t len)
{
    return kv->tls == NULL && len >= 3 && bytes[0] == 0x15 && bytes[1] == 3;
}

static enum truekv_status lose_to_tls(struct truekv *kv)
{
    return tkc_lose(kv, TRUEKV_EANSWER, 0, "truekvd speaks TLS there, and this client does not");
}

static enum truekv_status take_line(struct truekv *kv, const char *line, size_t len)
{
    struct tkc_envelope e;
    if (len > 0 && line[len - 1] == '\r') len--;
    if (len == 0) return TRUEKV_OK;
    bool fine = tkc_envelope_scan(line, len, &e);
    if (!fine) e = (struct tkc_envelope){0};
    if (!fine && is_alert(kv, line, len)) return lose_to_tls(kv);
    if (kv->raw.state == TKC_WAITING) return take_answer(kv, &kv->raw, &e, line, len);
    if (!fine) return tkc_lose(kv, TRUEKV_EANSWER, 0, "the answer is no JSON object");
    struct tkc_slot *slot = slot_of_answer(kv, &e);
    if (slot != NULL) return take_answer(kv, slot, &e, line, len);
    if (!e.has_id && e.error.len > 0) return tkc_lose_json(kv, line + e.error.at, e.error.len);
    return tkc_lose(kv, TRUEKV_EANSWER, 0, "an answer to no request in flight (id %" PRIu64 ")",
                    e.id);
}

/* Moves what is buffered of the payload under way. */
static void take_payload(struct truekv *kv)
{
    size_t n = kv->in.len - kv->taken;
    if (n > kv->left) n = (size_t)kv->left;
    if (kv->to != NULL) {
        memcpy(kv->to, kv->in.data + kv->taken, n);
        kv->to += n;
    }
    kv->taken += n;
    kv->left -= n;
    if (kv->left == 0) finish(kv, kv->filling);
}

/* Everything that is whole in the buffer. */
static enum truekv_status take_buffered(struct truekv *kv)
{
    enum truekv_status st = TRUEKV_OK;
    while (st == TRUEKV_OK && kv->taken < kv->in.len) {
        if (kv->filling != NULL) {
            take_payload(kv);
            kv->scanned = kv->taken;
            continue;
        }
        const char *from = (const char *)kv->in.data;
        const char *end = memchr(from + kv->scanned, '\n', kv->in.len - kv->scanned);
        kv->scanned = kv->in.len;
        if (end == NULL) break;
        const char *line = from + kv->taken;
        kv->taken = kv->scanned = (size_t)(end - from) + 1;
        st = take_line(kv, line, (size_t)(end - line));
    }
    tkv_buffer_consume(&kv->in, kv->taken);
    kv->scanned -= kv->taken;
    kv->taken = 0;
    if (st == TRUEKV_OK && kv->in.len > kv->options.line_max_bytes)
        st = tkc_lose(kv, TRUEKV_EANSWER, 0, "a line of the answer is longer than %zu bytes",
                      kv->options.line_max_bytes);
    return st;
}

static const char *words_of(const struct truekv *kv, int os_error)
{
    return kv->tls != NULL ? tkc_tls_words(kv->tls, os_error) : strerror(os_error);
}

static enum truekv_status stopped(struct truekv *kv, ssize_t n)
{
    bool midway = kv->filling != NULL || kv->in.len > 0;
    const char *where = midway ? " in the middle of an answer" : "";
    int os_error = errno;
    if (kv->in.len > 0 && is_alert(kv, (char *)kv->in.data, kv->in.len)) return lose_to_tls(kv);
    if (n == 0) return tkc_lose(kv, TRUEKV_ELOST, 0, "truekvd closed the connection%s", where);
    return tkc_lose(kv, TRUEKV_ELOST, os_error, "the connection broke%s: %s", where,
                    words_of(kv, os_error));
}

static ssize_t take_bytes(struct truekv *kv, void *to, size_t room)
{
    if (kv->tls != NULL) return tkc_tls_receive(kv->tls, to, room);
    return recv(kv->fd, to, room, MSG_DONTWAIT);
}

/* One recv, and what it completes. *got: something came. */
static enum truekv_status receive_once(struct truekv *kv, bool *got)
{
    bool direct = kv->left > 0 && kv->to != NULL && kv->in.len == 0;
    void *to = direct ? kv->to : tkv_buffer_reserve(&kv->in, READ_CHUNK);
    if (to == NULL) return tkc_lose(kv, TRUEKV_ENOMEM, 0, "no memory for an answer");
    ssize_t n = take_bytes(kv, to, direct ? (size_t)kv->left : READ_CHUNK);
    *got = n > 0;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return TRUEKV_OK;
    if (n <= 0) return stopped(kv, n);
    if (!direct) {
        kv->in.len += (size_t)n;
        return take_buffered(kv);
    }
    kv->to += n;
    kv->left -= (uint64_t)n;
    if (kv->left == 0) finish(kv, kv->filling);
    return TRUEKV_OK;
}

/* The same for all that OpenSSL holds: poll() does not tell of that. */
static enum truekv_status receive_some(struct truekv *kv)
{
    bool got = true;
    enum truekv_status st = receive_once(kv, &got);
    while (st == TRUEKV_OK && got && kv->tls != NULL && tkc_tls_holds_more(kv->tls))
        st = receive_once(kv, &got);
    return st;
}

/* Waits for events, for as long as the options say. */
static enum truekv_status wait_for(struct truekv *kv, short events, short *ready)
{
    struct pollfd p = {.fd = kv->fd, .events = events};
    int n;
    if (kv->tls != NULL) {
        *ready = POLLIN;
        if (tkc_tls_holds_more(kv->tls)) return TRUEKV_OK;
        p.events = tkc_tls_events(kv->tls, events);
    }
    do
        n = poll(&p, 1, kv->options.timeout_ms);
    while (n < 0 && errno == EINTR);
    if (kv->tls == NULL) *ready = p.revents; /* with TLS, receiving may wait for either */
    if (n > 0) return TRUEKV_OK;
    if (n < 0) return stopped(kv, n);
    return tkc_fail(kv, TRUEKV_ETIMEOUT, "truekvd did not answer within %.3g s",
                    kv->options.timeout_ms / 1000.0);
}

enum truekv_status tkc_receive(struct truekv *kv)
{
    short ready;
    enum truekv_status st = wait_for(kv, POLLIN, &ready);
    return st == TRUEKV_OK ? receive_some(kv) : st;
}

/* ---- Sending ------------------------------------------------------------------------------- */

/* What is still to be sent: the rest of piece `at`, and the pieces after it. Piece 0 is the line.
 */
struct sending {
    const struct truekv_block *line, *blocks;
    size_t n, at, offset;
};

static const struct truekv_block *piece(const struct sending *s, size_t i)
{
    return i == 0 ? s->line : &s->blocks[i - 1];
}

static size_t fill_iov(const struct sending *s, struct iovec *iov)
{
    size_t n = 0, offset = s->offset;
    for (size_t i = s->at; i <= s->n && n < IOV_PIECES; i++) {
        const struct truekv_block *b = piece(s, i);
        if (b->bytes > offset)
            iov[n++] = (struct iovec){(char *)(uintptr_t)b->data + offset, b->bytes - offset};
        offset = 0;
    }
    return n;
}

static void advance(struct sending *s, size_t sent)
{
    while (s->at <= s->n && sent >= piece(s, s->at)->bytes - s->offset) {
        sent -= piece(s, s->at)->bytes - s->offset;
        s->offset = 0;
        s->at++;
    }
    s->offset += sent;
}

/* The peer takes no more bytes: what it said before it went is the better reason. */
static enum truekv_status hear_last_words(struct truekv *kv)
{
    int os_error = errno;
    char words[WORDS_BYTES];
    bool got = true;
    snprintf(words, sizeof words, "%s", words_of(kv, os_error));
    while (got && !kv->lost)
        (void)receive_once(kv, &got);
    if (kv->lost) return tkc_fail_lost(kv);
    return tkc_lose(kv, TRUEKV_ELOST, os_error, "the connection broke: %s", words);
}

/* The socket is full: waits until it is not, and reads answers meanwhile. */
static enum truekv_status make_room(struct truekv *kv)
{
    short ready;
    enum truekv_status st = wait_for(kv, POLLIN | POLLOUT, &ready);
    if (st == TRUEKV_ETIMEOUT)
        return tkc_lose(kv, st, 0, "truekvd took no bytes for %.3g s",
                        kv->options.timeout_ms / 1000.0);
    if (st == TRUEKV_OK && (ready & POLLIN) != 0) st = receive_some(kv);
    return st;
}

static ssize_t give_bytes(struct truekv *kv, struct iovec *iov, size_t n)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
    if (kv->tls != NULL) return tkc_tls_send(kv->tls, iov, n);
    return sendmsg(kv->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

enum truekv_status tkc_send(struct truekv *kv, const struct truekv_block *line,
                            const struct truekv_block *blocks, size_t n)
{
    struct sending s = {.line = line, .blocks = blocks, .n = n};
    struct iovec iov[IOV_PIECES];
    enum truekv_status st = TRUEKV_OK;
    while (st == TRUEKV_OK) {
        size_t pieces = fill_iov(&s, iov);
        if (pieces == 0) break;
        ssize_t sent = give_bytes(kv, iov, pieces);
        if (sent >= 0) {
            advance(&s, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            st = make_room(kv);
        } else if (errno != EINTR) {
            st = hear_last_words(kv);
        }
    }
    return st;
}
