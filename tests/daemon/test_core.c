/* The core, driven by hand: what each operation does, in which order, and what it refuses. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { LAYERS = 3, HEADS = 2, DIM = 5, TOKEN_ELEMENTS = LAYERS * 2 * HEADS * DIM };

static struct fixture fx;

static void setup(void)
{
    fx_init(&fx);
    fx_open(&fx);
}

static void teardown(void)
{
    fx_close(&fx);
}

/* Appends one token to each of m sequences; element values count up from `from`. */
static struct fx_op *append_counting(size_t m, const uint64_t *seqs, uint16_t from)
{
    uint16_t rows[8 * TOKEN_ELEMENTS];
    uint32_t tokens[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    ck_assert_uint_le(m, 8);
    for (size_t i = 0; i < m * TOKEN_ELEMENTS; i++)
        rows[i] = (uint16_t)(from + i);
    return fx_append(&fx, m, seqs, tokens, NULL, rows, m * TOKEN_ELEMENTS * sizeof *rows);
}

/* Goal: a fresh cache is empty, an append makes its bytes readable, and no others. */
START_TEST(append_then_read)
{
    uint64_t seqs[] = {7, 9};
    ck_assert_int_eq(fx_do(&fx, fx_create(7, 0)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_create(9, 0)), TKV_OK);
    struct fx_op *a = append_counting(2, seqs, 100);
    ck_assert_int_eq(fx_run(&fx, a), TKV_OK);
    ck_assert_uint_eq(a->lens[0], 1);
    ck_assert_uint_eq(a->op.result.appended.batch, 1);
    fx_drop(a);
    struct fx_op *r = fx_read(9);
    ck_assert_int_eq(fx_run(&fx, r), TKV_OK);
    ck_assert_uint_eq(r->op.result.read.bytes, TOKEN_ELEMENTS * sizeof(uint16_t));
    const uint16_t *got = (const uint16_t *)r->op.result.read.block->ptr;
    for (size_t i = 0; i < TOKEN_ELEMENTS; i++)
        ck_assert_uint_eq(got[i], 100 + TOKEN_ELEMENTS + i);
    fx_drop(r);
}
END_TEST

/* Goal: an append with one bad item of several writes nothing and says which were at fault. */
START_TEST(append_is_atomic)
{
    uint64_t seqs[] = {1, 2, 3};
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_create(3, 0)), TKV_OK);
    struct fx_op *a = append_counting(3, seqs, 0);
    ck_assert_int_eq(fx_run(&fx, a), TKV_ENOTFOUND);
    ck_assert_uint_eq(a->n_items_at_fault, 1);
    ck_assert_uint_eq(a->faulty_index[0], 1);
    fx_drop(a);
    struct fx_op *i = fx_info(1);
    ck_assert_int_eq(fx_run(&fx, i), TKV_OK);
    ck_assert_uint_eq(i->op.result.state.len, 0);
    fx_drop(i);
    struct fx_op *b = append_counting(2, seqs, 0);
    b->seqs[1] = 3;
    b->pos[0] = 0;
    b->pos[1] = 5;
    b->request.params.seq_append.pos = b->pos;
    ck_assert_int_eq(fx_run(&fx, b), TKV_EPOS);
    ck_assert_uint_eq(b->op.error.expected, 0);
    fx_drop(b);
    struct fx_op *c = append_counting(1, seqs, 0); /* nothing was left reserved */
    ck_assert_int_eq(fx_run(&fx, c), TKV_OK);
    ck_assert_uint_eq(c->lens[0], 1);
    fx_drop(c);
}
END_TEST

/* Goal: a sequence twice in one append: the second block follows the first. */
START_TEST(same_sequence_twice)
{
    uint64_t seqs[] = {4, 4};
    ck_assert_int_eq(fx_do(&fx, fx_create(4, 2)), TKV_OK);
    struct fx_op *a = append_counting(2, seqs, 0);
    ck_assert_int_eq(fx_run(&fx, a), TKV_OK);
    ck_assert_uint_eq(a->lens[0], 1);
    ck_assert_uint_eq(a->lens[1], 2);
    fx_drop(a);
    struct fx_op *b = append_counting(1, seqs, 0);
    ck_assert_int_eq(fx_run(&fx, b), TKV_ECAPACITY);
    ck_assert_uint_eq(b->op.error.capacity, 2);
    ck_assert_uint_eq(b->op.error.len, 2);
    fx_drop(b);
}
END_TEST

