#include "clients/c/client_impl.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    TIMEOUT_MS = 30000,
    IN_FLIGHT_MAX = 1024,
    IN_FLIGHT_LIMIT = 1 << 20
};
static const size_t LINE_MAX_BYTES = (size_t)64 << 20;
static const size_t HELD_MAX_BYTES = (size_t)1 << 30;
static const size_t READ_AHEAD_BYTES = (size_t)256 << 10; /* beyond the longest line */

/* ---- Open and close ------------------------------------------------------------------------ */

static struct truekv_options with_defaults(const struct truekv_options *given)
{
    struct truekv_options o = {0};
    if (given != NULL) o = *given;
    if (o.connect_timeout_ms == 0) o.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (o.timeout_ms == 0) o.timeout_ms = TIMEOUT_MS;
    if (o.in_flight_max == 0) o.in_flight_max = IN_FLIGHT_MAX;
    if (o.in_flight_max > IN_FLIGHT_LIMIT) o.in_flight_max = IN_FLIGHT_LIMIT;
    if (o.line_max_bytes == 0) o.line_max_bytes = LINE_MAX_BYTES;
    if (o.line_max_bytes > SIZE_MAX / 2) o.line_max_bytes = SIZE_MAX / 2;
    if (o.held_max_bytes == 0) o.held_max_bytes = HELD_MAX_BYTES;
    o.tls_ca_file = o.tls_certificate_file = o.tls_key_file = o.tls_name = NULL; /* borrowed */
    return o;
}

static bool asks_for_tls(const struct truekv_options *o)
{
    return o != NULL && (o->tls_ca_file != NULL || o->tls_certificate_file != NULL ||
                         o->tls_key_file != NULL || o->tls_name != NULL);
}

static enum truekv_status open_over(struct truekv **out, int fd, struct tkc_tls *tls,
                                    const struct truekv_options *options)
{
    struct truekv *kv = calloc(1, sizeof *kv);
    if (kv == NULL) return TRUEKV_ENOMEM;
    kv->options = with_defaults(options);
    kv->slots = calloc(kv->options.in_flight_max, sizeof kv->slots[0]);
    if (kv->slots == NULL) {
        free(kv);
        return TRUEKV_ENOMEM;
    }
    kv->fd = fd;
    kv->tls = tls;
    kv->next_id = 1;
    tkv_buffer_init(&kv->out, kv->options.line_max_bytes);
    tkv_buffer_init(&kv->in, kv->options.line_max_bytes + READ_AHEAD_BYTES);
    *out = kv;
    return TRUEKV_OK;
}

enum truekv_status truekv_open_fd(struct truekv **out, int fd, const struct truekv_options *options)
{
    if (asks_for_tls(options)) return TRUEKV_EARGUMENT;
    return open_over(out, fd, NULL, options);
}

/* A connection, and TLS over it where tls is not NULL, within one span of time. */
static enum truekv_status reach(const char *address, struct tkc_tls *tls, int timeout_ms, int *fd,
                                struct truekv_error *why)
{
    uint64_t begun = tkv_now_ms();
    enum truekv_status st = tkc_connect(address, timeout_ms, fd, why);
    if (st != TRUEKV_OK || tls == NULL) return st;
    uint64_t spent = tkv_now_ms() - begun;
    int left = timeout_ms;
    if (timeout_ms >= 0) left = spent < (uint64_t)timeout_ms ? timeout_ms - (int)spent : 0;
    st = tkc_tls_shake_hands(tls, *fd, address, left, why);
    if (st != TRUEKV_OK) close(*fd);
    return st;
}

enum truekv_status truekv_open(struct truekv **out, const char *address,
                               const struct truekv_options *options, struct truekv_error *why)
{
    struct truekv_error ignored;
    struct tkc_tls *tls = NULL;
    enum truekv_status st = TRUEKV_OK;
    int fd = -1;
    if (why == NULL) why = &ignored;
    if (asks_for_tls(options)) st = tkc_tls_open(&tls, address, options, why);
    if (st != TRUEKV_OK) return st;
    st = reach(address, tls, with_defaults(options).connect_timeout_ms, &fd, why);
    if (st != TRUEKV_OK) goto fail_tls;
    st = open_over(out, fd, tls, options);
    if (st == TRUEKV_OK) return st;
    tkc_error_set(why, st, 0, "no memory for a client");
    close(fd);
fail_tls:
    tkc_tls_close(tls, false);
    return st;
}

