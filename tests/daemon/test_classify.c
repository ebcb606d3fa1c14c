/* The classifier alone: planes and recorded rows built by hand, so that the evidence is known. */
#include <stdlib.h>
#include <string.h>

#include "daemon/classify.h"
#include "tests/support/check_main.h"

enum { HEADS = 2, DIM = 4, POSITIONS = 16, ITEMS_MAX = 16, TOKENS_MAX = 4, FIRST_SEQ = 10 };

static const struct tkv_model model = {"m", {1, HEADS, DIM, TKV_F16}, POSITIONS};

/* A batch of items with TOKENS rows each, K and V; item 0's plane of K is the suspect. */
static struct world {
    struct tkv_batch batch, *batches[1];
    struct tkv_append_item items[ITEMS_MAX];
    struct tkv_item_owner owners[ITEMS_MAX];
    uint16_t rows[ITEMS_MAX][2][HEADS][TOKENS_MAX][DIM];
    uint16_t expected[HEADS][POSITIONS][DIM], other[HEADS][POSITIONS][DIM];
    bool live;
    struct tkv_divergence found;
} w;

/* n items of sequences FIRST_SEQ on, at position 3 and 20 apart from there on; no two rows alike.
 */
static void make(uint32_t n, uint32_t tokens)
{
    memset(&w, 0, sizeof w);
    w.batch =
        (struct tkv_batch){.id = 1, .model = &model, .n = n, .items = w.items, .owners = w.owners};
    w.batches[0] = &w.batch;
    for (uint32_t i = 0; i < n; i++) {
        w.items[i] = (struct tkv_append_item){.rows = w.rows[i],
                                              .pos = 3 + 20 * i,
                                              .tokens = tokens,
                                              .capacity = 1000,
                                              .layer_end = 1,
                                              .rows_dtype = TKV_F16};
        w.owners[i] = (struct tkv_item_owner){FIRST_SEQ + i, 1};
        for (uint32_t e = 0; e < 2 * HEADS * tokens * DIM; e++)
            ((uint16_t *)w.rows[i])[e] = (uint16_t)(0x3000 + 0x100 * i + e);
    }
}

/* Row t of a head of an item; blocks have as many tokens as items have, not TOKENS_MAX. */
static uint16_t *row(uint32_t item, uint32_t kv, uint32_t head, uint32_t t)
{
    size_t number = ((size_t)kv * HEADS + head) * w.items[item].tokens + t;
    return (uint16_t *)w.rows[item] + number * DIM;
}

static void put(uint16_t (*plane)[POSITIONS][DIM], uint32_t head, uint32_t pos,
                const uint16_t *what)
{
    memcpy(plane[head][pos], what, sizeof plane[0][0]);
}

/* Both planes right, what is around them unwritten. */
static void write_right(void)
{
    memset(w.expected, TKV_POISON, sizeof w.expected);
    for (uint32_t h = 0; h < HEADS; h++) {
        for (uint32_t t = 0; t < w.items[0].tokens; t++)
            put(w.expected, h, w.items[0].pos + t, row(0, TKV_K, h, t));
    }
    memcpy(w.other, w.expected, sizeof w.other);
}

static void unwrite(uint32_t head, uint32_t pos)
{
    memset(w.other[head][pos], TKV_POISON, sizeof w.other[head][pos]);
}

static const struct tkv_divergence *classify(void)
{
    struct tkv_row_index *index = tkv_row_index_open(&model, w.batches, 1, 100000);
    ck_assert_ptr_nonnull(index);
    struct tkv_suspect s = {.batches = w.batches,
                            .index = index,
                            .positions = POSITIONS,
                            .expected = w.expected,
                            .other = w.other,
                            .live = w.live};
    tkv_classify(&s, &w.found);
    tkv_row_index_close(index);
    return &w.found;
}

static void expect(enum tkv_divergence_kind kind, bool ambiguous, const char *text)
{
    const struct tkv_divergence *d = classify();
    ck_assert_msg(d->kind == kind, "kind %d: %s", (int)d->kind, d->detail.text);
    ck_assert_msg(d->detail.ambiguous == ambiguous, "%s", d->detail.text);
    ck_assert_msg(strstr(d->detail.text, text) != NULL, "%s", d->detail.text);
}

/* Goal: whose rows they are is open where two sequences brought them, and closed by one row that
 * only one of them brought. */
