/* Checksums left by appends, and the scrub that compares live caches with them: right caches are
 * ok whatever was appended, rolled back and used again; damage is found at its coordinates, whether
 * the batched path did it or something after it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "daemon/core_impl.h"
#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { LAYERS = 3, HEADS = 2, DIM = 5, CAPACITY = 40 };

static struct fixture fx;
static uint64_t random_state = 0x853c49e6748fea9b;

static void setup(void)
{
    fx_init(&fx);
    fx.config.journal_bytes = 0; /* what verification sees must not matter */
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

/* Appends tokens of layers [begin, end) to each of m sequences. */
static void append(size_t m, const uint64_t *seqs, uint32_t tokens, uint32_t begin, uint32_t end)
{
    uint32_t each[FX_ITEMS_MAX];
    size_t n = m * tokens * (end - begin) * 2 * HEADS * DIM;
    uint16_t *rows = malloc(n * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = random_bits();
    for (size_t i = 0; i < m; i++)
        each[i] = tokens;
    struct tkv_layer_range layers = {true, begin, end};
    struct fx_op *a = fx_append(&fx, m, seqs, each, &layers, rows, n * sizeof *rows);
    free(rows);
    ck_assert_int_eq(fx_do(&fx, a), TKV_OK);
}

static struct fx_op *scrub(size_t m, const uint64_t *seqs)
{
    struct fx_op *x = fx_scrub(m, seqs);
    ck_assert_int_eq(fx_run(&fx, x), TKV_OK);
    return x;
}

/* Everything is right; so many tokens of all layers, and of single planes, were looked at. */
static void expect_clean(uint64_t tokens, uint64_t planes)
{
    struct fx_op *x = scrub(0, NULL);
    ck_assert(x->scrub.ok);
    ck_assert_uint_eq(x->scrub.damaged_tokens, 0);
    ck_assert_uint_eq(x->scrub.checksums_checked, tokens * LAYERS * 2 + planes);
    fx_drop(x);
}

static void create(uint64_t first, size_t n, uint64_t *seqs)
{
    for (size_t i = 0; i < n; i++) {
        seqs[i] = first + i;
        ck_assert_int_eq(fx_do(&fx, fx_create(seqs[i], CAPACITY)), TKV_OK);
    }
}

/* Flips bit 0 of a byte of device memory. */
static void flip_byte(void *at)
{
    struct tkv_device *dev;
    unsigned char byte;
    ck_assert_int_eq(tkv_device_open(&dev, fx.config.backend, 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, &byte, at, 1), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    byte ^= 1;
    ck_assert_int_eq(tkv_device_copy(dev, at, &byte, 1), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    tkv_device_close(dev);
}

/* Flips bit 0 of element (layer, kv, head, pos, dim) of a live cache. */
static void flip(uint64_t id, uint32_t layer, uint32_t kv, uint32_t head, uint32_t pos,
                 uint32_t dim)
{
    struct tkv_sequence *seq = tkv_core_live(fx.core, id);
    const struct tkv_geometry *g = &seq->model->geom;
    size_t at = tkv_plane_offset(g, CAPACITY, layer, kv) + tkv_row_offset(g, CAPACITY, head, pos);
    flip_byte((char *)seq->cache->mem.ptr + (at + dim) * 2);
}

/* Goal: whatever was appended, rolled back, freed and used again, right caches scrub ok, and just
 * the committed tokens of each layer are looked at. */
START_TEST(right_caches_are_ok)
{
    uint64_t seqs[3];
    create(5, 3, seqs);
    expect_clean(0, 0);
    append(3, seqs, 4, 0, LAYERS);
    append(2, seqs, 1, 0, LAYERS);
    expect_clean(5 + 5 + 4, 0);
    append(1, seqs, 2, 1, 2); /* layer 1 is longer than the others now */
    expect_clean(5 + 5 + 4, 4);
    ck_assert_int_eq(fx_do(&fx, fx_truncate(seqs[0], 2)), TKV_OK);
    expect_clean(2 + 5 + 4, 0);
    append(1, seqs, 7, 0, LAYERS); /* over what was rolled back */
    expect_clean(9 + 5 + 4, 0);
    ck_assert_int_eq(fx_do(&fx, fx_free(2, seqs)), TKV_OK);
    create(5, 1, seqs);
    append(1, seqs, CAPACITY, 0, LAYERS);
    expect_clean(CAPACITY + 4, 0);
}
END_TEST

/* Goal: one flipped bit anywhere is one damaged token, at its place; flipped back, it is fine. */
START_TEST(damage_is_found_where_it_is)
{
    uint64_t seqs[4];
    create(20, 4, seqs);
    append(4, seqs, 9, 0, LAYERS);
    append(4, seqs, 1, 0, LAYERS);
    for (uint32_t k = 0; k < 40; k++) {
        uint32_t layer = k % LAYERS, kv = k % 2, head = k / 2 % HEADS, pos = k * 7 % 10;
        flip(seqs[k % 4], layer, kv, head, pos, k % DIM);
        struct fx_op *x = scrub(0, NULL);
        ck_assert(!x->scrub.ok);
        ck_assert_uint_eq(x->scrub.damaged_tokens, 1);
        ck_assert_uint_eq(x->scrub.n_damages, 1);
        const struct tkv_damage *d = &x->scrub.damages[0];
        ck_assert(d->seq == seqs[k % 4] && d->layer == layer && d->is_v == (kv == 1) &&
                  d->pos == pos && d->expected != d->found);
        fx_drop(x);
        x = scrub(1, &seqs[(k + 1) % 4]); /* another one */
        ck_assert(x->scrub.ok && x->scrub.seqs_checked == 1);
        fx_drop(x);
        flip(seqs[k % 4], layer, kv, head, pos, k % DIM);
    }
    expect_clean(40, 0);
    flip(seqs[0], 1, 0, 0, 10, 0); /* not committed: nobody's business */
    expect_clean(40, 0);
}
END_TEST

/* Damaged tokens that a fault of the batched path leaves among committed ones. */
static const char *const faults[] = {"shared_pointers", "swap_items",    "off_by_one",
                                     "token_major",     "stale_lengths", "short_grid",
                                     "kv_swapped",      "half_lengths",  "bit_flip"};

/* Goal: checksums are of the source, not of what was written: a broken batched path does not get
 * its own results blessed. */
START_TEST(faults_of_the_batched_path_show)
{
    uint64_t seqs[4];
    create(30, 4, seqs);
    append(4, seqs, 5, 0, LAYERS);
    ck_assert_int_eq(fx_do(&fx, fx_inject(faults[_i], 1)), TKV_OK);
    append(4, seqs, 1, 0, LAYERS);
    struct fx_op *x = scrub(0, NULL);
    ck_assert_msg(!x->scrub.ok, "%s", faults[_i]);
    ck_assert_uint_eq(x->scrub.n_damages, x->scrub.damaged_tokens);
    fx_drop(x);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(fx_do(&fx, fx_truncate(seqs[i], 0)), TKV_OK);
    append(4, seqs, 6, 0, LAYERS);
    expect_clean(24, 0);
}
END_TEST

/* Goal: more damage than a report lists is counted. */
START_TEST(long_lists_are_cut)
{
    uint64_t seqs[10];
    create(100, 10, seqs);
    append(10, seqs, CAPACITY, 0, LAYERS);
    for (uint32_t i = 0; i < 10; i++) {
        for (uint32_t k = 0; k < CAPACITY * LAYERS; k++)
            flip(seqs[i], k % LAYERS, 1, 0, k / LAYERS, 0);
    }
    struct fx_op *x = scrub(0, NULL);
    ck_assert_uint_eq(x->scrub.damaged_tokens, (uint64_t)10 * CAPACITY * LAYERS);
    ck_assert_uint_eq(x->scrub.n_damages, TKV_DIVERGENCES_MAX);
    fx_drop(x);
}
END_TEST

static void turn_until(const _Atomic uint64_t *stat, uint64_t value)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 20000 && tkv_stat_get(stat) < value; i++) {
        tkv_core_turn(fx.core);
        tkv_core_poll(fx.core);
        nanosleep(&pause, NULL);
    }
    ck_assert_uint_ge(tkv_stat_get(stat), value);
}

/* Goal: the walk in the background finds damage, counts it, and latches health where asked to. */
START_TEST(the_background_finds_damage)
{
    uint64_t seqs[2];
    fx_close(&fx);
    fx.config.scrub_bytes_per_second = 1 << 20;
    fx.config.shadow_on_divergence = _i == 0 ? TKV_DIVERGENCE_LOG : TKV_DIVERGENCE_LATCH;
    fx_open(&fx);
    tkv_log_set_level(TKV_LOG_ERROR);
    const struct tkv_stats *stats = tkv_core_stats(fx.core);
    create(1, 2, seqs);
    append(2, seqs, 5, 0, LAYERS);
    turn_until(&stats->scrub_passes, 1);
    ck_assert_uint_eq(tkv_stat_get(&stats->scrub_damaged_tokens), 0);
    ck_assert(tkv_core_unhealthy(fx.core) == NULL);
    flip(seqs[1], 2, 1, 1, 4, 3);
    turn_until(&stats->scrub_damaged_tokens, 1);
    ck_assert((tkv_core_unhealthy(fx.core) == NULL) == (_i == 0));
}
END_TEST

/* Goal: the setting is kept: in two seconds' worth of turns no more is read than it says. The clock
 * only ends the test. */
START_TEST(the_background_keeps_its_rate)
{
    uint64_t seqs[4];
    const uint64_t rate = 50000;
    fx_close(&fx);
    fx.config.scrub_bytes_per_second = rate;
    fx_open(&fx);
    const struct tkv_stats *stats = tkv_core_stats(fx.core);
    create(1, 4, seqs);
    append(4, seqs, CAPACITY, 0, LAYERS); /* 19,200 bytes, a pass takes 0.4 s and pauses 1 s */
    struct timespec begin, now, pause = {.tv_nsec = 1000000};
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        tkv_core_turn(fx.core);
        tkv_core_poll(fx.core);
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < 2);
    double seconds = (double)(now.tv_sec - begin.tv_sec) + 1e-9 * (double)now.tv_nsec + 1;
    uint64_t read = tkv_stat_get(&stats->scrub_bytes);
    ck_assert_uint_gt(read, 0);
    ck_assert_uint_le(read, (uint64_t)(seconds * (double)rate) + rate / 16 + 480);
}
END_TEST

