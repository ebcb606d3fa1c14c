/* Goal: every planted bug is found, and called by its name, whatever the shape of the batch.
 * Method: each fault x items x layers x cache dtype x source dtype: sequences of different lengths
 * get a right step and a faulty one; the verification of the faulty batch must list divergences,
 * all of them of the fault's kind. The table at the end says fault, runs, found, named right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { HEADS = 2, DIM = 8, CAPACITY = 16, ITEMS_MAX = 256, LAYERS_MAX = 32 };

static const struct {
    const char *fault;
    enum tkv_divergence_kind kind;
} faults[] = {
    {"shared_pointers", TKV_KIND_WRONG_ITEM},  {"stale_lengths", TKV_KIND_WRONG_POSITION},
    {"half_lengths", TKV_KIND_WRONG_POSITION}, {"swap_items", TKV_KIND_WRONG_ITEM},
    {"token_major", TKV_KIND_WRONG_HEAD},      {"off_by_one", TKV_KIND_WRONG_POSITION},
    {"short_grid", TKV_KIND_MISSING_WRITE},    {"stray_write", TKV_KIND_STRAY_WRITE},
    {"kv_swapped", TKV_KIND_KV_SWAPPED},       {"bit_flip", TKV_KIND_BIT_FLIP},
};
enum { FAULTS = sizeof faults / sizeof faults[0], SHAPES = 3 * 4 * 2 * 2 };

static const uint32_t layer_counts[] = {1, 5, 32}, item_counts[] = {2, 4, 33, 256};

static struct fixture fx;
static struct {
    int runs, found, named;
} table[FAULTS];
static uint64_t random_state = 0x2545F4914F6CDD1Du;
static uint16_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint16_t)random_state;
}

/* --- one run
 * -------------------------------------------------------------------------------------- */

struct shape {
    uint32_t m, layers;
    enum tkv_dtype cache, source;
};

static const char *const names[] = {"f16-1", "f16-5", "f16-32", "bf16-1", "bf16-5", "bf16-32"};

static void set_models(struct tkv_config *config)
{
    for (size_t i = 0; i < 6; i++)
        config->models[i] = (struct tkv_model){
            names[i], {layer_counts[i % 3], HEADS, DIM, i < 3 ? TKV_F16 : TKV_BF16}, CAPACITY};
    config->n_models = 6;
}

static const char *model_of(const struct shape *shape)
{
    size_t layers = shape->layers == 1 ? 0 : shape->layers == 5 ? 1 : 2;
    return names[layers + (shape->cache == TKV_BF16 ? 3 : 0)];
}

/* Random finite values between -2 and 2, in the source's dtype. */
static void fill(uint8_t *rows, size_t n, enum tkv_dtype dtype)
{
    for (size_t i = 0; i < n; i++) {
        float value = (float)random_bits() / 16384.0f - 2.0f;
        uint16_t half = dtype == TKV_F16 ? tkv_f32_to_f16(value) : tkv_f32_to_bf16(value);
        if (dtype == TKV_F32)
            memcpy(rows + 4 * i, &value, 4);
        else
            memcpy(rows + 2 * i, &half, 2);
    }
}

/* One append of tokens[i] tokens to each of m sequences. */
static void append(const struct shape *shape, size_t m, const uint64_t *seqs,
                   const uint32_t *tokens)
{
    size_t n = 0;
    for (size_t i = 0; i < m; i++)
        n += (size_t)tokens[i] * shape->layers * 2 * HEADS * DIM;
    size_t bytes = n * tkv_dtype_size(shape->source);
    uint8_t *rows = malloc(bytes);
    fill(rows, n, shape->source);
    struct fx_op *x = fx_append(&fx, m, seqs, tokens, NULL, rows, bytes);
    x->request.params.seq_append.dtype = (struct tkv_maybe_dtype){true, shape->source};
    free(rows);
    ck_assert_int_eq(fx_do(&fx, x), TKV_OK);
}