void tkc_message_close(struct truekv *kv, struct tkc_message *m)
{
    free(m->line);
    if (m->owned) {
        kv->held -= m->envelope.payload_bytes;
        free(m->payload);
    }
    *m = (struct tkc_message){0};
}

void tkc_clear(struct truekv *kv)
{
    tkc_message_close(kv, &kv->current);
    cJSON_Delete(kv->parsed);
    free(kv->list);
    free(kv->items);
    free(kv->error_json);
    kv->parsed = NULL;
    kv->list = NULL;
    kv->items = NULL;
    kv->error_json = NULL;
    kv->answer = (struct truekv_answer){0};
    kv->error = (struct truekv_error){.status = TRUEKV_OK};
}

void truekv_close(struct truekv *kv)
{
    if (kv == NULL) return;
    tkc_clear(kv);
    for (unsigned i = 0; i < kv->options.in_flight_max; i++)
        tkc_message_close(kv, &kv->slots[i].message);
    tkc_message_close(kv, &kv->raw.message);
    tkv_buffer_close(&kv->in);
    tkv_buffer_close(&kv->out);
    free(kv->slots);
    tkc_tls_close(kv->tls, !kv->lost);
    close(kv->fd);
    free(kv);
}

int truekv_fd(const struct truekv *kv)
{
    return kv->fd;
}

void truekv_set_timeout(struct truekv *kv, int timeout_ms)
{
    kv->options.timeout_ms = timeout_ms == 0 ? TIMEOUT_MS : timeout_ms;
}

const struct truekv_error *truekv_error(const struct truekv *kv)
{
    return &kv->error;
}

const struct truekv_answer *truekv_last_answer(const struct truekv *kv)
{
    return &kv->answer;
}

unsigned truekv_in_flight(const struct truekv *kv)
{
    return kv->in_flight - kv->abandoned;
}

/* ---- Requests ------------------------------------------------------------------------------ */

static struct tkc_slot *slot_of(struct truekv *kv, uint64_t id)
{
    return &kv->slots[id % kv->options.in_flight_max];
}

/* The next id whose place is free: a counter that steps over the places of slow answers. */
static uint64_t take_id(struct truekv *kv)
{
    while (slot_of(kv, kv->next_id)->state != TKC_FREE)
        kv->next_id++;
    return kv->next_id;
}

enum truekv_status tkc_request_begin(struct truekv *kv, struct tkc_json *j, const char *method)
{
    if (kv->lost) return tkc_fail_lost(kv);
    if (kv->in_flight == kv->options.in_flight_max)
        return tkc_fail(kv, TRUEKV_EFULL, "%u requests are in flight: wait for one first",
                        kv->in_flight);
    tkv_buffer_clear(&kv->out);
    tkc_json_init(j, &kv->out);
    tkc_json_open(j, '{');
    tkc_json_put_string(j, "jsonrpc", "2.0");
    tkc_json_put_uint(j, "id", take_id(kv));
    tkc_json_put_string(j, "method", method);
    tkc_json_name(j, "params");
    return TRUEKV_OK;
}

static enum truekv_status add_up(struct truekv *kv, const struct truekv_block *blocks, size_t n,
                                 size_t *total)
{
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        if (blocks[i].data == NULL && blocks[i].bytes > 0)
            return tkc_fail(kv, TRUEKV_EARGUMENT, "block %zu of the payload has no data", i);
        if (__builtin_add_overflow(*total, blocks[i].bytes, total))
            return tkc_fail(kv, TRUEKV_EARGUMENT, "the payload's size overflows");
    }
    return TRUEKV_OK;
}