/* Goal: a checksum that is not of its source, beside right rows, is a finding of debug.verify, too:
 * of the sequence and the batch, once, and gone when it is right again. */
START_TEST(wrong_checksums_are_verified)
{
    uint64_t seqs[2];
    fx_close(&fx);
    fx.config.journal_bytes = 1 << 20;
    fx_open(&fx);
    create(30, 2, seqs);
    append(2, seqs, 3, 0, LAYERS);
    append(2, seqs, 4, 0, LAYERS);
    const struct tkv_sequence *seq = tkv_core_live(fx.core, seqs[1]);
    uint64_t *sum = tkv_cache_sums(seq->cache) + tkv_sum_offset(&seq->model->geom, 5, 1, TKV_V);
    flip_byte(sum);
    struct fx_op *v = fx_verify();
    ck_assert_int_eq(fx_run(&fx, v), TKV_OK);
    ck_assert(!v->report.ok);
    ck_assert_uint_eq(v->report.n_divergences, 1);
    const struct tkv_divergence *found = &v->report.divergences[0];
    ck_assert(found->seq == seqs[1] && found->batch == 2 && found->live);
    ck_assert_uint_eq(found->mismatched_bytes, 1);
    ck_assert_ptr_nonnull(strstr(found->detail.text, "the rows are right, the checksums"));
    fx_drop(v);
    flip_byte(sum);
    v = fx_verify();
    ck_assert_int_eq(fx_run(&fx, v), TKV_OK);
    ck_assert(v->report.ok);
    fx_drop(v);
}
END_TEST

