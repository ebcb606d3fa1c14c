/* The core's smaller parts, each alone: staging blocks, leases, the table of sequences, the engine.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cache.h"
#include "daemon/engine.h"
#include "daemon/leases.h"
#include "daemon/sequences.h"
#include "daemon/staging.h"
#include "daemon/steps.h"
#include "tests/support/check_main.h"

static uint64_t random_state = 42;

static uint64_t rnd(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* --- staging ------------------------------------------------------------------------------------
 */

/* Goal: every size gets room enough and wastes at most an eighth (or a page); the account is exact.
 */
START_TEST(blocks_have_room)
{
    struct tkv_staging_pool *pool;
    struct tkv_staging *block;
    ck_assert_int_eq(tkv_staging_pool_open(&pool, TKV_BACKEND_CPU, (size_t)1 << 30, 1 << 20),
                     TKV_OK);
    size_t sizes[] = {1, 4095, 4096, 4097, 32768, 32769, 100000, 131072, 131073, 8 << 20, 9999999};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ck_assert_int_eq(tkv_staging_take(pool, sizes[i], &block), TKV_OK);
        ck_assert_uint_ge(block->room, sizes[i]);
        ck_assert_uint_le(block->room, sizes[i] + sizes[i] / 8 + 4096);
        ck_assert_uint_eq(tkv_staging_used(pool), block->room);
        memset(block->ptr, 1, block->bytes);
        tkv_staging_unref(block);
        ck_assert_uint_eq(tkv_staging_used(pool), 0);
    }
    tkv_staging_pool_close(pool);
}
END_TEST

/* Goal: a block as large as the budget fits where nothing else is in use, whatever its size class.
 */
START_TEST(the_largest_block_fits)
{
    static const size_t budgets[] = {1, 4096, 40000, 100000, 1000001};
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        struct tkv_staging_pool *pool;
        struct tkv_staging *a, *b;
        ck_assert_int_eq(tkv_staging_pool_open(&pool, TKV_BACKEND_CPU, budgets[i], 0), TKV_OK);
        ck_assert_int_eq(tkv_staging_take(pool, budgets[i], &a), TKV_OK);
        ck_assert_int_eq(tkv_staging_take(pool, 1, &b), TKV_EOVERLOADED);
        tkv_staging_unref(a);
        tkv_staging_pool_close(pool);
    }
}
END_TEST

/* Goal: the budget refuses, parked blocks do not count, and a freed block is used again. */
START_TEST(blocks_have_a_budget)
{
    struct tkv_staging_pool *pool;
    struct tkv_staging *a, *b;
    ck_assert_int_eq(tkv_staging_pool_open(&pool, TKV_BACKEND_CPU, 65536, 65536), TKV_OK);
    ck_assert_int_eq(tkv_staging_take(pool, 65537, &a), TKV_EOVERLOADED);
    ck_assert_int_eq(tkv_staging_take(pool, 40000, &a), TKV_OK);
    ck_assert_int_eq(tkv_staging_take(pool, 40000, &b), TKV_EOVERLOADED);
    tkv_staging_park(a);
    ck_assert_int_eq(tkv_staging_take(pool, 40000, &b), TKV_OK);
    tkv_staging_unpark(a);
    uint8_t *kept = b->ptr; /* the last to be freed: what is cached has a limit, too */
    tkv_staging_ref(a);
    tkv_staging_unref(a);
    tkv_staging_unref(a);
    tkv_staging_unref(b);
    ck_assert_int_eq(tkv_staging_take(pool, 39999, &a), TKV_OK);
    ck_assert_int_eq(tkv_staging_take(pool, 1, &b), TKV_OK);
    ck_assert_ptr_eq(a->ptr, kept);
    tkv_staging_unref(a);
    tkv_staging_unref(b);
    tkv_staging_pool_close(pool);
}
END_TEST

/* --- leases -------------------------------------------------------------------------------------
 */

/* Goal: leases come out in the order of their deadlines, and none early. */
START_TEST(leases_in_order)
{
    struct tkv_leases leases;
    struct tkv_lease lease;
    tkv_leases_init(&leases);
    for (uint64_t i = 0; i < 1000; i++) {
        lease = (struct tkv_lease){rnd(500), i, i};
        ck_assert_int_eq(tkv_leases_add(&leases, &lease), TKV_OK);
    }
    uint64_t last = 0;
    size_t n = 0;
    for (uint64_t now = 0; now < 500; now += 7) {
        while (tkv_leases_take(&leases, now, &lease)) {
            ck_assert_uint_ge(lease.deadline_ms, last);
            ck_assert_uint_le(lease.deadline_ms, now);
            last = lease.deadline_ms;
            n++;
        }
        ck_assert_uint_gt(tkv_leases_deadline_ms(&leases), now);
    }
    ck_assert_uint_gt(n, 900);
    tkv_leases_close(&leases);
    ck_assert_uint_eq(tkv_leases_deadline_ms(&leases), UINT64_MAX);
}
END_TEST

static bool is_even(const struct tkv_lease *lease, void *arg)
{
    return lease->seq % 2 == 0;
}