static void create(const struct shape *shape, uint64_t *seqs, uint32_t *ones)
{
    uint32_t lens[ITEMS_MAX];
    for (uint32_t i = 0; i < shape->m; i++) {
        struct fx_op *c = fx_create(i, CAPACITY);
        c->request.params.seq_create.model = model_of(shape);
        ck_assert_int_eq(fx_do(&fx, c), TKV_OK);
        seqs[i] = i;
        ones[i] = 1;
        lens[i] = 2 + i % 7;
    }
    append(shape, shape->m, seqs, lens);
}

static void judge(size_t fault, const struct tkv_verify_report *report, const struct shape *shape)
{
    bool named = report->n_divergences > 0;
    table[fault].runs++;
    table[fault].found += !report->ok;
    for (size_t i = 0; i < report->n_divergences; i++) {
        const struct tkv_divergence *d = &report->divergences[i];
        if (d->kind == faults[fault].kind) continue;
        if (named)
            printf("%s m %u layers %u: seq %d layer %u %s: kind %d (%s)\n", faults[fault].fault,
                   shape->m, shape->layers, (int)d->seq, d->layer, d->is_v ? "V" : "K",
                   (int)d->kind, d->detail.text);
        named = false;
    }
    table[fault].named += named;
}

static void run(size_t fault, const struct shape *shape)
{
    uint64_t seqs[ITEMS_MAX];
    uint32_t ones[ITEMS_MAX];
    create(shape, seqs, ones);
    append(shape, shape->m, seqs, ones);
    ck_assert_int_eq(fx_do(&fx, fx_inject(faults[fault].fault, 1)), TKV_OK);
    append(shape, shape->m, seqs, ones);
    struct fx_op *v = fx_verify();
    v->request.params.debug_verify.batches = (struct tkv_maybe){true, 1};
    ck_assert_int_eq(fx_run(&fx, v), TKV_OK);
    judge(fault, &v->report, shape);
    fx_drop(v);
    ck_assert_int_eq(fx_do(&fx, fx_free(shape->m, seqs)), TKV_OK);
}

/* --- all of them
 * ---------------------------------------------------------------------------------- */

/* On a GPU the sizes that take another way through it: few and many, one layer and several. */
static bool is_left_out(const struct shape *shape)
{
    if (fx.config.backend == TKV_BACKEND_CUDA)
        return (shape->m != 2 && shape->m != 33) || shape->layers == 32;
    return getenv("TKV_TEST_SMALL") != NULL && shape->m * shape->layers > 200;
}

static void run_all(size_t fault)
{
    for (size_t i = 0; i < SHAPES; i++) {
        struct shape shape = {.m = item_counts[i / 3 % 4],
                              .layers = layer_counts[i % 3],
                              .cache = i / 12 % 2 == 0 ? TKV_F16 : TKV_BF16,
                              .source = i / 24 == 0 ? TKV_F16 : TKV_F32};
        if (!is_left_out(&shape)) run(fault, &shape);
    }
}

START_TEST(every_mutation_is_named)
{
    fx_init(&fx);
    set_models(&fx.config);
    fx.config.journal_bytes = 64 << 20;
    fx.config.memory_budget = (uint64_t)4 << 30;
    tkv_log_set_level(TKV_LOG_ERROR);
    fx_open(&fx);
    for (size_t f = 0; f < FAULTS; f++)
        run_all(f);
    fx_close(&fx);
    printf("%-16s %5s %6s %6s\n", "fault", "runs", "found", "named");
    for (size_t f = 0; f < FAULTS; f++)
        printf("%-16s %5d %6d %6d\n", faults[f].fault, table[f].runs, table[f].found,
               table[f].named);
    fflush(stdout);
    for (size_t f = 0; f < FAULTS; f++) {
        ck_assert_int_gt(table[f].runs, 0);
        ck_assert_int_eq(table[f].found, table[f].runs);
        ck_assert_int_eq(table[f].named, table[f].runs);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mutations");
    TCase *tc = tcase_create("mutations");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, every_mutation_is_named);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
