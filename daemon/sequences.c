#include "daemon/sequences.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Of an id: the finalizer of MurmurHash3 (A. Appleby), some times as fast as uthash's own for keys
 * of any length. */
#define HASH_FUNCTION(key, len, hash) (hash) = hash_id(*(const uint64_t *)(key))
#define HASH_NONFATAL_OOM             1
#include <uthash.h>

#include "daemon/cache.h"
#include "proto/request.h"

struct entry {
    struct tkv_sequence seq;
    UT_hash_handle hh;
};

struct tkv_sequences {
    struct entry *by_id;
    struct tkv_sequence **slots; /* listed in this order; NULL: free */
    size_t *free_slots;
    size_t n_slots, n_free, max;
    size_t count, creating;
    uint64_t next_id;
};

static unsigned hash_id(uint64_t id)
{
    id = (id ^ id >> 33) * UINT64_C(0xff51afd7ed558ccd);
    id = (id ^ id >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (unsigned)(id ^ id >> 33);
}

static const unsigned allowed_moves[] = {
#define X(state, moves) moves,
    TKV_SEQUENCE_STATES(X)
#undef X
};

enum tkv_status tkv_sequences_open(struct tkv_sequences **out, size_t max)
{
    struct tkv_sequences *table = calloc(1, sizeof *table);
    if (table == NULL) return TKV_ENOMEM;
    table->slots = calloc(max, sizeof(struct tkv_sequence *));
    table->free_slots = calloc(max, sizeof *table->free_slots);
    if (table->slots == NULL || table->free_slots == NULL) {
        free(table->slots);
        free(table->free_slots);
        free(table);
        return TKV_ENOMEM;
    }
    table->max = max;
    *out = table;
    return TKV_OK;
}

static void destroy(struct tkv_sequences *table, struct entry *e)
{
    /* the analyzer does not see that the macro frees its table with the last entry only */
    HASH_DEL(table->by_id, e); /* NOLINT(clang-analyzer-unix.Malloc) */
    tkv_sequence_reset(&e->seq);
    free(e);
}

void tkv_sequences_close(struct tkv_sequences *table)
{
    struct entry *e, *next;
    if (table == NULL) return;
    HASH_ITER(hh, table->by_id, e, next)
    {
        destroy(table, e);
    }
    free(table->slots);
    free(table->free_slots);
    free(table);
}

struct tkv_sequence *tkv_sequences_find(struct tkv_sequences *table, uint64_t id)
{
    struct entry *e;
    HASH_FIND(hh, table->by_id, &id, sizeof id, e);
    return e == NULL ? NULL : &e->seq;
}

struct tkv_sequence *tkv_sequences_add(struct tkv_sequences *table, uint64_t id)
{
    assert(tkv_sequences_find(table, id) == NULL);
    struct entry *e = calloc(1, sizeof *e);
    if (e == NULL) return NULL;
    e->seq.id = id;
    e->seq.table_hook = e;
    HASH_ADD(hh, table->by_id, seq.id, sizeof id, e);
    if (e->hh.tbl == NULL) { /* HASH_NONFATAL_OOM */
        free(e);
        return NULL;
    }
    return &e->seq;
}

void tkv_sequences_remove(struct tkv_sequences *table, struct tkv_sequence *seq)
{
    assert(seq->state == TKV_SEQUENCE_ABSENT && seq->waiters == 0 && seq->appending == 0);
    assert(seq->client == NULL);
    destroy(table, seq->table_hook);
}

static void take_slot(struct tkv_sequences *table, struct tkv_sequence *seq)
{
    assert(table->count < table->max);
    seq->slot = table->n_free > 0 ? table->free_slots[--table->n_free] : table->n_slots++;
    table->slots[seq->slot] = seq;
    table->count++;
}

static void give_slot(struct tkv_sequences *table, struct tkv_sequence *seq)
{
    assert(table->slots[seq->slot] == seq);
    table->slots[seq->slot] = NULL;
    table->free_slots[table->n_free++] = seq->slot;
    table->count--;
}

void tkv_sequence_move(struct tkv_sequences *table, struct tkv_sequence *seq,
                       enum tkv_sequence_state to)
{
    assert((allowed_moves[seq->state] >> to & 1u) != 0);
    if (seq->state == TKV_SEQUENCE_ABSENT) take_slot(table, seq);
    if (to == TKV_SEQUENCE_ABSENT) give_slot(table, seq);
    if (seq->state == TKV_SEQUENCE_CREATING) table->creating--;
    if (to == TKV_SEQUENCE_CREATING) table->creating++;
    seq->state = to;
}

size_t tkv_sequences_count(const struct tkv_sequences *table)
{
    return table->count;
}

size_t tkv_sequences_creating(const struct tkv_sequences *table)
{
    return table->creating;
}

struct tkv_sequence *tkv_sequences_next(struct tkv_sequences *table, size_t *slot)
{
    while (*slot < table->n_slots) {
        struct tkv_sequence *seq = table->slots[(*slot)++];
        if (seq != NULL && seq->state == TKV_SEQUENCE_LIVE) return seq;
    }
    return NULL;
}

uint64_t tkv_sequences_fresh_id(struct tkv_sequences *table)
{
    do {
        table->next_id = table->next_id >= TKV_SEQ_MAX ? 1 : table->next_id + 1;
    } while (tkv_sequences_find(table, table->next_id) != NULL);
    return table->next_id;
}

enum tkv_status tkv_sequence_init(struct tkv_sequence *seq, const struct tkv_model *model,
                                  uint32_t capacity, const char *label)
{
    assert(seq->committed == NULL && seq->label == NULL && seq->cache == NULL);
    seq->committed = calloc((size_t)model->geom.n_layers * 2, sizeof *seq->committed);
    seq->label = label != NULL ? strdup(label) : NULL;
    if (seq->committed == NULL || (label != NULL && seq->label == NULL)) {
        tkv_sequence_reset(seq);
        return TKV_ENOMEM;
    }
    seq->reserved = seq->committed + model->geom.n_layers;
    seq->model = model;
    seq->capacity = capacity;
    seq->appends = 0;
    seq->ttl_ms = 0;
    return TKV_OK;
}

void tkv_sequence_reset(struct tkv_sequence *seq)
{
    free(seq->committed);
    free(seq->label);
    free(seq->reaper);
    seq->reaper = NULL;
    seq->committed = seq->reserved = NULL;
    seq->label = NULL;
}

uint32_t tkv_sequence_len(const struct tkv_sequence *seq)
{
    uint32_t len;
    if (tkv_lens_equal(seq->committed, 0, seq->model->geom.n_layers, &len)) return len;
    for (uint32_t l = 1; l < seq->model->geom.n_layers; l++) {
        if (seq->committed[l] < len) len = seq->committed[l];
    }
    return len;
}

bool tkv_lens_equal(const uint32_t *lens, uint32_t begin, uint32_t end, uint32_t *out)
{
    const uint32_t *first = lens + begin;
    assert(begin < end);
    *out = *first;
    return memcmp(first, first + 1, (end - begin - 1) * sizeof *first) == 0; /* each as the next */
}

void tkv_sequence_truncate(struct tkv_sequence *seq, uint32_t len, uint64_t batch)
{
    bool shorter = false;
    assert(seq->state == TKV_SEQUENCE_LIVE && seq->appending == 0);
    for (uint32_t l = 0; l < seq->model->geom.n_layers; l++) {
        if (seq->committed[l] <= len) continue;
        seq->committed[l] = seq->reserved[l] = len;
        shorter = true;
    }
    if (shorter) tkv_cache_truncated(seq->cache, batch, len);
}

void tkv_sequence_roll_back(struct tkv_sequence *seq, uint64_t batch)
{
    assert(seq->appending == 0);
    for (uint32_t l = 0; l < seq->model->geom.n_layers; l++)
        seq->reserved[l] = seq->committed[l];
    tkv_cache_truncated(seq->cache, batch, tkv_sequence_len(seq));
    seq->broken = false;
}
