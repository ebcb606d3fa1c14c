#include "daemon/dispatch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/connection_out.h"
#include "daemon/handlers.h"
#include "proto/answer.h"

enum { ERROR_ROOM = 4096, ARRAY_BYTES = 4 << 20, READ_RETRY_MS = 100 };

/* One line of requests. */
struct exchange {
    struct tkv_server *server;
    struct tkv_connection *conn; /* NULL: it is closed */
    struct tkv_message *msg;     /* requests borrow from it */
    size_t open;                 /* requests not yet answered, and one while they are started */
    size_t failed;               /* of the open ones: answered by tkv_dispatch_fail() */
    struct tkv_buffer answers;   /* of a batch array */
};

struct tkv_call {
    struct tkv_op op;
    struct exchange *exchange;
    const struct tkv_request *request;
    uint64_t arrived_ns;
    bool is_read;
    bool told;                    /* by tkv_dispatch_fail() */
    struct tkv_call *prev, *next; /* conn->calls */
};

static struct tkv_stats *stats_of(const struct exchange *ex)
{
    return ex->server->stats;
}

/* --- exchanges -------------------------------------------------------------------------------- */

/* The array of answers becomes a line; there is none where all were notifications. */
static void send_batch(struct exchange *ex)
{
    struct tkv_buffer *out = &ex->conn->out;
    if (ex->answers.len == 0) return;
    size_t before = out->len;
    tkv_buffer_puts(out, "[");
    tkv_buffer_append(out, ex->answers.data, ex->answers.len);
    tkv_buffer_puts(out, "]\n");
    if (tkv_buffer_status(out) == TKV_OK) return;
    out->len = before;
    tkv_connection_doom(ex->conn, TKV_CLOSED_NO_MEMORY);
}

static void release(struct exchange *ex)
{
    assert(ex->open > 0);
    if (--ex->open > 0) return;
    if (ex->conn != NULL) ex->conn->gathered -= ex->answers.len;
    if (ex->conn != NULL && ex->msg->is_batch) send_batch(ex);
    if (ex->conn != NULL) tkv_connection_touch(ex->conn);
    tkv_buffer_close(&ex->answers);
    tkv_message_free(ex->msg);
    free(ex);
}

static struct tkv_call *open_call(struct exchange *ex, const struct tkv_request *request)
{
    struct tkv_connection *conn = ex->conn;
    struct tkv_call *call = calloc(1, sizeof *call);
    if (call == NULL) return NULL;
    call->exchange = ex;
    call->request = request;
    call->arrived_ns = conn->read_ns;
    ex->open++;
    call->next = conn->calls;
    if (call->next != NULL) call->next->prev = call;
    conn->calls = call;
    conn->n_calls++;
    return call;
}

static void close_call(struct tkv_call *call)
{
    struct tkv_connection *conn = call->exchange->conn;
    if (conn != NULL) {
        if (call->prev != NULL)
            call->prev->next = call->next;
        else
            conn->calls = call->next;
        if (call->next != NULL) call->next->prev = call->prev;
        conn->n_calls--;
        if (call->is_read) conn->n_reads--;
        tkv_connection_touch(conn); /* it may be read on, even where nothing is to be written */
    }
    release(call->exchange);
    free(call);
}

