/* classify.c - each divergent row is a witness: it names every kind that explains it with the
 * fewest mistakes. The kind that explains most rows is the plane's; where another explains all of
 * those rows just as well, the finding says so. */
#include "daemon/classify.h"

#include <assert.h>
#include <string.h>

#include "daemon/classify_impl.h"

/* One recorded row with the bytes that were found: what it would mean, had it come from there. */
struct clue {
    enum tkv_divergence_kind kind;
    int64_t value; /* source sequence, offset, head or layer */
};

struct place {
    uint32_t head, pos; /* pos of the sequence, not of the plane */
};

/* The clues about one row that need the fewest mistakes. */
struct clues {
    const struct tkv_suspect *s;
    struct place at;
    bool extra; /* nothing belongs there */
    int cost;
    size_t n;
    struct clue list[3 * TKV_FOUND_MAX];
};

/* Values that clues of one kind named, and how many rows could have each. */
enum { TALLY_MAX = 256 };
struct tally {
    size_t n;
    int64_t value[TALLY_MAX];
    uint64_t rows[TALLY_MAX], last_row[TALLY_MAX];
};

/* A row's explanations as a set: 1 << kind, and GONE for a row of which nothing was written. */
enum { GONE = 1 << TKV_KIND_COUNT, SETS = 2 * GONE };
#define BIT(kind) (1u << (kind))
#define MOVED     (BIT(TKV_KIND_WRONG_POSITION) | BIT(TKV_KIND_WRONG_HEAD))

