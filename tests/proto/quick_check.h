/* quick_check.h - what must hold of every line, whether proto/quick.c takes it or not. For the unit
 * test and the fuzz target. */
#ifndef TKV_TESTS_PROTO_QUICK_CHECK_H
#define TKV_TESTS_PROTO_QUICK_CHECK_H

#include <string.h>

#include "proto/quick.h"

static inline bool quick_same_numbers(const uint64_t *a, const uint64_t *b, size_t n)
{
    if (a == NULL || b == NULL) return a == b;
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* NULL, or the member of two appends that differs. */
static inline const char *quick_append_difference(const struct tkv_seq_append *a,
                                                  const struct tkv_seq_append *b)
{
    if (a->m != b->m) return "m";
    if (!quick_same_numbers(a->seqs, b->seqs, a->m)) return "seqs";
    if (!quick_same_numbers(a->pos, b->pos, a->m)) return "pos";
    if (memcmp(a->tokens, b->tokens, a->m * sizeof *a->tokens) != 0) return "tokens";
    if (a->layers.given != b->layers.given || a->layers.begin != b->layers.begin ||
        a->layers.end != b->layers.end)
        return "layers";
    if (a->dtype.given != b->dtype.given || a->dtype.value != b->dtype.value) return "dtype";
    if (a->source != b->source || a->base64 != b->base64 || a->values != b->values ||
        a->n_values != b->n_values || a->region != b->region || a->offset != b->offset)
        return "source";
    return NULL;
}

/* NULL, or the member of two messages that differs. Both hold one append that is fine, or one of
 * them does not and that is the difference. */
static inline const char *quick_difference(const struct tkv_message *a, const struct tkv_message *b)
{
    static const struct tkv_error none;
    const struct tkv_request *r = &a->requests[0], *s = &b->requests[0];
    if (a->is_batch || b->is_batch) return "is_batch";
    if (a->n != 1 || b->n != 1) return "n";
    if (a->lost || b->lost) return "lost";
    if (memcmp(&r->error, &none, sizeof none) != 0) return "error";
    if (memcmp(&s->error, &none, sizeof none) != 0) return "error";
    if (r->method != TKV_METHOD_SEQ_APPEND || s->method != r->method) return "method";
    if (r->notification != s->notification) return "notification";
    if (r->id_len != s->id_len || memcmp(r->id, s->id, r->id_len) != 0) return "id";
    if (a->payload_bytes != b->payload_bytes || r->payload_bytes != a->payload_bytes ||
        s->payload_bytes != b->payload_bytes)
        return "payload_bytes";
    return quick_append_difference(&r->params.seq_append, &s->params.seq_append);
}

/* What is not taken has changed nothing. *taken says whether it was. */
static inline const char *quick_try(const char *line, size_t len, bool *taken)
{
    enum { UNTOUCHED = 0x5a };
    union {
        struct tkv_request request;
        unsigned char bytes[sizeof(struct tkv_request)];
    } to;
    struct tkv_arena arena;
    memset(to.bytes, UNTOUCHED, sizeof to.bytes);
    tkv_arena_init(&arena);
    *taken = tkv_quick_append(line, len, &to.request, &arena);
    bool touched = arena.used > 0 || arena.blocks != NULL || arena.failed;
    for (size_t i = 0; i < sizeof to.bytes; i++)
        touched |= to.bytes[i] != UNTOUCHED;
    tkv_arena_close(&arena);
    return *taken || !touched ? NULL : "what was left";
}

/* NULL, or what is wrong. A line that is taken must be fine the ordinary way, and all of it the
 * same; one that is left may be anything. */
static inline const char *quick_fault(const char *line, size_t len, bool *taken)
{
    const char *fault = quick_try(line, len, taken);
    if (fault != NULL || !*taken) return fault;
    struct tkv_message *quick = tkv_message_parse(line, len),
                       *ordinary = tkv_message_parse_ordinary(line, len);
    fault = quick != NULL && ordinary != NULL ? quick_difference(quick, ordinary) : "memory";
    tkv_message_free(quick);
    tkv_message_free(ordinary);
    return fault;
}

#endif
