/* Verification and self test on the core: right caches are ok, each planted bug is found and named.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { LAYERS = 3, HEADS = 2, DIM = 5 };

static struct fixture fx;
static uint64_t random_state = 88172645463325252u;

static void setup(void)
{
    fx_init(&fx);
    fx_open(&fx);
}

static void teardown(void)
{
    fx_close(&fx);
}

static uint16_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint16_t)random_state;
}

/* Appends tokens[i] random tokens to each of m sequences. */
static enum tkv_status append_random(size_t m, const uint64_t *seqs, const uint32_t *tokens)
{
    size_t n = 0;
    for (size_t i = 0; i < m; i++)
        n += (size_t)tokens[i] * LAYERS * 2 * HEADS * DIM;
    uint16_t *rows = malloc(n * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = random_bits();
    struct fx_op *a = fx_append(&fx, m, seqs, tokens, NULL, rows, n * sizeof *rows);
    free(rows);
    return fx_do(&fx, a);
}

static struct fx_op *verify(void)
{
    struct fx_op *v = fx_verify();
    ck_assert_int_eq(fx_run(&fx, v), TKV_OK);
    return v;
}

/* Four sequences of different lengths. */
static void four_sequences(uint64_t *seqs, uint32_t *ones)
{
    for (uint64_t i = 0; i < 4; i++) {
        uint32_t tokens = (uint32_t)i * 3 + 2;
        seqs[i] = 10 + i;
        ones[i] = 1;
        ck_assert_int_eq(fx_do(&fx, fx_create(seqs[i], 0)), TKV_OK);
        ck_assert_int_eq(append_random(1, &seqs[i], &tokens), TKV_OK);
    }
}

/* Goal: right caches verify ok, and everything recorded was looked at. */
START_TEST(right_caches_are_ok)
{
    uint64_t seqs[4];
    uint32_t ones[4];
    four_sequences(seqs, ones);
    for (int step = 0; step < 5; step++)
        ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
    struct fx_op *v = verify();
    ck_assert(v->report.ok);
    ck_assert_uint_eq(v->report.batches_checked, 9);
    ck_assert_uint_eq(v->report.items_checked, 24);
    ck_assert_uint_gt(v->report.bytes_compared, 0);
    ck_assert_uint_eq(v->report.divergent_items, 0);
    fx_drop(v);
}
END_TEST

static const struct {
    const char *fault;
    enum tkv_divergence_kind kind;
    bool live;        /* seen against the live cache only */
    bool hurts_older; /* it overwrites rows of earlier batches, which then differ, too */
} faults[] = {
    {"shared_pointers", TKV_KIND_WRONG_ITEM, false, false},
    {"swap_items", TKV_KIND_WRONG_ITEM, false, false},
    {"off_by_one", TKV_KIND_WRONG_POSITION, false, false},
    {"token_major", TKV_KIND_WRONG_HEAD, false, true},
    {"stray_write", TKV_KIND_STRAY_WRITE, false, false},
    {"stale_lengths", TKV_KIND_WRONG_POSITION, false, true},
    {"half_lengths", TKV_KIND_WRONG_POSITION, false, true},
    {"short_grid", TKV_KIND_MISSING_WRITE, false, false},
    {"kv_swapped", TKV_KIND_KV_SWAPPED, false, false},
    {"bit_flip", TKV_KIND_BIT_FLIP, true, false},
};

/* Goal: each planted bug is found and named, in the batch that had it.
 * Method: a right step, a faulty one, verify; the kinds of the faulty batch must all be the one. */
START_TEST(planted_bugs_are_named)
{
    uint64_t seqs[4];
    uint32_t ones[4];
    four_sequences(seqs, ones);
    ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_inject(faults[_i].fault, 1)), TKV_OK);
    ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
    struct fx_op *v = verify();
    ck_assert(!v->report.ok);
    ck_assert_uint_gt(v->report.n_divergences, 0);
    size_t in_batch = 0;
    for (size_t i = 0; i < v->report.n_divergences; i++) {
        const struct tkv_divergence *d = &v->report.divergences[i];
        if (d->batch != 6) continue;
        in_batch++;
        ck_assert_msg(d->kind == faults[_i].kind, "%s: seq %d layer %d kind %d (%s)",
                      faults[_i].fault, (int)d->seq, (int)d->layer, (int)d->kind, d->detail.text);
        ck_assert_int_eq(d->live, faults[_i].live);
        if (strcmp(faults[_i].fault, "shared_pointers") == 0)
            ck_assert_int_eq(d->detail.source_seq.value, 13);
        if (strcmp(faults[_i].fault, "off_by_one") == 0)
            ck_assert_int_eq(d->detail.offset.value, 1);
    }
    ck_assert_uint_gt(in_batch, 0);
    ck_assert_uint_eq(v->report.divergent_batches.last, 6);
    if (!faults[_i].hurts_older) ck_assert_uint_eq(v->report.divergent_batches.first, 6);
    fx_drop(v);
}
END_TEST