static enum truekv_status end_line(struct truekv *kv)
{
    tkv_buffer_append(&kv->out, "\n", 1);
    if (tkv_buffer_status(&kv->out) == TKV_OK) return TRUEKV_OK;
    if (tkv_buffer_status(&kv->out) == TKV_ENOMEM)
        return tkc_fail(kv, TRUEKV_ENOMEM, "no memory for a request");
    return tkc_fail(kv, TRUEKV_EARGUMENT, "the request's line is longer than %zu bytes",
                    kv->options.line_max_bytes);
}

static void release(struct truekv *kv, struct tkc_slot *slot)
{
    assert(slot->state != TKC_FREE && !slot->abandoned);
    tkc_message_close(kv, &slot->message);
    slot->state = TKC_FREE;
    kv->in_flight--;
}

enum truekv_status tkc_request_send(struct truekv *kv, struct tkc_json *j,
                                    const struct truekv_request *r, uint64_t *ticket)
{
    size_t total;
    enum truekv_status st = add_up(kv, r->blocks, r->n_blocks, &total);
    if (st != TRUEKV_OK) return st;
    if (total > 0) tkc_json_put_uint(j, "payload", total);
    tkc_json_close(j, '}');
    st = end_line(kv);
    if (st != TRUEKV_OK) return st;

    uint64_t id = kv->next_id++;
    struct tkc_slot *slot = slot_of(kv, id);
    assert(slot->state == TKC_FREE && slot->message.line == NULL);
    *slot = (struct tkc_slot){
        .state = TKC_WAITING, .id = id, .into = r->into, .into_bytes = r->into_bytes};
    kv->in_flight++;
    struct truekv_block line = {kv->out.data, kv->out.len};
    st = tkc_send(kv, &line, r->blocks, r->n_blocks);
    if (st != TRUEKV_OK) release(kv, slot);
    if (st == TRUEKV_OK) *ticket = id;
    return st;
}

enum truekv_status truekv_submit(struct truekv *kv, const struct truekv_request *request,
                                 uint64_t *ticket)
{
    struct tkc_json j;
    tkc_clear(kv);
    enum truekv_status st = tkc_request_begin(kv, &j, request->method);
    if (st != TRUEKV_OK) return st;
    tkc_json_text(&j, request->params != NULL ? request->params : "{}");
    return tkc_request_send(kv, &j, request, ticket);
}

/* ---- Answers ------------------------------------------------------------------------------- */

/* What kv->current says, as the answer or the error of this call. */
static enum truekv_status open_answer(struct truekv *kv)
{
    struct tkc_message *m = &kv->current;
    struct tkc_slice result = m->envelope.result, error = m->envelope.error;
    if (error.len > 0) return tkc_fail_json(kv, m->line + error.at, error.len);
    if (result.len == 0) return tkc_fail(kv, TRUEKV_EANSWER, "an answer without a result");
    m->line[result.at + result.len] = '\0'; /* the object's bracket comes after it at least */
    kv->answer.json = m->line + result.at;
    kv->answer.json_len = result.len;
    if (m->refused == TRUEKV_OK) {
        kv->answer.payload = m->payload;
        kv->answer.payload_bytes = m->envelope.payload_bytes;
        return TRUEKV_OK;
    }
    tkc_fail(kv, m->refused, "the answer's payload has %" PRIu64 " bytes, there is room for %zu",
             m->envelope.payload_bytes, m->room);
    kv->error.size = (int64_t)m->envelope.payload_bytes;
    kv->error.limit = (int64_t)m->room;
    return m->refused;
}

enum truekv_status tkc_wait(struct truekv *kv, uint64_t ticket)
{
    struct tkc_slot *slot = slot_of(kv, ticket);
    if (slot->state == TKC_FREE || slot->id != ticket || slot->abandoned)
        return tkc_fail(kv, TRUEKV_EARGUMENT, "there is no ticket %" PRIu64, ticket);
    while (slot->state == TKC_WAITING && !kv->lost) {
        if (tkc_receive(kv) == TRUEKV_ETIMEOUT) return TRUEKV_ETIMEOUT;
    }
    if (slot->state == TKC_WAITING) {
        tkc_fail_lost(kv);
    } else {
        kv->error = (struct truekv_error){.status = TRUEKV_OK};
        kv->current = slot->message;
        slot->message = (struct tkc_message){0};
        open_answer(kv);
    }
    release(kv, slot);
    return kv->error.status;
}

