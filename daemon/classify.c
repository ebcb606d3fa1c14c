#include "daemon/classify.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* How many rows speak for each kind, and what the first of them says in detail. */
struct votes {
    uint64_t rows[TKV_KIND_COUNT];
    int64_t source_seq, offset, layer, head, bits;
    bool ambiguous; /* rows of several items have the same bytes */
    uint64_t written, diverging;
};

struct place {
    uint32_t head, pos; /* pos of the sequence, not of the plane */
};

/* The recorded row that explains a found one with the fewest assumptions. */
struct candidate {
    const struct tkv_suspect *s;
    struct place at;
    struct tkv_row row;
    int score; /* < 0: none yet */
    bool ambiguous;
};

static const struct tkv_append_item *item_of(const struct tkv_suspect *s, uint32_t batch,
                                             uint32_t item)
{
    return &s->batches[batch]->items[item];
}

static uint64_t seq_of(const struct tkv_suspect *s, uint32_t batch, uint32_t item)
{
    return s->batches[batch]->owners[item].seq;
}

static uint32_t pos_of(const struct tkv_suspect *s, const struct tkv_row *row)
{
    return item_of(s, row->batch, row->item)->pos + row->token;
}

/* Another sequence's row is looked at by its token's number, one's own by its position. */
static bool same_place(const struct tkv_suspect *s, const struct tkv_row *row, uint32_t pos)
{
    const struct tkv_append_item *mine = item_of(s, s->batch, s->item);
    if (pos_of(s, row) == pos) return true;
    bool foreign = seq_of(s, row->batch, row->item) != seq_of(s, s->batch, s->item);
    return foreign && pos >= mine->pos && pos - mine->pos == row->token;
}

/* What must have gone wrong for this row to be here: the fewer things, the lower. */
static int score_of(const struct candidate *c, const struct tkv_row *row)
{
    const struct tkv_suspect *s = c->s;
    int score = 0;
    if (seq_of(s, row->batch, row->item) != seq_of(s, s->batch, s->item)) score += 16;
    if (row->layer != s->layer) score += 8;
    if (row->kv != s->kv) score += 8;
    if (row->head != c->at.head) score += 8;
    if (!same_place(s, row, c->at.pos)) score += 8;
    if (row->batch != s->batch) score += 1;
    return score;
}

static void consider(const struct tkv_row *row, void *arg)
{
    struct candidate *c = arg;
    int score = score_of(c, row);
    if (c->score >= 0 && score == c->score &&
        seq_of(c->s, row->batch, row->item) != seq_of(c->s, c->row.batch, c->row.item))
        c->ambiguous = true;
    if (c->score >= 0 && score >= c->score) return;
    c->ambiguous = false;
    c->score = score;
    c->row = *row;
}

static size_t row_bytes(const struct tkv_suspect *s)
{
    const struct tkv_geometry *g = &s->batches[s->batch]->model->geom;
    return g->head_dim * tkv_dtype_size(g->dtype);
}

/* Row (head, p) of a plane, p counted from its base. */
static const uint8_t *row_at(const struct tkv_suspect *s, const void *plane, uint32_t head,
                             uint32_t p)
{
    const struct tkv_geometry *g = &s->batches[s->batch]->model->geom;
    return (const uint8_t *)plane +
           tkv_row_offset(g, s->positions, head, p) * tkv_dtype_size(g->dtype);
}

static bool is_poison(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != TKV_POISON) return false;
    }
    return true;
}

/* Whether the row stands where it belongs, too: then what was found is a copy. */
static bool stands_right(const struct tkv_suspect *s, const struct tkv_row *row)
{
    uint32_t pos = pos_of(s, row);
    if (row->layer != s->layer || row->kv != s->kv || row->batch != s->batch) return false;
    if (row->item != s->item || pos < s->base || pos - s->base >= s->positions) return false;
    const uint8_t *e = row_at(s, s->expected, row->head, pos - s->base);
    const uint8_t *o = row_at(s, s->other, row->head, pos - s->base);
    return memcmp(e, o, row_bytes(s)) == 0;
}

static void vote(struct votes *v, enum tkv_divergence_kind kind, int64_t *detail, int64_t value)
{
    if (v->rows[kind]++ == 0 && detail != NULL) *detail = value;
}

