#include "proto/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Reads one member of two words into a bool. */
static enum tkv_status read_either(struct tkv_reader *reader, const struct tkv_field *field,
                                   const cJSON *value, const char *no, const char *yes, bool *to)
{
    const char *word = cJSON_IsString(value) ? value->valuestring : "";
    *to = strcmp(word, yes) == 0;
    if (*to || strcmp(word, no) == 0) return TKV_OK;
    char text[TKV_SHORT_BYTES];
    return tkv_error_param(reader->error, field->name, "%s must be \"%s\" or \"%s\", not %s",
                           field->name, no, yes, tkv_describe(value, text));
}

static enum tkv_status read_on_disconnect(struct tkv_reader *reader, const struct tkv_field *field,
                                          const cJSON *value, void *to)
{
    return read_either(reader, field, value, "keep", "free", to);
}

static enum tkv_status read_encoding(struct tkv_reader *reader, const struct tkv_field *field,
                                     const cJSON *value, void *to)
{
    return read_either(reader, field, value, "payload", "base64", to);
}

static enum tkv_status read_seqs_of_free(struct tkv_reader *reader, const struct tkv_field *field,
                                         const cJSON *value, void *to)
{
    struct tkv_seq_free *params = to;
    return tkv_read_numbers(reader, field, value, 0, &params->m, &params->seqs);
}

static enum tkv_status read_seqs_of_verify(struct tkv_reader *reader, const struct tkv_field *field,
                                           const cJSON *value, void *to)
{
    struct tkv_debug_verify *params = to;
    return tkv_read_numbers(reader, field, value, 0, &params->m, &params->seqs);
}

static enum tkv_status read_seqs_of_scrub(struct tkv_reader *reader, const struct tkv_field *field,
                                          const cJSON *value, void *to)
{
    struct tkv_debug_scrub *params = to;
    return tkv_read_numbers(reader, field, value, 0, &params->m, &params->seqs);
}

#define AT(params, member) .at = offsetof(struct tkv_##params, member)
#define SEQ                .min = 0, .max = TKV_SEQ_MAX
#define COUNT              .min = 1, .max = TKV_SEQ_MAX
#define COUNT32            .min = 1, .max = UINT32_MAX
#define INDEX32            .min = 0, .max = UINT32_MAX - 1

static const struct tkv_field fields_none[] = {{0}};

static const struct tkv_field fields_auth[] = {
    {"token", tkv_read_text, AT(auth, token), .required = true, .max = TKV_TOKEN_BYTES_MAX},
    {0},
};

static const struct tkv_field fields_seq_create[] = {
    {"seq", tkv_read_maybe, AT(seq_create, seq), SEQ},
    {"model", tkv_read_text, AT(seq_create, model), .max = TKV_NAME_BYTES_MAX},
    {"capacity", tkv_read_maybe, AT(seq_create, capacity), COUNT32},
    {"label", tkv_read_text, AT(seq_create, label), .max = TKV_NAME_BYTES_MAX},
    {"ttl_ms", tkv_read_maybe, AT(seq_create, ttl_ms), COUNT},
    {"on_disconnect", read_on_disconnect, AT(seq_create, free_on_disconnect)},
    {0},
};

static const struct tkv_field fields_seq_truncate[] = {
    {"seq", tkv_read_u64, AT(seq_truncate, seq), .required = true, SEQ},
    {"len", tkv_read_u64, AT(seq_truncate, len), .required = true, SEQ},
    {0},
};

static const struct tkv_field fields_seq_free[] = {
    {"seqs", read_seqs_of_free, .required = true, SEQ},
    {0},
};

static const struct tkv_field fields_seq_info[] = {
    {"seq", tkv_read_u64, AT(seq_info, seq), .required = true, SEQ},
    {0},
};

static const struct tkv_field fields_seq_list[] = {
    {"cursor", tkv_read_maybe, AT(seq_list, cursor), SEQ},
    {"limit", tkv_read_maybe, AT(seq_list, limit), COUNT},
    {0},
};

static const struct tkv_field fields_seq_read[] = {
    {"seq", tkv_read_u64, AT(seq_read, seq), .required = true, SEQ},
    {"layers", tkv_read_layers, AT(seq_read, layers)},
    {"pos", tkv_read_maybe, AT(seq_read, pos), SEQ},
    {"tokens", tkv_read_maybe, AT(seq_read, tokens), SEQ},
    {"dtype", tkv_read_dtype, AT(seq_read, dtype)},
    {"encoding", read_encoding, AT(seq_read, base64)},
    {0},
};

static const struct tkv_field fields_debug_verify[] = {
    {"seqs", read_seqs_of_verify, SEQ},
    {"batches", tkv_read_maybe, AT(debug_verify, batches), COUNT},
    {"scratch_bytes", tkv_read_maybe, AT(debug_verify, scratch_bytes), COUNT},
    {0},
};

static const struct tkv_field fields_debug_scrub[] = {
    {"seqs", read_seqs_of_scrub, SEQ},
    {0},
};

#define SELFTEST(name, least, most)                                                  \
    {                                                                                \
#name, tkv_read_u32, AT(debug_selftest, name), .min = (least), .max = (most) \
    }
static const struct tkv_field fields_debug_selftest[] = {
    SELFTEST(m, 1, TKV_SELFTEST_MAX),
    SELFTEST(n_kv_heads, 1, TKV_SELFTEST_MAX),
    SELFTEST(head_dim, 1, TKV_HEAD_DIM_MAX),
    SELFTEST(capacity, 1, TKV_SELFTEST_CAPACITY_MAX),
    SELFTEST(cache_len, 0, TKV_SELFTEST_CAPACITY_MAX),
    SELFTEST(layers, 1, TKV_SELFTEST_MAX),
    {"seed", tkv_read_u64, AT(debug_selftest, seed), COUNT},
    {0},
};

