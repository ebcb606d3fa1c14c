/* Goal: the checker of histories says yes to those that a right daemon can have, no to others, and
 * shows the part that is wrong. Method: small histories by hand, mostly in pairs that differ in one
 * answer or one instant. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/histories/agree.h"
#include "tests/histories/blame.h"
#include "tests/histories/search.h"
#include "tests/support/check_main.h"

enum { OPS_MAX = 32, TOKENS_MAX = 4 };
#define MS UINT64_C(1000000)

/* A history in the making: instants are in milliseconds. */
static struct h_op ops[OPS_MAX];
static uint64_t cells[OPS_MAX][H_LAYERS * H_KV * TOKENS_MAX];
static size_t n;

static void setup(void)
{
    memset(ops, 0, sizeof ops);
    n = 0;
}

static struct h_op *add(enum h_kind kind, enum h_outcome outcome, uint64_t from, uint64_t to)
{
    ops[n] = (struct h_op){.kind = kind,
                           .outcome = outcome,
                           .seq = 7,
                           .invoke = from * MS,
                           .ret = to * MS,
                           .request = n + 1,
                           .layer_end = H_LAYERS};
    return &ops[n++];
}

/* It was cut off: nobody knows. */
static struct h_op *lost(struct h_op *op)
{
    op->outcome = H_OUT_UNKNOWN;
    op->maybe = true;
    op->ret = 1000 * MS;
    return op;
}

static struct h_op *create(uint64_t from, uint64_t to)
{
    struct h_op *op = add(H_CREATE, H_OUT_OK, from, to);
    op->capacity = 8;
    return op;
}

/* One token with this tag; len: after it. */
static struct h_op *append(uint64_t tag, uint64_t len, uint64_t from, uint64_t to)
{
    struct h_op *op = add(H_APPEND, H_OUT_OK, from, to);
    op->n_items = 1;
    op->items[0] = (struct h_item){.tokens = 1, .tag = tag, .told = len};
    return op;
}

static struct h_op *at(struct h_op *op, uint64_t pos)
{
    op->items[0].has_pos = true;
    op->items[0].pos = pos;
    return op;
}

/* The append was refused: its position is wrong. */
static void mismatch(struct h_op *op, uint64_t expected)
{
    op->outcome = op->items[0].outcome = H_OUT_POSITION;
    op->items[0].told = expected;
}

/* The whole sequence is read: these tags' tokens. */
static struct h_op *sees(uint32_t tokens, const uint64_t *tags, uint64_t from, uint64_t to)
{
    struct h_op *op = add(H_READ, H_OUT_OK, from, to);
    uint64_t *cell = cells[n];
    op->to_the_end = true;
    op->tokens = tokens;
    op->cells = cell;
    for (uint32_t plane = 0; plane < H_LAYERS * H_KV; plane++) {
        for (uint32_t t = 0; t < tokens; t++)
            *cell++ = h_cell(tags[t], plane / H_KV, plane % H_KV, 0);
    }
    return op;
}

static bool fine(void)
{
    uint64_t states = 0;
    return h_linearizable(ops, n, NULL, &states);
}

START_TEST(what_follows_one_another_is_fine)
{
    const uint64_t a[] = {100, 200};
    create(0, 1);
    append(100, 1, 2, 3);
    append(200, 2, 4, 5);
    sees(2, a, 6, 7);
    ck_assert(fine());
    add(H_FREE, H_OUT_OK, 8, 9);
    add(H_READ, H_OUT_NOT_FOUND, 10, 11);
    ck_assert(fine());
    create(12, 13);
    sees(0, NULL, 14, 15);
    ck_assert(fine());
}
END_TEST

START_TEST(a_stale_read)
{
    const uint64_t a[] = {100};
    create(0, 1);
    append(100, 1, 2, 3);
    append(200, 2, 4, 6);
    sees(1, a, 5, 8);
    ck_assert_msg(fine(), "the read and the append overlap");
    ops[3].invoke = 7 * MS;
    ck_assert_msg(!fine(), "the append had been answered before the read was asked for");
}
END_TEST

START_TEST(a_lost_update)
{
    const uint64_t a[] = {200};
    create(0, 1);
    append(100, 1, 2, 5);
    append(200, 1, 3, 6); /* both say that they were the first */
    sees(1, a, 7, 8);
    ck_assert(!fine());
}
END_TEST

