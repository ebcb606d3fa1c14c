/* classify_text.c - a finding as a sentence: what happened, what else it could be, what there is
 * beside it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/classify_impl.h"

static const char *const kind_words[TKV_KIND_COUNT] = {
#define X(name, word) word,
    TKV_DIVERGENCE_KINDS(X)
#undef X
};

/* A sentence under way; what does not fit is cut. */
struct sentence {
    char *text;
    size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void add(struct sentence *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->text + t->len, t->size - t->len, fmt, args);
    va_end(args);
    if (n > 0) t->len = t->len + (size_t)n < t->size ? t->len + (size_t)n : t->size - 1;
}

static void say_bytes(struct sentence *t, const struct tkv_suspect *s, const char *kv,
                      uint64_t rows, const struct tkv_divergence *d)
{
    switch (d->kind) {
    case TKV_KIND_MISSING_WRITE:
        add(t, "%llu %s rows of layer %u were not written, or not in full",
            (unsigned long long)rows, kv, s->layer);
        break;
    case TKV_KIND_STRAY_WRITE:
        add(t, "%llu rows were written beside the right ones (%s of layer %u)",
            (unsigned long long)rows, kv, s->layer);
        break;
    case TKV_KIND_BIT_FLIP:
        add(t, "%lld bit(s) of one element of layer %u's %s rows are flipped",
            (long long)d->detail.bits.value, s->layer, kv);
        break;
    case TKV_KIND_ROUNDING:
        add(t, "%s rows of layer %u are rounded otherwise: neighbouring values", kv, s->layer);
        break;
    default:
        add(t, "%llu %s rows of layer %u hold bytes that no recorded append brought",
            (unsigned long long)rows, kv, s->layer);
    }
}

static void say_kind(struct sentence *t, const struct tkv_suspect *s, uint64_t rows,
                     const struct tkv_divergence *d)
{
    const char *kv = s->kv == TKV_K ? "K" : "V";
    unsigned long long seq = s->batches[s->batch]->owners[s->item].seq;
    switch (d->kind) {
    case TKV_KIND_WRONG_ITEM:
        add(t, "sequence %llu's %s rows of layer %u hold those of sequence %lld", seq, kv, s->layer,
            (long long)d->detail.source_seq.value);
        break;
    case TKV_KIND_WRONG_POSITION:
        add(t, "%s rows of layer %u stand %+lld positions from where they belong", kv, s->layer,
            (long long)d->detail.offset.value);
        break;
    case TKV_KIND_WRONG_HEAD:
        add(t, "%s rows of layer %u stand in another head%s", kv, s->layer,
            d->detail.layout != NULL ? ", exactly where a token-major layout would put them" : "");
        break;
    case TKV_KIND_WRONG_LAYER:
        add(t, "%s rows of layer %u are those of layer %lld", kv, s->layer,
            (long long)d->detail.layer.value);
        break;
    case TKV_KIND_KV_SWAPPED:
        add(t, "layer %u: the %s rows are the item's %s rows", s->layer, kv,
            s->kv == TKV_K ? "V" : "K");
        break;
    default: say_bytes(t, s, kv, rows, d);
    }
}

/* What equal bytes leave open. */
static void say_doubt(struct sentence *t, const struct tkv_reading *r,
                      const struct tkv_divergence *d)
{
    const char *separator = "; equal rows leave open: it could also be ";
    for (int k = 0; k < TKV_KIND_COUNT; k++) {
        if ((r->could_be >> k & 1u) == 0) continue;
        add(t, "%s%s", separator, kind_words[k]);
        separator = ", ";
    }
    if (r->whose && d->kind == TKV_KIND_WRONG_ITEM)
        add(t, " (or of another with the same rows)");
    else if (r->whose)
        add(t, " (equal rows: it may be another %s)",
            d->kind == TKV_KIND_WRONG_POSITION ? "offset"
            : d->kind == TKV_KIND_WRONG_HEAD   ? "head"
                                               : "layer");
    if (r->could_be_unwritten)
        add(t, "; the source rows are the very pattern that a re-run starts from, so that it"
               " cannot tell whether they are written");
}

/* Rows that the kind does not explain. */
static void say_others(struct sentence *t, const struct tkv_reading *r)
{
    const char *separator = "; beside it ";
    for (int k = 0; k < TKV_KIND_COUNT; k++) {
        if (r->others[k] == 0) continue;
        add(t, "%s%llu row%s of %s", separator, (unsigned long long)r->others[k],
            r->others[k] == 1 ? "" : "s", kind_words[k]);
        separator = ", ";
    }
}

void tkv_classify_say(const struct tkv_suspect *s, const struct tkv_reading *reading,
                      struct tkv_divergence *out)
{
    struct sentence t = {out->detail.text, sizeof out->detail.text, 0};
    uint64_t rows = reading->diverging;
    for (int k = 0; k < TKV_KIND_COUNT; k++)
        rows -= reading->others[k];
    t.text[0] = '\0';
    say_kind(&t, s, rows, out);
    say_doubt(&t, reading, out);
    say_others(&t, reading);
}