START_TEST(what_cannot_be_scrubbed_is_refused)
{
    uint64_t seq = 1, unknown[2] = {1, 2};
    ck_assert_int_eq(fx_do(&fx, fx_create(seq, CAPACITY)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_scrub(2, unknown)), TKV_ENOTFOUND);
    fx_close(&fx);
    fx.config.scrub_checksums = false;
    fx_open(&fx);
    ck_assert_int_eq(fx_do(&fx, fx_create(seq, CAPACITY)), TKV_OK);
    append(1, &seq, 2, 0, LAYERS);
    ck_assert_int_eq(fx_do(&fx, fx_scrub(0, NULL)), TKV_ENOTSUP);
    tkv_core_drain(fx.core);
    ck_assert_int_eq(fx_do(&fx, fx_scrub(0, NULL)), TKV_EDRAINING);
}
END_TEST

/* Goal: several at once, and frees among them, each get their answer. */
START_TEST(scrubs_wait_for_each_other)
{
    uint64_t seqs[3];
    struct fx_op *x[6];
    create(1, 3, seqs);
    append(3, seqs, 30, 0, LAYERS);
    for (int i = 0; i < 6; i++) {
        x[i] = fx_scrub(i % 2 == 0 ? 0 : 3, seqs);
        fx_submit(&fx, x[i]);
    }
    ck_assert_int_eq(fx_do(&fx, fx_free(2, seqs)), TKV_OK);
    for (int i = 0; i < 6; i++) {
        fx_wait(&fx, x[i]);
        ck_assert_int_eq(x[i]->op.error.status, TKV_OK);
        ck_assert(x[i]->scrub.ok);
        fx_drop(x[i]);
    }
}
END_TEST