static const struct tkv_field fields_debug_inject[] = {
    {"fault", tkv_read_text, AT(debug_inject, fault), .required = true, .max = TKV_NAME_BYTES_MAX},
    {"batches", tkv_read_maybe, AT(debug_inject, batches), COUNT},
    {"layer", tkv_read_maybe, AT(debug_inject, layer), INDEX32},
    {"kv_head", tkv_read_maybe, AT(debug_inject, kv_head), INDEX32},
    {"last_item", tkv_read_bool, AT(debug_inject, last_item)},
    {"together", tkv_read_bool, AT(debug_inject, together)},
    {0},
};

static int compare_seqs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static enum tkv_status check_free(struct tkv_reader *reader, const struct tkv_seq_free *params)
{
    uint64_t *sorted = tkv_arena_take(reader->arena, params->m, sizeof *sorted);
    if (sorted == NULL) return tkv_error_set(reader->error, TKV_ENOMEM, "out of memory");
    memcpy(sorted, params->seqs, params->m * sizeof *sorted);
    qsort(sorted, params->m, sizeof *sorted, compare_seqs);
    for (size_t i = 1; i < params->m; i++) {
        if (sorted[i] == sorted[i - 1])
            return tkv_error_param(reader->error, "seqs", "sequence %llu stands twice in seqs",
                                   (unsigned long long)sorted[i]);
    }
    return TKV_OK;
}

static enum tkv_status check_read(struct tkv_reader *reader, const struct tkv_seq_read *params,
                                  bool in_batch)
{
    if (!in_batch || params->base64) return TKV_OK;
    return tkv_error_param(reader->error, "encoding",
                           "encoding must be \"base64\" in a batch array: no payload fits there");
}

static enum tkv_status check_selftest(struct tkv_reader *reader,
                                      const struct tkv_debug_selftest *params)
{
    if (params->cache_len < params->capacity) return TKV_OK;
    return tkv_error_param(reader->error, "cache_len",
                           "cache_len must be less than capacity %u: one token is appended",
                           params->capacity);
}

static enum tkv_status check_inject(struct tkv_reader *reader,
                                    const struct tkv_debug_inject *params)
{
    if (!params->together || !params->batches.given) return TKV_OK;
    return tkv_error_param(reader->error, "batches",
                           "batches are those of the fault that this one joins (together)");
}

static const struct tkv_field fields_admin_level[] = {
    {"level", tkv_read_text, AT(admin_level, level), .required = true, .max = TKV_NAME_BYTES_MAX},
    {0},
};

static enum tkv_status check_level(struct tkv_reader *reader, const struct tkv_admin_level *params)
{
    enum tkv_log_level level;
    if (tkv_log_level_from_word(params->level, &level)) return TKV_OK;
    return tkv_error_param(reader->error, "level", "level must be error, warning, info or debug");
}

static const char *const method_words[TKV_METHOD_COUNT] = {
#define X(name, word, member) word,
    TKV_METHODS(X)
#undef X
};

/* NULL: params are not looked into. */
#define fields_any        NULL
#define fields_seq_append NULL /* tkv_decode_append() does it */
static const struct tkv_field *const method_fields[TKV_METHOD_COUNT] = {
#define X(name, word, member) fields_##member,
    TKV_METHODS(X)
#undef X
};

const char *tkv_method_word(enum tkv_method method)
{
    return method_words[method];
}

bool tkv_method_from_word(const char *word, enum tkv_method *out)
{
    for (int i = 0; i < TKV_METHOD_COUNT; i++) {
        if (strcmp(word, method_words[i]) != 0) continue;
        *out = (enum tkv_method)i;
        return true;
    }
    return false;
}

/* What stands where a member is absent; all the rest is zero. */
static void set_defaults(struct tkv_request *request)
{
    if (request->method == TKV_METHOD_DEBUG_INJECT) request->params.debug_inject.batches.value = 1;
    if (request->method != TKV_METHOD_DEBUG_SELFTEST) return;
    request->params.debug_selftest = (struct tkv_debug_selftest){
        .m = 4,
        .n_kv_heads = 8,
        .head_dim = 128,
        .capacity = 64,
        .cache_len = 4,
        .layers = 1,
        .seed = 1,
    };
}

enum tkv_status tkv_decode_params(struct tkv_reader *reader, const cJSON *params, bool in_batch,
                                  struct tkv_request *request)
{
    if (request->method == TKV_METHOD_SEQ_APPEND) return tkv_decode_append(reader, params, request);
    if (request->payload_bytes > 0)
        return tkv_error_param(reader->error, "payload", "%s takes no payload",
                               tkv_method_word(request->method));
    const struct tkv_field *fields = method_fields[request->method];
    if (fields == NULL) return TKV_OK;
    set_defaults(request);
    enum tkv_status st = tkv_read_fields(reader, params, "", fields, &request->params);
    if (st != TKV_OK) return st;
    switch (request->method) {
    case TKV_METHOD_SEQ_FREE: return check_free(reader, &request->params.seq_free);
    case TKV_METHOD_SEQ_READ: return check_read(reader, &request->params.seq_read, in_batch);
    case TKV_METHOD_DEBUG_INJECT: return check_inject(reader, &request->params.debug_inject);
    case TKV_METHOD_ADMIN_LOG_LEVEL: return check_level(reader, &request->params.admin_level);
    case TKV_METHOD_DEBUG_SELFTEST: return check_selftest(reader, &request->params.debug_selftest);
    default: return TKV_OK;
    }
}
