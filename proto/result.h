/* result.h - what the methods answer, as C structs. Plain data; text is borrowed. */
#ifndef TKV_PROTO_RESULT_H
#define TKV_PROTO_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "proto/report.h"

struct tkv_model_info {
    const char *name;
    uint32_t n_layers, n_kv_heads, head_dim;
    enum tkv_dtype dtype;
    uint32_t capacity;
};

struct tkv_server_info {
    const char *version, *backend;
    struct {
        int ordinal;
        const char *name;
        uint64_t memory_total, memory_used;
    } device;
    const struct tkv_model_info *models;
    size_t n_models;
    struct {
        uint64_t max_header_bytes, max_payload_bytes, max_connections, max_sequences,
            memory_budget_bytes;
    } limits;
    double uptime_s;
    const char *unhealthy; /* why; NULL: it is healthy */
};

struct tkv_created {
    uint64_t seq;
    const char *model;
    uint32_t capacity;
    uint64_t bytes;
    int device;
};

struct tkv_seq_state {
    uint64_t seq;
    const char *model, *label; /* label may be NULL */
    uint32_t capacity, len;
    const uint32_t *layer_lens; /* n_layers of them; NULL where all are equal */
    uint32_t n_layers;
    uint64_t bytes;
    int device;
    uint64_t idle_ms, appends;
};

struct tkv_read_shape {
    uint32_t layers, n_kv_heads, tokens, head_dim;
    enum tkv_dtype dtype;
};

#endif
