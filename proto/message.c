#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/decode.h"
#include "proto/mend.h"
#include "proto/quick.h"
#include "proto/text.h"

/* A message and all its memory; the common case of one request is one allocation beside cJSON's. */
struct parsed {
    struct tkv_message msg;
    struct tkv_request first; /* msg.requests, unless they are many */
    cJSON *root;
    struct tkv_arena arena;
};

/* The members of a request's object. */
struct envelope {
    const cJSON *jsonrpc, *id, *method, *params, *payload, *stranger;
    const char *id_text; /* as it was sent */
    size_t id_len;
};

static const struct {
    const char *name;
    size_t at;
} envelope_members[] = {
    {"jsonrpc", offsetof(struct envelope, jsonrpc)}, {"id", offsetof(struct envelope, id)},
    {"method", offsetof(struct envelope, method)},   {"params", offsetof(struct envelope, params)},
    {"payload", offsetof(struct envelope, payload)},
};

static const cJSON **find_place(struct envelope *env, const char *name)
{
    for (size_t i = 0; i < sizeof envelope_members / sizeof envelope_members[0]; i++) {
        if (strcmp(envelope_members[i].name, name) == 0)
            return (const cJSON **)((char *)env + envelope_members[i].at);
    }
    return &env->stranger;
}

/* Sorts out the members of object, whose text starts at text. cJSON keeps members in their order,
 * so the two are walked side by side: only the text has an id's own spelling. */
static void read_envelope(struct envelope *env, const cJSON *object, const char *text,
                          const char *end)
{
    const cJSON *member;
    memset(env, 0, sizeof *env);
    cJSON_ArrayForEach(member, object)
    {
        text = tkv_skip_space(text + 1, end); /* behind '{' or ',' */
        text = tkv_skip_space(tkv_string_end(text + 1) + 1, end);
        const char *value = tkv_skip_space(text + 1, end); /* behind ':' */
        const char *value_end = tkv_skip_value(value, end);
        const cJSON **place = find_place(env, member->string);
        *place = member;
        if (place == &env->id) {
            env->id_text = value;
            env->id_len = (size_t)(value_end - value);
        }
        text = tkv_skip_space(value_end, end);
    }
}

/* Strings, and integers without a fraction or an exponent. */
static bool is_id(const struct envelope *env)
{
    if (cJSON_IsString(env->id)) return true;
    if (!cJSON_IsNumber(env->id)) return false;
    for (size_t i = 0; i < env->id_len; i++) {
        char c = env->id_text[i];
        if (c == '.' || c == 'e' || c == 'E') return false;
    }
    return true;
}

static void take_id(struct parsed *p, const struct envelope *env, struct tkv_request *request)
{
    if (env->id == NULL || !is_id(env)) return;
    char *copy = tkv_arena_take(&p->arena, env->id_len, 1);
    if (copy == NULL) return; /* the arena knows */
    memcpy(copy, env->id_text, env->id_len);
    request->id = copy;
    request->id_len = env->id_len;
}

/* payload of a line's one object: what follows the line, whatever else may be wrong with it. */
static enum tkv_status take_payload(struct parsed *p, const struct envelope *env,
                                    struct tkv_request *request)
{
    char text[TKV_SHORT_BYTES];
    if (env->payload == NULL) return TKV_OK;
    if (p->msg.is_batch)
        return tkv_error_set(&request->error, TKV_EREQUEST,
                             "a request in a batch array cannot have a payload");
    if (!tkv_is_integer(env->payload, 0, TKV_SEQ_MAX, &request->payload_bytes)) {
        p->msg.lost = true;
        return tkv_error_set(&request->error, TKV_EREQUEST,
                             "payload must be an integer from 0 to 2^53-1, not %s",
                             tkv_describe(env->payload, text));
    }
    p->msg.payload_bytes = request->payload_bytes;
    return TKV_OK;
}

static bool is_word(const cJSON *value, const char *word)
{
    const char *text = cJSON_GetStringValue(value);
    return text != NULL && strcmp(text, word) == 0;
}

/* What JSON-RPC asks of a request. TKV_EREQUEST: it is none. */
static enum tkv_status check_envelope(const struct envelope *env, struct tkv_error *error)
{
    char text[TKV_SHORT_BYTES];
    if (env->id != NULL && !is_id(env)) /* as it was sent: 1.0 is not "not 1" */
        return tkv_error_set(error, TKV_EREQUEST, "id must be a string or an integer, not %.*s",
                             (int)tkv_utf8_whole(env->id_text, env->id_len < 40 ? env->id_len : 40),
                             env->id_text);
    if (env->stranger != NULL)
        return tkv_error_set(error, TKV_EREQUEST, "unknown member %s",
                             tkv_text_short(env->stranger->string, text, sizeof text));
    if (!is_word(env->jsonrpc, "2.0"))
        return tkv_error_set(error, TKV_EREQUEST, "jsonrpc must be \"2.0\", not %s",
                             tkv_describe(env->jsonrpc, text));
    if (!cJSON_IsString(env->method))
        return tkv_error_set(error, TKV_EREQUEST, "method must be a string, not %s",
                             tkv_describe(env->method, text));
    return TKV_OK;
}

static void decode_method(struct parsed *p, const struct envelope *env, struct tkv_request *request)
{
    char text[TKV_SHORT_BYTES];
    const char *word = cJSON_GetStringValue(env->method);
    struct tkv_reader reader = {.error = &request->error, .arena = &p->arena};
    if (!tkv_method_from_word(word, &request->method)) {
        tkv_error_set(&request->error, TKV_EMETHOD, "no method %s",
                      tkv_text_short(word, text, sizeof text));
        size_t n = strnlen(word, sizeof request->error.method - 1);
        memcpy(request->error.method, word, tkv_utf8_whole(word, n));
        return;
    }
    if (env->params != NULL && !cJSON_IsObject(env->params)) {
        tkv_refuse(&reader, "params", "an object", env->params);
        return;
    }
    tkv_decode_params(&reader, env->params, p->msg.is_batch, request);
}