/* Goal: what is submitted without waiting takes effect in its order, whatever has to wait.
 * Method: create, append, truncate, append, read, free, create again, info, all at once. */
START_TEST(pipelined_order)
{
    uint64_t seqs[] = {5};
    struct fx_op *ops[] = {fx_create(5, 0),
                           append_counting(1, seqs, 10),
                           append_counting(1, seqs, 20),
                           fx_truncate(5, 1),
                           append_counting(1, seqs, 30),
                           fx_read(5),
                           fx_free(1, seqs),
                           fx_info(5),
                           fx_create(5, 0),
                           fx_info(5)};
    enum { N = sizeof ops / sizeof ops[0] };
    for (size_t i = 0; i < N; i++)
        fx_submit(&fx, ops[i]);
    for (size_t i = 0; i < N; i++) {
        fx_wait(&fx, ops[i]);
        ck_assert_int_eq(ops[i]->op.error.status, i == 7 ? TKV_ENOTFOUND : TKV_OK);
    }
    const uint16_t *got = (const uint16_t *)ops[5]->op.result.read.block->ptr;
    ck_assert_uint_eq(ops[5]->op.result.read.shape.tokens, 2);
    ck_assert_uint_eq(got[0], 10);
    ck_assert_uint_eq(got[DIM], 30); /* layer 0, K, head 0, token 1 */
    ck_assert_uint_eq(ops[9]->op.result.state.len, 0);
    for (size_t i = 0; i < N; i++)
        fx_drop(ops[i]);
}
END_TEST

/* Goal: what waits has a limit, past which requests are refused at once; a single name still may,
 * all that wait are answered, in more turns than one, and nothing is left of them.
 * Method: frees of many sequences, each behind the creation of one of them. */
START_TEST(waiting_has_a_limit)
{
    enum { NAMES = 512, FIT = TKV_WAITING_NAMES_MAX / NAMES };
    static struct fx_op *ops[FIT];
    uint64_t seqs[NAMES];
    for (uint64_t i = 0; i < NAMES; i++)
        seqs[i] = i;
    struct fx_op *create = fx_create(0, 0);
    fx_submit(&fx, create);
    for (size_t i = 0; i < FIT; i++) {
        ops[i] = fx_free(NAMES, seqs);
        fx_submit(&fx, ops[i]);
        ck_assert(!ops[i]->done);
    }
    struct fx_op *many = fx_free(NAMES, seqs), *one = fx_free(1, seqs);
    fx_submit(&fx, many);
    ck_assert(many->done);
    ck_assert_int_eq(many->op.error.status, TKV_EOVERLOADED);
    fx_submit(&fx, one);
    ck_assert(!one->done);
    fx_wait(&fx, ops[0]);
    ck_assert(!ops[FIT - 1]->done);
    ck_assert_uint_eq(tkv_core_deadline_us(fx.core), 0);
    for (size_t i = 0; i < FIT; i++) {
        fx_wait(&fx, ops[i]);
        ck_assert_int_eq(ops[i]->op.error.status, TKV_ENOTFOUND);
        ck_assert_uint_eq(ops[i]->n_items_at_fault, NAMES - 1);
        fx_drop(ops[i]);
    }
    fx_wait(&fx, one);
    ck_assert_int_eq(one->op.error.status, TKV_OK);
    ck_assert_uint_eq(tkv_stat_get(&tkv_core_stats(fx.core)->queue_waiting), 0);
    fx_drop(one);
    fx_drop(many);
    fx_drop(create);
}
END_TEST