/* Goal: where the kernel is at fault, the report says of the live cache, too. */
START_TEST(live_cache_is_looked_at)
{
    uint64_t seqs[4];
    uint32_t ones[4];
    four_sequences(seqs, ones);
    ck_assert_int_eq(fx_do(&fx, fx_inject("swap_items", 1)), TKV_OK);
    ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
    struct fx_op *v = verify();
    ck_assert_uint_eq(v->report.n_divergences, (size_t)4 * LAYERS * 2);
    for (size_t i = 0; i < v->report.n_divergences; i++)
        ck_assert_str_eq(v->report.divergences[i].detail.live, "differs");
    fx_drop(v);
    ck_assert_int_eq(fx_do(&fx, fx_free(1, seqs)), TKV_OK);
    v = verify();
    for (size_t i = 0; i < v->report.n_divergences; i++)
        ck_assert_str_eq(v->report.divergences[i].detail.live,
                         v->report.divergences[i].seq == seqs[0] ? "freed" : "differs");
    fx_drop(v);
    ck_assert_int_eq(fx_do(&fx, fx_truncate(seqs[1], 1)), TKV_OK);
    v = verify();
    for (size_t i = 0; i < v->report.n_divergences; i++)
        ck_assert(v->report.divergences[i].seq != seqs[1] ||
                  strcmp(v->report.divergences[i].detail.live, "truncated") == 0);
    fx_drop(v);
}
END_TEST

/* Goal: no false alarm when positions are written again, and the sequence is gone, before the
 * verification that has read them is back. */
START_TEST(rewritten_and_freed_meanwhile)
{
    for (int round = 0; round < 40; round++) {
        uint64_t seqs[4];
        uint32_t ones[4];
        uint16_t rows[4 * LAYERS * 2 * HEADS * DIM];
        four_sequences(seqs, ones);
        ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            rows[i] = random_bits();
        struct fx_op *ops[10] = {fx_verify()};
        for (int k = 0; k < 4; k++)
            ops[1 + k] = fx_truncate(seqs[k], 1);
        ops[5] = fx_append(&fx, 4, seqs, ones, NULL, rows, sizeof rows);
        ops[6] = fx_free(4, seqs);
        ops[7] = fx_verify();
        ops[8] = fx_create(seqs[0], 0);
        ops[9] = fx_free(1, seqs);
        for (int i = 0; i < 10; i++)
            fx_submit(&fx, ops[i]);
        for (int i = 0; i < 10; i++) {
            fx_wait(&fx, ops[i]);
            ck_assert_int_eq(ops[i]->op.error.status, TKV_OK);
        }
        ck_assert(ops[0]->report.ok && ops[7]->report.ok);
        for (int i = 0; i < 10; i++)
            fx_drop(ops[i]);
    }
}
END_TEST

/* Goal: a verification sees every append that was submitted before it, and knows the sequences. */
START_TEST(verification_keeps_order)
{
    uint64_t seqs[] = {50};
    uint32_t ones[] = {1};
    uint16_t rows[LAYERS * 2 * HEADS * DIM] = {0};
    struct fx_op *ops[] = {fx_create(50, 0), fx_append(&fx, 1, seqs, ones, NULL, rows, sizeof rows),
                           fx_verify(), fx_append(&fx, 1, seqs, ones, NULL, rows, sizeof rows),
                           fx_verify()};
    for (int i = 2; i < 5; i += 2) {
        ops[i]->seqs[0] = 50;
        ops[i]->request.params.debug_verify.seqs = ops[i]->seqs;
        ops[i]->request.params.debug_verify.m = 1;
    }
    for (int i = 0; i < 5; i++)
        fx_submit(&fx, ops[i]);
    for (int i = 0; i < 5; i++) {
        fx_wait(&fx, ops[i]);
        ck_assert_int_eq(ops[i]->op.error.status, TKV_OK);
    }
    ck_assert_uint_ge(ops[2]->report.items_checked, 1); /* a later append may be in already */
    ck_assert_uint_eq(ops[4]->report.items_checked, 2);
    for (int i = 0; i < 5; i++)
        fx_drop(ops[i]);
    struct fx_op *v = fx_verify();
    v->seqs[0] = 51;
    v->request.params.debug_verify.seqs = v->seqs;
    v->request.params.debug_verify.m = 1;
    ck_assert_int_eq(fx_do(&fx, v), TKV_ENOTFOUND);
}
END_TEST

/* Goal: after a truncation, positions written again are no divergence; a freed sequence is skipped,
 * not guessed about. */
START_TEST(truncate_and_free_are_no_divergence)
{
    uint64_t seqs[4];
    uint32_t ones[4];
    four_sequences(seqs, ones);
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
        ck_assert_int_eq(fx_do(&fx, fx_truncate(seqs[i % 4], (uint64_t)(i % 3) + 1)), TKV_OK);
        ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
        struct fx_op *v = verify();
        ck_assert_msg(v->report.ok, "round %d", i);
        ck_assert_uint_gt(v->report.skipped[TKV_SKIP_TRUNCATED], 0);
        fx_drop(v);
        if (i % 10 == 9) { /* room for the next ten rounds */
            for (int k = 0; k < 4; k++)
                ck_assert_int_eq(fx_do(&fx, fx_truncate(seqs[k], 3)), TKV_OK);
        }
    }
    ck_assert_int_eq(fx_do(&fx, fx_free(1, seqs)), TKV_OK);
    struct fx_op *v = verify();
    ck_assert(v->report.ok);
    ck_assert_uint_gt(v->report.skipped[TKV_SKIP_FREED], 0);
    fx_drop(v);
}
END_TEST