/* Goal: leases of who is gone can be dropped, and the rest still come in order. */
START_TEST(leases_are_kept)
{
    struct tkv_leases leases;
    struct tkv_lease lease;
    tkv_leases_init(&leases);
    for (uint64_t i = 0; i < 101; i++) {
        lease = (struct tkv_lease){rnd(1000), i, i};
        ck_assert_int_eq(tkv_leases_add(&leases, &lease), TKV_OK);
    }
    tkv_leases_keep(&leases, is_even, NULL);
    uint64_t last = 0, n = 0;
    for (; tkv_leases_take(&leases, UINT64_MAX - 1, &lease); n++) {
        ck_assert_uint_eq(lease.seq % 2, 0);
        ck_assert_uint_ge(lease.deadline_ms, last);
        last = lease.deadline_ms;
    }
    ck_assert_uint_eq(n, 51);
    tkv_leases_close(&leases);
}
END_TEST

/* --- sequences ----------------------------------------------------------------------------------
 */

static const struct tkv_model tiny = {"tiny", {2, 1, 4, TKV_F16}, 64};

static struct tkv_sequence *add_live(struct tkv_sequences *table, uint64_t id)
{
    struct tkv_sequence *seq = tkv_sequences_add(table, id);
    ck_assert_int_eq(tkv_sequence_init(seq, &tiny, 64, "a label"), TKV_OK);
    tkv_sequence_move(table, seq, TKV_SEQUENCE_CREATING);
    tkv_sequence_move(table, seq, TKV_SEQUENCE_LIVE);
    return seq;
}

static void remove_live(struct tkv_sequences *table, struct tkv_sequence *seq)
{
    tkv_sequence_move(table, seq, TKV_SEQUENCE_ABSENT);
    tkv_sequence_reset(seq);
    tkv_sequences_remove(table, seq);
}

/* Goal: who is there is found and listed, who is gone is not, and places are used again. */
START_TEST(table_of_sequences)
{
    struct tkv_sequences *table;
    size_t slot = 0, listed = 0;
    ck_assert_int_eq(tkv_sequences_open(&table, 100), TKV_OK);
    for (uint64_t id = 0; id < 100; id++)
        add_live(table, id * 1000003);
    for (uint64_t id = 0; id < 100; id += 2)
        remove_live(table, tkv_sequences_find(table, id * 1000003));
    ck_assert_uint_eq(tkv_sequences_count(table), 50);
    ck_assert_ptr_null(tkv_sequences_find(table, 0));
    ck_assert_ptr_nonnull(tkv_sequences_find(table, 1000003));
    while (tkv_sequences_next(table, &slot) != NULL)
        listed++;
    ck_assert_uint_eq(listed, 50);
    for (uint64_t id = 0; id < 50; id++)
        add_live(table, 7 + id);
    ck_assert_uint_eq(tkv_sequences_count(table), 100);
    uint64_t fresh = tkv_sequences_fresh_id(table);
    ck_assert_ptr_null(tkv_sequences_find(table, fresh));
    tkv_sequences_close(table);
}
END_TEST

/* Goal: superseded() never misses a position that may have been written again.
 * Method: random truncations and appends; the truth is kept per position as the last batch that may
 * have written it; saying "superseded" where it is not is allowed, though not always. */
START_TEST(superseded_is_never_missed)
{
    struct tkv_sequences *table;
    ck_assert_int_eq(tkv_sequences_open(&table, 4), TKV_OK);
    struct tkv_sequence *seq = add_live(table, 1);
    seq->cache = tkv_cache_open(&(struct tkv_cache_size){1, 1, 0}, 1);
    uint64_t batch = 0, cut_at[65] = {0}, right = 0, asked = 0;
    for (int step = 0; step < 20000; step++) {
        uint32_t len = tkv_sequence_len(seq);
        if (len < 64 && rnd(3) > 0) {
            batch++;
            seq->committed[0] = seq->committed[1] = seq->reserved[0] = seq->reserved[1] = len + 1;
        } else {
            uint32_t to = (uint32_t)rnd(65);
            tkv_sequence_truncate(seq, to, batch);
            for (uint32_t end = to + 1; end <= len && to < len; end++)
                cut_at[end] = batch;
        }
        uint32_t end = (uint32_t)rnd(64) + 1;
        uint64_t of = batch - rnd(batch < 50 ? batch + 1 : 50);
        bool must = false;
        for (uint32_t e = 1; e <= end; e++)
            must = must || (cut_at[e] >= of && cut_at[e] > 0);
        bool said = tkv_cache_superseded(seq->cache, of, end);
        if (of > 0 && must) ck_assert(said);
        asked++;
        right += said == must;
    }
    ck_assert_uint_gt(right * 10, asked * 9);
    free(seq->cache);
    tkv_sequences_close(table);
}
END_TEST

/* --- the engine ---------------------------------------------------------------------------------
 */

struct numbered_job {
    struct tkv_job job;
    int number;
};

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    int rings;
};

static int next_number;