START_TEST(two_at_once_in_either_order)
{
    const uint64_t ab[] = {100, 200}, ba[] = {200, 100};
    create(0, 1);
    append(100, 2, 2, 5);
    append(200, 1, 3, 6);
    sees(2, ba, 7, 8);
    ck_assert(fine());
    setup();
    create(0, 1);
    append(100, 2, 2, 5);
    append(200, 1, 3, 6);
    sees(2, ab, 7, 8);
    ck_assert_msg(!fine(), "the lengths say one order, the bytes the other");
}
END_TEST

START_TEST(a_retry_after_a_lost_answer)
{
    const uint64_t once[] = {100}, twice[] = {100, 100};
    create(0, 1);
    lost(at(append(100, 0, 2, 3), 0));
    mismatch(at(append(100, 1, 4, 5), 0), 1);
    sees(1, once, 6, 7);
    ck_assert_msg(fine(), "it had arrived; the retry found out");
    setup();
    create(0, 1);
    lost(at(append(100, 0, 2, 3), 0));
    at(append(100, 1, 4, 5), 0);
    sees(1, once, 6, 7);
    ck_assert_msg(fine(), "it never arrived");
    setup();
    create(0, 1);
    lost(at(append(100, 0, 2, 3), 0));
    at(append(100, 1, 4, 5), 0);
    sees(2, twice, 6, 7);
    ck_assert_msg(!fine(), "it was written twice, though pos was given");
}
END_TEST

START_TEST(wrong_bytes)
{
    const uint64_t a[] = {100, 200};
    create(0, 1);
    append(100, 1, 2, 3);
    append(200, 2, 4, 5);
    sees(2, a, 6, 7);
    ck_assert(fine());
    for (size_t i = 0; i < (size_t)H_LAYERS * H_KV * 2; i++) {
        cells[4][i] ^= 2;
        ck_assert_msg(!fine(), "cell %zu", i);
        cells[4][i] ^= 2;
    }
}
END_TEST

START_TEST(bytes_of_another_layer_and_of_v_for_k)
{
    const uint64_t a[] = {100};
    create(0, 1);
    append(100, 1, 2, 3);
    sees(1, a, 4, 5);
    cells[3][0] = h_cell(100, 1, 0, 0);
    ck_assert(!fine());
    cells[3][0] = h_cell(100, 0, 1, 0);
    ck_assert(!fine());
    cells[3][0] = h_cell(100, 0, 0, 0);
    ck_assert(fine());
}
END_TEST

START_TEST(layers_of_their_own)
{
    create(0, 1);
    append(100, 0, 2, 3)->layer_end = 1;
    struct h_op *op = append(200, 0, 4, 5);
    op->layer_begin = 1;
    op->items[0].told = 1;
    ck_assert_msg(fine(), "the rest catches up");
    op->items[0].told = 2;
    ck_assert(!fine());
    op->items[0].told = 1;
    op = append(300, 0, 6, 7);
    op->layer_end = 1;
    op->items[0].told = 1;
    op = append(400, 0, 8, 9);
    op->outcome = op->items[0].outcome = H_OUT_UNEVEN;
    ck_assert(fine());
    op->layer_end = 1;
    ck_assert_msg(!fine(), "one layer is as long as itself");
}
END_TEST

START_TEST(one_request_with_the_same_sequence_twice)
{
    const uint64_t a[] = {100, 200};
    create(0, 1);
    struct h_op *op = append(100, 1, 2, 3);
    op->n_items = 2;
    op->items[1] = (struct h_item){.tokens = 1, .tag = 200, .has_pos = true, .pos = 1, .told = 2};
    sees(2, a, 4, 5);
    ck_assert(fine());
    op->items[1].pos = 0;
    ck_assert_msg(!fine(), "the second block follows the first");
}
END_TEST

START_TEST(a_connection_keeps_its_order)
{
    create(0, 1);
    struct h_op *cut = add(H_TRUNCATE, H_OUT_OK, 2, 9), *one = append(100, 1, 3, 9);
    struct h_op *look = add(H_INFO, H_OUT_OK, 10, 11);
    look->capacity = 8;
    look->appends = 1;
    ck_assert_msg(fine(), "appended, then truncated: they overlap");
    cut->conn = one->conn = 5;
    ck_assert_msg(!fine(), "the truncation was sent first");
}
END_TEST

