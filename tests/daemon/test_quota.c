/* Quotas: what a user may have, what counts, and that every account comes back to zero. */
#include <stdlib.h>
#include <string.h>

#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { ALICE = 1000, BOB = 1001, CAROL = 1002, TOKEN_BYTES = 3 * 2 * 2 * 5 * 2 };

static struct fixture fx;
static struct tkv_client alice, bob, carol, tcp;

static void setup(void)
{
    fx_init(&fx);
    fx.config.auth_quotas[0] = (struct tkv_quota){ALICE, 2, 0};
    fx.config.auth_quotas[1] = (struct tkv_quota){BOB, 0, 0};
    fx.config.n_auth_quotas = 2;
    fx.config.models[1] =
        (struct tkv_model){"huge", {3, 65536, 65536, TKV_F16}, 4096}; /* 192 TiB */
    fx.config.n_models = 2;
    fx.config.auth_quota_sequences = 3;
    fx_open(&fx);
    alice = (struct tkv_client){.principal = ALICE};
    bob = (struct tkv_client){.principal = BOB};
    carol = (struct tkv_client){.principal = CAROL};
    tcp = (struct tkv_client){.principal = TKV_NO_UID};
}

static uint64_t users(void)
{
    return tkv_stat_get(&tkv_core_stats(fx.core)->quota_users);
}

static void teardown(void)
{
    ck_assert_uint_eq(users(), 0);
    fx_close(&fx);
}

static struct fx_op *create_for(struct tkv_client *client, uint64_t seq, uint32_t capacity)
{
    struct fx_op *op = fx_create(seq, capacity);
    op->op.client = client;
    return op;
}

static enum tkv_status create(struct tkv_client *client, uint64_t seq)
{
    return fx_do(&fx, create_for(client, seq, 0));
}

static void free_one(uint64_t seq)
{
    ck_assert_int_eq(fx_do(&fx, fx_free(1, &seq)), TKV_OK);
}

/* What one cache takes. */
static uint64_t cache_bytes(void)
{
    struct fx_op *op = create_for(&bob, 999, 0);
    ck_assert_int_eq(fx_run(&fx, op), TKV_OK);
    uint64_t bytes = op->op.result.created.bytes;
    fx_drop(op);
    free_one(999);
    return bytes;
}

/* Creates, which must be refused with this status and a message that has `what`. */
static void refuse(struct tkv_client *client, uint32_t capacity, enum tkv_status st,
                   const char *what)
{
    struct fx_op *op = create_for(client, 77, capacity);
    ck_assert_int_eq(fx_run(&fx, op), st);
    ck_assert_msg(strstr(op->op.error.message, what) != NULL, "%s", op->op.error.message);
    fx_drop(op);
}

/* Goal: each user has the quota of the list, or the one of all others; nobody pays for somebody
 * else; clients over TCP are one. */
START_TEST(sequences)
{
    ck_assert_int_eq(create(&alice, 1), TKV_OK);
    ck_assert_int_eq(create(&alice, 2), TKV_OK);
    refuse(&alice, 0, TKV_EOVERLOADED, "user 1000: all of auth.quotas[0].max_sequences (2) exist");
    for (uint64_t seq = 10; seq < 20; seq++)
        ck_assert_int_eq(create(&bob, seq), TKV_OK);
    for (uint64_t seq = 20; seq < 23; seq++)
        ck_assert_int_eq(create(&carol, seq), TKV_OK);
    refuse(&carol, 0, TKV_EOVERLOADED, "user 1002: all of auth.quota_sequences (3) exist");
    for (uint64_t seq = 30; seq < 33; seq++)
        ck_assert_int_eq(create(&tcp, seq), TKV_OK);
    refuse(&tcp, 0, TKV_EOVERLOADED, "clients over TCP: all of auth.quota_sequences (3) exist");
    ck_assert_uint_eq(users(), 4);
    ck_assert_uint_eq(tkv_stat_get(&tkv_core_stats(fx.core)->quota_refused), 3);
    free_one(1);
    ck_assert_int_eq(create(&alice, 3), TKV_OK);
    refuse(&alice, 0, TKV_EOVERLOADED, "all of");
    static const uint64_t mine[] = {2, 3}, others[] = {20, 21, 22, 30, 31, 32};
    uint64_t bobs[10];
    for (uint64_t i = 0; i < 10; i++)
        bobs[i] = 10 + i;
    ck_assert_int_eq(fx_do(&fx, fx_free(2, mine)), TKV_OK);
    ck_assert_uint_eq(users(), 3);
    ck_assert_int_eq(fx_do(&fx, fx_free(6, others)), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_free(10, bobs)), TKV_OK);
}
END_TEST