START_TEST(equal_sequences)
{
    make(4, 1);
    memcpy(w.rows[3], w.rows[1], sizeof w.rows[1]);
    write_right();
    for (uint32_t h = 0; h < HEADS; h++)
        put(w.other, h, 3, row(1, TKV_K, h, 0));
    expect(TKV_KIND_WRONG_ITEM, true, "or of another");
    ck_assert_uint_eq(w.found.detail.n_source_seqs, 2);
    ck_assert_uint_eq(w.found.detail.source_seqs[0], FIRST_SEQ + 1);
    ck_assert_uint_eq(w.found.detail.source_seqs[1], FIRST_SEQ + 3);
    row(3, TKV_K, 1, 0)[2] ^= 1;
    put(w.other, 1, 3, row(3, TKV_K, 1, 0));
    expect(TKV_KIND_WRONG_ITEM, false, "sequence 13");
    ck_assert_uint_eq(w.found.detail.n_source_seqs, 0);
    ck_assert_int_eq(w.found.detail.source_seq.value, FIRST_SEQ + 3);
}
END_TEST

/* Goal: of very many equal sequences the first ones are listed, in order. */
START_TEST(very_many_equal_sequences)
{
    make(ITEMS_MAX, 1);
    for (int i = ITEMS_MAX - 1; i > 1; i--) {
        memcpy(w.rows[i], w.rows[1], sizeof w.rows[1]);
        w.owners[i].seq = (uint64_t)100 - (uint64_t)i;
    }
    write_right();
    put(w.other, 0, 3, row(1, TKV_K, 0, 0));
    expect(TKV_KIND_WRONG_ITEM, true, "sequence 11");
    ck_assert_uint_eq(w.found.detail.n_source_seqs, TKV_SOURCES_MAX);
    for (uint64_t i = 1; i < TKV_SOURCES_MAX; i++)
        ck_assert_uint_eq(w.found.detail.source_seqs[i], 84 + i);
}
END_TEST

/* Goal: an unwritten row and another's row of the same bytes as fresh scratch are one and the same.
 */
START_TEST(rows_like_the_pattern)
{
    make(2, 1);
    memset(w.rows[1], TKV_POISON, sizeof w.rows[1]);
    write_right();
    for (uint32_t h = 0; h < HEADS; h++)
        unwrite(h, 3);
    expect(TKV_KIND_MISSING_WRITE, true, "wrong_item");
    make(1, 1);
    memset(w.rows[0], TKV_POISON, sizeof w.rows[0]);
    write_right();
    memset(w.other, 0, sizeof w.other);
    memcpy(w.expected, w.other, sizeof w.expected);
    put(w.expected, 0, 3, row(0, TKV_K, 0, 0));
    w.live = true;
    expect(TKV_KIND_UNKNOWN, true, "cannot tell");
}
END_TEST

/* Goal: equal tokens that moved have moved; by how much is open. */
START_TEST(equal_tokens)
{
    make(1, 3);
    for (uint32_t h = 0; h < HEADS; h++) {
        for (uint32_t t = 1; t < 3; t++)
            memcpy(row(0, TKV_K, h, t), row(0, TKV_K, h, 0), DIM * sizeof(uint16_t));
    }
    write_right();
    for (uint32_t h = 0; h < HEADS; h++) {
        unwrite(h, 3);
        put(w.other, h, 6, row(0, TKV_K, h, 0));
    }
    expect(TKV_KIND_WRONG_POSITION, true, "another offset");
    ck_assert_int_eq(w.found.detail.offset.value, 1);
    write_right();
    for (uint32_t h = 0; h < HEADS; h++)
        put(w.other, h, 6, row(0, TKV_K, h, 0));
    expect(TKV_KIND_STRAY_WRITE, false, "beside the right ones");
}
END_TEST

/* Goal: a row that one's own token and another's brought leaves the kind open; the simpler one is
 * chosen. A row more settles it. */
START_TEST(own_row_or_another)
{
    make(2, 2);
    for (uint32_t h = 0; h < HEADS; h++) {
        memcpy(row(1, TKV_K, h, 0), row(0, TKV_K, h, 1), DIM * sizeof(uint16_t));
    }
    write_right();
    for (uint32_t h = 0; h < HEADS; h++)
        put(w.other, h, 3, row(1, TKV_K, h, 0));
    expect(TKV_KIND_WRONG_POSITION, true, "wrong_item");
    ck_assert_uint_eq(w.found.detail.n_source_seqs, 1);
    put(w.other, 0, 4, row(1, TKV_K, 0, 1));
    expect(TKV_KIND_WRONG_ITEM, false, "sequence 11");
}
END_TEST

/* Goal: a row more, and another sequence has it where it was found: a copy, or that one's. */
START_TEST(extra_row_of_another)
{
    make(2, 1);
    w.items[1].pos = 4;
    memcpy(row(1, TKV_K, 0, 0), row(0, TKV_K, 0, 0), DIM * sizeof(uint16_t));
    write_right();
    put(w.other, 0, 4, row(0, TKV_K, 0, 0));
    expect(TKV_KIND_STRAY_WRITE, true, "wrong_item");
    unwrite(0, 3); /* it moved: that explains both rows, the other would explain one */
    expect(TKV_KIND_WRONG_POSITION, false, "+1");
}
END_TEST

