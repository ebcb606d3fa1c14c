/* answer_op.c - one answer, as an operation of one sequence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/wire.h"
#include "tests/histories/answers_impl.h"

struct h_op h_op_of(const struct h_request *r, enum h_kind kind, uint64_t seq, uint64_t barrier)
{
    uint64_t over = r->over != 0 ? r->over : barrier;
    return (struct h_op){.kind = kind,
                         .outcome = H_OUT_UNKNOWN,
                         .seq = seq,
                         .invoke = r->invoke,
                         .ret = r->fate == H_LOST ? over : r->ret,
                         .settled = r->fate == H_LOST ? barrier : 0,
                         .maybe = r->fate == H_LOST,
                         .client = r->client,
                         .conn = r->conn,
                         .request = r->number,
                         .layer_begin = r->layer_begin,
                         .layer_end = r->layer_end};
}

/* --- outcomes -----------------------------------------------------------------------------------
 */

/* Of error.data, or an entry of its items. */
static enum h_outcome outcome_of(const cJSON *data)
{
    static const struct {
        const char *reason;
        enum h_outcome outcome;
    } known[] = {
        {"not_found", H_OUT_NOT_FOUND},
        {"already_exists", H_OUT_EXISTS},
        {"overloaded", H_OUT_BUSY},
        {"out_of_memory", H_OUT_BUSY},
        {"out_of_range", H_OUT_RANGE},
        {"position_mismatch", H_OUT_POSITION},
        {"not_supported", H_OUT_BUSY},
        {"invalid_params", H_OUT_UNEVEN},
        /* what else could be wrong with ours? */ {"capacity_exceeded", H_OUT_CAPACITY},
    };
    const cJSON *reason = json_at(data, "reason"), *param = json_at(data, "param");
    if (!cJSON_IsString(reason)) return H_OUT_STRANGE;
    if (cJSON_IsString(param) && strcmp(param->valuestring, "layers") != 0) return H_OUT_STRANGE;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(reason->valuestring, known[i].reason) == 0) return known[i].outcome;
    }
    return H_OUT_STRANGE;
}

enum h_outcome h_outcome_of(const cJSON *answer)
{
    if (answer == NULL) return H_OUT_UNKNOWN;
    if (json_at(answer, "result") != NULL) return H_OUT_OK;
    return outcome_of(json_at(answer, "error.data"));
}

/* The entry of error.data.items about item i, or NULL. */
static const cJSON *fault_of(const cJSON *answer, size_t i)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_at(answer, "error.data.items"))
    {
        if (json_number(one, "index") == (double)i) return one;
    }
    return NULL;
}

static bool something_is_missing(const cJSON *answer)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_at(answer, "error.data.items"))
    {
        if (outcome_of(one) == H_OUT_NOT_FOUND) return true;
    }
    return false;
}

/* A request that names several is refused with the items at fault. */
static void check_items(struct h_op *op, const cJSON *answer)
{
    bool refused = answer != NULL && op->outcome != H_OUT_OK && op->outcome != H_OUT_BUSY;
    if (refused && json_at(answer, "error.data.items[0]") == NULL) op->outcome = H_OUT_STRANGE;
    op->missing = something_is_missing(answer);
}

static void judge_item(struct h_item *item, const cJSON *answer, size_t i)
{
    char path[32];
    const cJSON *fault = fault_of(answer, i);
    snprintf(path, sizeof path, "result.lens[%zu]", i);
    if (json_at(answer, "result") != NULL) item->told = (uint64_t)json_number(answer, path);
    if (fault == NULL) return;
    item->outcome = outcome_of(fault);
    if (item->outcome == H_OUT_POSITION) item->told = (uint64_t)json_number(fault, "expected");
    if (item->outcome == H_OUT_CAPACITY) item->told = (uint64_t)json_number(fault, "len");
}

void h_fill_append(struct h_op *op, const struct h_request *r, const cJSON *answer)
{
    check_items(op, answer);
    for (size_t i = 0; i < r->n_seqs; i++) {
        if (r->seqs[i] != op->seq) continue;
        struct h_item *item = &op->items[op->n_items++];
        *item = (struct h_item){
            .tokens = r->tokens[i], .has_pos = r->has_pos, .pos = r->pos[i], .tag = h_tag_of(r, i)};
        judge_item(item, answer, i);
    }
}

void h_fill_free(struct h_op *op, const struct h_request *r, const cJSON *answer)
{
    check_items(op, answer);
    op->n_items = 1;
    for (size_t i = 0; i < r->n_seqs; i++) {
        if (r->seqs[i] == op->seq) judge_item(&op->items[0], op->missing ? answer : NULL, i);
    }
    if (op->outcome == H_OUT_OK && json_number(answer, "result.freed") != (double)r->n_seqs)
        op->outcome = H_OUT_STRANGE;
}

void h_fill_state(struct h_op *op, const cJSON *info)
{
    const cJSON *label = json_at(info, "label");
    op->told = (uint64_t)json_number(info, "len");
    op->capacity = (uint32_t)json_number(info, "capacity");
    op->appends = (uint64_t)json_number(info, "appends");
    if (cJSON_IsString(label)) snprintf(op->label, sizeof op->label, "%s", label->valuestring);
    for (int l = 0; l < H_LAYERS; l++) {
        const cJSON *lens = json_at(info, "layer_lens");
        op->lens[l] = (uint32_t)op->told;
        if (lens != NULL) op->lens[l] = (uint32_t)cJSON_GetArrayItem(lens, l)->valuedouble;
    }
}

/* --- bytes that were read ------------------------------------------------------------------------
 */

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The bytes of a text, new memory; *n: how many. */
static uint8_t *from_base64(const char *text, size_t *n)
{
    uint8_t *out = malloc(strlen(text) + 1);
    uint32_t bits = 0, held = 0;
    *n = 0;
    for (; out != NULL && digit_of(*text) >= 0; text++) {
        bits = bits << 6 | (uint32_t)digit_of(*text);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out[(*n)++] = (uint8_t)(bits >> held);
    }
    return out;
}

static uint64_t *cells_of(const uint8_t *bytes, size_t n, uint32_t layers, uint32_t tokens)
{
    if (n != h_elements(layers, tokens) * sizeof(uint16_t)) return NULL;
    uint64_t *cells = calloc((size_t)layers * H_KV * tokens + 1, sizeof *cells);
    if (cells != NULL && n > 0) h_cells_of(bytes, layers, tokens, cells);
    return cells;
}

uint64_t *h_read_cells(struct h_op *op, const struct h_request *r, const cJSON *answer)
{
    char shape[64];
    uint32_t layers = r->layer_end - r->layer_begin;
    op->tokens = (uint32_t)json_number(answer, "result.shape[3]");
    snprintf(shape, sizeof shape, "[%u,%d,%d,%u,%d]", layers, H_KV, H_HEADS, op->tokens, H_DIM);
    if (!json_is(answer, "result.shape", shape) || !json_is(answer, "result.dtype", "\"f16\""))
        return NULL;
    if (!op->to_the_end && op->tokens != r->tokens[0]) return NULL;
    const cJSON *text = json_at(answer, "result.data.base64");
    if (!cJSON_IsString(text)) return cells_of(r->payload, r->payload_bytes, layers, op->tokens);
    size_t n;
    uint8_t *bytes = from_base64(text->valuestring, &n);
    uint64_t *cells = cells_of(bytes, n, layers, op->tokens);
    free(bytes);
    return cells;
}
