/* The results of debug.*: the same header as answer.c's, long enough for a file of their own. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/answer.h"

static const char *const kind_words[TKV_KIND_COUNT] = {
#define X(name, word) word,
    TKV_DIVERGENCE_KINDS(X)
#undef X
};

static const char *const skip_words[TKV_SKIP_COUNT] = {
#define X(name, word) word,
    TKV_SKIP_REASONS(X)
#undef X
};

static void put_detail_number(struct tkv_json *j, const char *name,
                              const struct tkv_detail_number *number)
{
    if (!number->given) return;
    tkv_json_name(j, name);
    tkv_json_int(j, number->value);
}

static void put_cells(struct tkv_json *j, const char *name, const uint64_t *cells, size_t n)
{
    tkv_json_name(j, name);
    tkv_json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        tkv_json_uint(j, cells[i]);
    tkv_json_close(j, ']');
}

static void put_map(struct tkv_json *j, const struct tkv_divergence_map *map)
{
    tkv_json_name(j, "map");
    tkv_json_open(j, '{');
    put_cells(j, "heads", map->heads, map->n_heads);
    tkv_json_put_uint(j, "heads_per_cell", map->heads_per_cell);
    tkv_json_put_uint(j, "pos", map->pos);
    tkv_json_put_uint(j, "positions_per_cell", map->positions_per_cell);
    put_cells(j, "positions", map->positions, map->n_positions);
    tkv_json_close(j, '}');
}

static void put_detail(struct tkv_json *j, const struct tkv_divergence *d)
{
    tkv_json_open(j, '{');
    put_detail_number(j, "source_seq", &d->detail.source_seq);
    put_detail_number(j, "offset", &d->detail.offset);
    put_detail_number(j, "bits", &d->detail.bits);
    put_detail_number(j, "kv_head", &d->detail.kv_head);
    put_detail_number(j, "layer", &d->detail.layer);
    put_detail_number(j, "rows", &d->detail.rows);
    put_detail_number(j, "rows_diverging", &d->detail.rows_diverging);
    if (d->detail.ambiguous) tkv_json_put_bool(j, "ambiguous", true);
    if (d->detail.n_source_seqs > 0)
        put_cells(j, "source_seqs", d->detail.source_seqs, d->detail.n_source_seqs);
    if (d->detail.layout != NULL) tkv_json_put_string(j, "layout", d->detail.layout);
    if (d->detail.live != NULL) tkv_json_put_string(j, "live", d->detail.live);
    tkv_json_put_string(j, "text", d->detail.text);
    tkv_json_close(j, '}');
}

/* worst: where the two sides differ most; other is the name of the second side. */
static void put_worst(struct tkv_json *j, uint32_t kv_head, uint32_t kv_pos, uint32_t dim,
                      double per_item, const char *other_name, double other)
{
    tkv_json_name(j, "worst");
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "kv_head", kv_head);
    tkv_json_put_uint(j, "kv_pos", kv_pos);
    tkv_json_put_uint(j, "dim", dim);
    tkv_json_put_double(j, "per_item", per_item);
    tkv_json_put_double(j, other_name, other);
    tkv_json_close(j, '}');
}

static void put_nonzero(struct tkv_json *j, uint64_t per_item, const char *other_name,
                        uint64_t other)
{
    tkv_json_name(j, "nonzero");
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "per_item", per_item);
    tkv_json_put_uint(j, other_name, other);
    tkv_json_close(j, '}');
}

static void put_divergence(struct tkv_json *j, const struct tkv_divergence *d)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "seq", d->seq);
    tkv_json_put_uint(j, "batch", d->batch);
    tkv_json_put_uint(j, "layer", d->layer);
    tkv_json_put_string(j, "kv", d->is_v ? "v" : "k");
    tkv_json_put_string(j, "between", d->live ? "per_item/live" : "per_item/batched");
    tkv_json_put_string(j, "kind", kind_words[d->kind]);
    tkv_json_put_double(j, "max_abs_diff", d->finite ? d->max_abs_diff : (double)NAN);
    tkv_json_put_uint(j, "mismatched_bytes", d->mismatched_bytes);
    put_worst(j, d->worst.kv_head, d->worst.kv_pos, d->worst.dim, d->worst.per_item, "other",
              d->worst.other);
    put_nonzero(j, d->nonzero_per_item, "other", d->nonzero_other);
    if (d->map.n_heads > 0) put_map(j, &d->map);
    tkv_json_name(j, "detail");
    put_detail(j, d);
    tkv_json_close(j, '}');
}

static void put_skipped(struct tkv_json *j, const uint64_t *skipped)
{
    tkv_json_name(j, "skipped");
    tkv_json_open(j, '{');
    for (int i = 0; i < TKV_SKIP_COUNT; i++) {
        if (skipped[i] > 0) tkv_json_put_uint(j, skip_words[i], skipped[i]);
    }
    tkv_json_close(j, '}');
}

static void put_divergent_batches(struct tkv_json *j, const struct tkv_verify_report *report)
{
    if (report->divergent_batches.count == 0) return;
    tkv_json_name(j, "divergent_batches");
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "count", report->divergent_batches.count);
    tkv_json_put_uint(j, "first", report->divergent_batches.first);
    tkv_json_put_uint(j, "last", report->divergent_batches.last);
    tkv_json_close(j, '}');
}