/* Goal: layers have lengths of their own; layers of one item must agree. */
START_TEST(layers_differ)
{
    uint64_t seqs[] = {6};
    uint32_t tokens[] = {2};
    uint16_t rows[2 * TOKEN_ELEMENTS] = {0};
    struct tkv_layer_range first = {true, 0, 1}, rest = {true, 1, 3};
    size_t per_layer = sizeof *rows * 2 * 2 * HEADS * DIM;
    ck_assert_int_eq(fx_do(&fx, fx_create(6, 0)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_append(&fx, 1, seqs, tokens, &first, rows, per_layer)), TKV_OK);
    struct fx_op *i = fx_info(6);
    ck_assert_int_eq(fx_run(&fx, i), TKV_OK);
    ck_assert_uint_eq(i->op.result.state.len, 0);
    ck_assert_ptr_nonnull(i->op.result.state.layer_lens);
    fx_drop(i);
    ck_assert_int_eq(fx_do(&fx, append_counting(1, seqs, 0)), TKV_EINVAL);
    ck_assert_int_eq(fx_do(&fx, fx_append(&fx, 1, seqs, tokens, &rest, rows, 2 * per_layer)),
                     TKV_OK);
    ck_assert_int_eq(fx_do(&fx, append_counting(1, seqs, 0)), TKV_OK);
}
END_TEST

/* Goal: the budget of device memory is refused with its numbers, and freed memory counts again. */
START_TEST(budget)
{
    uint64_t one[] = {1};
    fx.config.memory_budget = 0; /* as read at open */
    fx_close(&fx);
    fx_init(&fx);
    fx.config.memory_budget = 8192;
    if (fx.config.backend == TKV_BACKEND_CUDA) fx.config.memory_budget = 2u << 20;
    fx_open(&fx);
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    struct fx_op *c = fx_create(2, 4000);
    ck_assert_int_eq(fx_run(&fx, c), TKV_ENOMEM);
    ck_assert_uint_gt(c->op.error.needed, c->op.error.available);
    fx_drop(c);
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_EEXISTS);
    ck_assert_int_eq(fx_do(&fx, fx_free(1, one)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_create(3, 40)), TKV_OK);
}
END_TEST

/* Goal: listing pages through every sequence once, in a stable order. */
START_TEST(list_pages)
{
    bool seen[50] = {false};
    for (uint64_t s = 0; s < 50; s++)
        ck_assert_int_eq(fx_do(&fx, fx_create(s, 4)), TKV_OK);
    uint64_t cursor = 0;
    size_t n = 0;
    do {
        struct fx_op *l = fx_list(cursor, 7);
        ck_assert_int_eq(fx_run(&fx, l), TKV_OK);
        for (size_t i = 0; i < l->op.result.list.n; i++, n++) {
            ck_assert(!seen[l->listed[i]]);
            seen[l->listed[i]] = true;
        }
        cursor = l->op.result.list.cursor.given ? l->op.result.list.cursor.value : 0;
        fx_drop(l);
    } while (cursor > 0);
    ck_assert_uint_eq(n, 50);
}
END_TEST

/* Goal: a lease ends when nothing has named the sequence for ttl_ms, and not before. */
START_TEST(leases_expire)
{
    struct fx_op *c = fx_create(8, 0);
    c->request.params.seq_create.ttl_ms = (struct tkv_maybe){true, 60};
    ck_assert_int_eq(fx_do(&fx, c), TKV_OK);
    for (int i = 0; i < 4; i++) {
        usleep(30000);
        tkv_core_turn(fx.core);
        ck_assert_int_eq(fx_do(&fx, fx_info(8)), TKV_OK);
    }
    usleep(90000);
    tkv_core_turn(fx.core);
    ck_assert_int_eq(fx_do(&fx, fx_info(8)), TKV_ENOTFOUND);
    ck_assert_uint_eq(tkv_core_stats(fx.core)->sequences_expired, 1);
}
END_TEST