struct evidence {
    const struct tkv_suspect *s;
    uint64_t rows; /* that differ */
    uint64_t sets[SETS];
    uint16_t seen[SETS]; /* the sets that occur */
    size_t n_seen;
    struct tally seqs, offsets, heads, layers;
    int64_t bits;
    bool source_is_poison; /* of some row of a live cache: unwritten looks like written, then */
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

static const struct tkv_geometry *geometry_of(const struct tkv_suspect *s)
{
    return &s->batches[s->batch]->model->geom;
}

static size_t row_bytes(const struct tkv_suspect *s)
{
    return geometry_of(s)->head_dim * tkv_dtype_size(geometry_of(s)->dtype);
}

/* Row (head, p) of a plane, p counted from its base. */
static const uint8_t *row_at(const struct tkv_suspect *s, const void *plane, uint32_t head,
                             uint32_t p)
{
    const struct tkv_geometry *g = geometry_of(s);
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

/* --- one row: where it may have come from ----------------------------------------------------- */

/* Another sequence's row is looked at by its token's number, one's own by its position. */
static bool same_place(const struct tkv_suspect *s, const struct tkv_row *row, uint32_t pos)
{
    const struct tkv_append_item *mine = item_of(s, s->batch, s->item);
    if (pos_of(s, row) == pos) return true;
    bool foreign = seq_of(s, row->batch, row->item) != seq_of(s, s->batch, s->item);
    return foreign && pos >= mine->pos && pos - mine->pos == row->token;
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

/* What must have gone wrong for this row to be here; within as many mistakes, a row of the same
 * batch is the likelier one. */
static int cost_of(const struct clues *c, const struct tkv_row *row)
{
    const struct tkv_suspect *s = c->s;
    int mistakes = seq_of(s, row->batch, row->item) != seq_of(s, s->batch, s->item);
    mistakes += row->layer != s->layer;
    mistakes += row->kv != s->kv;
    mistakes += row->head != c->at.head;
    mistakes += !same_place(s, row, c->at.pos);
    return 2 * mistakes + (row->batch != s->batch);
}

static struct clue clue_of(const struct clues *c, const struct tkv_row *row)
{
    const struct tkv_suspect *s = c->s;
    uint64_t seq = seq_of(s, row->batch, row->item);
    int64_t offset = (int64_t)c->at.pos - (int64_t)pos_of(s, row);
    if (seq != seq_of(s, s->batch, s->item))
        return (struct clue){TKV_KIND_WRONG_ITEM, (int64_t)seq};
    if (c->extra && stands_right(s, row)) return (struct clue){TKV_KIND_STRAY_WRITE, offset};
    if (row->layer != s->layer) return (struct clue){TKV_KIND_WRONG_LAYER, row->layer};
    if (row->kv != s->kv) return (struct clue){TKV_KIND_KV_SWAPPED, 0};
    if (row->head != c->at.head) return (struct clue){TKV_KIND_WRONG_HEAD, row->head};
    return (struct clue){TKV_KIND_WRONG_POSITION, offset};
}

static void consider(const struct tkv_row *row, void *arg)
{
    struct clues *c = arg;
    int cost = cost_of(c, row);
    if (c->n > 0 && cost > c->cost) return;
    if (cost < c->cost) c->n = 0;
    c->cost = cost;
    assert(c->n < sizeof c->list / sizeof c->list[0]);
    c->list[c->n++] = clue_of(c, row);
}

static uint32_t kinds_of(const struct clues *c)
{
    uint32_t set = 0;
    for (size_t i = 0; i < c->n; i++)
        set |= BIT(c->list[i].kind);
    return set;
}

/* An extra row that may be one which is missing elsewhere is no copy. Neither need those of its
 * equals be that seem to stand right: all of them may have moved on by one. */
static void settle_copies(struct clues *c)
{
    size_t kept = 0;
    if ((kinds_of(c) & MOVED) == 0) return;
    for (size_t i = 0; i < c->n; i++) {
        struct clue clue = c->list[i];
        if (clue.kind == TKV_KIND_STRAY_WRITE && c->cost / 2 > 1) continue;
        if (clue.kind == TKV_KIND_STRAY_WRITE) clue.kind = TKV_KIND_WRONG_POSITION;
        c->list[kept++] = clue;
    }
    c->n = kept;
}

static void count_value(struct tally *t, int64_t value, uint64_t row)
{
    size_t i = 0;
    while (i < t->n && t->value[i] != value)
        i++;
    if (i == TALLY_MAX) return; /* as good as any: very many fit */
    if (i == t->n) {
        t->value[t->n] = value;
        t->rows[t->n] = 0;
        t->last_row[t->n++] = 0;
    }
    if (t->last_row[i] == row) return;
    t->last_row[i] = row;
    t->rows[i]++;
}

static struct tally *tally_of(struct evidence *v, enum tkv_divergence_kind kind)
{
    switch (kind) {
    case TKV_KIND_WRONG_ITEM: return &v->seqs;
    case TKV_KIND_WRONG_POSITION: return &v->offsets;
    case TKV_KIND_WRONG_HEAD: return &v->heads;
    case TKV_KIND_WRONG_LAYER: return &v->layers;
    default: return NULL;
    }
}

static void count_values(struct evidence *v, const struct clues *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct tally *t = tally_of(v, c->list[i].kind);
        if (t != NULL) count_value(t, c->list[i].value, v->rows);
    }
}

/* --- one row: how it may have been damaged ---------------------------------------------------- */

/* Element i as an integer that is monotonic in its value, so that neighbours differ by one. */
static int32_t ordered_bits(const uint8_t *row, size_t i)
{
    uint16_t bits;
    memcpy(&bits, row + 2 * i, sizeof bits);
    return (bits & 0x8000u) != 0 ? -(int32_t)(bits & 0x7fffu) : (int32_t)bits;
}

/* Unwritten in part, a few bits off, or rounded otherwise; nothing: none of these. */
static uint32_t damages_of(struct evidence *v, const uint8_t *expected, const uint8_t *other)
{
    size_t elements = row_bytes(v->s) / 2, differing = 0, unwritten = 0, neighbours = 0;
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
    uint32_t set = 0;
    if (!v->s->live && unwritten == differing) set |= BIT(TKV_KIND_MISSING_WRITE);
    if (differing == 1 && bits <= 2) set |= BIT(TKV_KIND_BIT_FLIP);
    if (neighbours == differing) set |= BIT(TKV_KIND_ROUNDING);
    if ((set & BIT(TKV_KIND_BIT_FLIP)) != 0 && v->bits == 0) v->bits = bits;
    return set;
}

/* --- all rows of the plane -------------------------------------------------------------------- */

static uint32_t explain_row(struct evidence *v, struct clues *c, const uint8_t *expected,
                            const uint8_t *other)
{
    const struct tkv_suspect *s = v->s;
    bool gone = !s->live && is_poison(other, row_bytes(s));
    struct tkv_row at = {s->batch, s->item, s->layer, s->kv, c->at.head, 0};
    tkv_row_index_find(s->index, other, &at, consider, c);
    settle_copies(c);
    uint32_t set = kinds_of(c);
    count_values(v, c);
    if (s->live && is_poison(expected, row_bytes(s))) v->source_is_poison = true;
    if (gone) return set | BIT(TKV_KIND_MISSING_WRITE) | GONE;
    if (c->extra && set == 0) return BIT(TKV_KIND_STRAY_WRITE);
    if (!c->extra) set |= damages_of(v, expected, other);
    return set != 0 ? set : BIT(TKV_KIND_UNKNOWN);
}

static void look_at_row(struct evidence *v, struct clues *c, uint32_t head, uint32_t p)
{
    const struct tkv_suspect *s = v->s;
    const struct tkv_append_item *item = item_of(s, s->batch, s->item);
    const uint8_t *expected = row_at(s, s->expected, head, p);
    const uint8_t *other = row_at(s, s->other, head, p);
    uint32_t pos = s->base + p;
    if (memcmp(expected, other, row_bytes(s)) == 0) return;
    v->rows++;
    c->at = (struct place){head, pos};
    c->extra = pos < item->pos || pos - item->pos >= item->tokens;
    c->n = 0;
    c->cost = 0;
    uint32_t set = explain_row(v, c, expected, other);
    if (v->sets[set]++ == 0) v->seen[v->n_seen++] = (uint16_t)set;
}

/* Rows whose set has some of `any` and none of `none`. */
static uint64_t rows_with(const struct evidence *v, uint32_t any, uint32_t none)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < v->n_seen; i++) {
        uint32_t set = v->seen[i];
        if ((set & any) != 0 && (set & none) == 0) rows += v->sets[set];
    }
    return rows;
}