void tkv_put_verify(struct tkv_json *j, const struct tkv_verify_report *report)
{
    tkv_json_open(j, '{');
    tkv_json_put_bool(j, "ok", report->ok);
    tkv_json_put_uint(j, "batches_checked", report->batches_checked);
    tkv_json_put_uint(j, "items_checked", report->items_checked);
    tkv_json_put_uint(j, "bytes_compared", report->bytes_compared);
    put_skipped(j, report->skipped);
    tkv_json_put_uint(j, "divergent_items", report->divergent_items);
    put_divergent_batches(j, report);
    tkv_json_name(j, "journal");
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "oldest", report->journal.oldest);
    tkv_json_put_uint(j, "newest", report->journal.newest);
    tkv_json_put_uint(j, "left", report->journal.left);
    tkv_json_close(j, '}');
    tkv_json_name(j, "divergences");
    tkv_json_open(j, '[');
    for (size_t i = 0; i < report->n_divergences; i++)
        put_divergence(j, &report->divergences[i]);
    tkv_json_close(j, ']');
    tkv_json_put_uint(j, "duration_us", report->duration_us);
    tkv_json_close(j, '}');
}

static void put_kept(struct tkv_json *j, const struct tkv_kept_report *kept)
{
    tkv_json_name(j, "report");
    if (kept->report == NULL) {
        tkv_json_null(j);
        return;
    }
    tkv_put_verify(j, kept->report);
    tkv_json_put_string(j, "source", kept->shadow ? "shadow" : "verify");
    tkv_json_put_uint(j, "age_ms", kept->age_ms);
}

void tkv_put_last(struct tkv_json *j, const struct tkv_last_report *last)
{
    tkv_json_open(j, '{');
    put_kept(j, &last->newest);
    if (last->first.report != NULL) {
        tkv_json_name(j, "first");
        tkv_json_open(j, '{');
        put_kept(j, &last->first);
        tkv_json_close(j, '}');
    }
    tkv_json_close(j, '}');
}

/* 64 bits do not fit JSON's numbers. */
static void put_checksum(struct tkv_json *j, const char *name, uint64_t sum)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, sum);
    tkv_json_put_string(j, name, text);
}

static void put_damage(struct tkv_json *j, const struct tkv_damage *d)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "seq", d->seq);
    tkv_json_put_uint(j, "layer", d->layer);
    tkv_json_put_string(j, "kv", d->is_v ? "v" : "k");
    tkv_json_put_uint(j, "pos", d->pos);
    put_checksum(j, "expected", d->expected);
    put_checksum(j, "found", d->found);
    tkv_json_close(j, '}');
}

void tkv_put_scrub(struct tkv_json *j, const struct tkv_scrub_report *report)
{
    tkv_json_open(j, '{');
    tkv_json_put_bool(j, "ok", report->ok);
    tkv_json_put_uint(j, "seqs_checked", report->seqs_checked);
    tkv_json_put_uint(j, "checksums_checked", report->checksums_checked);
    tkv_json_put_uint(j, "bytes_read", report->bytes_read);
    put_skipped(j, report->skipped);
    tkv_json_put_uint(j, "damaged_tokens", report->damaged_tokens);
    tkv_json_name(j, "damages");
    tkv_json_open(j, '[');
    for (size_t i = 0; i < report->n_damages; i++)
        put_damage(j, &report->damages[i]);
    tkv_json_close(j, ']');
    tkv_json_put_uint(j, "duration_us", report->duration_us);
    tkv_json_close(j, '}');
}

static void put_selftest_item(struct tkv_json *j, const struct tkv_selftest_item *item)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "item", item->item);
    tkv_json_put_string(j, "kv", item->is_v ? "v" : "k");
    tkv_json_put_double(j, "max_abs_diff", item->finite ? item->max_abs_diff : (double)NAN);
    tkv_json_put_uint(j, "mismatched_bytes", item->mismatched_bytes);
    put_worst(j, item->worst.kv_head, item->worst.kv_pos, item->worst.dim, item->worst.per_item,
              "batched", item->worst.batched);
    put_nonzero(j, item->nonzero_per_item, "batched", item->nonzero_batched);
    tkv_json_close(j, '}');
}

void tkv_put_selftest(struct tkv_json *j, const struct tkv_selftest_report *report)
{
    tkv_json_open(j, '{');
    tkv_json_put_bool(j, "ok", report->ok);
    tkv_json_name(j, "items");
    tkv_json_open(j, '[');
    for (size_t i = 0; i < report->n_items; i++)
        put_selftest_item(j, &report->items[i]);
    tkv_json_close(j, ']');
    tkv_json_close(j, '}');
}

void tkv_put_armed(struct tkv_json *j, const char *const *faults, size_t n)
{
    tkv_json_open(j, '{');
    tkv_json_name(j, "armed");
    tkv_json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        tkv_json_string(j, faults[i]);
    tkv_json_close(j, ']');
    tkv_json_close(j, '}');
}