/* Goal: scratch memory is bounded: small is slower, too small says how much is needed. */
START_TEST(scratch_is_bounded)
{
    uint64_t seqs[4];
    uint32_t ones[4];
    four_sequences(seqs, ones);
    ck_assert_int_eq(append_random(4, seqs, ones), TKV_OK);
    struct fx_op *v = fx_verify();
    v->request.params.debug_verify.scratch_bytes = (struct tkv_maybe){true, 1000};
    ck_assert_int_eq(fx_run(&fx, v), TKV_EINVAL);
    ck_assert_str_eq(v->op.error.param, "scratch_bytes");
    uint64_t needed = v->op.error.needed;
    fx_drop(v);
    v = fx_verify();
    v->request.params.debug_verify.scratch_bytes = (struct tkv_maybe){true, needed};
    ck_assert_int_eq(fx_run(&fx, v), TKV_OK);
    ck_assert(v->report.ok);
    fx_drop(v);
}
END_TEST

/* Goal: the reference test at the protocol's defaults passes for all items, K and V. */
START_TEST(selftest_defaults)
{
    struct fx_op *t = fx_simple(TKV_METHOD_DEBUG_SELFTEST);
    t->request.params.debug_selftest = (struct tkv_debug_selftest){4, 8, 128, 64, 4, 1, 1};
    ck_assert_int_eq(fx_run(&fx, t), TKV_OK);
    ck_assert(t->selftest.ok);
    ck_assert_uint_eq(t->selftest.n_items, 8);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(t->selftest.items[i].item, i / 2);
        ck_assert_uint_eq(t->selftest.items[i].mismatched_bytes, 0);
        ck_assert_uint_gt(t->selftest.items[i].nonzero_per_item, 1000);
        ck_assert_uint_eq(t->selftest.items[i].nonzero_batched,
                          t->selftest.items[i].nonzero_per_item);
    }
    fx_drop(t);
}
END_TEST

/* Goal: a second look at whole caches takes nothing out of a long list, and leaves no sequence out.
 */
START_TEST(long_lists_stay_long)
{
    enum { DEEP = 60, ITEMS = 8, ELEMENTS = DEEP * 2 * 4 };
    uint64_t seqs[ITEMS];
    uint32_t ones[ITEMS];
    uint16_t rows[ITEMS * ELEMENTS];
    fx_close(&fx);
    fx.config.models[0] = (struct tkv_model){"deep", {DEEP, 1, 4, TKV_F16}, 16};
    fx_open(&fx);
    for (uint64_t i = 0; i < ITEMS; i++) {
        seqs[i] = i;
        ones[i] = 1;
        ck_assert_int_eq(fx_do(&fx, fx_create(i, 0)), TKV_OK);
    }
    for (int step = 0; step < 2; step++) {
        for (size_t i = 0; i < (size_t)ITEMS * ELEMENTS; i++)
            rows[i] = random_bits();
        if (step == 1) ck_assert_int_eq(fx_do(&fx, fx_inject("off_by_one", 1)), TKV_OK);
        ck_assert_int_eq(fx_do(&fx, fx_append(&fx, ITEMS, seqs, ones, NULL, rows, sizeof rows)),
                         TKV_OK);
    }
    struct fx_op *v = verify();
    ck_assert_uint_eq(v->report.divergent_items, ITEMS);
    ck_assert_uint_eq(v->report.n_divergences, (size_t)ITEMS * DEEP * 2);
    for (size_t i = 0; i < v->report.n_divergences; i++)
        ck_assert_int_eq(v->report.divergences[i].kind, TKV_KIND_WRONG_POSITION);
    fx_drop(v);
}
END_TEST

/* Goal: only where the configuration allows it. */
START_TEST(injection_needs_permission)
{
    fx.config.debug_allow_fault_injection = false;
    ck_assert_int_eq(fx_do(&fx, fx_inject("swap_items", 1)), TKV_EPERM);
    fx.config.debug_allow_fault_injection = true;
    ck_assert_int_eq(fx_do(&fx, fx_inject("no_such", 1)), TKV_EINVAL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verify");
    TCase *tc = tcase_create("verify");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, right_caches_are_ok);
    tcase_add_loop_test(tc, planted_bugs_are_named, 0, sizeof faults / sizeof faults[0]);
    tcase_add_test(tc, live_cache_is_looked_at);
    tcase_add_test(tc, rewritten_and_freed_meanwhile);
    tcase_add_test(tc, verification_keeps_order);
    tcase_add_test(tc, truncate_and_free_are_no_divergence);
    tcase_add_test(tc, scratch_is_bounded);
    tcase_add_test(tc, long_lists_stay_long);
    tcase_add_test(tc, selftest_defaults);
    tcase_add_test(tc, injection_needs_permission);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
