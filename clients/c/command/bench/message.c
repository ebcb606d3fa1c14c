#include "clients/c/command/bench/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "clients/c/command/payload.h"
#include "clients/c/json_out.h"

enum {
    SPREAD_BYTES = 64 * 1024, /* stays in a processor's cache: the bench is not to wait for rows */
    STEP_BYTES = 64,
    LINE_BYTES_MAX = 1 << 20,
    PARAMS_BYTES_MAX = 1 << 12
};
static const size_t LISTS_BYTES_MAX = (size_t)1 << 30;

static const char payload_tail[] = "";
static const char base64_tail[] = "\"}}}\n";

static bool fine(const struct tkv_buffer *b)
{
    return tkv_buffer_status(b) == TKV_OK;
}

/* ---- What is made once --------------------------------------------------------------------- */

static bool make_lists(struct bench_messages *m)
{
    uint32_t items = m->plan->items;
    m->n_groups = (size_t)m->plan->sequences / items;
    m->list_at = calloc(m->n_groups + 1, sizeof m->list_at[0]);
    m->lens = calloc(m->n_groups + 1, sizeof m->lens[0]);
    if (m->list_at == NULL || m->lens == NULL) return false;
    for (size_t i = 0; i < m->n_groups * items; i++) {
        if (i % items == 0) m->list_at[i / items] = m->lists.len;
        tkv_buffer_printf(&m->lists, "%s%" PRIu64, i % items == 0 ? "" : ",", m->seqs[i]);
    }
    m->list_at[m->n_groups] = m->lists.len;
    return fine(&m->lists);
}

static void put_shape(struct bench_messages *m)
{
    const struct bench_plan *plan = m->plan;
    if (plan->tokens != 1 || plan->method == BENCH_READ)
        tkv_buffer_printf(&m->params, ",\"tokens\":%" PRIu32, plan->tokens);
    if (plan->layers.end > 0)
        tkv_buffer_printf(&m->params, ",\"layers\":[%" PRIu32 ",%" PRIu32 "]", plan->layers.begin,
                          plan->layers.end);
    if (plan->dtype != TRUEKV_DTYPE_CACHE)
        tkv_buffer_printf(&m->params, ",\"dtype\":\"%s\"", truekv_dtype_word(plan->dtype));
}

static void put_create(struct bench_messages *m)
{
    struct tkc_json j;
    tkc_json_init(&j, &m->params);
    tkc_json_put_string(&j, "model", m->plan->model);
    tkc_json_put_uint(&j, "capacity", m->plan->capacity);
    tkc_json_put_string(&j, "on_disconnect", "free");
    tkv_buffer_puts(&m->params, "}}\n");
}

/* Everything of the line behind what differs from request to request. */
static bool make_params(struct bench_messages *m)
{
    switch (m->plan->method) {
    case BENCH_PING: tkv_buffer_puts(&m->params, "}\n"); break;
    case BENCH_CHURN: put_create(m); break;
    case BENCH_READ:
        put_shape(m);
        tkv_buffer_puts(&m->params, "}}\n");
        break;
    default:
        put_shape(m);
        if (m->plan->base64)
            tkv_buffer_puts(&m->params, ",\"data\":{\"base64\":\"");
        else
            tkv_buffer_printf(&m->params, "},\"payload\":%zu}\n", m->body_bytes);
    }
    return fine(&m->params);
}

/* RFC 4648, with padding. */
static void encode(const uint8_t *from, size_t n, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t three = (uint32_t)from[i] << 16;
        if (left > 1) three |= (uint32_t)from[i + 1] << 8;
        if (left > 2) three |= from[i + 2];
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
}

static bool make_base64(struct bench_messages *m, size_t bytes)
{
    size_t size = (bytes + 2) / 3 * 4;
    char *text = malloc(size > 0 ? size : 1);
    if (text == NULL) return false;
    encode(m->data, bytes, text);
    free(m->data);
    m->data = text;
    m->body_bytes = size;
    m->spread = 0;
    m->tail = base64_tail;
    m->tail_bytes = sizeof base64_tail - 1;
    return true;
}

/* Rows that differ from request to request, so that rows of another request in a request's place do
 * not go unnoticed by a verification. */
static bool make_data(struct bench_messages *m)
{
    struct payload p = {0};
    uint64_t state = payload_seed(1);
    size_t total, bytes = m->plan->request_bytes;
    if (m->plan->method != BENCH_APPEND) return true;
    if (!tkv_add(bytes, SPREAD_BYTES, &total)) return false;
    size_t each = truekv_dtype_bytes(m->plan->data_dtype);
    if (!payload_make(&p, &state, total / each, m->plan->data_dtype)) return false;
    m->data = p.data;
    m->body_bytes = bytes;
    m->spread = SPREAD_BYTES;
    return !m->plan->base64 || make_base64(m, bytes);
}

