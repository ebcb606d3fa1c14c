#include "tests/histories/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const kind_words[] = {
#define X(name, word) word,
    H_KINDS(X)
#undef X
};

static const char *const outcome_words[] = {
#define X(name, word) word,
    H_OUTCOMES(X)
#undef X
};

bool h_may_change(const struct h_op *op)
{
    if (op->kind == H_GONE || op->kind == H_EXPIRED) return true;
    if (op->outcome != H_OUT_OK && op->outcome != H_OUT_UNKNOWN) return false;
    return op->kind == H_CREATE || op->kind == H_APPEND || op->kind == H_TRUNCATE ||
           op->kind == H_FREE;
}

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int h_compare(const void *a, const void *b)
{
    const struct h_op *x = a, *y = b;
    int by = order(x->seq, y->seq);
    if (by == 0) by = order(x->invoke, y->invoke);
    return by != 0 ? by : order(x->request, y->request);
}

/* --- text ------------------------------------------------------------------------------------- */

struct text {
    char *at;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->at + t->n, H_TEXT_MAX - t->n, fmt, args);
    va_end(args);
    t->n += n > 0 ? (size_t)n : 0;
    if (t->n >= H_TEXT_MAX) t->n = H_TEXT_MAX - 1;
}

static void put_items(struct text *t, const struct h_op *op)
{
    put(t, " layers [%u,%u)", op->layer_begin, op->layer_end);
    for (size_t i = 0; i < op->n_items; i++) {
        const struct h_item *item = &op->items[i];
        put(t, " +%u", item->tokens);
        if (item->has_pos) put(t, "@%" PRIu64, item->pos);
        put(t, "#%04x", (unsigned)(item->tag >> 48));
        if (op->outcome == H_OUT_UNKNOWN || op->missing) continue;
        if (op->outcome == H_OUT_OK)
            put(t, "=%" PRIu64, item->told);
        else if (item->outcome != H_OUT_OK)
            put(t, "(%s, %" PRIu64 ")", outcome_words[item->outcome], item->told);
    }
}

static void put_state(struct text *t, const struct h_op *op)
{
    put(t, " len %" PRIu64 " of layers %u,%u,%u capacity %u appends %" PRIu64 " label \"%s\"",
        op->told, op->lens[0], op->lens[1], op->lens[2], op->capacity, op->appends, op->label);
}

static void put_what(struct text *t, const struct h_op *op)
{
    switch (op->kind) {
    case H_CREATE:
        put(t, " capacity %u ttl_ms %u%s label \"%s\"", op->capacity, op->ttl_ms,
            op->mortal ? " on_disconnect free" : "", op->label);
        break;
    case H_APPEND: put_items(t, op); break;
    case H_TRUNCATE:
        put(t, " to %" PRIu64, op->len);
        if (op->outcome == H_OUT_OK) put(t, "=%" PRIu64, op->told);
        break;
    case H_INFO:
    case H_LISTED:
        if (op->outcome == H_OUT_OK) put_state(t, op);
        break;
    case H_READ:
        put(t, " layers [%u,%u) @%" PRIu64 " +%u", op->layer_begin, op->layer_end, op->pos,
            op->tokens);
        break;
    case H_GONE:
    case H_EXPIRED: put(t, " what request %" PRIx64 " created", op->incarnation); break;
    case H_FREE: break;
    }
}

const char *h_describe(const struct h_op *op, uint64_t zero, char out[H_TEXT_MAX])
{
    struct text t = {.at = out};
    put(&t, "%10.1f ", (double)(op->invoke - zero) / 1e3);
    if (op->ret == H_NEVER)
        put(&t, "%10s", "-");
    else
        put(&t, "%10.1f", (double)(op->ret - zero) / 1e3);
    put(&t, "  c%-3u r%-9" PRIx64 " %s", op->client, op->request, kind_words[op->kind]);
    put_what(&t, op);
    put(&t, " -> %s%s", outcome_words[op->outcome], op->maybe ? " (perhaps never)" : "");
    return out;
}