void tkv_dispatch_abandon(struct tkv_connection *conn)
{
    for (struct tkv_call *call = conn->calls; call != NULL; call = call->next) {
        call->exchange->conn = NULL;
        call->op.client = NULL; /* the core must not look for it any more */
    }
    conn->calls = NULL;
    conn->n_calls = conn->n_reads = 0;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Every request is counted once, with the outcome that its answer has. */
static void count_answer(const struct tkv_call *call, enum tkv_status st)
{
    struct exchange *ex = call->exchange;
    enum tkv_status early = call->request->error.status;
    bool known = early != TKV_EPARSE && early != TKV_EREQUEST && early != TKV_EMETHOD;
    unsigned method = known ? (unsigned)call->request->method : TKV_METHOD_NONE;
    tkv_tally_answered(&ex->server->telemetry.tally, method, st, tkv_now_ns() - call->arrived_ns);
    if (st != TKV_OK) tkv_stat_add(&stats_of(ex)->requests_errors, 1);
}

static void write_error(struct tkv_buffer *out, const struct tkv_call *call,
                        const struct tkv_error *error)
{
    const struct tkv_request *r = call->request;
    tkv_answer_error(out, r->id, r->id_len, error, call->op.item_errors, call->op.n_item_errors);
}

static void write_result(struct tkv_buffer *out, const struct tkv_call *call, size_t payload)
{
    struct tkv_json j;
    const struct tkv_request *r = call->request;
    tkv_answer_begin(&j, out, r->id, r->id_len);
    tkv_handler_of(r->method)->put(&j, call->exchange->server, &call->op);
    tkv_answer_end(&j, payload);
}

/* An answer that did not fit into out gives way to an error that does. */
static void give_way(struct tkv_buffer *out, size_t before, const struct tkv_call *call)
{
    struct tkv_error error;
    enum tkv_status st = tkv_buffer_status(out);
    out->len = before;
    out->status = TKV_OK;
    out->max += ERROR_ROOM;
    tkv_error_set(&error, st, "the answer is too large; ask for less at a time");
    tkv_answer_error(out, call->request->id, call->request->id_len, &error, NULL, 0);
    if (!call->exchange->msg->is_batch) tkv_buffer_puts(out, "\n");
    if (tkv_buffer_status(out) == TKV_OK) return;
    out->len = before;
    tkv_connection_doom(call->exchange->conn, TKV_CLOSED_NO_MEMORY);
}

/* Writes the answer to the connection, or into the array. payload: bytes that will follow it;
 * false: they must not, it gave way to an error. */
static bool put_answer(struct tkv_call *call, const struct tkv_error *error, size_t payload)
{
    struct exchange *ex = call->exchange;
    bool batch = ex->msg->is_batch;
    struct tkv_buffer *out = batch ? &ex->answers : &ex->conn->out;
    if (batch && out->len > 0) tkv_buffer_puts(out, ",");
    size_t before = out->len;
    if (error->status == TKV_OK)
        write_result(out, call, payload);
    else
        write_error(out, call, error);
    if (!batch) tkv_buffer_puts(out, "\n");
    if (tkv_buffer_status(out) == TKV_OK) return true;
    give_way(out, before, call);
    return false;
}

/* What gathers for an array counts as unread, too: it is memory that the client makes us hold. */
static bool write_answer(struct tkv_call *call, const struct tkv_error *error, size_t payload)
{
    struct exchange *ex = call->exchange;
    size_t before = ex->answers.len;
    bool fine = put_answer(call, error, payload);
    ex->conn->gathered += ex->answers.len - before;
    return fine;
}

/* A read whose client has not read what it asked for before: too much for it, and nothing lost. */
static bool is_too_much(const struct tkv_call *call, struct tkv_error *error)
{
    const struct tkv_connection *conn = call->exchange->conn;
    if (!call->is_read || conn == NULL || call->request->notification) return false;
    size_t unread = tkv_connection_unread(conn), mark = tkv_connection_hard_mark(conn);
    if (call->exchange->msg->is_batch) /* base64, in one line, twice in memory at its end */
        mark = (size_t)conn->server->config->limits_output_bytes;
    if (unread == 0 || (unread <= mark && call->op.result.read.bytes <= mark - unread))
        return false;
    tkv_error_set(error, TKV_EOVERLOADED, "%zu bytes of answers are unread; read them first",
                  unread);
    tkv_error_number(error, retry_after_ms, READ_RETRY_MS);
    return true;
}

/* The bytes follow the answer as they are in their block, unless base64 was asked for. */
static void answer_read(struct tkv_call *call, struct tkv_connection *conn)
{
    struct tkv_staging *block = call->op.result.read.block;
    size_t bytes = call->request->params.seq_read.base64 ? 0 : call->op.result.read.bytes;
    if (!write_answer(call, &call->op.error, bytes) || bytes == 0) return;
    tkv_staging_ref(block);
    tkv_connection_send_block(conn, block, bytes);
}

/* Methods that may be asked once more for nothing, and whose answers may be long. A seq.read has a
 * rule of its own. */
static bool only_tells(enum tkv_method method)
{
    switch (method) {
    case TKV_METHOD_SEQ_LIST:
    case TKV_METHOD_DEBUG_VERIFY:
    case TKV_METHOD_DEBUG_LAST:
    case TKV_METHOD_DEBUG_SCRUB:
    case TKV_METHOD_DEBUG_SELFTEST: return true;
    default: return false;
    }
}

/* An array whose answers have become long enough: what more it asks for gives way to errors, since
 * they are all held, and made, before the first of them goes out. */
static bool is_long_enough(const struct tkv_call *call, struct tkv_error *error)
{
    if (!call->exchange->msg->is_batch || !only_tells(call->request->method)) return false;
    if (call->exchange->answers.len < ARRAY_BYTES) return false;
    tkv_error_set(error, TKV_EOVERLOADED, "the answers of this array are %zu bytes already",
                  call->exchange->answers.len);
    tkv_error_number(error, retry_after_ms, READ_RETRY_MS);
    return true;
}

/* A call's one end: its answer goes out where there is somebody to hear it. */
static void answer(struct tkv_call *call, const struct tkv_error *error)
{
    struct exchange *ex = call->exchange;
    struct tkv_connection *conn = ex->conn;
    struct tkv_error instead;
    if (error->status == TKV_OK && (is_long_enough(call, &instead) || is_too_much(call, &instead)))
        error = &instead;
    if (!call->told) count_answer(call, error->status);
    if (conn != NULL && !conn->doomed && !call->request->notification) {
        if (tkv_connection_unread(conn) > tkv_connection_last_mark(conn))
            tkv_connection_doom(conn, TKV_CLOSED_SLOW_READER);
        else if (call->is_read && error->status == TKV_OK)
            answer_read(call, conn);
        else
            write_answer(call, error, 0);
    }
    close_call(call);
}

static void on_done(struct tkv_op *op)
{
    struct tkv_call *call = op->owner;
    struct tkv_connection *conn = call->exchange->conn;
    struct tkv_staging *block = NULL;
    bool reads = call->is_read && op->error.status == TKV_OK;
    if (reads) block = op->result.read.block;
    if (reads && conn != NULL) conn->read_bytes = op->result.read.bytes;
    answer(call, &op->error);
    tkv_staging_unref(block); /* the core leaves it to us */
}

void tkv_dispatch_fail(struct tkv_connection *conn)
{
    struct tkv_error error;
    tkv_error_set(&error, TKV_EDEVICE, "the device is lost; the daemon is going down");
    for (struct tkv_call *call = conn->calls; call != NULL; call = call->next) {
        struct exchange *ex = call->exchange;
        count_answer(call, error.status);
        call->told = true;
        if (!call->request->notification) write_answer(call, &error, 0);
        if (++ex->failed == ex->open && ex->msg->is_batch) send_batch(ex);
    }
    tkv_dispatch_abandon(conn);
    conn->gathered = 0; /* it has been sent */
    tkv_connection_touch(conn);
}

/* --- sources of an append --------------------------------------------------------------------- */

static struct tkv_staging *take_block(struct tkv_server *server, uint64_t bytes,
                                      struct tkv_error *error)
{
    uint64_t limit = server->config->limits_max_payload_bytes;
    if (bytes <= limit) return tkv_core_take_block(server->core, (size_t)bytes, error);
    tkv_error_set(error, TKV_ETOOLARGE, "%" PRIu64 " bytes of data, the limit is %" PRIu64, bytes,
                  limit);
    tkv_error_number(error, limit, limit);
    tkv_error_number(error, size, bytes);
    return NULL;
}

struct tkv_staging *tkv_dispatch_payload(struct tkv_connection *conn, struct tkv_message *msg)
{
    struct tkv_request *r = &msg->requests[0];
    if (msg->payload_bytes == 0 || r->error.status != TKV_OK) return NULL;
    if (r->method != TKV_METHOD_SEQ_APPEND) {
        tkv_error_param(&r->error, "payload", "%s takes no payload", tkv_method_word(r->method));
        return NULL;
    }
    return take_block(conn->server, msg->payload_bytes, &r->error);
}

/* The block that data's base64 text stands for; NULL: the text is empty, or error is set. */
static struct tkv_staging *read_base64(struct tkv_server *server, const struct tkv_seq_append *p,
                                       struct tkv_error *error)
{
    size_t bytes = 0;
    enum tkv_status st = tkv_base64_size(p->base64, &bytes);
    assert(st == TKV_OK); /* the decoder has checked it */
    (void)st;
    if (bytes == 0) return NULL;
    struct tkv_staging *block = take_block(server, bytes, error);
    if (block != NULL) tkv_base64_read(p->base64, block->ptr);
    return block;
}

/* The block of data's numbers; f32 unless said. */
static struct tkv_staging *read_values(struct tkv_server *server, const struct tkv_seq_append *p,
                                       struct tkv_error *error)
{
    enum tkv_dtype dtype = p->dtype.given ? p->dtype.value : TKV_F32;
    struct tkv_staging *block = take_block(server, p->n_values * tkv_dtype_size(dtype), error);
    if (block != NULL) tkv_values_read(p, dtype, block->ptr);
    return block;
}

/* Gives an append's operation its block, whatever the source. block: the payload, taken. */
static void take_source(struct tkv_server *server, struct tkv_op *op, struct tkv_staging *block,
                        struct tkv_error *error)
{
    const struct tkv_seq_append *p = &op->request->params.seq_append;
    switch (p->source) {
    case TKV_SOURCE_PAYLOAD: break;
    case TKV_SOURCE_BASE64: block = read_base64(server, p, error); break;
    case TKV_SOURCE_VALUES: block = read_values(server, p, error); break;
    case TKV_SOURCE_REGION:
        tkv_error_set(error, TKV_ENOTSUP, "memory regions are not supported yet");
    }
    op->block = block;
}

/* --- requests --------------------------------------------------------------------------------- */

static void submit(struct tkv_call *call, struct tkv_staging *block)
{
    struct tkv_server *server = call->exchange->server;
    struct tkv_connection *conn = call->exchange->conn;
    struct tkv_op *op = &call->op;
    struct tkv_error error; /* large: filled where there is one */
    error.status = TKV_OK;
    op->request = call->request;
    op->client = &conn->client;
    op->done = on_done;
    op->owner = call;
    op->step = (struct tkv_step){.arrived_ns = conn->read_ns, .parse_ns = conn->parse_ns};
    call->is_read = call->request->method == TKV_METHOD_SEQ_READ;
    if (call->is_read) conn->n_reads++;
    if (call->request->method == TKV_METHOD_SEQ_APPEND) take_source(server, op, block, &error);
    if (error.status != TKV_OK) {
        answer(call, &error);
        return;
    }
    tkv_core_submit(server->core, op);
    tkv_server_kick(server);
}

static void start(struct tkv_call *call, struct tkv_staging *block)
{
    const struct tkv_request *r = call->request;
    struct tkv_error error;
    enum tkv_place place = TKV_PLACE_EDGE;
    if (r->error.status == TKV_OK) place = tkv_handler_of(r->method)->place;
    if (r->error.status == TKV_OK && !tkv_access_allows(call->exchange->conn, r->method)) {
        tkv_access_refuse(&error, r->method);
        answer(call, &error);
        return;
    }
    if (place == TKV_PLACE_CORE) {
        submit(call, block);
        return;
    }
    if (place == TKV_PLACE_ACT) {
        error.status = TKV_OK;
        (void)tkv_handler_of(r->method)->act(call->exchange->server, r, &error);
        answer(call, &error);
        return;
    }
    assert(block == NULL); /* only an append that is fine so far has one */
    if (place == TKV_PLACE_NONE) {
        tkv_error_set(&error, TKV_ENOTSUP, "%s is not supported yet", tkv_method_word(r->method));
        answer(call, &error);
    } else {
        answer(call, &r->error);
    }
}

static struct exchange *open_exchange(struct tkv_connection *conn, struct tkv_message *msg)
{
    struct exchange *ex = calloc(1, sizeof *ex);
    if (ex == NULL) return NULL;
    ex->server = conn->server;
    ex->conn = conn;
    ex->msg = msg;
    ex->open = 1;
    tkv_buffer_init(&ex->answers, conn->out.max);
    return ex;
}

void tkv_dispatch(struct tkv_connection *conn, struct tkv_message *msg, struct tkv_staging *block)
{
    struct exchange *ex = open_exchange(conn, msg);
    if (ex == NULL) {
        tkv_message_free(msg);
        tkv_staging_unref(block);
        tkv_connection_doom(conn, TKV_CLOSED_NO_MEMORY);
        return;
    }
    assert(block == NULL || msg->n == 1);
    for (size_t i = 0; i < msg->n; i++) {
        /* our own count keeps ex, which the analyzer cannot see */
        struct tkv_call *call =
            open_call(ex, &msg->requests[i]); // NOLINT(clang-analyzer-unix.Malloc)
        if (call == NULL) {
            tkv_staging_unref(block);
            tkv_connection_doom(conn, TKV_CLOSED_NO_MEMORY);
            break;
        }
        tkv_stat_add(&stats_of(ex)->requests_received, 1);
        start(call, block);
    }
    release(ex); // NOLINT(clang-analyzer-unix.Malloc)
}