bool bench_messages_init(struct bench_messages *m, const struct bench_plan *plan,
                         const uint64_t *seqs)
{
    *m = (struct bench_messages){.plan = plan, .seqs = seqs, .tail = payload_tail};
    tkv_buffer_init(&m->lists, LISTS_BYTES_MAX);
    tkv_buffer_init(&m->params, PARAMS_BYTES_MAX);
    return make_data(m) && make_lists(m) && make_params(m);
}

void bench_messages_close(struct bench_messages *m)
{
    tkv_buffer_close(&m->lists);
    tkv_buffer_close(&m->params);
    free(m->list_at);
    free(m->lens);
    free(m->data);
    *m = (struct bench_messages){0};
}

/* ---- One request --------------------------------------------------------------------------- */

static void put_head(struct tkv_buffer *line, uint32_t id, const char *method)
{
    tkv_buffer_printf(line, "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu32 ",\"method\":\"%s\"", id,
                      method);
}

static void put_list(struct bench_messages *m, struct tkv_buffer *line, size_t group)
{
    size_t at = m->list_at[group];
    tkv_buffer_append(line, m->lists.data + at, m->list_at[group + 1] - at);
}

/* No answer: it is neither counted nor waited for, and an append that it did not make room for is
 * refused. */
static void put_rollback(struct bench_messages *m, struct tkv_buffer *line, size_t group)
{
    for (uint32_t i = 0; i < m->plan->items; i++)
        tkv_buffer_printf(line,
                          "{\"jsonrpc\":\"2.0\",\"method\":\"seq.truncate\",\"params\":{\"seq\":"
                          "%" PRIu64 ",\"len\":0}}\n",
                          m->seqs[group * m->plan->items + i]);
}

static void put_pos(struct bench_messages *m, struct tkv_buffer *line, uint64_t pos)
{
    tkv_buffer_puts(line, ",\"pos\":[");
    for (uint32_t i = 0; i < m->plan->items; i++)
        tkv_buffer_printf(line, "%s%" PRIu64, i == 0 ? "" : ",", pos);
    tkv_buffer_puts(line, "]");
}

static void put_append(struct bench_messages *m, struct tkv_buffer *line, uint32_t id, size_t group)
{
    put_head(line, id, "seq.append");
    tkv_buffer_puts(line, ",\"params\":{\"seqs\":[");
    put_list(m, line, group);
    tkv_buffer_puts(line, "]");
    if (m->plan->with_pos) put_pos(m, line, m->lens[group]);
}

static void put_read(struct bench_messages *m, struct tkv_buffer *line, uint32_t id, size_t group)
{
    put_head(line, id, "seq.read");
    tkv_buffer_puts(line, ",\"params\":{\"seq\":");
    put_list(m, line, group);
    tkv_buffer_puts(line, ",\"pos\":0");
}

static const void *next_body(struct bench_messages *m)
{
    if (m->spread > 0) m->turn = (m->turn + STEP_BYTES) % m->spread;
    return (const char *)m->data + m->turn;
}

static void build_append(struct bench_messages *m, struct bench_message *out, uint32_t id,
                         size_t group)
{
    bool full = m->lens[group] + m->plan->tokens > m->plan->capacity;
    out->body = next_body(m);
    out->body_bytes = m->body_bytes;
    if (!out->ready || full) {
        tkv_buffer_clear(&out->line);
        if (full) put_rollback(m, &out->line, group);
        if (full) m->lens[group] = 0;
        put_append(m, &out->line, id, group);
        tkv_buffer_append(&out->line, m->params.data, m->params.len);
        out->ready = !full && !m->plan->with_pos;
    }
    m->lens[group] += m->plan->tokens;
}

void bench_message_build(struct bench_messages *m, struct bench_message *out, uint32_t id,
                         size_t group)
{
    if (out->line.max == 0) tkv_buffer_init(&out->line, LINE_BYTES_MAX);
    if (m->plan->method == BENCH_APPEND) {
        build_append(m, out, id, group);
        return;
    }
    if (out->ready) return;
    tkv_buffer_clear(&out->line);
    if (m->plan->method == BENCH_READ)
        put_read(m, &out->line, id, group);
    else if (m->plan->method == BENCH_PING)
        put_head(&out->line, id, "server.ping");
    else
        put_head(&out->line, id, "seq.create");
    if (m->plan->method == BENCH_CHURN) tkv_buffer_puts(&out->line, ",\"params\":{");
    tkv_buffer_append(&out->line, m->params.data, m->params.len);
    out->ready = true;
}

void bench_message_free(struct bench_message *out, uint32_t id, uint64_t seq)
{
    assert(out->line.max > 0);
    tkv_buffer_clear(&out->line);
    put_head(&out->line, id, "seq.free");
    tkv_buffer_printf(&out->line, ",\"params\":{\"seqs\":[%" PRIu64 "]}}\n", seq);
    out->ready = false;
}