/* Rows of which nothing was written, and nothing else can be said. */
static uint64_t gone_rows(const struct evidence *v)
{
    return v->sets[GONE | BIT(TKV_KIND_MISSING_WRITE)];
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Rows that a kind accounts for: a row that moved accounts for the one that is missing, too. */
static uint64_t weight_of(const struct evidence *v, enum tkv_divergence_kind kind)
{
    uint64_t rows = rows_with(v, BIT(kind), 0);
    if (kind == TKV_KIND_MISSING_WRITE) return rows - least(gone_rows(v), rows_with(v, MOVED, 0));
    return (BIT(kind) & MOVED) != 0 ? rows + least(gone_rows(v), rows) : rows;
}

/* The simpler first: where several kinds explain as much, the first one is chosen. */
static const enum tkv_divergence_kind by_simplicity[] = {
    TKV_KIND_MISSING_WRITE,  TKV_KIND_BIT_FLIP,   TKV_KIND_ROUNDING,   TKV_KIND_STRAY_WRITE,
    TKV_KIND_WRONG_POSITION, TKV_KIND_WRONG_HEAD, TKV_KIND_KV_SWAPPED, TKV_KIND_WRONG_LAYER,
    TKV_KIND_WRONG_ITEM,     TKV_KIND_UNKNOWN,
};
enum { KINDS = sizeof by_simplicity / sizeof by_simplicity[0] };

static enum tkv_divergence_kind decide(const struct evidence *v)
{
    enum tkv_divergence_kind best = TKV_KIND_UNKNOWN;
    uint64_t most = 0;
    for (size_t i = 0; i < KINDS; i++) {
        uint64_t weight = weight_of(v, by_simplicity[i]);
        if (weight <= most) continue;
        best = by_simplicity[i];
        most = weight;
    }
    return best;
}

/* --- the token-major layout ------------------------------------------------------------------- */

/* A plane's rows as one line: where row (head, p) would be, had it been [positions][n_kv_heads]. */
static const uint8_t *flat_row(const struct tkv_suspect *s, const void *plane, size_t number)
{
    return (const uint8_t *)plane + number * row_bytes(s);
}

/* Whether the item's row (head, p) stands where the layout would put it. */
static bool is_at_flat(const struct tkv_suspect *s, uint32_t head, uint32_t p)
{
    size_t number = (size_t)p * geometry_of(s)->n_kv_heads + head;
    return memcmp(row_at(s, s->expected, head, p), flat_row(s, s->other, number), row_bytes(s)) ==
           0;
}

/* Whether another row of the item was put by the layout where row (head, p) belongs. */
static bool is_overwritten(const struct tkv_suspect *s, uint32_t heads, uint32_t head, uint32_t p)
{
    const struct tkv_append_item *item = item_of(s, s->batch, s->item);
    uint32_t first = item->pos - s->base;
    size_t number = (size_t)head * s->positions + p, by = number / heads;
    if (by < first || by - first >= item->tokens) return false;
    return is_at_flat(s, (uint32_t)(number % heads), (uint32_t)by);
}

struct layout {
    uint64_t moved;    /* rows that stand where only the layout puts them */
    bool across_heads; /* one of them in another head */
};

/* Whether each row is where it belongs or where [positions][n_kv_heads][head_dim] would put it. */
static bool fits_layout(const struct tkv_suspect *s, struct layout *out)
{
    const struct tkv_append_item *item = item_of(s, s->batch, s->item);
    uint32_t heads = geometry_of(s)->n_kv_heads;
    assert(s->positions > 0);
    *out = (struct layout){0};
    for (uint32_t h = 0; h < heads; h++) {
        for (uint32_t p = item->pos - s->base; p < item->pos - s->base + item->tokens; p++) {
            size_t number = (size_t)p * heads + h;
            bool stays =
                memcmp(row_at(s, s->expected, h, p), row_at(s, s->other, h, p), row_bytes(s)) == 0;
            if (stays) continue;
            bool flat = is_at_flat(s, h, p);
            if (!flat && !is_overwritten(s, heads, h, p)) return false;
            out->moved += flat;
            out->across_heads = out->across_heads || (flat && number / s->positions != h);
        }
    }
    return true;
}

enum layout_claim { NO_LAYOUT, MAY_BE_TOKEN_MAJOR, TOKEN_MAJOR };

/* One row that moved within its head is no proof of a layout. */
static enum layout_claim layout_of(const struct tkv_suspect *s)
{
    struct layout layout;
    if (s->live || geometry_of(s)->n_kv_heads == 1) return NO_LAYOUT;
    if (!fits_layout(s, &layout) || layout.moved == 0) return NO_LAYOUT;
    return layout.moved > 1 || layout.across_heads ? TOKEN_MAJOR : MAY_BE_TOKEN_MAJOR;
}

/* --- what is said ----------------------------------------------------------------------------- */

static void set_detail(struct tkv_detail_number *n, int64_t value)
{
    *n = (struct tkv_detail_number){true, value};
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* The value that most rows could have; of several the smallest. *others: as many rows as a kind
 * has, `all`, could have another one, too. */
static int64_t best_value(const struct tally *t, uint64_t all, bool *others)
{
    size_t best = 0, fitting = 0;
    for (size_t i = 0; i < t->n; i++) {
        fitting += t->rows[i] == all;
        if (t->rows[i] < t->rows[best]) continue;
        if (t->rows[i] > t->rows[best] || magnitude(t->value[i]) < magnitude(t->value[best]) ||
            (magnitude(t->value[i]) == magnitude(t->value[best]) && t->value[i] > 0))
            best = i;
    }
    *others = fitting > 1;
    return t->n > 0 ? t->value[best] : 0;
}

/* The sequences that all rows of the kind could be of, ascending. */
static void list_sources(const struct tally *t, uint64_t all, struct tkv_divergence *out)
{
    uint64_t *list = out->detail.source_seqs;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        uint64_t seq = (uint64_t)t->value[i];
        if (t->rows[i] != all || (n == TKV_SOURCES_MAX && list[n - 1] < seq)) continue;
        size_t at = n < TKV_SOURCES_MAX ? n++ : n - 1;
        for (; at > 0 && list[at - 1] > seq; at--)
            list[at] = list[at - 1];
        list[at] = seq;
    }
    out->detail.n_source_seqs = n;
}

static void fill_value(struct evidence *v, struct tkv_reading *reading, struct tkv_divergence *out)
{
    const struct tally *t = tally_of(v, out->kind);
    struct tkv_detail_number *to[TKV_KIND_COUNT] = {
        [TKV_KIND_WRONG_ITEM] = &out->detail.source_seq,
        [TKV_KIND_WRONG_POSITION] = &out->detail.offset,
        [TKV_KIND_WRONG_HEAD] = &out->detail.kv_head,
        [TKV_KIND_WRONG_LAYER] = &out->detail.layer,
    };
    if (out->kind == TKV_KIND_BIT_FLIP) set_detail(&out->detail.bits, v->bits);
    if (t == NULL || t->n == 0) return;
    uint64_t rows = rows_with(v, BIT(out->kind), 0);
    set_detail(to[out->kind], best_value(t, rows, &reading->whose));
}

/* Whether all rows that speak for `kind` speak for `other` as well. */
static bool explains_as_well(const struct evidence *v, enum tkv_divergence_kind kind,
                             enum tkv_divergence_kind other)
{
    if (other == kind || rows_with(v, BIT(kind), BIT(other)) > 0) return false;
    return weight_of(v, other) >= weight_of(v, kind);
}

static void weigh(const struct evidence *v, struct tkv_reading *reading,
                  const struct tkv_divergence *d)
{
    bool moved = (BIT(d->kind) & MOVED) != 0;
    uint64_t missing = moved ? least(gone_rows(v), rows_with(v, MOVED, 0)) : 0;
    reading->diverging = v->rows;
    reading->could_be_unwritten = v->source_is_poison && d->kind == TKV_KIND_UNKNOWN;
    for (size_t i = 0; i < KINDS; i++) {
        enum tkv_divergence_kind k = by_simplicity[i];
        if (explains_as_well(v, d->kind, k)) reading->could_be |= BIT(k);
    }
    uint32_t none = BIT(d->kind);
    for (size_t i = 0; i < KINDS; i++) { /* each row once: for the simplest of its kinds */
        enum tkv_divergence_kind k = by_simplicity[i];
        reading->others[k] = rows_with(v, BIT(k), none);
        if (k == TKV_KIND_MISSING_WRITE) reading->others[k] -= least(missing, reading->others[k]);
        none |= BIT(k);
    }
}

/* All rows of the item are where the layout puts them: nothing is left to be said of moved ones. */
static void set_layout(struct tkv_reading *reading, struct tkv_divergence *out)
{
    out->detail.layout = "token_major";
    reading->others[TKV_KIND_WRONG_POSITION] = reading->others[TKV_KIND_MISSING_WRITE] = 0;
    reading->could_be = 0;
    reading->whose = false;
}

static void fill_detail(struct evidence *v, struct tkv_divergence *out)
{
    const struct tkv_suspect *s = v->s;
    struct tkv_reading reading = {0};
    memset(&out->detail, 0, sizeof out->detail);
    enum layout_claim layout = layout_of(s);
    out->kind = layout == TOKEN_MAJOR ? TKV_KIND_WRONG_HEAD : decide(v);
    weigh(v, &reading, out);
    fill_value(v, &reading, out);
    if (layout == TOKEN_MAJOR) set_layout(&reading, out);
    if (layout == MAY_BE_TOKEN_MAJOR) reading.could_be |= BIT(TKV_KIND_WRONG_HEAD);
    out->detail.ambiguous = reading.could_be != 0 || reading.whose || reading.could_be_unwritten;
    if (out->detail.ambiguous && (reading.could_be & BIT(TKV_KIND_WRONG_ITEM)) != 0)
        list_sources(&v->seqs, rows_with(v, BIT(TKV_KIND_WRONG_ITEM), 0), out);
    if (reading.whose && out->kind == TKV_KIND_WRONG_ITEM)
        list_sources(&v->seqs, rows_with(v, BIT(TKV_KIND_WRONG_ITEM), 0), out);
    set_detail(&out->detail.rows_diverging, (int64_t)v->rows);
    set_detail(&out->detail.rows,
               (int64_t)geometry_of(s)->n_kv_heads * item_of(s, s->batch, s->item)->tokens);
    tkv_classify_say(s, &reading, out);
}

void tkv_classify(const struct tkv_suspect *suspect, struct tkv_divergence *out)
{
    struct evidence v = {.s = suspect};
    struct clues clues = {.s = suspect};
    for (uint32_t h = 0; h < geometry_of(suspect)->n_kv_heads; h++) {
        for (uint32_t p = 0; p < suspect->positions; p++) {
            if (suspect->progress != NULL) suspect->progress(suspect->arg);
            look_at_row(&v, &clues, h, p);
        }
    }
    fill_detail(&v, out);
}