/* Goal: an answer that fits at once does not keep the search from a guess that it puts an end to.
 */
START_TEST(a_guess_before_what_follows_it)
{
    create(0, 1);
    struct h_op *guess = lost(append(100, 1, 2, 3));
    struct h_op *look = add(H_READ, H_OUT_RANGE, 4, 9);
    look->pos = 5;
    append(200, 2, 6, 7);
    guess->conn = look->conn = 5;
    ck_assert_msg(fine(), "they were sent one after the other");
    uint64_t states = 0;
    ck_assert(h_linearizable(ops, n, &(struct h_limits){.in = guess->request}, &states));
    ck_assert(!h_linearizable(ops, n, &(struct h_limits){.out = guess->request}, &states));
    guess->conn = 0;
    guess->ret = 3 * MS;
    ck_assert_msg(fine(), "the one was over before the other began");
}
END_TEST

START_TEST(a_disconnection_frees)
{
    create(0, 1)->mortal = true;
    struct h_op *gone = add(H_GONE, H_OUT_OK, 5, 20);
    gone->incarnation = 1;
    append(100, 1, 6, 7);
    ck_assert_msg(fine(), "it takes its time");
    struct h_op *look = add(H_INFO, H_OUT_NOT_FOUND, 8, 9);
    ck_assert(fine());
    look->invoke = 3 * MS;
    look->ret = 4 * MS;
    qsort(ops, n, sizeof ops[0], h_compare);
    ck_assert_msg(!fine(), "not before the client went");
}
END_TEST

START_TEST(a_create_without_an_answer_goes_with_its_client)
{
    struct h_op *op = lost(create(0, 1));
    op->mortal = true;
    struct h_op *gone = add(H_GONE, H_OUT_OK, 2, 20);
    gone->incarnation = op->request;
    append(100, 1, 6, 7);
    ck_assert(fine());
    append(200, 2, 21, 22);
    ck_assert_msg(!fine(), "nothing may be left after all has ended");
}
END_TEST

START_TEST(a_lease)
{
    create(0, 1)->ttl_ms = 100;
    struct h_op *end = add(H_EXPIRED, H_OUT_UNKNOWN, 98, 1000);
    end->incarnation = 1;
    end->maybe = true;
    struct h_op *look = add(H_INFO, H_OUT_NOT_FOUND, 150, 151);
    ck_assert_msg(fine(), "its time had passed");
    look->invoke = 60 * MS;
    look->ret = 61 * MS;
    qsort(ops, n, sizeof ops[0], h_compare);
    ck_assert_msg(!fine(), "too early");
}
END_TEST

START_TEST(a_lease_is_renewed)
{
    create(0, 1)->ttl_ms = 100;
    append(100, 1, 90, 91);
    struct h_op *end = add(H_EXPIRED, H_OUT_UNKNOWN, 98, 1000);
    end->incarnation = 1;
    end->maybe = true;
    struct h_op *look = add(H_INFO, H_OUT_NOT_FOUND, 150, 151);
    ck_assert_msg(!fine(), "it was named in between");
    look->invoke = 195 * MS;
    look->ret = 196 * MS;
    ck_assert(fine());
}
END_TEST

/* --- several sequences -------------------------------------------------------------------------
 */

/* The same request in sequences 7 and 8, which both exist. */
static void both_exist(void)
{
    create(0, 1);
    create(0, 1)->seq = 8;
}

static bool all_agree(void)
{
    struct h_verdict verdict;
    qsort(ops, n, sizeof ops[0], h_compare);
    bool right = h_check_all(ops, n, &verdict);
    free(verdict.wrong);
    return right;
}

START_TEST(part_of_a_request)
{
    const uint64_t a[] = {100};
    both_exist();
    lost(append(100, 1, 2, 3))->request = 99;
    struct h_op *other = lost(append(100, 1, 2, 3));
    other->request = 99;
    other->seq = 8;
    sees(1, a, 4, 5);
    struct h_op *look = sees(1, a, 6, 7);
    look->seq = 8;
    ck_assert_msg(all_agree(), "it was done as a whole");
    for (size_t i = 0; i < n; i++) { /* of the second, nothing is seen */
        if (ops[i].seq == 8 && ops[i].kind == H_READ) ops[i].tokens = 0;
    }
    ck_assert_msg(!all_agree(), "one half was done, the other was not");
}
END_TEST