static enum tkv_status run_numbered(struct tkv_job *job, struct tkv_device *dev)
{
    ck_assert_int_eq(((struct numbered_job *)job)->number, next_number);
    next_number++;
    return tkv_device_sync(dev);
}

static void ring(void *arg)
{
    struct bell *bell = arg;
    pthread_mutex_lock(&bell->lock);
    bell->rings++;
    pthread_cond_signal(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
}

/* Goal: jobs run and come back in order, all of them, and a wake-up announces them. */
START_TEST(engine_keeps_order)
{
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct tkv_device *dev;
    struct tkv_engine *engine;
    struct numbered_job jobs[500] = {0};
    ck_assert_int_eq(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_engine_open(&engine, dev, (struct tkv_engine_manner){0}, ring, &bell),
                     TKV_OK);
    next_number = 0;
    for (int i = 0; i < 500; i++) {
        jobs[i].number = i;
        jobs[i].job.run = run_numbered;
        tkv_engine_submit(engine, &jobs[i].job);
    }
    for (int back = 0; back < 500;) {
        pthread_mutex_lock(&bell.lock);
        while (bell.rings == 0)
            pthread_cond_wait(&bell.rung, &bell.lock);
        bell.rings = 0;
        pthread_mutex_unlock(&bell.lock);
        for (struct tkv_job *j = tkv_engine_done(engine); j != NULL; j = j->next, back++)
            ck_assert_int_eq(((struct numbered_job *)j)->number, back);
    }
    ck_assert(!tkv_engine_failed(engine));
    ck_assert_uint_eq(tkv_engine_busy_since_ns(engine), 0);
    tkv_engine_close(engine);
}
END_TEST

/* Goal: an engine that is told of jobs runs them all the same, also where none comes, or it is told
 * while it works, or closed while it looks out. */
START_TEST(engine_is_alert)
{
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct tkv_engine_manner manner = {.spin_us = 50};
    struct tkv_device *dev;
    struct tkv_engine *engine;
    struct numbered_job jobs[300] = {0};
    ck_assert_int_eq(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_engine_open(&engine, dev, manner, ring, &bell), TKV_OK);
    next_number = 0;
    ck_assert(!tkv_engine_has_done(engine));
    for (int i = 0, back = 0; back < 300;) {
        if (i < 300 && i - back < 3) {
            if (i % 3 != 0) tkv_engine_alert(engine);
            jobs[i].number = i;
            jobs[i].job.run = run_numbered;
            tkv_engine_submit(engine, &jobs[i++].job);
        }
        if (i % 5 == 0) tkv_engine_alert(engine);
        bool some = tkv_engine_has_done(engine);
        struct tkv_job *j = tkv_engine_done(engine);
        ck_assert(!some || j != NULL);
        for (; j != NULL; j = j->next, back++)
            ck_assert_int_eq(((struct numbered_job *)j)->number, back);
    }
    tkv_engine_alert(engine);
    tkv_engine_close(engine);
}
END_TEST

/* Goal: the stages of a step add up, with an upload and without one. Method: times made up; each
 * stage's maximum, which is exact. */
START_TEST(stages_add_up)
{
    static const struct {
        uint64_t uploaded_ns, upload, kernel;
    } cases[] = {{0, 0, 5000}, {4500, 1500, 3500}};
    for (size_t i = 0; i < 2; i++) {
        struct tkv_steps *steps = calloc(1, sizeof *steps);
        struct tkv_step step = {.parse_ns = 7,
                                .arrived_ns = 1000,
                                .sent_ns = 2000,
                                .begun_ns = 3000,
                                .uploaded_ns = cases[i].uploaded_ns,
                                .ended_ns = 8000,
                                .completed_ns = 9000};
        ck_assert_ptr_nonnull(steps);
        tkv_steps_completed(steps, &step);
        tkv_steps_answered(steps);
        const struct tkv_histogram *h = steps->stages;
        ck_assert_uint_eq(h[TKV_STAGE_PARSE].max, 7);
        ck_assert_uint_eq(h[TKV_STAGE_ADMIT].max, 1000);
        ck_assert_uint_eq(h[TKV_STAGE_UPLOAD].max, cases[i].upload);
        ck_assert_uint_eq(h[TKV_STAGE_KERNEL].max, cases[i].kernel);
        ck_assert_uint_eq(h[TKV_STAGE_DEVICE].max, 5000);
        ck_assert_uint_eq(h[TKV_STAGE_OWN].max, h[TKV_STAGE_TOTAL].max - 5000);
        free(steps);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("parts");
    TCase *tc = tcase_create("parts");
    tcase_add_test(tc, blocks_have_room);
    tcase_add_test(tc, blocks_have_a_budget);
    tcase_add_test(tc, the_largest_block_fits);
    tcase_add_test(tc, leases_in_order);
    tcase_add_test(tc, leases_are_kept);
    tcase_add_test(tc, table_of_sequences);
    tcase_add_test(tc, superseded_is_never_missed);
    tcase_add_test(tc, engine_keeps_order);
    tcase_add_test(tc, engine_is_alert);
    tcase_add_test(tc, stages_add_up);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
