/* report.h - what debug.verify and debug.selftest found, as C structs. Plain data; text is
 * borrowed. */
#ifndef TKV_PROTO_REPORT_H
#define TKV_PROTO_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/divergence.h"

/* Reasons for which recorded items were not compared (with the live cache or at all); evicted
 * counts batches that were asked for and have left the journal. */
#define TKV_SKIP_REASONS(X)   \
    X(FREED, "freed")         \
    X(TRUNCATED, "truncated") \
    X(EVICTED, "evicted")

enum tkv_skip_reason {
#define X(name, word) TKV_SKIP_##name,
    TKV_SKIP_REASONS(X)
#undef X
        TKV_SKIP_COUNT
};

enum { TKV_DIVERGENCES_MAX = 1024 }; /* listed in one report; all are counted */

struct tkv_verify_report {
    bool ok;
    uint64_t batches_checked, items_checked, bytes_compared;
    uint64_t skipped[TKV_SKIP_COUNT]; /* reasons with 0 are not on the wire */
    uint64_t divergent_items;
    struct { /* where they are; on the wire where there are any */
        uint64_t count, first, last;
    } divergent_batches;
    struct { /* as it was when the check began: batches in it (0: none), and how many have left it
              */
        uint64_t oldest, newest, left;
    } journal;
    struct tkv_divergence *divergences;
    size_t n_divergences;
    uint64_t duration_us;
};

/* A report with a divergence that was kept. */
struct tkv_kept_report {
    const struct tkv_verify_report *report; /* NULL: there is none */
    bool shadow;                            /* of shadow mode; else of a debug.verify */
    uint64_t age_ms;
};

/* The newest one, and the first since the start, where that is another one. */
struct tkv_last_report {
    struct tkv_kept_report newest, first;
};

/* One (layer, K|V, token) whose rows are not those that were appended. */
struct tkv_damage {
    uint64_t seq;
    uint32_t layer, pos;
    bool is_v;
    uint64_t expected, found; /* checksums */
};

struct tkv_scrub_report {
    bool ok;
    uint64_t seqs_checked, checksums_checked, bytes_read;
    uint64_t skipped[TKV_SKIP_COUNT]; /* sequences */
    uint64_t damaged_tokens;
    struct tkv_damage *damages;
    size_t n_damages; /* listed; at most TKV_DIVERGENCES_MAX */
    uint64_t duration_us;
};

struct tkv_selftest_item {
    uint32_t item;
    bool is_v, finite;
    double max_abs_diff;
    uint64_t mismatched_bytes;
    struct {
        uint32_t kv_head, kv_pos, dim;
        double per_item, batched;
    } worst;
    uint64_t nonzero_per_item, nonzero_batched;
};

struct tkv_selftest_report {
    bool ok;
    struct tkv_selftest_item *items; /* item 0 K, item 0 V, item 1 K, ...; over all layers */
    size_t n_items;
};

#endif