/* A row that is known: where it came from says what happened. */
static void vote_for_source(const struct tkv_suspect *s, struct votes *v, const struct candidate *c,
                            bool extra)
{
    const struct tkv_row *row = &c->row;
    int64_t offset = (int64_t)c->at.pos - (int64_t)pos_of(s, row);
    if (seq_of(s, row->batch, row->item) != seq_of(s, s->batch, s->item)) {
        v->ambiguous |= c->ambiguous;
        vote(v, TKV_KIND_WRONG_ITEM, &v->source_seq, (int64_t)seq_of(s, row->batch, row->item));
    } else if (extra && stands_right(s, row)) {
        vote(v, TKV_KIND_STRAY_WRITE, &v->offset, offset);
    } else if (row->layer != s->layer) {
        vote(v, TKV_KIND_WRONG_LAYER, &v->layer, row->layer);
    } else if (row->kv != s->kv) {
        vote(v, TKV_KIND_KV_SWAPPED, NULL, 0);
    } else if (row->head != c->at.head) {
        vote(v, TKV_KIND_WRONG_HEAD, &v->head, row->head);
        v->offset = v->rows[TKV_KIND_WRONG_POSITION] == 0 ? offset : v->offset;
    } else {
        vote(v, TKV_KIND_WRONG_POSITION, &v->offset, offset);
    }
}

/* Element i as an integer that is monotonic in its value, so that neighbours differ by one. */
static int32_t ordered_bits(const uint8_t *row, size_t i)
{
    uint16_t bits;
    memcpy(&bits, row + 2 * i, sizeof bits);
    return (bits & 0x8000u) != 0 ? -(int32_t)(bits & 0x7fffu) : (int32_t)bits;
}

/* A row that nobody recorded: unwritten in part, a few bits off, or rounded otherwise. */
static void vote_for_damage(const struct tkv_suspect *s, struct votes *v, const uint8_t *expected,
                            const uint8_t *other)
{
    size_t elements = row_bytes(s) / 2, differing = 0, unwritten = 0, neighbours = 0;
    int bits = 0;
    for (size_t i = 0; i < elements; i++) {
        uint16_t e, o;
        memcpy(&e, expected + 2 * i, sizeof e);
        memcpy(&o, other + 2 * i, sizeof o);
        if (e == o) continue;
        int32_t step = ordered_bits(expected, i) - ordered_bits(other, i);
        differing++;
        bits += __builtin_popcount((unsigned)(e ^ o));
        neighbours += step == 1 || step == -1;
        unwritten += is_poison(other + 2 * i, 2);
    }
    if (!s->live && unwritten == differing)
        vote(v, TKV_KIND_MISSING_WRITE, NULL, 0);
    else if (differing == 1 && bits <= 2)
        vote(v, TKV_KIND_BIT_FLIP, &v->bits, bits);
    else if (neighbours == differing)
        vote(v, TKV_KIND_ROUNDING, NULL, 0);
    else
        vote(v, TKV_KIND_UNKNOWN, NULL, 0);
}

static void look_at_row(const struct tkv_suspect *s, struct votes *v, uint32_t head, uint32_t p)
{
    const struct tkv_append_item *item = item_of(s, s->batch, s->item);
    const uint8_t *expected = row_at(s, s->expected, head, p);
    const uint8_t *other = row_at(s, s->other, head, p);
    uint32_t pos = s->base + p;
    bool extra = pos < item->pos || pos - item->pos >= item->tokens;
    if (memcmp(expected, other, row_bytes(s)) == 0) return;
    v->diverging++;
    if (!s->live && is_poison(other, row_bytes(s))) {
        vote(v, TKV_KIND_MISSING_WRITE, NULL, 0);
        return;
    }
    struct candidate c = {.s = s, .at = {head, pos}, .score = -1};
    tkv_row_index_find(s->index, other, consider, &c);
    if (c.score >= 0)
        vote_for_source(s, v, &c, extra);
    else if (extra)
        vote(v, TKV_KIND_STRAY_WRITE, &v->offset, 0);
    else
        vote_for_damage(s, v, expected, other);
}

/* Whether all rows stand where [positions][n_kv_heads][head_dim] would put them. */
static bool is_token_major(const struct tkv_suspect *s)
{
    const struct tkv_append_item *item = item_of(s, s->batch, s->item);
    uint32_t heads = s->batches[s->batch]->model->geom.n_kv_heads;
    if (s->live || heads == 1) return false;
    for (uint32_t h = 0; h < heads; h++) {
        for (uint32_t t = 0; t < item->tokens; t++) {
            uint32_t p = item->pos + t - s->base;
            const uint8_t *want = row_at(s, s->expected, h, p);
            const uint8_t *got = row_at(s, s->other, 0, p * heads + h); /* a flat row number */
            if (memcmp(want, got, row_bytes(s)) != 0) return false;
        }
    }
    return true;
}

