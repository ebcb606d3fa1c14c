/* divergence.h - one finding of debug.verify: a plane that differs, as a C struct. Plain data; text
 * is borrowed. */
#ifndef TKV_PROTO_DIVERGENCE_H
#define TKV_PROTO_DIVERGENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(NAME, word on the wire) */
#define TKV_DIVERGENCE_KINDS(X)         \
    X(MISSING_WRITE, "missing_write")   \
    X(STRAY_WRITE, "stray_write")       \
    X(WRONG_ITEM, "wrong_item")         \
    X(WRONG_POSITION, "wrong_position") \
    X(WRONG_HEAD, "wrong_head")         \
    X(WRONG_LAYER, "wrong_layer")       \
    X(KV_SWAPPED, "kv_swapped")         \
    X(ROUNDING, "rounding")             \
    X(BIT_FLIP, "bit_flip")             \
    X(UNKNOWN, "unknown")

enum tkv_divergence_kind {
#define X(name, word) TKV_KIND_##name,
    TKV_DIVERGENCE_KINDS(X)
#undef X
        TKV_KIND_COUNT
};

/* A number of detail that may be absent. */
struct tkv_detail_number {
    bool given;
    int64_t value;
};

enum { TKV_SOURCES_MAX = 8, TKV_MAP_CELLS = 64 };

/* Mismatched bytes of a plane, by head and by position; n_heads 0: no map. A cell stands for
 * several heads or positions where there are more than cells. */
struct tkv_divergence_map {
    uint32_t n_heads, heads_per_cell, n_positions, positions_per_cell;
    uint32_t pos; /* of the first cell: the first position that differs */
    uint64_t heads[TKV_MAP_CELLS], positions[TKV_MAP_CELLS];
};

struct tkv_divergence {
    uint64_t seq, batch;
    uint32_t layer;
    bool is_v;
    bool live; /* between per_item and live; else per_item and batched */
    enum tkv_divergence_kind kind;
    bool finite; /* false: max_abs_diff is null */
    double max_abs_diff;
    uint64_t mismatched_bytes;
    struct {
        uint32_t kv_head, kv_pos, dim;
        double per_item, other; /* null on the wire where not finite */
    } worst;
    uint64_t nonzero_per_item, nonzero_other;
    struct tkv_divergence_map map;
    struct { /* members of detail; text says it as a sentence */
        struct tkv_detail_number source_seq, offset, bits, kv_head, layer, rows, rows_diverging;
        const char *live;   /* the same plane of the live cache: "differs", "right", "freed",
                               "truncated", or NULL */
        const char *layout; /* "token_major", or NULL */
        bool ambiguous;     /* the rows say no more than that it may be this */
        uint64_t source_seqs[TKV_SOURCES_MAX]; /* ascending: whose rows they may be */
        size_t n_source_seqs;                  /* 0: not on the wire */
        char text[400];
    } detail;
};

#endif
