#include "tests/histories/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The daemon counts whole milliseconds: a lease may look up to one shorter at either end. */
static const uint64_t rounding_ns = 2000000;

static uint32_t shortest(const struct h_state *s, uint32_t begin, uint32_t end)
{
    uint32_t len = s->lens[begin];
    for (uint32_t l = begin + 1; l < end; l++)
        len = s->lens[l] < len ? s->lens[l] : len;
    return len;
}

static bool even(const struct h_state *s, uint32_t begin, uint32_t end)
{
    for (uint32_t l = begin + 1; l < end; l++) {
        if (s->lens[l] != s->lens[begin]) return false;
    }
    return true;
}

/* --- append ----------------------------------------------------------------------------------- */

/* What the protocol answers to one block; `told` as in h_item. */
static enum h_outcome judge(const struct h_state *s, const struct h_op *op,
                            const struct h_item *item, uint64_t *told)
{
    uint32_t len = s->lens[op->layer_begin];
    *told = len;
    if (!even(s, op->layer_begin, op->layer_end)) return H_OUT_UNEVEN;
    if (item->has_pos && item->pos != len) return H_OUT_POSITION;
    if (item->tokens > s->capacity - len) return H_OUT_CAPACITY;
    return H_OUT_OK;
}

static void grow(struct h_state *s, const struct h_op *op, const struct h_item *item, bool write)
{
    for (uint32_t l = op->layer_begin; l < op->layer_end; l++) {
        for (uint32_t kv = 0; write && kv < H_KV; kv++) {
            for (uint32_t t = 0; t < item->tokens; t++)
                s->cells[l][kv][s->lens[l] + t] = h_cell(item->tag, l, kv, t);
        }
        s->lens[l] += item->tokens;
    }
}

static bool append_all(struct h_state *s, const struct h_op *op)
{
    uint64_t told;
    if (!s->exists) return false;
    for (size_t i = 0; i < op->n_items; i++) {
        if (judge(s, op, &op->items[i], &told) != H_OUT_OK) return false;
        grow(s, op, &op->items[i], true);
        s->appends++;
        bool known = op->outcome == H_OUT_OK;
        if (known && op->items[i].told != shortest(s, 0, H_LAYERS)) return false;
    }
    return true;
}

/* Every block must have been judged as the answer says. Blocks that are fine count for those that
 * follow, though nothing is written in the end. */
static bool append_refused(const struct h_state *s, const struct h_op *op)
{
    struct h_state would = *s;
    if (op->missing) {
        for (size_t i = 0; i < op->n_items; i++) {
            if (s->exists != (op->items[i].outcome != H_OUT_NOT_FOUND)) return false;
        }
        return true;
    }
    if (!s->exists) return false;
    for (size_t i = 0; i < op->n_items; i++) {
        const struct h_item *item = &op->items[i];
        uint64_t told;
        if (judge(&would, op, item, &told) != item->outcome) return false;
        if (item->outcome == H_OUT_OK)
            grow(&would, op, item, false);
        else if (item->outcome != H_OUT_UNEVEN && item->told != told)
            return false;
    }
    return true;
}

static bool append(struct h_state *s, const struct h_op *op)
{
    if (op->outcome == H_OUT_OK || op->outcome == H_OUT_UNKNOWN) return append_all(s, op);
    return append_refused(s, op);
}

/* --- the others ------------------------------------------------------------------------------- */

static bool create(struct h_state *s, const struct h_op *op)
{
    if (op->outcome == H_OUT_EXISTS) return s->exists;
    if (s->exists) return false;
    s->exists = true;
    s->incarnation = op->request;
    s->capacity = op->capacity;
    s->appends = 0;
    s->ttl_ns = (uint64_t)op->ttl_ms * 1000000;
    s->named_ns = op->invoke;
    memset(s->lens, 0, sizeof s->lens);
    memcpy(s->label, op->label, sizeof s->label);
    return true;
}

static bool truncate_to(struct h_state *s, const struct h_op *op)
{
    bool shorter = false;
    if (!s->exists) return false;
    for (uint32_t l = 0; l < H_LAYERS; l++) {
        if (s->lens[l] <= op->len) continue;
        s->lens[l] = (uint32_t)op->len;
        shorter = true;
    }
    if (op->outcome == H_OUT_UNKNOWN) return shorter;
    return op->told == shortest(s, 0, H_LAYERS);
}

static bool free_it(struct h_state *s, const struct h_op *op)
{
    if (op->outcome == H_OUT_NOT_FOUND && op->missing) /* perhaps another one was */
        return s->exists == (op->items[0].outcome != H_OUT_NOT_FOUND);
    if (!s->exists) return false;
    s->exists = false;
    return true;
}