/* Goal: bytes are counted as the budget counts them, to the last one; the error says what is
 * needed and what is left. */
START_TEST(bytes)
{
    uint64_t one = cache_bytes();
    fx.config.auth_quota_bytes = 2 * one + 1;
    fx.config.auth_quota_sequences = 0;
    ck_assert_int_eq(create(&carol, 1), TKV_OK);
    ck_assert_int_eq(create(&carol, 2), TKV_OK);
    struct fx_op *op = create_for(&carol, 3, 0);
    ck_assert_int_eq(fx_run(&fx, op), TKV_ENOMEM);
    ck_assert_uint_eq(op->op.error.needed, one);
    ck_assert_uint_eq(op->op.error.available, 1);
    ck_assert_ptr_nonnull(strstr(op->op.error.message, "auth.quota_bytes"));
    ck_assert_ptr_nonnull(strstr(op->op.error.message, "user 1002"));
    fx_drop(op);
    refuse(&carol, UINT32_MAX, TKV_ENOMEM, "auth.quota_bytes");
    fx.config.auth_quota_bytes = one; /* less than there is: nothing is taken away */
    refuse(&carol, 0, TKV_ENOMEM, " 0 are left");
    free_one(1);
    refuse(&carol, 0, TKV_ENOMEM, " 0 are left");
    free_one(2);
    ck_assert_int_eq(create(&carol, 1), TKV_OK);
    fx.config.auth_quotas[0].max_bytes = one - 1;
    refuse(&alice, 0, TKV_ENOMEM, "auth.quotas[0].max_bytes");
    free_one(1);
}
END_TEST

/* Goal: what was asked for together is counted together, and a free in between makes room. */
START_TEST(pipelined)
{
    const uint64_t first = 1;
    struct fx_op *ops[] = {create_for(&alice, 1, 0), create_for(&alice, 2, 0),
                           create_for(&alice, 3, 0), fx_free(1, &first), create_for(&alice, 1, 0)};
    static const enum tkv_status wanted[] = {TKV_OK, TKV_OK, TKV_EOVERLOADED, TKV_OK, TKV_OK};
    for (size_t i = 0; i < 5; i++)
        fx_submit(&fx, ops[i]);
    for (size_t i = 0; i < 5; i++) {
        fx_wait(&fx, ops[i]);
        ck_assert_int_eq(ops[i]->op.error.status, wanted[i]);
        fx_drop(ops[i]);
    }
    static const uint64_t both[] = {1, 2};
    ck_assert_int_eq(fx_do(&fx, fx_free(2, both)), TKV_OK);
}
END_TEST

/* Goal: what is refused for another reason, or fails, is on nobody's account. */
START_TEST(failures)
{
    ck_assert_int_eq(create(&alice, 1), TKV_OK);
    ck_assert_int_eq(create(&alice, 1), TKV_EEXISTS);
    ck_assert_int_eq(fx_do(&fx, create_for(&alice, 2, 1u << 30)), TKV_ENOMEM);
    fx.config.memory_budget = UINT64_C(1) << 50;
    tkv_core_reconfigured(fx.core); /* the budget has room now, the device has not */
    struct fx_op *huge = create_for(&alice, 2, 0);
    huge->request.params.seq_create.model = "huge";
    ck_assert_int_eq(fx_run(&fx, huge), TKV_ENOMEM);
    ck_assert_ptr_nonnull(strstr(huge->op.error.message, "although the budget has"));
    fx_drop(huge);
    ck_assert_int_eq(create(&alice, 2), TKV_OK);
    refuse(&alice, 0, TKV_EOVERLOADED, "all of");
    static const uint64_t both[] = {1, 2};
    ck_assert_int_eq(fx_do(&fx, fx_free(2, both)), TKV_OK);
}
END_TEST

/* Goal: a client that goes leaves "keep" sequences on its user's account, and takes the others off;
 * another connection of the user frees what is left. */
START_TEST(clients_go)
{
    struct fx_op *mortal = create_for(&alice, 1, 0);
    mortal->request.params.seq_create.free_on_disconnect = true;
    ck_assert_int_eq(fx_do(&fx, mortal), TKV_OK);
    ck_assert_int_eq(create(&alice, 2), TKV_OK);
    tkv_core_client_gone(fx.core, &alice);
    struct tkv_client again = {.principal = ALICE};
    ck_assert_int_eq(create(&again, 1), TKV_OK);
    refuse(&again, 0, TKV_EOVERLOADED, "all of");
    static const uint64_t both[] = {1, 2};
    ck_assert_int_eq(fx_do(&fx, fx_free(2, both)), TKV_OK);
}
END_TEST