/* Decodes one request, whose text starts at text. */
static void decode_request(struct parsed *p, const cJSON *value, const char *text, const char *end,
                           struct tkv_request *request)
{
    struct envelope env;
    char shown[TKV_SHORT_BYTES];
    if (!cJSON_IsObject(value)) {
        tkv_error_set(&request->error, TKV_EREQUEST, "a request must be an object, not %s",
                      tkv_describe(value, shown));
        return;
    }
    read_envelope(&env, value, text, end);
    take_id(p, &env, request);
    if (take_payload(p, &env, request) != TKV_OK) return;
    if (check_envelope(&env, &request->error) != TKV_OK) return;
    request->notification = env.id == NULL; /* what is no request is none either: it is answered */
    decode_method(p, &env, request);
}

static void init_request(struct tkv_request *request)
{
    request->id = "null";
    request->id_len = 4;
}

/* Decodes an array of requests; text starts at its bracket. TKV_ENOMEM. */
static enum tkv_status decode_batch(struct parsed *p, const char *text, const char *end)
{
    size_t n = (size_t)cJSON_GetArraySize(p->root);
    struct tkv_error *error = &p->first.error;
    const cJSON *member = p->root->child;
    if (n == 0) {
        tkv_error_set(error, TKV_EREQUEST, "a batch array must not be empty");
        return TKV_OK;
    }
    if (n > TKV_BATCH_MAX) {
        tkv_error_set(error, TKV_ETOOLARGE, "a batch array of %zu requests, at most %d are allowed",
                      n, TKV_BATCH_MAX);
        tkv_error_number(error, limit, TKV_BATCH_MAX);
        tkv_error_number(error, size, n);
        return TKV_OK;
    }
    struct tkv_request *requests = calloc(n, sizeof *requests);
    if (requests == NULL) return TKV_ENOMEM;
    p->msg.requests = requests;
    p->msg.n = n;
    p->msg.is_batch = true;
    for (size_t i = 0; i < n; i++, member = member->next) {
        text = tkv_skip_space(text + 1, end); /* behind '[' or ',' */
        init_request(&requests[i]);
        decode_request(p, member, text, end, &requests[i]);
        text = tkv_skip_space(tkv_skip_value(text, end), end);
    }
    return TKV_OK;
}

/* cJSON's tree of a text that the gate has passed; NULL: out of memory. */
static cJSON *parse_tree(const char *line, size_t len, const struct tkv_gate_facts *facts)
{
    if (!tkv_mend_needed(facts)) return cJSON_ParseWithLengthOpts(line, len, NULL, 0);
    size_t mended_len;
    char *mended = tkv_mend(line, len, &mended_len);
    if (mended == NULL) return NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(mended, mended_len, NULL, 0);
    free(mended);
    return root;
}

static enum tkv_status decode_line(struct parsed *p, const char *line, size_t len)
{
    struct tkv_gate_facts facts;
    struct tkv_gate_error broken;
    const char *end = line + len, *text = tkv_skip_space(line, end);
    enum tkv_status st = tkv_gate_scan(line, len, &facts, &broken);
    if (st == TKV_EPARSE) {
        p->msg.lost = memmem(line, len, "\"payload\"", 9) != NULL;
        tkv_error_set(&p->first.error, TKV_EPARSE, "not JSON: %s at byte %zu", broken.what,
                      broken.offset);
        return TKV_OK;
    }
    if (st != TKV_OK) return st;
    p->root = parse_tree(line, len, &facts);
    if (p->root == NULL) return TKV_ENOMEM;
    if (cJSON_IsArray(p->root)) {
        if (decode_batch(p, text, end) != TKV_OK) return TKV_ENOMEM;
    } else {
        decode_request(p, p->root, text, end, &p->first);
    }
    return p->arena.failed ? TKV_ENOMEM : TKV_OK;
}

/* A message of one request that nobody has decoded yet. The arena is not cleared: it is the larger
 * part, and need not be. */
static struct parsed *open_message(void)
{
    struct parsed *p = malloc(sizeof *p);
    if (p == NULL) return NULL;
    memset(p, 0, offsetof(struct parsed, arena));
    tkv_arena_init(&p->arena);
    p->msg.impl = p;
    p->msg.requests = &p->first;
    p->msg.n = 1;
    init_request(&p->first);
    return p;
}

static struct tkv_message *finish_message(struct parsed *p, enum tkv_status st)
{
    if (st == TKV_OK) return &p->msg;
    tkv_message_free(&p->msg);
    return NULL;
}

struct tkv_message *tkv_message_parse(const char *line, size_t len)
{
    struct parsed *p = open_message();
    if (p == NULL) return NULL;
    if (!tkv_quick_append(line, len, &p->first, &p->arena))
        return finish_message(p, decode_line(p, line, len));
    p->msg.payload_bytes = p->first.payload_bytes;
    return finish_message(p, p->arena.failed ? TKV_ENOMEM : TKV_OK);
}

struct tkv_message *tkv_message_parse_ordinary(const char *line, size_t len)
{
    struct parsed *p = open_message();
    return p != NULL ? finish_message(p, decode_line(p, line, len)) : NULL;
}

void tkv_message_free(struct tkv_message *msg)
{
    if (msg == NULL) return;
    struct parsed *p = msg->impl;
    if (msg->requests != &p->first) free(msg->requests);
    cJSON_Delete(p->root);
    tkv_arena_close(&p->arena);
    free(p);
}