static bool tells(const struct h_state *s, const struct h_op *op)
{
    return s->exists && op->told == shortest(s, 0, H_LAYERS) && op->capacity == s->capacity &&
           op->appends == s->appends && strcmp(op->label, s->label) == 0 &&
           memcmp(op->lens, s->lens, sizeof s->lens) == 0;
}

static bool reads(const struct h_state *s, const struct h_op *op)
{
    if (!s->exists) return false;
    uint32_t len = shortest(s, op->layer_begin, op->layer_end);
    uint32_t asked = op->to_the_end ? 0 : op->tokens;
    bool past = op->pos > len || asked > len - op->pos;
    if (op->outcome == H_OUT_RANGE || past) return op->outcome == H_OUT_RANGE && past;
    if (op->to_the_end && op->tokens != len - op->pos) return false;
    const uint64_t *cell = op->cells;
    for (uint32_t l = op->layer_begin; l < op->layer_end; l++) {
        for (uint32_t kv = 0; kv < H_KV; kv++, cell += op->tokens) {
            const uint64_t *want = s->cells[l][kv] + op->pos;
            if (memcmp(cell, want, op->tokens * sizeof *cell) != 0) return false;
        }
    }
    return true;
}

/* An answer that says no more than that there is none. */
static bool is_absence(const struct h_op *op)
{
    bool alone = op->kind != H_APPEND && op->kind != H_FREE;
    return alone && op->outcome == H_OUT_NOT_FOUND;
}

static bool apply(struct h_state *s, const struct h_op *op)
{
    if (is_absence(op)) return !s->exists;
    switch (op->kind) {
    case H_CREATE: return create(s, op);
    case H_APPEND: return append(s, op);
    case H_TRUNCATE: return truncate_to(s, op);
    case H_FREE: return free_it(s, op);
    case H_INFO:
    case H_LISTED: return tells(s, op);
    case H_READ: return reads(s, op);
    case H_GONE: /* where it is gone already, it has nothing to do */
        if (s->incarnation == op->incarnation) s->exists = false;
        return true;
    case H_EXPIRED:
        if (!s->exists || s->incarnation != op->incarnation) return false;
        s->exists = false;
        return true;
    }
    return false;
}

bool h_step(struct h_state *s, const struct h_op *op)
{
    bool names = op->kind != H_LISTED && op->kind != H_GONE && op->kind != H_EXPIRED;
    if (op->outcome == H_OUT_STRANGE || !apply(s, op)) return false;
    if (s->exists && names && op->invoke > s->named_ns) s->named_ns = op->invoke;
    return true;
}

uint64_t h_earliest(const struct h_state *s, const struct h_op *op)
{
    if (op->kind != H_EXPIRED) return op->invoke;
    uint64_t earliest = s->named_ns + s->ttl_ns - rounding_ns;
    return earliest > op->invoke ? earliest : op->invoke;
}

XXH128_hash_t h_fingerprint(const struct h_state *s)
{
    struct {
        uint64_t incarnation, appends, named;
        uint32_t lens[H_LAYERS], pad;
    } head = {0};
    if (!s->exists) return XXH3_128bits(&head, sizeof head);
    head.incarnation = s->incarnation;
    head.appends = s->appends;
    if (s->ttl_ns > 0) head.named = s->named_ns;
    memcpy(head.lens, s->lens, sizeof head.lens);
    XXH128_hash_t sum = XXH3_128bits(&head, sizeof head);
    for (uint32_t l = 0; l < H_LAYERS; l++) {
        for (uint32_t kv = 0; kv < H_KV; kv++) {
            size_t bytes = s->lens[l] * sizeof s->cells[0][0][0];
            XXH128_hash_t part = XXH3_128bits_withSeed(s->cells[l][kv], bytes, sum.low64);
            sum.low64 ^= part.low64;
            sum.high64 = h_mix(sum.high64, part.high64);
        }
    }
    return sum;
}

const char *h_state_text(const struct h_state *s)
{
    static char text[200];
    if (!s->exists)
        snprintf(text, sizeof text, "it does not exist");
    else
        snprintf(text, sizeof text,
                 "layers hold %u,%u,%u of %u tokens after %" PRIu64
                 " appends, label \"%s\", created by r%" PRIx64,
                 s->lens[0], s->lens[1], s->lens[2], s->capacity, s->appends, s->label,
                 s->incarnation);
    return text;
}