/* Goal: a scrub needs nothing of what requests may take, keeps no freed memory from the next
 * sequence, and counts a sequence once. */
START_TEST(a_scrub_stands_alone)
{
    uint64_t seqs[3] = {1, 1, 2};
    struct tkv_error error;
    create(1, 2, (uint64_t[2]){0});
    append(2, seqs + 1, CAPACITY, 0, LAYERS);
    struct tkv_staging *all = tkv_core_take_block(fx.core, fx.config.limits_staging_bytes, &error);
    ck_assert_ptr_nonnull(all);
    struct fx_op *x = scrub(3, seqs);
    ck_assert(x->scrub.ok);
    ck_assert_uint_eq(x->scrub.seqs_checked, 2);
    ck_assert_uint_eq(x->scrub.checksums_checked, (uint64_t)2 * CAPACITY * LAYERS * 2);
    fx_drop(x);
    tkv_staging_unref(all);
    fx_close(&fx);
    /* room for one sequence, as the device hands memory out */
    fx.config.memory_budget = fx.config.backend == TKV_BACKEND_CUDA ? 2 << 20 : 8 << 10;
    fx_open(&fx);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(fx_do(&fx, fx_create(1, CAPACITY)), TKV_OK);
        append(1, seqs, CAPACITY, 0, LAYERS);
        x = fx_scrub(0, NULL);
        fx_submit(&fx, x);
        ck_assert_int_eq(fx_do(&fx, fx_free(1, seqs)), TKV_OK);
        ck_assert_int_eq(fx_do(&fx, fx_create(1, CAPACITY)), TKV_OK);
        ck_assert_int_eq(fx_do(&fx, fx_free(1, seqs)), TKV_OK);
        fx_wait(&fx, x);
        fx_drop(x);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scrub");
    TCase *tc = tcase_create("scrub");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, right_caches_are_ok);
    tcase_add_test(tc, damage_is_found_where_it_is);
    tcase_add_loop_test(tc, faults_of_the_batched_path_show, 0,
                        (int)(sizeof faults / sizeof faults[0]));
    tcase_add_test(tc, long_lists_are_cut);
    tcase_add_loop_test(tc, the_background_finds_damage, 0, 2);
    tcase_add_test(tc, the_background_keeps_its_rate);
    tcase_add_test(tc, wrong_checksums_are_verified);
    tcase_add_test(tc, what_cannot_be_scrubbed_is_refused);
    tcase_add_test(tc, scrubs_wait_for_each_other);
    tcase_add_test(tc, a_scrub_stands_alone);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
