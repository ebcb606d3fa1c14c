/* Goal: nothing is ever written to a live cache by a verification or a self test.
 * Method: hashes of whole live caches, every byte up to the end of their memory, before and after:
 * right and broken batches, whole scratch memory and parts, models of several shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"
#include "daemon/core_impl.h"
#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { SEQS = 4, CAPACITY = 40 };

static const struct tkv_model models[] = {
    {"small", {1, 1, 1, TKV_F16}, CAPACITY},   {"odd", {3, 3, 63, TKV_BF16}, CAPACITY},
    {"plain", {4, 8, 128, TKV_F16}, CAPACITY}, {"wide", {2, 1, 576, TKV_BF16}, CAPACITY},
    {"eighty", {2, 4, 80, TKV_F16}, CAPACITY},
};
enum { MODELS = sizeof models / sizeof models[0] };

static const uint64_t seqs[SEQS] = {5, 6, 7, 8};

static struct fixture fx;
static struct tkv_device *reader; /* a handle of our own: the engine's is the engine's */
static uint64_t random_state = 88172645463325252u;

static void setup(void)
{
    fx_init(&fx);
    memcpy(fx.config.models, models, sizeof models);
    fx.config.n_models = MODELS;
    tkv_log_set_level(TKV_LOG_ERROR);
    fx_open(&fx);
    ck_assert_int_eq(tkv_device_open(&reader, fx.config.backend, 0, NULL), TKV_OK);
}

static void teardown(void)
{
    tkv_device_close(reader);
    fx_close(&fx);
}

static uint16_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint16_t)random_state;
}

static void append(const struct tkv_model *model, uint32_t tokens_each)
{
    uint32_t tokens[SEQS];
    size_t n = 0;
    for (int i = 0; i < SEQS; i++) {
        tokens[i] = tokens_each + (uint32_t)(tokens_each > 1 ? i : 0);
        n += (size_t)tokens[i] * model->geom.n_layers * 2 * model->geom.n_kv_heads *
             model->geom.head_dim;
    }
    uint16_t *rows = malloc(n * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = random_bits();
    struct fx_op *a = fx_append(&fx, SEQS, seqs, tokens, NULL, rows, n * sizeof *rows);
    free(rows);
    ck_assert_int_eq(fx_do(&fx, a), TKV_OK);
}

static void hash_caches(uint64_t hashes[SEQS])
{
    for (int i = 0; i < SEQS; i++) {
        const struct tkv_memory *mem = &tkv_core_live(fx.core, seqs[i])->cache->mem;
        void *bytes = malloc(mem->bytes);
        ck_assert_ptr_nonnull(bytes);
        ck_assert_int_eq(tkv_device_copy(reader, bytes, mem->ptr, mem->bytes), TKV_OK);
        ck_assert_int_eq(tkv_device_sync(reader), TKV_OK);
        hashes[i] = XXH3_64bits(bytes, mem->bytes);
        free(bytes);
    }
}

/* A verification, which finds something or not; little: in parts. */
static void verify(bool ok, bool little)
{
    for (uint64_t bytes = little ? 1000 : 32 << 20;;) {
        struct fx_op *v = fx_verify();
        v->request.params.debug_verify.scratch_bytes = (struct tkv_maybe){true, bytes};
        enum tkv_status st = fx_run(&fx, v);
        bytes = v->op.error.needed;
        if (st == TKV_OK) ck_assert(v->report.ok == ok);
        fx_drop(v);
        if (st == TKV_OK) return;
        ck_assert(little && st == TKV_EINVAL);
    }
}

static void selftest(const struct tkv_model *model)
{
    const struct tkv_geometry *g = &model->geom;
    struct fx_op *t = fx_simple(TKV_METHOD_DEBUG_SELFTEST);
    t->request.params.debug_selftest =
        (struct tkv_debug_selftest){SEQS, g->n_kv_heads, g->head_dim, CAPACITY, 4, g->n_layers, 1};
    ck_assert_int_eq(fx_do(&fx, t), TKV_OK);
}

/* Looks at everything in every way; the caches are what they were. */
static void look(const struct tkv_model *model, bool ok)
{
    uint64_t before[SEQS], after[SEQS];
    hash_caches(before);
    verify(ok, false);
    verify(ok, true);
    selftest(model);
    hash_caches(after);
    for (int i = 0; i < SEQS; i++)
        ck_assert_msg(before[i] == after[i], "model %s, sequence %d", model->name, (int)seqs[i]);
}

START_TEST(live_caches_are_only_read)
{
    const struct tkv_model *model = &models[_i];
    for (int i = 0; i < SEQS; i++) {
        struct fx_op *c = fx_create(seqs[i], CAPACITY);
        c->request.params.seq_create.model = model->name;
        ck_assert_int_eq(fx_do(&fx, c), TKV_OK);
    }
    append(model, 3);
    append(model, 1);
    look(model, true);
    for (int fault = TKV_FAULT_NONE + 1; fault < TKV_FAULT_COUNT; fault++) {
        ck_assert_int_eq(fx_do(&fx, fx_inject(tkv_fault_word((enum tkv_fault)fault), 1)), TKV_OK);
        append(model, 1);
        look(model, false); /* some faults cannot show in one head of one element: others do */
    }
}
END_TEST

/* Goal: the hashes would show a single byte, the last one of a cache, too. */
START_TEST(hashes_see_one_byte)
{
    uint64_t before[SEQS], after[SEQS];
    unsigned char one = 1;
    for (int i = 0; i < SEQS; i++)
        ck_assert_int_eq(fx_do(&fx, fx_create(seqs[i], CAPACITY)), TKV_OK);
    hash_caches(before);
    const struct tkv_memory *mem = &tkv_core_live(fx.core, seqs[1])->cache->mem;
    ck_assert_int_eq(tkv_device_copy(reader, (char *)mem->ptr + mem->bytes - 1, &one, 1), TKV_OK);
    hash_caches(after);
    ck_assert_uint_ne(before[1], after[1]);
    ck_assert_uint_eq(before[0], after[0]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("untouched");
    TCase *tc = tcase_create("untouched");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, live_caches_are_only_read, 0, MODELS);
    tcase_add_test(tc, hashes_see_one_byte);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