enum truekv_status truekv_wait(struct truekv *kv, uint64_t ticket, struct truekv_answer *answer)
{
    tkc_clear(kv);
    enum truekv_status st = tkc_wait(kv, ticket);
    if (st == TRUEKV_OK && answer != NULL) *answer = kv->answer;
    return st;
}

void truekv_abandon(struct truekv *kv, uint64_t ticket)
{
    struct tkc_slot *slot = slot_of(kv, ticket);
    if (slot->state == TKC_FREE || slot->id != ticket || slot->abandoned) return;
    if (slot->state == TKC_DONE) {
        release(kv, slot);
        return;
    }
    slot->abandoned = true;
    kv->abandoned++;
    if (kv->filling == slot) kv->to = NULL;
}

enum truekv_status tkc_request_call(struct truekv *kv, struct tkc_json *j,
                                    const struct truekv_request *r)
{
    uint64_t ticket;
    enum truekv_status st = tkc_request_send(kv, j, r, &ticket);
    if (st != TRUEKV_OK) return st;
    st = tkc_wait(kv, ticket);
    if (st == TRUEKV_ETIMEOUT) truekv_abandon(kv, ticket);
    return st;
}

enum truekv_status truekv_call(struct truekv *kv, const struct truekv_request *request,
                               struct truekv_answer *answer)
{
    struct tkc_json j;
    tkc_clear(kv);
    enum truekv_status st = tkc_request_begin(kv, &j, request->method);
    if (st != TRUEKV_OK) return st;
    tkc_json_text(&j, request->params != NULL ? request->params : "{}");
    st = tkc_request_call(kv, &j, request);
    if (st == TRUEKV_OK && answer != NULL) *answer = kv->answer;
    return st;
}

/* The next line that comes is the answer. One that does not come cannot be told from a late one
 * afterwards, so the connection ends there. */
static enum truekv_status wait_raw(struct truekv *kv, struct truekv_answer *answer)
{
    enum truekv_status st = TRUEKV_OK;
    while (st == TRUEKV_OK && kv->raw.state == TKC_WAITING)
        st = tkc_receive(kv);
    if (st == TRUEKV_ETIMEOUT) st = tkc_lose(kv, st, 0, "%s", kv->error.message);
    if (st != TRUEKV_OK) return st;
    kv->current = kv->raw.message;
    kv->raw = (struct tkc_slot){.state = TKC_FREE};
    kv->answer = (struct truekv_answer){.json = kv->current.line,
                                        .json_len = kv->current.len,
                                        .payload = kv->current.payload,
                                        .payload_bytes = kv->current.envelope.payload_bytes};
    if (kv->current.refused != TRUEKV_OK) kv->answer.payload_bytes = 0;
    *answer = kv->answer;
    return TRUEKV_OK;
}

enum truekv_status truekv_raw(struct truekv *kv, const char *line,
                              const struct truekv_block *blocks, size_t n_blocks,
                              struct truekv_answer *answer)
{
    size_t total;
    tkc_clear(kv);
    if (kv->lost) return tkc_fail_lost(kv);
    if (kv->in_flight > 0)
        return tkc_fail(kv, TRUEKV_EARGUMENT, "%u requests are in flight", kv->in_flight);
    if (strchr(line, '\n') != NULL)
        return tkc_fail(kv, TRUEKV_EARGUMENT, "the line holds a newline");
    enum truekv_status st = add_up(kv, blocks, n_blocks, &total);
    if (st != TRUEKV_OK) return st;
    tkv_buffer_clear(&kv->out);
    tkv_buffer_puts(&kv->out, line);
    st = end_line(kv);
    if (st != TRUEKV_OK) return st;
    kv->raw = (struct tkc_slot){.state = answer != NULL ? TKC_WAITING : TKC_FREE};
    struct truekv_block first = {kv->out.data, kv->out.len};
    st = tkc_send(kv, &first, blocks, n_blocks);
    return st == TRUEKV_OK && answer != NULL ? wait_raw(kv, answer) : st;
}