START_TEST(two_requests_in_two_orders)
{
    both_exist();
    for (uint64_t seq = 7; seq <= 8; seq++) {
        struct h_op *one = append(100, seq == 7 ? 1 : 2, 2, 9);
        one->request = 50;
        one->seq = seq;
        struct h_op *two = append(200, seq == 7 ? 2 : 1, 2, 9);
        two->request = 60;
        two->seq = seq;
    }
    ck_assert_msg(!all_agree(), "each was before the other");
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == H_APPEND) ops[i].items[0].told = ops[i].request == 50 ? 1 : 2;
    }
    ck_assert(all_agree());
}
END_TEST

START_TEST(a_list_that_invents_a_sequence)
{
    create(0, 1);
    add(H_FREE, H_OUT_OK, 2, 3);
    struct h_op *entry = add(H_LISTED, H_OUT_OK, 4, 5);
    entry->capacity = 8;
    ck_assert(!all_agree());
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == H_LISTED) ops[i].outcome = H_OUT_NOT_FOUND;
    }
    ck_assert(all_agree());
}
END_TEST

/* --- reports ------------------------------------------------------------------------------------
 */

/* Goal: of a long history with one wrong answer, little is left, and it still is wrong. */
START_TEST(what_is_shown_is_small_and_wrong)
{
    const uint64_t a[] = {100, 200}, b[] = {100, 300};
    create(0, 1);
    for (uint64_t i = 0; i < 3; i++)
        append(1, i + 1, 2 + 2 * i, 3 + 2 * i);
    add(H_FREE, H_OUT_OK, 10, 11);
    create(12, 13);
    append(100, 1, 14, 15);
    append(200, 2, 16, 17);
    sees(2, a, 18, 19);
    sees(2, b, 20, 21);
    append(1, 3, 22, 23);
    ck_assert(!fine());
    n = h_reduce(ops, n);
    ck_assert(!fine());
    ck_assert_uint_eq(n, 4);
    char text[8192] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    h_blame(out, ops, n);
    fclose(out);
    ck_assert_msg(strstr(text, "read layers [0,3) @0 +2 -> ok") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "layers hold 2,2,2 of 8 tokens") != NULL, "%s", text);
}
END_TEST

START_TEST(halves)
{
    static const struct {
        int value;
        uint16_t bits;
    } known[] = {{0, 0},      {1, 0x3c00},    {-1, 0xbc00},    {2, 0x4000},
                 {3, 0x4200}, {1023, 0x63fe}, {-1024, 0xe400}, {2047, 0x67ff}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        ck_assert_uint_eq(h_half(known[i].value), known[i].bits);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histories");
    TCase *tests = tcase_create("checker");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, what_follows_one_another_is_fine);
    tcase_add_test(tests, a_stale_read);
    tcase_add_test(tests, a_lost_update);
    tcase_add_test(tests, two_at_once_in_either_order);
    tcase_add_test(tests, a_retry_after_a_lost_answer);
    tcase_add_test(tests, wrong_bytes);
    tcase_add_test(tests, bytes_of_another_layer_and_of_v_for_k);
    tcase_add_test(tests, layers_of_their_own);
    tcase_add_test(tests, one_request_with_the_same_sequence_twice);
    tcase_add_test(tests, a_connection_keeps_its_order);
    tcase_add_test(tests, a_guess_before_what_follows_it);
    tcase_add_test(tests, a_disconnection_frees);
    tcase_add_test(tests, a_create_without_an_answer_goes_with_its_client);
    tcase_add_test(tests, a_lease);
    tcase_add_test(tests, a_lease_is_renewed);
    tcase_add_test(tests, part_of_a_request);
    tcase_add_test(tests, two_requests_in_two_orders);
    tcase_add_test(tests, a_list_that_invents_a_sequence);
    tcase_add_test(tests, what_is_shown_is_small_and_wrong);
    tcase_add_test(tests, halves);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
