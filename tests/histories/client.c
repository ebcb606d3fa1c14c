#include "tests/histories/client.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/histories/client_impl.h"

/* How a burst of requests ends. CUT: the client goes in the middle of sending. DEAF: it goes when
 * it has sent all, and perhaps heard some answers. SHUT: it sends no more, but hears all answers.
 */
enum ending { STAYS, CUT, DEAF, SHUT };

enum { LIST_PAGE_MAX = 6 };

/* Requests that are sent at once. */
struct burst {
    size_t first, n;
    bool array;
    struct tkv_buffer out;
    size_t ends[H_BURST_MAX]; /* bytes after which a request is complete */
};

static uint32_t below(struct h_client *c, uint32_t n)
{
    return h_below(&c->random, n);
}

void h_client_init(struct h_client *c, struct h_world *world, uint32_t id, size_t quota)
{
    memset(c, 0, sizeof *c);
    c->world = world;
    c->id = id;
    c->quota = quota;
    c->random = h_mix(world->seed, id);
    c->peer.fd = -1;
}

void h_client_free(struct h_client *c)
{
    for (size_t i = 0; i < c->n; i++)
        h_request_close(&c->requests[i]);
    h_request_close(&c->retry);
    free(c->requests);
    free(c->endings);
    h_peer_close(&c->peer);
}

struct h_request *h_client_add(struct h_client *c, enum h_method method)
{
    if (c->n == c->room) {
        c->room = 2 * c->room + 64;
        c->requests = realloc(c->requests, c->room * sizeof *c->requests);
        assert(c->requests != NULL);
    }
    struct h_request *r = &c->requests[c->n++];
    memset(r, 0, sizeof *r);
    r->method = method;
    r->number = (uint64_t)c->id << 32 | c->n;
    r->client = c->id;
    r->n_seqs = 1;
    r->all_layers = true;
    r->layer_end = H_LAYERS;
    return r;
}

/* --- connections --------------------------------------------------------------------------------
 */

static bool connected(struct h_client *c)
{
    if (c->peer.fd >= 0) return true;
    if (!h_peer_open(&c->peer, c->world->socket)) {
        snprintf(c->wrong, sizeof c->wrong, "client %u cannot connect", c->id);
        return false;
    }
    c->conn = (uint32_t)atomic_fetch_add(&c->world->opened, 1) + 1;
    return true;
}

/* From now on the daemon may free what it frees for a client that went. */
static void note_ending(struct h_client *c)
{
    atomic_fetch_add(&c->world->ended, 1);
    c->endings = realloc(c->endings, (c->n_endings + 1) * sizeof *c->endings);
    assert(c->endings != NULL);
    c->endings[c->n_endings++] = (struct h_ending){c->conn, tkv_now_ns(), 0};
}

void h_client_hang_up(struct h_client *c)
{
    if (c->peer.fd < 0) return;
    note_ending(c);
    h_peer_close(&c->peer);
}

