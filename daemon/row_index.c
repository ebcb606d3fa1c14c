#include "daemon/row_index.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct entry {
    uint64_t hash;
    struct tkv_row row;
};

struct tkv_row_index {
    struct tkv_batch *const *batches;
    struct tkv_geometry geom;
    struct entry *entries; /* by hash, then by place */
    size_t n, max;
    void *scratch; /* one converted row */
    size_t row_bytes;
};

/* The source row, converted to the cache's dtype. */
static const void *converted(const struct tkv_row_index *index, const struct tkv_row *row)
{
    const struct tkv_append_item *item = &index->batches[row->batch]->items[row->item];
    const struct tkv_geometry *g = &index->geom;
    size_t at = tkv_plane_offset(g, item->tokens, row->layer - item->layer_begin, row->kv) +
                tkv_row_offset(g, item->tokens, row->head, row->token);
    const uint8_t *src = (const uint8_t *)item->rows + at * tkv_dtype_size(item->rows_dtype);
    if (item->rows_dtype == g->dtype) return src;
    tkv_convert(index->scratch, g->dtype, src, item->rows_dtype, g->head_dim);
    return index->scratch;
}

static size_t rows_of(const struct tkv_row_index *index, const struct tkv_append_item *item)
{
    return (size_t)(item->layer_end - item->layer_begin) * TKV_KV * index->geom.n_kv_heads *
           item->tokens;
}

static size_t count_rows(const struct tkv_row_index *index, const struct tkv_model *model,
                         size_t n_batches, size_t max_rows)
{
    size_t rows = 0;
    for (size_t b = 0; b < n_batches; b++) {
        if (index->batches[b]->model != model) continue;
        for (uint32_t i = 0; i < index->batches[b]->n; i++)
            rows += rows_of(index, &index->batches[b]->items[i]);
    }
    return rows < max_rows ? rows : max_rows;
}

static void add_item(struct tkv_row_index *index, uint32_t batch, uint32_t item_at)
{
    const struct tkv_append_item *item = &index->batches[batch]->items[item_at];
    size_t rows = rows_of(index, item);
    for (size_t r = 0; r < rows && index->n < index->max; r++) {
        size_t rest = r / item->tokens;
        struct tkv_row row = {
            .batch = batch, .item = item_at, .token = (uint32_t)(r % item->tokens)};
        row.head = (uint32_t)(rest % index->geom.n_kv_heads);
        rest /= index->geom.n_kv_heads;
        row.kv = (uint32_t)(rest % TKV_KV);
        row.layer = item->layer_begin + (uint32_t)(rest / TKV_KV);
        index->entries[index->n].row = row;
        index->entries[index->n].hash = XXH3_64bits(converted(index, &row), index->row_bytes);
        index->n++;
    }
}

/* The first `depth` parts of an entry's key. Equal rows of one place of a cache stand together,
 * whichever item they are of. */
enum { HASH = 1, PLACE = 4, ITEM = 6, WHOLE = 7 };

static int compare(const struct entry *a, const struct entry *b, int depth)
{
    const struct tkv_row *r = &a->row, *q = &b->row;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    const uint32_t x[] = {r->layer, r->kv, r->head, r->batch, r->item, r->token};
    const uint32_t y[] = {q->layer, q->kv, q->head, q->batch, q->item, q->token};
    for (int i = 0; i < depth - HASH; i++) {
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

static int by_hash(const void *a, const void *b)
{
    return compare(a, b, WHOLE);
}

struct tkv_row_index *tkv_row_index_open(const struct tkv_model *model,
                                         struct tkv_batch *const *batches, size_t n,
                                         size_t max_rows)
{
    struct tkv_row_index *index = calloc(1, sizeof *index);
    if (index == NULL) return NULL;
    index->batches = batches;
    index->geom = model->geom;
    index->row_bytes = index->geom.head_dim * tkv_dtype_size(index->geom.dtype);
    index->max = count_rows(index, model, n, max_rows);
    index->entries = malloc((index->max > 0 ? index->max : 1) * sizeof *index->entries);
    index->scratch = malloc(index->row_bytes);
    if (index->entries == NULL || index->scratch == NULL) {
        tkv_row_index_close(index);
        return NULL;
    }
    for (uint32_t b = 0; b < n; b++) {
        if (batches[b]->model != model) continue;
        for (uint32_t i = 0; i < batches[b]->n; i++)
            add_item(index, b, i);
    }
    qsort(index->entries, index->n, sizeof *index->entries, by_hash);
    return index;
}

void tkv_row_index_close(struct tkv_row_index *index)
{
    if (index == NULL) return;
    free(index->entries);
    free(index->scratch);
    free(index);
}

/* The first entry that is not before key, by `depth` parts. */
static size_t first_of(const struct tkv_row_index *index, const struct entry *key, int depth)
{
    size_t low = 0, high = index->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(&index->entries[mid], key, depth) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void tkv_row_index_find(const struct tkv_row_index *index, const void *bytes,
                        const struct tkv_row *at,
                        void (*each)(const struct tkv_row *row, void *arg), void *arg)
{
    static const int depths[] = {ITEM, PLACE, HASH};
    const struct entry key = {XXH3_64bits(bytes, index->row_bytes), *at};
    for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++) {
        size_t e = first_of(index, &key, depths[d]), seen = 0;
        for (; e < index->n && seen < TKV_FOUND_MAX; e++, seen++) {
            if (compare(&index->entries[e], &key, depths[d]) != 0) break;
            const struct tkv_row *found = &index->entries[e].row;
            if (memcmp(converted(index, found), bytes, index->row_bytes) == 0) each(found, arg);
        }
    }
}
