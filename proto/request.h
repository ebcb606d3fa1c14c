/* request.h - a line of JSON into typed requests.
 *
 * A line is one request or a JSON-RPC batch array of them. Each member is decoded whole, or carries
 * the error that its answer will be. Any thread; nothing here does I/O. */
#ifndef TKV_PROTO_REQUEST_H
#define TKV_PROTO_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "proto/error.h"

#define TKV_SEQ_MAX ((UINT64_C(1) << 53) - 1)

/* X(NAME, name on the wire, member of struct tkv_request's union) */
#define TKV_METHODS(X)                                                                             \
    X(SERVER_PING, "server.ping", none)                                                            \
    X(SERVER_INFO, "server.info", none)                                                            \
    X(SERVER_STATS, "server.stats", none)                                                          \
    X(SEQ_CREATE, "seq.create", seq_create)                                                        \
    X(SEQ_APPEND, "seq.append", seq_append)                                                        \
    X(SEQ_TRUNCATE, "seq.truncate", seq_truncate)                                                  \
    X(SEQ_FREE, "seq.free", seq_free)                                                              \
    X(SEQ_INFO, "seq.info", seq_info)                                                              \
    X(SEQ_LIST, "seq.list", seq_list)                                                              \
    X(SEQ_READ, "seq.read", seq_read)                                                              \
    X(SEQ_EXPORT, "seq.export", seq_info)                                                          \
    X(DEBUG_VERIFY, "debug.verify", debug_verify)                                                  \
    X(DEBUG_SELFTEST, "debug.selftest", debug_selftest)                                            \
    X(DEBUG_INJECT, "debug.inject", debug_inject)                                                  \
    X(REGION_REGISTER, "region.register", none)                                                    \
    X(REGION_UNREGISTER, "region.unregister", none)

enum tkv_method {
#define X(name, word, member) TKV_METHOD_##name,
    TKV_METHODS(X)
#undef X
        TKV_METHOD_COUNT
};

const char *tkv_method_word(enum tkv_method method);

/* [begin, end); given is false where the member was absent (all layers). */
struct tkv_layer_range {
    bool given;
    uint32_t begin, end;
};

/* An optional number. */
struct tkv_maybe {
    bool given;
    uint64_t value;
};

/* An optional dtype. */
struct tkv_maybe_dtype {
    bool given;
    enum tkv_dtype value;
};

struct tkv_seq_create {
    struct tkv_maybe seq, capacity, ttl_ms;
    const char *model, *label; /* NULL: absent */
    bool free_on_disconnect;
};

enum tkv_source { TKV_SOURCE_PAYLOAD, TKV_SOURCE_BASE64, TKV_SOURCE_VALUES, TKV_SOURCE_REGION };

/* tokens has m members also where one integer stood for all; pos is NULL where absent. */
struct tkv_seq_append {
    size_t m; /* items, >= 1 */
    uint64_t *seqs;
    uint64_t *pos;
    uint32_t *tokens; /* each >= 1 */
    struct tkv_layer_range layers;
    struct tkv_maybe_dtype dtype;
    enum tkv_source source;
    const char *base64; /* TKV_SOURCE_BASE64 */
    const void *values; /* TKV_SOURCE_VALUES: for tkv_values_read() */
    size_t n_values;
    uint64_t region, offset; /* TKV_SOURCE_REGION */
};

struct tkv_seq_truncate {
    uint64_t seq, len;
};

struct tkv_seq_free {
    size_t m;
    uint64_t *seqs; /* no two equal */
};

struct tkv_seq_info {
    uint64_t seq;
};

struct tkv_seq_list {
    struct tkv_maybe cursor, limit;
};

struct tkv_seq_read {
    uint64_t seq;
    struct tkv_layer_range layers;
    struct tkv_maybe pos, tokens;
    struct tkv_maybe_dtype dtype;
    bool base64; /* encoding; in a batch array it must be base64 */
};

struct tkv_debug_verify {
    size_t m; /* 0: all sequences */
    uint64_t *seqs;
    struct tkv_maybe batches, scratch_bytes;
};

struct tkv_debug_selftest {
    uint32_t m, n_kv_heads, head_dim, capacity, cache_len, layers; /* the protocol's defaults */
    uint64_t seed;
};

struct tkv_debug_inject {
    const char *fault;
    struct tkv_maybe batches;
};

/* One member of a line. status TKV_OK: method and its params are valid. Otherwise error says why,
 * and id is what could be read of it ("null" where nothing). */
struct tkv_request {
    struct tkv_error error; /* error.status is the member's status */
    enum tkv_method method;
    bool notification;      /* no id: no answer, not even an error */
    const char *id;         /* JSON text as it was sent; not NUL-terminated */
    size_t id_len;
    uint64_t payload_bytes; /* the member "payload"; 0: none */
    union {
        struct tkv_seq_create seq_create;
        struct tkv_seq_append seq_append;
        struct tkv_seq_truncate seq_truncate;
        struct tkv_seq_free seq_free;
        struct tkv_seq_info seq_info;
        struct tkv_seq_list seq_list;
        struct tkv_seq_read seq_read;
        struct tkv_debug_verify debug_verify;
        struct tkv_debug_selftest debug_selftest;
        struct tkv_debug_inject debug_inject;
        int none;
    } params;
};

/* A whole line. Requests borrow from it: keep it until all of them have been answered. */
struct tkv_message {
    bool is_batch; /* answers go into one array, in one line */
    size_t n;
    struct tkv_request *requests; /* n >= 1; a broken line is one request with its error */
    uint64_t payload_bytes;       /* raw bytes that follow the line, also where a request is broken */
    bool lost;                    /* the member "payload" cannot be read: nobody can tell where the
                                     next message begins */
    void *impl;                   /* memory, the parser's own */
};

/* Decodes a line (copied; the caller may reuse it at once). NULL: out of memory. */
struct tkv_message *tkv_message_parse(const char *line, size_t len);
void tkv_message_free(struct tkv_message *msg);

/* Bytes that the base64 text of an append decodes to; TKV_EINVAL where it is not base64. */
enum tkv_status tkv_base64_size(const char *text, size_t *out);

/* Decodes base64 text; dst has the room tkv_base64_size() asked for. */
void tkv_base64_read(const char *text, void *dst);

/* Writes the n_values numbers of an append as dtype (round to nearest even) to dst. */
void tkv_values_read(const struct tkv_seq_append *append, enum tkv_dtype dtype, void *dst);

#endif
