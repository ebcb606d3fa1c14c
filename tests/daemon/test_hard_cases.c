/* Goal: bugs that are hard to tell apart are found and named all the same, and what the evidence
 * leaves open is said to be open: faults of one layer, one head or the last item, two faults in one
 * batch, rows that are equal to others, values that are no ordinary numbers, several tokens, odd
 * head_dims, re-runs in small parts.
 * Method: tables. Each run: sequences of different lengths get a right step and a faulty one; every
 * divergence of the faulty batch must be of a kind that was armed for its plane, and each fault
 * that can be seen must have been named. The table at the end says case, runs, found, named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { LAYERS = 3, HEADS = 4, CAPACITY = 48, ITEMS = 4, LAST = ITEMS - 1, ANY = -1 };

static const struct {
    const char *word;
    enum tkv_divergence_kind kind;
} faults[] = {
    {"shared_pointers", TKV_KIND_WRONG_ITEM},  {"stale_lengths", TKV_KIND_WRONG_POSITION},
    {"half_lengths", TKV_KIND_WRONG_POSITION}, {"swap_items", TKV_KIND_WRONG_ITEM},
    {"token_major", TKV_KIND_WRONG_HEAD},      {"off_by_one", TKV_KIND_WRONG_POSITION},
    {"short_grid", TKV_KIND_MISSING_WRITE},    {"stray_write", TKV_KIND_STRAY_WRITE},
    {"kv_swapped", TKV_KIND_KV_SWAPPED},       {"bit_flip", TKV_KIND_BIT_FLIP},
};
enum fault_number { SHARED, STALE, HALF, SWAP, TOKEN_MAJOR, OFF_BY_ONE, SHORT, STRAY, KV, FLIP };
enum { FAULTS = sizeof faults / sizeof faults[0] };

static const char *const kind_words[TKV_KIND_COUNT] = {
#define X(name, word) word,
    TKV_DIVERGENCE_KINDS(X)
#undef X
};

/* --- rows ------------------------------------------------------------------------------------- */

/* X(name, what is equal) */
#define DATA(X)                                    \
    X(DISTINCT, "nothing")                         \
    X(SPECIAL, "nothing: NaN, -0, subnormal, inf") \
    X(SAME_ITEMS, "rows of all items")             \
    X(TWINS, "rows of item 1 and the last")        \
    X(SAME_LAYERS, "rows of all layers")           \
    X(SAME_HEADS, "rows of all heads")             \
    X(SAME_KV, "K and V")                          \
    X(SAME_TOKENS, "rows of all tokens")           \
    X(CONSTANT, "all elements of an item")         \
    X(ZEROS, "everything: zeros")                  \
    X(PATTERN, "everything: the pattern of scratch")

enum data {
#define X(name, text) name,
    DATA(X)
#undef X
        DATA_COUNT
};
static const char *const data_words[] = {
#define X(name, text) text,
    DATA(X)
#undef X
};

struct shape {
    const char *model;
    uint32_t dim;
    enum tkv_dtype cache, source;
};