/* Goal: a client that goes takes its own sequences along, also those still being created. */
START_TEST(client_goes)
{
    struct tkv_client client = {0};
    struct fx_op *keep = fx_create(1, 0), *lose = fx_create(2, 0), *late = fx_create(3, 0);
    keep->op.client = lose->op.client = late->op.client = &client;
    lose->request.params.seq_create.free_on_disconnect = true;
    late->request.params.seq_create.free_on_disconnect = true;
    ck_assert_int_eq(fx_do(&fx, keep), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, lose), TKV_OK);
    fx_submit(&fx, late);
    late->op.client = NULL;
    tkv_core_client_gone(fx.core, &client);
    fx_wait(&fx, late);
    fx_drop(late);
    ck_assert_int_eq(fx_do(&fx, fx_info(1)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_info(2)), TKV_ENOTFOUND);
    ck_assert_int_eq(fx_do(&fx, fx_info(3)), TKV_ENOTFOUND);
}
END_TEST

/* Goal: appends that arrive while the device is busy share a batch. */
START_TEST(appends_gather)
{
    uint64_t seqs[40];
    struct fx_op *ops[40];
    for (uint64_t s = 0; s < 40; s++) {
        seqs[s] = s;
        ck_assert_int_eq(fx_do(&fx, fx_create(s, 0)), TKV_OK);
    }
    for (size_t i = 0; i < 40; i++) {
        ops[i] = append_counting(1, &seqs[i], (uint16_t)i);
        fx_submit(&fx, ops[i]);
    }
    for (size_t i = 0; i < 40; i++) {
        fx_wait(&fx, ops[i]);
        ck_assert_int_eq(ops[i]->op.error.status, TKV_OK);
        ck_assert_uint_eq(ops[i]->op.result.appended.batch, 1);
        fx_drop(ops[i]);
    }
}
END_TEST

/* Goal: a device that fails is said to every request, and lengths do not move.
 * Method: a create under way keeps the loop from writing the first append itself, so that the next
 * one is admitted on top of it. */
START_TEST(device_failure)
{
    uint64_t seqs[] = {1};
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    struct fx_op *first = append_counting(1, seqs, 0), *behind = append_counting(1, seqs, 0);
    struct fx_op *other = fx_create(2, 0);
    fx_submit(&fx, other);
    fx_wait_untaken(&fx);
    tkv_device_fail_nth(1, TKV_ENOMEM);
    fx_submit(&fx, first);
    tkv_core_turn(fx.core);
    fx_submit(&fx, behind);
    fx_wait(&fx, first);
    fx_wait(&fx, behind);
    fx_wait(&fx, other);
    ck_assert_int_eq(other->op.error.status, TKV_OK);
    fx_drop(other);
    ck_assert_int_eq(first->op.error.status, TKV_ENOMEM);
    ck_assert_int_eq(behind->op.error.status, TKV_EDEVICE); /* there is a gap before it */
    fx_drop(first);
    fx_drop(behind);
    for (uint16_t from = 500; from < 502; from++) /* written again, with other bytes */
        ck_assert_int_eq(fx_do(&fx, append_counting(1, seqs, from)), TKV_OK);
    struct fx_op *v = fx_verify();
    ck_assert_int_eq(fx_run(&fx, v), TKV_OK);
    ck_assert(v->report.ok);
    ck_assert_uint_eq(v->report.skipped[TKV_SKIP_TRUNCATED], 1);
    fx_drop(v);
    struct fx_op *fatal = append_counting(1, seqs, 0);
    tkv_device_fail_nth(1, TKV_EDEVICE);
    ck_assert_int_eq(fx_do(&fx, fatal), TKV_EDEVICE);
    ck_assert(tkv_core_failed(fx.core));
    ck_assert_int_eq(fx_do(&fx, fx_info(1)), TKV_EDEVICE);
    tkv_device_fail_nth(0, TKV_OK);
}
END_TEST

/* One token for each of m sequences, at positions pos. */
static struct fx_op *append_at(size_t m, const uint64_t *seqs, const uint64_t *pos, uint16_t from)
{
    struct fx_op *op = append_counting(m, seqs, from);
    memcpy(op->pos, pos, m * sizeof *pos);
    op->request.params.seq_append.pos = op->pos;
    return op;
}

/* Waits for all of n, submitted in this order, which must end so. */
static void must_end(struct fx_op *const *ops, const enum tkv_status *as, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fx_wait(&fx, ops[i]);
        ck_assert_int_eq(ops[i]->op.error.status, as[i]);
    }
}