/* Goal: a create that waits is on its user's account though its client has gone meanwhile.
 * Method: it waits behind a free, which waits for an append. */
START_TEST(clients_go_early)
{
    static const uint64_t seqs[] = {1};
    static const uint32_t tokens[] = {1};
    static const char rows[TOKEN_BYTES];
    ck_assert_int_eq(create(&bob, 1), TKV_OK);
    struct fx_op *append = fx_append(&fx, 1, seqs, tokens, NULL, rows, sizeof rows);
    struct fx_op *gone = fx_free(1, seqs), *next = create_for(&alice, 1, 0);
    fx_submit(&fx, append);
    fx_submit(&fx, gone);
    fx_submit(&fx, next);
    next->op.client = NULL;
    tkv_core_client_gone(fx.core, &alice);
    fx_wait(&fx, next);
    ck_assert_int_eq(next->op.error.status, TKV_OK);
    ck_assert_int_eq(create(&alice, 2), TKV_OK);
    refuse(&alice, 0, TKV_EOVERLOADED, "user 1000");
    fx_drop(append);
    fx_drop(gone);
    fx_drop(next);
    static const uint64_t both[] = {1, 2};
    ck_assert_int_eq(fx_do(&fx, fx_free(2, both)), TKV_OK);
}
END_TEST

/* Goal: what expires is off the account. */
START_TEST(expiry)
{
    struct fx_op *op = create_for(&alice, 1, 0);
    op->request.params.seq_create.ttl_ms = (struct tkv_maybe){true, 1};
    ck_assert_int_eq(fx_do(&fx, op), TKV_OK);
    while (users() > 0)
        ck_assert_int_eq(fx_do(&fx, fx_simple(TKV_METHOD_DEBUG_LAST)), TKV_OK);
    ck_assert_uint_eq(tkv_core_stats(fx.core)->sequences_expired, 1);
}
END_TEST

/* Goal: a freed cache that a verification still reads stays on the account, and who wants its room
 * hears that it comes back. Method: nothing is polled between the verification and the create. */
START_TEST(read_by_a_verification)
{
    static const uint64_t seqs[] = {1};
    static const uint32_t tokens[] = {1};
    static const char rows[TOKEN_BYTES];
    fx.config.auth_quota_bytes = cache_bytes();
    fx.config.auth_quota_sequences = 0;
    ck_assert_int_eq(create(&carol, 1), TKV_OK);
    ck_assert_int_eq(fx_do(&fx, fx_append(&fx, 1, seqs, tokens, NULL, rows, sizeof rows)), TKV_OK);
    struct fx_op *verify = fx_verify(), *gone = fx_free(1, seqs);
    struct fx_op *create_op = create_for(&carol, 2, 0), *huge = create_for(&carol, 3, 1 << 20);
    fx_submit(&fx, verify);
    tkv_core_turn(fx.core);
    fx_submit(&fx, gone);
    ck_assert(gone->done);
    fx_submit(&fx, create_op);
    ck_assert(create_op->done);
    ck_assert_int_eq(create_op->op.error.status, TKV_EOVERLOADED);
    ck_assert_ptr_nonnull(strstr(create_op->op.error.message, "until a verification"));
    fx_submit(&fx, huge);
    ck_assert_int_eq(huge->op.error.status, TKV_ENOMEM);
    ck_assert_uint_eq(users(), 1);
    fx_wait(&fx, verify);
    while (users() > 0)
        ck_assert_int_eq(fx_do(&fx, fx_simple(TKV_METHOD_DEBUG_LAST)), TKV_OK);
    ck_assert_int_eq(create(&carol, 2), TKV_OK);
    free_one(2);
    fx_drop(verify);
    fx_drop(gone);
    fx_drop(create_op);
    fx_drop(huge);
}
END_TEST

/* Goal: a budget lowered below what caches take refuses, whatever the quotas allow. */
START_TEST(lowered_budget)
{
    ck_assert_int_eq(create(&bob, 1), TKV_OK);
    fx.config.memory_budget = 1;
    tkv_core_reconfigured(fx.core);
    refuse(&bob, 0, TKV_ENOMEM, "of the budget");
    free_one(1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota");
    TCase *tests = tcase_create("quota");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, sequences);
    tcase_add_test(tests, bytes);
    tcase_add_test(tests, pipelined);
    tcase_add_test(tests, failures);
    tcase_add_test(tests, clients_go);
    tcase_add_test(tests, clients_go_early);
    tcase_add_test(tests, expiry);
    tcase_add_test(tests, read_by_a_verification);
    tcase_add_test(tests, lowered_budget);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