/* Rows that moved explain rows that are missing; what is known beats what is not. */
static enum tkv_divergence_kind decide(const struct votes *v)
{
    static const enum tkv_divergence_kind known[] = {
        TKV_KIND_WRONG_ITEM,     TKV_KIND_WRONG_LAYER, TKV_KIND_KV_SWAPPED, TKV_KIND_WRONG_HEAD,
        TKV_KIND_WRONG_POSITION, TKV_KIND_STRAY_WRITE, TKV_KIND_BIT_FLIP,   TKV_KIND_ROUNDING,
    };
    enum tkv_divergence_kind best = TKV_KIND_UNKNOWN;
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (v->rows[known[i]] <= most) continue;
        best = known[i];
        most = v->rows[best];
    }
    if (most == 0 && v->rows[TKV_KIND_MISSING_WRITE] > v->rows[TKV_KIND_UNKNOWN])
        return TKV_KIND_MISSING_WRITE;
    return v->rows[TKV_KIND_UNKNOWN] > most ? TKV_KIND_UNKNOWN : best;
}

static void set_detail(struct tkv_detail_number *n, int64_t value)
{
    *n = (struct tkv_detail_number){true, value};
}

/* The sentence for people. */
static void say(const struct tkv_suspect *s, const struct votes *v, struct tkv_divergence *d)
{
    const char *kv = s->kv == TKV_K ? "K" : "V";
    char *text = d->detail.text;
    size_t size = sizeof d->detail.text;
    unsigned long long seq = seq_of(s, s->batch, s->item);
    unsigned long long rows = v->diverging;
    switch (d->kind) {
    case TKV_KIND_WRONG_ITEM:
        snprintf(text, size, "sequence %llu's %s rows of layer %u hold those of sequence %lld%s",
                 seq, kv, s->layer, (long long)v->source_seq,
                 v->ambiguous ? " (or of another with the same rows)" : "");
        break;
    case TKV_KIND_WRONG_POSITION:
        snprintf(text, size, "%s rows of layer %u stand %+lld positions from where they belong", kv,
                 s->layer, (long long)v->offset);
        break;
    case TKV_KIND_WRONG_HEAD:
        snprintf(text, size, "%s rows of layer %u stand in another head%s", kv, s->layer,
                 d->detail.layout != NULL ? ", exactly where a token-major layout would put them"
                                          : "");
        break;
    case TKV_KIND_WRONG_LAYER:
        snprintf(text, size, "%s rows of layer %u are those of layer %lld", kv, s->layer,
                 (long long)v->layer);
        break;
    case TKV_KIND_KV_SWAPPED:
        snprintf(text, size, "layer %u: the %s rows are the item's %s rows", s->layer, kv,
                 s->kv == TKV_K ? "V" : "K");
        break;
    case TKV_KIND_MISSING_WRITE:
        snprintf(text, size, "%llu %s rows of layer %u were not written, or not in full", rows, kv,
                 s->layer);
        break;
    case TKV_KIND_STRAY_WRITE:
        snprintf(text, size, "%llu rows were written beside the right ones (%s of layer %u)", rows,
                 kv, s->layer);
        break;
    case TKV_KIND_BIT_FLIP:
        snprintf(text, size, "%lld bit(s) of one element of layer %u's %s rows are flipped",
                 (long long)v->bits, s->layer, kv);
        break;
    case TKV_KIND_ROUNDING:
        snprintf(text, size, "%s rows of layer %u are rounded otherwise: neighbouring values", kv,
                 s->layer);
        break;
    default:
        snprintf(text, size, "%llu %s rows of layer %u hold bytes that no recorded append brought",
                 rows, kv, s->layer);
    }
}

void tkv_classify(const struct tkv_suspect *suspect, struct tkv_divergence *out)
{
    const struct tkv_geometry *g = &suspect->batches[suspect->batch]->model->geom;
    struct votes v = {0};
    for (uint32_t h = 0; h < g->n_kv_heads; h++) {
        for (uint32_t p = 0; p < suspect->positions; p++)
            look_at_row(suspect, &v, h, p);
    }
    memset(&out->detail, 0, sizeof out->detail);
    out->kind = decide(&v);
    if (is_token_major(suspect)) {
        out->kind = TKV_KIND_WRONG_HEAD;
        out->detail.layout = "token_major";
    }
    if (out->kind == TKV_KIND_WRONG_ITEM) set_detail(&out->detail.source_seq, v.source_seq);
    if (out->kind == TKV_KIND_WRONG_POSITION) set_detail(&out->detail.offset, v.offset);
    if (out->kind == TKV_KIND_WRONG_HEAD) set_detail(&out->detail.kv_head, v.head);
    if (out->kind == TKV_KIND_WRONG_LAYER) set_detail(&out->detail.layer, v.layer);
    if (out->kind == TKV_KIND_BIT_FLIP) set_detail(&out->detail.bits, v.bits);
    set_detail(&out->detail.rows_diverging, (int64_t)v.diverging);
    set_detail(&out->detail.rows,
               (int64_t)g->n_kv_heads * item_of(suspect, suspect->batch, suspect->item)->tokens);
    say(suspect, &v, out);
}