/* Goal: no refusal tells a length that appends in flight are yet to reach, and none overtakes.
 * Method: the same append twice, by its position, and others behind it, all at once. */
START_TEST(refusals_wait_for_flight)
{
    uint64_t seqs[] = {1, 1, 2}, nowhere[] = {1, 2, 7}, zero = 0;
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 3)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_create(2, 3)), TKV_OK);
    struct fx_op *ops[] = {append_counting(1, seqs, 0), append_at(1, seqs, &zero, 0),
                           append_counting(1, seqs + 2, 0), append_at(3, seqs, nowhere, 0),
                           append_counting(2, seqs + 1, 0)};
    const enum tkv_status as[] = {TKV_OK, TKV_EPOS, TKV_OK, TKV_EPOS, TKV_OK};
    for (size_t i = 0; i < 5; i++) {
        fx_submit(&fx, ops[i]);
        ck_assert(!ops[i]->done);
    }
    must_end(ops, as, 5);
    ck_assert_uint_eq(ops[1]->op.error.expected, 1);
    ck_assert_uint_eq(ops[3]->n_items_at_fault, 1);
    ck_assert_uint_eq(ops[3]->faulty_index[0], 2);
    ck_assert_uint_eq(ops[4]->lens[0], 2);
    ck_assert_uint_eq(ops[4]->lens[1], 2);
    for (size_t i = 0; i < 5; i++)
        fx_drop(ops[i]);
}
END_TEST

/* Goal: where an append in flight fails, its retry by position, sent meanwhile, takes its place:
 * it must not hear that it had been done already. */
START_TEST(retries_take_the_place_of_failures)
{
    uint64_t seqs[] = {1}, zero = 0;
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    struct fx_op *ops[] = {append_counting(1, seqs, 100), append_at(1, seqs, &zero, 200),
                           append_counting(1, seqs, 300), fx_read(1)};
    const enum tkv_status as[] = {TKV_ENOMEM, TKV_OK, TKV_OK, TKV_OK};
    tkv_device_fail_nth(1, TKV_ENOMEM);
    for (size_t i = 0; i < 4; i++)
        fx_submit(&fx, ops[i]);
    must_end(ops, as, 4);
    const uint16_t *got = (const uint16_t *)ops[3]->op.result.read.block->ptr;
    ck_assert_uint_eq(ops[3]->op.result.read.shape.tokens, 2);
    ck_assert_uint_eq(got[0], 200);
    ck_assert_uint_eq(got[DIM], 300);
    for (size_t i = 0; i < 4; i++)
        fx_drop(ops[i]);
    tkv_device_fail_nth(0, TKV_OK);
}
END_TEST

/* Goal: drain refuses what is new and finishes what was accepted. */
START_TEST(drain)
{
    uint64_t seqs[] = {1};
    ck_assert_int_eq(fx_do(&fx, fx_create(1, 0)), TKV_OK);
    struct fx_op *a = append_counting(1, seqs, 0);
    fx_submit(&fx, a);
    tkv_core_drain(fx.core);
    ck_assert_int_eq(fx_do(&fx, fx_info(1)), TKV_EDRAINING);
    fx_wait(&fx, a);
    ck_assert_int_eq(a->op.error.status, TKV_OK);
    fx_drop(a);
    ck_assert(tkv_core_idle(fx.core));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core");
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, append_then_read);
    tcase_add_test(tc, append_is_atomic);
    tcase_add_test(tc, same_sequence_twice);
    tcase_add_test(tc, pipelined_order);
    tcase_add_test(tc, waiting_has_a_limit);
    tcase_add_test(tc, layers_differ);
    tcase_add_test(tc, budget);
    tcase_add_test(tc, list_pages);
    tcase_add_test(tc, leases_expire);
    tcase_add_test(tc, client_goes);
    tcase_add_test(tc, appends_gather);
    tcase_add_test(tc, device_failure);
    tcase_add_test(tc, refusals_wait_for_flight);
    tcase_add_test(tc, retries_take_the_place_of_failures);
    tcase_add_test(tc, drain);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