static uint64_t number_in(const char *line, const char *name, uint64_t otherwise)
{
    const char *at = strstr(line, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : otherwise;
}

/* How many connections have ended in the daemon's eyes; it is asked over the one that is open. */
static uint64_t ended_there(struct h_client *c)
{
    static const char ask[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.stats\"}\n";
    if (!h_peer_send(&c->peer, ask, sizeof ask - 1)) return 0;
    char *line = h_peer_line(&c->peer);
    if (line == NULL) return 0;
    uint64_t accepted = number_in(line, "\"accepted\":", 0), open = number_in(line, "\"open\":", 0);
    free(line);
    return accepted - open - c->world->ended_before;
}

/* After the client went away in the middle: waits a little for the daemon to have seen it. A client
 * counts its connection as ended before it lets go of it. So where the daemon has ended as many as
 * have been counted by the time of its answer, those are all of them: what came over them has been
 * taken, and precedes, on any sequence, what is asked for from now on. */
static uint64_t when_over(struct h_client *c)
{
    enum { TRIES = 8 };
    for (int i = 0; i < TRIES && connected(c); i++) {
        uint64_t there = ended_there(c);
        if (there == atomic_load(&c->world->ended)) return tkv_now_ns();
    }
    return 0;
}

/* --- bursts -------------------------------------------------------------------------------------
 */

static void write_burst(struct h_client *c, struct burst *b)
{
    tkv_buffer_init(&b->out, SIZE_MAX);
    for (size_t i = 0; i < b->n; i++) {
        struct h_request *r = &c->requests[b->first + i];
        r->conn = c->conn;
        if (b->array) tkv_buffer_puts(&b->out, i == 0 ? "[" : ",");
        h_write(r, &b->out);
        if (!b->array) tkv_buffer_puts(&b->out, "\n");
        h_write_payload(r, &b->out);
        b->ends[i] = b->out.len;
    }
    if (!b->array) return;
    tkv_buffer_puts(&b->out, "]\n");
    for (size_t i = 0; i < b->n; i++)
        b->ends[i] = b->out.len;
}

/* Sends the first `bytes`; what is complete in them may happen from now on. */
static bool send_burst(struct h_client *c, struct burst *b, size_t bytes)
{
    uint64_t now = tkv_now_ns();
    for (size_t i = 0; i < b->n; i++) {
        struct h_request *r = &c->requests[b->first + i];
        r->invoke = now;
        r->ret = H_NEVER;
        r->fate = b->ends[i] <= bytes ? H_LOST : H_UNSENT;
    }
    return h_peer_send(&c->peer, b->out.data, bytes);
}

/* What the client makes of an answer for its next requests; a wrong idea does no harm. */
static void learn(struct h_client *c, const struct h_request *r, const char *line)
{
    _Atomic uint32_t *guess = r->n_seqs > 0 ? h_guess(c, r->seqs[0]) : NULL;
    uint64_t len = number_in(line, "\"expected\":", UINT64_MAX);
    if (len == UINT64_MAX) len = number_in(line, "\"lens\":[", UINT64_MAX);
    if (len == UINT64_MAX) len = number_in(line, "\"len\":", UINT64_MAX);
    if (guess != NULL && len != UINT64_MAX) atomic_store(guess, (uint32_t)len);
    bool usable = r->method == H_DO_CREATE && !r->has_seq && r->capacity <= H_CAPACITY_MAX;
    uint64_t seq = number_in(line, "\"result\":{\"seq\":", 0);
    if (usable && seq != 0) atomic_store(&c->world->found[below(c, H_FOUND_MAX)], seq);
}

/* The request of the burst with the id that the line has; NULL: none. */
static struct h_request *asked(struct h_client *c, const struct burst *b, const char *line)
{
    uint64_t id = number_in(line, "\"id\":", 0);
    for (size_t i = 0; i < b->n; i++) {
        struct h_request *r = &c->requests[b->first + i];
        if (r->number == id && r->fate == H_LOST) return r;
    }
    return NULL;
}

static bool take_array(struct h_client *c, const struct burst *b, char *line, uint64_t now)
{
    for (size_t i = 0; i < b->n; i++) {
        struct h_request *r = &c->requests[b->first + i];
        r->fate = H_ANSWERED;
        r->ret = now;
        r->line = strdup(line);
        assert(r->line != NULL);
    }
    free(line);
    return true;
}

/* The next answer, or all of them in an array. */
static bool take_answer(struct h_client *c, const struct burst *b)
{
    char *line = h_peer_line(&c->peer);
    uint64_t now = tkv_now_ns();
    if (line == NULL) return false;
    if (b->array) return take_array(c, b, line, now);
    struct h_request *r = asked(c, b, line);
    if (r == NULL) {
        snprintf(c->wrong, sizeof c->wrong, "client %u got what it did not ask for: %.150s", c->id,
                 line);
        free(line);
        return false;
    }
    r->payload_bytes = number_in(line, "},\"payload\":", 0);
    if (r->payload_bytes > 0) r->payload = h_peer_bytes(&c->peer, r->payload_bytes);
    r->ret = r->payload_bytes > 0 ? tkv_now_ns() : now;
    r->fate = H_ANSWERED;
    r->line = line;
    learn(c, r, line);
    return r->payload_bytes == 0 || r->payload != NULL;
}

static bool take_answers(struct h_client *c, const struct burst *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (take_answer(c, b)) continue;
        if (c->wrong[0] == '\0')
            snprintf(c->wrong, sizeof c->wrong, "client %u was left without an answer", c->id);
        return false;
    }
    return true;
}

/* --- one burst after another ---------------------------------------------------------------------
 */

/* An append without an answer, which says where it belongs, is asked for once more. */
static void keep_for_retry(struct h_client *c, const struct burst *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct h_request *r = &c->requests[b->first + i];
        if (r->method == H_DO_APPEND && r->has_pos && r->fate != H_ANSWERED) c->retry = *r;
    }
}