/* Goal: one bit that is one step of rounding, too, is said to be both. */
START_TEST(one_bit_one_step)
{
    make(1, 1);
    write_right();
    w.other[1][3][2] ^= 1;
    expect(TKV_KIND_BIT_FLIP, true, "rounding");
    w.other[1][3][2] ^= 1 | 64;
    expect(TKV_KIND_BIT_FLIP, false, "1 bit(s)");
    for (int d = 0; d < DIM; d++)
        w.other[0][3][d]++;
    w.other[1][3][2] = (uint16_t)(w.expected[1][3][2] + 1);
    expect(TKV_KIND_ROUNDING, false, "neighbouring");
}
END_TEST

/* Goal: a flipped bit that makes a row another's is no proof of either. */
START_TEST(one_bit_from_another)
{
    make(2, 1);
    memcpy(row(1, TKV_K, 0, 0), row(0, TKV_K, 0, 0), DIM * sizeof(uint16_t));
    row(1, TKV_K, 0, 0)[0] ^= 64;
    write_right();
    put(w.other, 0, 3, row(1, TKV_K, 0, 0));
    expect(TKV_KIND_BIT_FLIP, true, "wrong_item");
}
END_TEST

/* Goal: the kind of most rows is the plane's, and the rest is mentioned. */
START_TEST(two_kinds_in_a_plane)
{
    make(2, 3);
    write_right();
    for (uint32_t t = 0; t < 3; t++)
        put(w.other, 0, 3 + t, row(1, TKV_K, 0, t));
    put(w.other, 1, 4, row(0, TKV_V, 1, 1));
    expect(TKV_KIND_WRONG_ITEM, false, "beside it 1 row of kv_swapped");
    unwrite(1, 4);
    expect(TKV_KIND_WRONG_ITEM, false, "beside it 1 row of missing_write");
    ck_assert_int_eq(w.found.detail.rows_diverging.value, 4);
}
END_TEST

/* Goal: one row that moved within its head is where a token-major layout puts it only by chance, or
 * not: open. Two heads' rows settle it. */
START_TEST(layout_or_position)
{
    make(1, 1);
    write_right();
    unwrite(0, 3);
    put(w.other, 0, 6, row(0, TKV_K, 0, 0));
    expect(TKV_KIND_WRONG_POSITION, true, "wrong_head");
    unwrite(1, 3);
    put(w.other, 0, 7, row(0, TKV_K, 1, 0));
    expect(TKV_KIND_WRONG_HEAD, false, "token-major");
    ck_assert_str_eq(w.found.detail.layout, "token_major");
}
END_TEST

static void count(const struct tkv_row *found, void *arg)
{
    size_t *n = arg;
    (void)found;
    ++*n;
}

/* Goal: where very many rows are equal, a look-up stays short, and the nearest rows come first. */
START_TEST(look_ups_are_bounded)
{
    enum { TOKENS = 20000 };
    make(1, 1);
    uint16_t *zeros = calloc((size_t)2 * HEADS * TOKENS * DIM, sizeof *zeros);
    ck_assert_ptr_nonnull(zeros);
    w.items[0].rows = zeros;
    w.items[0].tokens = TOKENS;
    struct tkv_row_index *index = tkv_row_index_open(&model, w.batches, 1, 100000);
    size_t n = 0;
    tkv_row_index_find(index, zeros, &(struct tkv_row){0, 0, 0, TKV_V, 1, 0}, count, &n);
    ck_assert_uint_eq(n, (size_t)3 * TKV_FOUND_MAX);
    n = 0;
    zeros[0] = 7;
    tkv_row_index_find(index, zeros, &(struct tkv_row){0, 0, 0, TKV_V, 1, 0}, count, &n);
    ck_assert_uint_eq(n, 0);
    tkv_row_index_close(index);
    free(zeros);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("classify");
    TCase *tc = tcase_create("classify");
    tcase_add_test(tc, equal_sequences);
    tcase_add_test(tc, very_many_equal_sequences);
    tcase_add_test(tc, rows_like_the_pattern);
    tcase_add_test(tc, equal_tokens);
    tcase_add_test(tc, own_row_or_another);
    tcase_add_test(tc, extra_row_of_another);
    tcase_add_test(tc, one_bit_one_step);
    tcase_add_test(tc, one_bit_from_another);
    tcase_add_test(tc, two_kinds_in_a_plane);
    tcase_add_test(tc, layout_or_position);
    tcase_add_test(tc, look_ups_are_bounded);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
