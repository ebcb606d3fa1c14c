/* params.h - what the methods take, as C structs. Plain data, borrowed from the message. */
#ifndef TKV_PROTO_PARAMS_H
#define TKV_PROTO_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "proto/method.h"

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

struct tkv_auth {
    const char *token;
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

struct tkv_debug_scrub {
    size_t m; /* 0: all sequences */
    uint64_t *seqs;
};

struct tkv_debug_selftest {
    uint32_t m, n_kv_heads, head_dim, capacity, cache_len, layers; /* the protocol's defaults */
    uint64_t seed;
};

struct tkv_debug_inject {
    const char *fault;
    struct tkv_maybe batches, layer, kv_head; /* layer, kv_head absent: all */
    bool last_item;
    bool together; /* with the fault armed before; batches is absent then */
};

struct tkv_admin_level {
    const char *level; /* one of the words of TKV_LOG_LEVELS */
};

#endif