static void add_retry(struct h_client *c)
{
    struct h_request *r = h_client_add(c, H_DO_APPEND);
    uint64_t number = r->number;
    *r = c->retry;
    r->number = number;
    r->fate = H_UNSENT;
    c->retry.has_pos = false;
}

static void plan_burst(struct h_client *c, struct burst *b)
{
    uint32_t n = below(c, 100) < 40 ? 1 : 2 + below(c, H_BURST_MAX - 2);
    b->first = c->n;
    b->array = n > 1 && below(c, 100) < 25;
    if (c->retry.has_pos) {
        add_retry(c);
        b->array = b->array && h_fits_array(&c->requests[b->first]);
    }
    while (c->n < b->first + n) {
        struct h_request *r = h_plan(c);
        if (b->array && !h_fits_array(r)) c->n--; /* another one */
    }
    b->n = c->n - b->first;
}

static enum ending any_ending(struct h_client *c)
{
    uint32_t dice = below(c, 1000);
    return dice < 20 ? CUT : dice < 40 ? DEAF : dice < 60 ? SHUT : STAYS;
}

/* The daemon closes when it has answered all, and has seen to what was the client's. */
static bool shut(struct h_client *c, const struct burst *b, size_t lines)
{
    note_ending(c);
    shutdown(c->peer.fd, SHUT_WR);
    if (!take_answers(c, b, lines)) return false;
    free(h_peer_line(&c->peer));
    c->endings[c->n_endings - 1].over = tkv_now_ns();
    h_peer_close(&c->peer);
    return true;
}

static bool finish_burst(struct h_client *c, const struct burst *b, enum ending ending)
{
    size_t lines = b->array ? 1 : b->n;
    if (ending == STAYS) return take_answers(c, b, lines);
    if (ending == SHUT) return shut(c, b, lines);
    bool fine = ending == CUT || take_answers(c, b, below(c, (uint32_t)lines));
    h_client_hang_up(c);
    uint64_t over = when_over(c);
    c->endings[c->n_endings - 1].over = over;
    for (size_t i = 0; i < b->n; i++)
        c->requests[b->first + i].over = over;
    keep_for_retry(c, b);
    return fine;
}

static bool one_burst(struct h_client *c)
{
    struct burst b = {0};
    enum ending ending = any_ending(c);
    plan_burst(c, &b);
    if (!connected(c)) return false;
    write_burst(c, &b);
    size_t bytes = ending == CUT ? below(c, (uint32_t)b.out.len) : b.out.len;
    bool fine = send_burst(c, &b, bytes);
    if (!fine) snprintf(c->wrong, sizeof c->wrong, "client %u cannot send", c->id);
    fine = fine && finish_burst(c, &b, ending);
    tkv_buffer_close(&b.out);
    return fine;
}

bool h_client_ask(struct h_client *c)
{
    struct burst b = {.first = c->n - 1, .n = 1};
    if (!connected(c)) return false;
    write_burst(c, &b);
    bool fine = send_burst(c, &b, b.out.len) && take_answers(c, &b, 1);
    tkv_buffer_close(&b.out);
    return fine;
}

/* All pages, one after the other; other clients go on meanwhile. */
static bool walk_list(struct h_client *c)
{
    uint64_t cursor = 0;
    c->walks++;
    do {
        struct h_request *r = h_client_add(c, H_DO_LIST);
        r->n_seqs = 0;
        r->tokens[0] = 2 + below(c, LIST_PAGE_MAX);
        r->cursor = cursor;
        r->walk = c->walks;
        if (!h_client_ask(c)) return false;
        cursor = number_in(c->requests[c->n - 1].line, "\"cursor\":", 0);
    } while (cursor != 0);
    return true;
}

void *h_client_run(void *arg)
{
    struct h_client *c = arg;
    bool fine = true;
    while (fine && c->n < c->quota)
        fine = below(c, 1000) < 10 ? walk_list(c) : one_burst(c);
    h_client_hang_up(c);
    return NULL;
}
