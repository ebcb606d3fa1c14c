/* A line becomes a message, each of whose requests is within its rules or has an error that can be
 * written as an answer, which must be JSON by our own gate. What is read the quick way reads the
 * same the ordinary way. */
#include <string.h>

#include "proto/answer.h"
#include "proto/gate.h"
#include "tests/fuzz/target.h"
#include "tests/proto/quick_check.h"

static struct tkv_buffer out;

static void check_json(void)
{
    struct tkv_gate_error err;
    MUST(tkv_buffer_status(&out) == TKV_OK);
    MUST(tkv_gate_check((const char *)out.data, out.len, &err) == TKV_OK);
    tkv_buffer_clear(&out);
}

static void check_append(const struct tkv_request *r)
{
    const struct tkv_seq_append *p = &r->params.seq_append;
    MUST(p->m >= 1 && p->m <= TKV_SEQS_MAX);
    for (size_t i = 0; i < p->m; i++)
        MUST(p->seqs[i] <= TKV_SEQ_MAX && p->tokens[i] >= 1 &&
             (p->pos == NULL || p->pos[i] <= TKV_SEQ_MAX));
    MUST((p->source == TKV_SOURCE_PAYLOAD) == (r->payload_bytes > 0));
    if (p->source == TKV_SOURCE_BASE64) {
        size_t n;
        MUST(tkv_base64_size(p->base64, &n) == TKV_OK);
        void *bytes = malloc(n > 0 ? n : 1);
        MUST(bytes != NULL);
        tkv_base64_read(p->base64, bytes);
        free(bytes);
    }
    if (p->source == TKV_SOURCE_VALUES) {
        enum tkv_dtype dtype = p->dtype.given ? p->dtype.value : TKV_F32;
        void *values = malloc(p->n_values * tkv_dtype_size(dtype));
        MUST(values != NULL);
        tkv_values_read(p, dtype, values);
        free(values);
    }
}

static void check_params(const struct tkv_request *r, bool in_batch)
{
    MUST((unsigned)r->method < TKV_METHOD_COUNT);
    MUST(r->payload_bytes == 0 || r->method == TKV_METHOD_SEQ_APPEND);
    if (r->method == TKV_METHOD_SEQ_APPEND) check_append(r);
    if (r->method == TKV_METHOD_SEQ_READ) {
        const struct tkv_seq_read *p = &r->params.seq_read;
        MUST(p->seq <= TKV_SEQ_MAX && (p->base64 || !in_batch));
        MUST(!p->layers.given || p->layers.begin < p->layers.end);
    }
    if (r->method == TKV_METHOD_SEQ_FREE) MUST(r->params.seq_free.m >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tkv_gate_error err;
    bool taken;
    MUST(quick_fault((const char *)data, size, &taken) == NULL);
    bool is_json = tkv_gate_check((const char *)data, size, &err) == TKV_OK;
    struct tkv_message *msg = tkv_message_parse((const char *)data, size);
    MUST(msg != NULL && msg->n >= 1 && (msg->is_batch || msg->n == 1));
    MUST(is_json == (msg->requests[0].error.status != TKV_EPARSE));
    if (out.max == 0) tkv_buffer_init(&out, 1 << 22);
    for (size_t i = 0; i < msg->n; i++) {
        const struct tkv_request *r = &msg->requests[i];
        MUST(r->id_len > 0);
        if (r->error.status == TKV_OK) {
            struct tkv_json j;
            check_params(r, msg->is_batch);
            tkv_answer_begin(&j, &out, r->id, r->id_len);
            tkv_put_empty(&j);
            tkv_answer_end(&j, msg->payload_bytes);
        } else {
            MUST(r->error.message[0] != '\0');
            tkv_answer_error(&out, r->id, r->id_len, &r->error, NULL, 0);
        }
        check_json();
    }
    tkv_message_free(msg);
    return 0;
}