static const struct shape shapes[] = {
    {"d16", 16, TKV_F16, TKV_F16},     {"b16", 16, TKV_BF16, TKV_BF16},
    {"d16", 16, TKV_F16, TKV_F32},     {"d80", 80, TKV_F16, TKV_F16},
    {"d576", 576, TKV_BF16, TKV_BF16}, {"d63", 63, TKV_BF16, TKV_F32},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static uint32_t salt; /* of the step: no two steps bring the same rows */

static uint64_t mixed(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 29;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    return x ^ x >> 32;
}

/* An element's place in what an append brings. */
struct where {
    uint32_t item, layer, kv, head, token, dim;
};

static uint64_t noise(enum data data, struct where w)
{
    if (data == ZEROS || data == PATTERN) return 0;
    if (data == SAME_ITEMS) w.item = 0;
    if (data == TWINS && w.item == LAST) w.item = 1;
    if (data == SAME_LAYERS || data == CONSTANT) w.layer = 0;
    if (data == SAME_KV || data == CONSTANT) w.kv = 0;
    if (data == SAME_HEADS || data == CONSTANT) w.head = 0;
    if (data == SAME_TOKENS || data == CONSTANT) w.token = 0;
    if (data == CONSTANT) w.dim = 0;
    uint64_t x = mixed(salt + 1);
    x = mixed(x ^ ((uint64_t)w.item << 32 | w.layer));
    x = mixed(x ^ ((uint64_t)w.kv << 40 | (uint64_t)w.head << 32 | w.token));
    return mixed(x ^ w.dim);
}

/* The bits of an element in a 16-bit dtype, or in f32. */
static uint32_t bits_of(enum data data, enum tkv_dtype dtype, uint64_t noise_bits)
{
    static const uint16_t f16[] = {0x7e01, 0xfdff, 0x7d55, 0x8000, 0x0001,
                                   0x83ff, 0x7c00, 0xfc00, 0x3c00, 0x0000};
    static const uint16_t bf16[] = {0x7fc1, 0xffff, 0x7f81, 0x8000, 0x0001,
                                    0x807f, 0x7f80, 0xff80, 0x3f80, 0x0000};
    static const uint32_t f32[] = {0x7fc12345, 0xffffffff, 0x7f800001, 0x80000000, 0x00000001,
                                   0x33800000, 0x7f800000, 0xff800000, 0x477fe000, 0x00000000};
    if (data == ZEROS) return 0;
    if (data == PATTERN) return 0xA5A5A5A5u;
    if (data == SPECIAL)
        return dtype == TKV_F32   ? f32[noise_bits % 10]
               : dtype == TKV_F16 ? f16[noise_bits % 10]
                                  : bf16[noise_bits % 10];
    float value = (float)(noise_bits % 65536) / 16384.0f - 2.0f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return dtype == TKV_F32   ? bits
           : dtype == TKV_F16 ? tkv_f32_to_f16(value)
                              : tkv_f32_to_bf16(value);
}

/* Everything that one append brings: tokens[i] rows of item i. */
static size_t fill(uint8_t *to, enum data data, const struct shape *shape, const uint32_t *tokens)
{
    size_t size = tkv_dtype_size(shape->source), n = 0;
    struct where w;
    for (w.item = 0; w.item < ITEMS; w.item++) {
        size_t elements = (size_t)LAYERS * 2 * HEADS * tokens[w.item] * shape->dim;
        for (size_t e = 0; e < elements; e++, n++) {
            size_t rest = e / shape->dim;
            w.dim = (uint32_t)(e % shape->dim);
            w.token = (uint32_t)(rest % tokens[w.item]);
            w.head = (uint32_t)(rest / tokens[w.item] % HEADS);
            w.kv = (uint32_t)(rest / tokens[w.item] / HEADS % 2);
            w.layer = (uint32_t)(rest / tokens[w.item] / HEADS / 2);
            uint32_t bits = bits_of(data, shape->source, noise(data, w));
            memcpy(to + n * size, &bits, size);
        }
    }
    salt++;
    return n * size;
}

/* --- one run ---------------------------------------------------------------------------------- */

static struct fixture fx;

/* A fault and its scope; ANY: all of them. */
struct armed {
    int fault, layer, head;
    bool last;
};

struct trial {
    const struct shape *shape;
    enum data data;
    const uint32_t *tokens;
    struct armed armed[2];
    int n;
    bool small; /* least scratch memory: re-run in parts */
};

static const uint32_t ones[ITEMS] = {1, 1, 1, 1}, ragged[ITEMS] = {3, 1, 5, 2},
                      threes[ITEMS] = {3, 3, 3, 3};
static const uint64_t seqs[ITEMS] = {0, 1, 2, 3};

static void append(const struct trial *t, const uint32_t *tokens)
{
    size_t most = (size_t)ITEMS * 8 * LAYERS * 2 * HEADS * t->shape->dim * 4;
    uint8_t *rows = malloc(most);
    size_t bytes = fill(rows, t->data, t->shape, tokens);
    struct fx_op *x = fx_append(&fx, ITEMS, seqs, tokens, NULL, rows, bytes);
    x->request.params.seq_append.dtype = (struct tkv_maybe_dtype){true, t->shape->source};
    free(rows);
    ck_assert_int_eq(fx_do(&fx, x), TKV_OK);
}

static void inject(const struct armed *a, bool together)
{
    struct fx_op *x = fx_inject(faults[a->fault].word, 1);
    struct tkv_debug_inject *p = &x->request.params.debug_inject;
    p->batches.given = !together;
    p->layer = (struct tkv_maybe){a->layer != ANY, (uint64_t)a->layer};
    p->kv_head = (struct tkv_maybe){a->head != ANY, (uint64_t)a->head};
    p->last_item = a->last;
    p->together = together;
    ck_assert_int_eq(fx_do(&fx, x), TKV_OK);
}

/* Verifies the newest batch; small: with hardly more memory than it can do with, so that it is cut
 * into parts and still may look at whole caches. */
static struct fx_op *verify(bool small)
{
    uint64_t bytes = 1000;
    for (;;) {
        struct fx_op *v = fx_verify();
        v->request.params.debug_verify.batches = (struct tkv_maybe){true, 1};
        v->request.params.debug_verify.scratch_bytes = (struct tkv_maybe){small, bytes};
        enum tkv_status st = fx_run(&fx, v);
        if (st == TKV_OK) return v;
        ck_assert(small && st == TKV_EINVAL && v->op.error.needed > bytes);
        bytes = v->op.error.needed + (64 << 10);
        fx_drop(v);
    }
}

static struct fx_op *run(const struct trial *t)
{
    static const uint32_t lens[ITEMS] = {2, 3, 4, 5};
    for (int i = 0; i < ITEMS; i++) {
        struct fx_op *c = fx_create(seqs[i], CAPACITY);
        c->request.params.seq_create.model = t->shape->model;
        ck_assert_int_eq(fx_do(&fx, c), TKV_OK);
    }
    append(t, lens);
    for (int k = 0; k < t->n; k++)
        inject(&t->armed[k], k > 0);
    append(t, t->tokens);
    struct fx_op *v = verify(t->small);
    ck_assert_int_eq(fx_do(&fx, fx_free(ITEMS, seqs)), TKV_OK);
    return v;
}

/* --- what must come out ----------------------------------------------------------------------- */

enum sight { NAMED, NOTHING_TO_SEE, SEEN_IN_DOUBT };

/* Equal bytes hide some faults: where they change no byte, there is nothing to be found. */
static enum sight sight_of(enum data data, int fault)
{
    bool mixes_items = fault == SHARED || fault == SWAP;
    if (mixes_items && (data == SAME_ITEMS || data == ZEROS || data == PATTERN))
        return NOTHING_TO_SEE;
    if (fault == KV && (data == SAME_KV || data == CONSTANT || data == ZEROS || data == PATTERN))
        return NOTHING_TO_SEE;
    if (data != PATTERN || fault == FLIP) return NAMED;
    return fault == STRAY ? NOTHING_TO_SEE : SEEN_IN_DOUBT;
}

static bool is_about(const struct armed *a, const struct tkv_divergence *d)
{
    return (a->layer == ANY || (uint32_t)a->layer == d->layer) && (!a->last || d->seq == LAST);
}

/* The faults that explain a divergence, as bits; a later fault takes the rows of an earlier one. */
static unsigned causes_of(const struct trial *t, const struct tkv_divergence *d)
{
    unsigned causes = 0;
    for (int k = 0; k < t->n; k++) {
        const struct armed *a = &t->armed[k];
        if (!is_about(a, d)) continue;
        bool takes_all = a->head == ANY && a->fault != STRAY && a->fault != FLIP;
        causes = (takes_all ? 0 : causes) | 1u << k;
    }
    return causes;
}

/* Whether the heads of the map are those that the one cause is about. */
static bool heads_fit(const struct armed *a, const struct tkv_divergence *d)
{
    if (a->head == ANY || a->fault == TOKEN_MAJOR) return true;
    for (uint32_t h = 0; h < d->map.n_heads; h++) {
        if (d->map.heads[h] > 0 && h != (uint32_t)a->head) return false;
    }
    return d->map.heads[a->head] > 0;
}

/* The faults that a divergence names, among its causes. */
static unsigned named_by(const struct trial *t, const struct tkv_divergence *d, unsigned causes)
{
    unsigned named = 0;
    for (int k = 0; k < t->n; k++) {
        enum tkv_divergence_kind kind = faults[t->armed[k].fault].kind;
        const char *beside = strstr(d->detail.text, "beside it");
        bool told = beside != NULL && strstr(beside, kind_words[kind]) != NULL;
        if ((causes >> k & 1u) != 0 && (d->kind == kind || told)) named |= 1u << k;
    }
    return named;
}

static bool is_doubt(const struct trial *t, const struct tkv_divergence *d)
{
    return sight_of(t->data, t->armed[0].fault) == SEEN_IN_DOUBT && d->live &&
           d->kind == TKV_KIND_UNKNOWN && d->detail.ambiguous;
}

static bool kind_is_right(const struct trial *t, const struct tkv_divergence *d, unsigned *seen)
{
    unsigned causes = causes_of(t, d), named = named_by(t, d, causes);
    bool right = false;
    if (is_doubt(t, d)) {
        *seen |= 1;
        return true;
    }
    for (int k = 0; k < t->n; k++)
        right = right || ((causes >> k & 1u) != 0 && d->kind == faults[t->armed[k].fault].kind);
    if (t->n == 1) right = right && heads_fit(&t->armed[0], d);
    *seen |= named;
    return right;
}

static void complain(const struct trial *t, const struct tkv_divergence *d)
{
    printf("%s%s%s, %s, %s%s: seq %d layer %u %s %s: %s (%s)\n", faults[t->armed[0].fault].word,
           t->n > 1 ? " + " : "", t->n > 1 ? faults[t->armed[1].fault].word : "",
           data_words[t->data], t->shape->model, t->small ? ", in parts" : "", (int)d->seq,
           d->layer, d->is_v ? "V" : "K", d->live ? "live" : "batched", kind_words[d->kind],
           d->detail.text);
}

static struct {
    char name[64];
    int runs, found, named;
} table[100];
static size_t n_cases;

static size_t new_case(const char *name, const char *more)
{
    (void)snprintf(table[n_cases].name, sizeof table[0].name, "%s%s", name, more);
    return n_cases++;
}

static void try(size_t of_case, const struct trial *t)
{
    struct fx_op *v = run(t);
    unsigned seen = 0, all = (1u << t->n) - 1;
    bool nothing = sight_of(t->data, t->armed[0].fault) == NOTHING_TO_SEE, right = true;
    for (size_t i = 0; i < v->report.n_divergences; i++) {
        const struct tkv_divergence *d = &v->report.divergences[i];
        if (kind_is_right(t, d, &seen)) continue;
        complain(t, d);
        right = false;
    }
    if (!nothing && seen != all)
        printf("%s%s%s, %s: only %x seen\n", faults[t->armed[0].fault].word, t->n > 1 ? " + " : "",
               t->n > 1 ? faults[t->armed[1].fault].word : "", data_words[t->data], seen);
    table[of_case].runs++;
    table[of_case].found += v->report.ok == nothing;
    table[of_case].named += right && (nothing || seen == all);
    fx_drop(v);
}

/* --- the cases -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct armed scope;
} scopes[] = {
    {"everywhere", {0, ANY, ANY, false}}, {"one layer", {0, 1, ANY, false}},
    {"one head", {0, ANY, 1, false}},     {"last item", {0, ANY, ANY, true}},
    {"one of all", {0, 2, 3, true}},
};
enum { SCOPES = sizeof scopes / sizeof scopes[0] };

/* All faults, one at a time, in one scope. */
static void each_fault(const char *name, struct trial t, const struct armed *scope)
{
    size_t c = new_case(name, "");
    t.n = 1;
    for (int f = 0; f < FAULTS; f++) {
        t.armed[0] = *scope;
        t.armed[0].fault = f;
        try(c, &t);
    }
}

static void scoped(void)
{
    for (size_t s = 0; s < SCOPES; s++) {
        struct trial t = {.shape = &shapes[0], .tokens = ones};
        each_fault(scopes[s].name, t, &scopes[s].scope);
        t.small = true;
        each_fault("  re-run in small parts", t, &scopes[s].scope);
        t.small = false;
        t.tokens = ragged;
        each_fault("  several tokens", t, &scopes[s].scope);
    }
}

static void by_data(void)
{
    for (int d = SPECIAL; d < DATA_COUNT; d++) {
        struct trial t = {.shape = &shapes[0], .data = (enum data)d, .tokens = ones};
        size_t first = n_cases;
        each_fault("equal: ", t, &scopes[0].scope);
        (void)snprintf(table[first].name, sizeof table[0].name, "equal: %s", data_words[d]);
        each_fault("  one head", t, &scopes[2].scope);
        t.tokens = threes;
        each_fault("  several tokens", t, &scopes[0].scope);
    }
}

static void by_shape(void)
{
    for (size_t s = 1; s < SHAPES; s++) {
        struct trial t = {.shape = &shapes[s], .tokens = ones};
        size_t first = n_cases;
        each_fault("", t, &scopes[0].scope);
        (void)snprintf(table[first].name, sizeof table[0].name, "head_dim %u %s from %s",
                       shapes[s].dim, tkv_dtype_word(shapes[s].cache),
                       tkv_dtype_word(shapes[s].source));
        each_fault("  one head", t, &scopes[2].scope);
        t.data = SPECIAL;
        t.tokens = ragged;
        each_fault("  special values, several tokens", t, &scopes[0].scope);
    }
}

static bool adds(int fault)
{
    return fault == STRAY || fault == FLIP;
}

/* All pairs of faults, each in a scope of its own. */
static void each_pair(const char *name, const struct armed *a, const struct armed *b, bool moving)
{
    size_t c = new_case(name, "");
    struct trial t = {.shape = &shapes[0], .tokens = ones, .n = 2};
    for (int f = 0; f < FAULTS * FAULTS; f++) {
        t.armed[0] = *a;
        t.armed[1] = *b;
        t.armed[0].fault = f / FAULTS;
        t.armed[1].fault = f % FAULTS;
        if (moving && (adds(f / FAULTS) || adds(f % FAULTS))) continue;
        try(c, &t);
    }
}

static void paired(void)
{
    static const struct armed layer0 = {0, 0, ANY, false}, layer2 = {0, 2, ANY, false};
    static const struct armed head1 = {0, ANY, 1, false}, head2 = {0, ANY, 2, false};
    static const struct armed all = {0, ANY, ANY, false}, last = {0, ANY, ANY, true};
    each_pair("two faults, two layers", &layer0, &layer2, false);
    each_pair("two faults, two heads of a plane", &head1, &head2, false);
    each_pair("two faults, all items and the last", &all, &last, true);
}

static void setup(void)
{
    fx_init(&fx);
    for (size_t i = 0; i < SHAPES; i++)
        fx.config.models[i] = (struct tkv_model){
            shapes[i].model, {LAYERS, HEADS, shapes[i].dim, shapes[i].cache}, CAPACITY};
    fx.config.n_models = SHAPES;
    tkv_log_set_level(TKV_LOG_ERROR);
    fx_open(&fx);
}

static void teardown(void)
{
    fx_close(&fx);
}

START_TEST(hard_cases_are_named)
{
    scoped();
    by_data();
    by_shape();
    paired();
    printf("%-52s %5s %6s %6s\n", "case", "runs", "found", "named");
    for (size_t c = 0; c < n_cases; c++)
        printf("%-52s %5d %6d %6d\n", table[c].name, table[c].runs, table[c].found, table[c].named);
    (void)fflush(stdout);
    for (size_t c = 0; c < n_cases; c++) {
        ck_assert_int_gt(table[c].runs, 0);
        ck_assert_int_eq(table[c].found, table[c].runs);
        ck_assert_int_eq(table[c].named, table[c].runs);
    }
}
END_TEST

/* Goal: without a fault there is no finding, whatever the rows are like. */
START_TEST(right_rows_are_right)
{
    for (int i = 0; i < DATA_COUNT * SHAPES; i++) {
        struct trial t = {.shape = &shapes[i % SHAPES],
                          .data = (enum data)(i / SHAPES),
                          .tokens = i % 2 == 0 ? ragged : ones};
        struct fx_op *v = run(&t);
        ck_assert_msg(v->report.ok, "%s, %s", data_words[t.data], t.shape->model);
        fx_drop(v);
    }
}
END_TEST

/* Goal: a layer or a head that no model has is refused. */
START_TEST(scopes_beyond_the_models)
{
    for (int f = 0; f < FAULTS; f++) {
        struct fx_op *layer = fx_inject(faults[f].word, 1), *head = fx_inject(faults[f].word, 1);
        layer->request.params.debug_inject.layer = (struct tkv_maybe){true, 1000};
        head->request.params.debug_inject.kv_head = (struct tkv_maybe){true, 1000};
        ck_assert_int_eq(fx_do(&fx, layer), TKV_EINVAL);
        ck_assert_int_eq(fx_do(&fx, head), TKV_EINVAL);
    }
}
END_TEST

/* Goal: where several sequences brought the same rows, the finding names all of them; where one
 * row settles it, it does not doubt. */
START_TEST(equal_sources_are_all_named)
{
    struct trial t = {.shape = &shapes[0], .data = TWINS, .tokens = ones, .n = 1};
    t.armed[0] = (struct armed){SHARED, ANY, ANY, false};
    struct fx_op *v = run(&t);
    ck_assert_uint_eq(v->report.n_divergences, (size_t)2 * LAYERS * 2); /* 1 and 3 are right */
    for (size_t i = 0; i < v->report.n_divergences; i++) {
        const struct tkv_divergence *d = &v->report.divergences[i];
        ck_assert_int_eq(d->kind, TKV_KIND_WRONG_ITEM);
        ck_assert(d->detail.ambiguous);
        ck_assert_uint_eq(d->detail.n_source_seqs, 2);
        ck_assert_uint_eq(d->detail.source_seqs[0], 1);
        ck_assert_uint_eq(d->detail.source_seqs[1], LAST);
        ck_assert_ptr_nonnull(strstr(d->detail.text, "or of another with the same rows"));
    }
    fx_drop(v);
    t.data = DISTINCT;
    v = run(&t);
    for (size_t i = 0; i < v->report.n_divergences; i++)
        ck_assert(!v->report.divergences[i].detail.ambiguous);
    fx_drop(v);
}
END_TEST

/* Goal: damage to a live plane that the kernel wrote wrong is told beside the kernel's bug. */
START_TEST(damage_beside_a_bug_is_told)
{
    struct trial t = {.shape = &shapes[0], .tokens = ones, .n = 2};
    t.armed[0] = (struct armed){KV, ANY, ANY, false};
    t.armed[1] = (struct armed){FLIP, 1, 2, false};
    struct fx_op *v = run(&t);
    size_t live = 0;
    for (size_t i = 0; i < v->report.n_divergences; i++) {
        const struct tkv_divergence *d = &v->report.divergences[i];
        if (!d->live) ck_assert_str_eq(d->detail.live, "differs");
        if (!d->live) continue;
        live++;
        ck_assert_int_eq(d->kind, TKV_KIND_BIT_FLIP);
        ck_assert_int_eq(d->detail.bits.value, 1);
        ck_assert_int_eq(d->detail.rows_diverging.value, 1);
        ck_assert_uint_eq(d->seq, LAST);
        ck_assert_uint_eq(d->layer, 1);
    }
    ck_assert_uint_eq(live, 1);
    fx_drop(v);
}
END_TEST

/* Goal: what can not be armed is refused, and leaves what was armed as it was. */
START_TEST(together_needs_a_fault_to_join)
{
    struct fx_op *x = fx_inject("swap_items", 1);
    x->request.params.debug_inject.together = true;
    ck_assert_int_eq(fx_run(&fx, x), TKV_EINVAL);
    ck_assert_str_eq(x->op.error.param, "together");
    fx_drop(x);
    inject(&(struct armed){SWAP, ANY, ANY, false}, false);
    inject(&(struct armed){KV, ANY, ANY, false}, true);
    x = fx_inject("bit_flip", 1);
    x->request.params.debug_inject.together = true;
    ck_assert_int_eq(fx_run(&fx, x), TKV_EINVAL);
    fx_drop(x);
    x = fx_inject("bit_flip", 1);
    ck_assert_int_eq(fx_run(&fx, x), TKV_OK);
    ck_assert_uint_eq(x->op.result.armed.n, 3);
    ck_assert_str_eq(x->op.result.armed.faults[1], "kv_swapped");
    fx_drop(x);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hard_cases");
    TCase *tc = tcase_create("hard_cases");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, hard_cases_are_named);
    tcase_add_test(tc, right_rows_are_right);
    tcase_add_test(tc, scopes_beyond_the_models);
    tcase_add_test(tc, equal_sources_are_all_named);
    tcase_add_test(tc, damage_beside_a_bug_is_told);
    tcase_add_test(tc, together_needs_a_fault_to_join);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
