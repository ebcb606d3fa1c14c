/* Goal: whatever mix of create, append, truncate, free, read and info is submitted, in flight
 * together, the core answers and holds what a plain array in memory would. Method: the model is
 * changed at submission, in order; each operation carries what the model says its outcome is, and
 * is compared when it is done. Verifications run in between and must be ok. TKV_TEST_SEED repeats a
 * run; TKV_TEST_OPERATIONS sets how long it is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/daemon/core_fixture.h"
#include "tests/support/check_main.h"

enum { LAYERS = 3, HEADS = 2, DIM = 5, SEQS = 12, CAPACITY_MAX = 24, IN_FLIGHT_MAX = 24 };

struct model_seq {
    bool exists;
    uint32_t capacity, lens[LAYERS];
    uint16_t cells[LAYERS][2][HEADS][CAPACITY_MAX][DIM];
};

/* An operation and what the model says of it. */
struct expectation {
    struct fx_op *x;
    enum tkv_status status;
    uint64_t lens[4];
    uint32_t len, tokens; /* info; read */
    uint16_t *cells;      /* read: [LAYERS][2][HEADS][tokens][DIM] */
};

static struct fixture fx;
static struct model_seq model[SEQS];
static struct expectation flying[IN_FLIGHT_MAX];
static size_t n_flying;
static uint64_t random_state;

static uint64_t rnd(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static uint32_t model_len(const struct model_seq *m)
{
    uint32_t len = m->lens[0];
    for (int l = 1; l < LAYERS; l++)
        len = m->lens[l] < len ? m->lens[l] : len;
    return len;
}

/* --- each operation on the model, and the real one ---------------------------------------------
 */

static struct expectation do_create(void)
{
    uint64_t s = rnd(SEQS);
    uint32_t capacity = (uint32_t)rnd(CAPACITY_MAX) + 1;
    struct expectation e = {.x = fx_create(s, capacity)};
    if (model[s].exists) {
        e.status = TKV_EEXISTS;
    } else {
        memset(&model[s], 0, sizeof model[s]);
        model[s].exists = true;
        model[s].capacity = capacity;
    }
    return e;
}

/* What a plain program would say of one item; changes *m on success. */
static enum tkv_status model_append(struct model_seq *m, const struct tkv_layer_range *layers,
                                    uint32_t tokens, const uint16_t *rows)
{
    if (!m->exists) return TKV_ENOTFOUND;
    uint32_t len = m->lens[layers->begin];
    for (uint32_t l = layers->begin; l < layers->end; l++) {
        if (m->lens[l] != len) return TKV_EINVAL;
    }
    if (len + tokens > m->capacity) return TKV_ECAPACITY;
    for (uint32_t l = layers->begin; l < layers->end; l++) {
        for (int kv = 0; kv < 2; kv++) {
            for (int h = 0; h < HEADS; h++, rows += (size_t)tokens * DIM)
                memcpy(m->cells[l][kv][h][len], rows, (size_t)tokens * DIM * sizeof *rows);
        }
        m->lens[l] += tokens;
    }
    return TKV_OK;
}

static size_t item_elements(const struct tkv_layer_range *layers, uint32_t tokens)
{
    return (size_t)(layers->end - layers->begin) * 2 * HEADS * tokens * DIM;
}

/* All items or none, as the core must. The first pass finds missing sequences, as it looks first.
 */
static enum tkv_status model_append_all(size_t m, const uint64_t *seqs, const uint32_t *tokens,
                                        const struct tkv_layer_range *layers, const uint16_t *rows,
                                        uint64_t *lens)
{
    struct model_seq before[SEQS];
    enum tkv_status st = TKV_OK;
    for (size_t i = 0; i < m; i++) {
        if (!model[seqs[i]].exists) return TKV_ENOTFOUND;
    }
    memcpy(before, model, sizeof model);
    for (size_t i = 0; i < m; i++) {
        enum tkv_status one = model_append(&model[seqs[i]], layers, tokens[i], rows);
        if (st == TKV_OK) st = one;
        rows += item_elements(layers, tokens[i]);
        lens[i] = model_len(&model[seqs[i]]);
    }
    if (st != TKV_OK) memcpy(model, before, sizeof model);
    return st;
}

static struct expectation do_append(void)
{
    uint64_t seqs[4];
    uint32_t tokens[4];
    struct tkv_layer_range layers = {true, 0, LAYERS};
    size_t m = rnd(4) + 1, n = 0;
    if (rnd(4) == 0) {
        layers.begin = (uint32_t)rnd(LAYERS);
        layers.end = layers.begin + 1 + (uint32_t)rnd(LAYERS - layers.begin);
    }
    for (size_t i = 0; i < m; i++) {
        seqs[i] = rnd(SEQS);
        tokens[i] = rnd(5) == 0 ? (uint32_t)rnd(7) + 1 : 1;
        n += item_elements(&layers, tokens[i]);
    }
    uint16_t *rows = malloc(n * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = (uint16_t)rnd(65536);
    struct expectation e = {0};
    e.x = fx_append(&fx, m, seqs, tokens, &layers, rows, n * sizeof *rows);
    e.status = model_append_all(m, seqs, tokens, &layers, rows, e.lens);
    free(rows);
    return e;
}

static struct expectation do_truncate(void)
{
    uint64_t s = rnd(SEQS), len = rnd(CAPACITY_MAX);
    struct expectation e = {.x = fx_truncate(s, len)};
    if (!model[s].exists) {
        e.status = TKV_ENOTFOUND;
        return e;
    }
    for (int l = 0; l < LAYERS; l++) {
        if (model[s].lens[l] > len) model[s].lens[l] = (uint32_t)len;
    }
    e.len = model_len(&model[s]);
    return e;
}

static struct expectation do_free(void)
{
    uint64_t seqs[2] = {rnd(SEQS), 0};
    size_t m = rnd(3) == 0 ? 2 : 1;
    seqs[1] = (seqs[0] + 1) % SEQS;
    struct expectation e = {.x = fx_free(m, seqs)};
    bool all = model[seqs[0]].exists && (m == 1 || model[seqs[1]].exists);
    if (!all) e.status = TKV_ENOTFOUND;
    for (size_t i = 0; all && i < m; i++)
        model[seqs[i]].exists = false;
    return e;
}

static struct expectation do_info(void)
{
    uint64_t s = rnd(SEQS);
    struct expectation e = {.x = fx_info(s)};
    e.status = model[s].exists ? TKV_OK : TKV_ENOTFOUND;
    if (model[s].exists) e.len = model_len(&model[s]);
    return e;
}

static struct expectation do_read(void)
{
    uint64_t s = rnd(SEQS);
    struct expectation e = {.x = fx_read(s)};
    e.status = model[s].exists ? TKV_OK : TKV_ENOTFOUND;
    if (!model[s].exists) return e;
    e.tokens = model_len(&model[s]);
    e.cells = malloc((size_t)LAYERS * 2 * HEADS * e.tokens * DIM * sizeof *e.cells + 1);
    uint16_t *to = e.cells;
    for (int plane = 0; plane < LAYERS * 2 * HEADS; plane++, to += (size_t)e.tokens * DIM)
        memcpy(to, model[s].cells[plane / 2 / HEADS][plane / HEADS % 2][plane % HEADS],
               (size_t)e.tokens * DIM * sizeof *to);
    return e;
}

/* --- outcomes -----------------------------------------------------------------------------------
 */

static void check_read(const struct expectation *e)
{
    const struct tkv_op *op = &e->x->op;
    size_t bytes = (size_t)LAYERS * 2 * HEADS * e->tokens * DIM * sizeof *e->cells;
    ck_assert_uint_eq(op->result.read.shape.tokens, e->tokens);
    ck_assert_uint_eq(op->result.read.bytes, bytes);
    if (bytes > 0) ck_assert_int_eq(memcmp(op->result.read.block->ptr, e->cells, bytes), 0);
}

static void check_outcome(const struct expectation *e)
{
    const struct tkv_op *op = &e->x->op;
    ck_assert_msg(op->error.status == e->status, "method %d: %s, the model says %s",
                  (int)e->x->request.method, tkv_status_reason(op->error.status),
                  tkv_status_reason(e->status));
    if (e->status != TKV_OK) return;
    switch (e->x->request.method) {
    case TKV_METHOD_SEQ_APPEND:
        for (size_t i = 0; i < e->x->request.params.seq_append.m; i++)
            ck_assert_uint_eq(e->x->lens[i], e->lens[i]);
        break;
    case TKV_METHOD_SEQ_TRUNCATE: ck_assert_uint_eq(op->result.truncated_len, e->len); break;
    case TKV_METHOD_SEQ_INFO: ck_assert_uint_eq(op->result.state.len, e->len); break;
    case TKV_METHOD_SEQ_READ: check_read(e); break;
    case TKV_METHOD_DEBUG_VERIFY: ck_assert(e->x->report.ok); break;
    default: break;
    }
}

static void land_oldest(void)
{
    struct expectation e = flying[0];
    fx_wait(&fx, e.x);
    check_outcome(&e);
    fx_drop(e.x);
    free(e.cells);
    n_flying--;
    memmove(flying, flying + 1, n_flying * sizeof flying[0]);
}

static struct expectation random_operation(void)
{
    uint64_t dice = rnd(1000);
    if (dice < 80) return do_create();
    if (dice < 600) return do_append();
    if (dice < 720) return do_truncate();
    if (dice < 780) return do_free();
    if (dice < 860) return do_info();
    if (dice < 995) return do_read();
    return (struct expectation){.x = fx_verify()};
}

START_TEST(random_operations)
{
    const char *seed = getenv("TKV_TEST_SEED"), *count = getenv("TKV_TEST_OPERATIONS");
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2 + 1;
    size_t operations = count != NULL ? strtoull(count, NULL, 10) : 20000;
    printf("TKV_TEST_SEED=%" PRIu64 " TKV_TEST_OPERATIONS=%zu\n", random_state, operations);
    fflush(stdout);
    fx_init(&fx);
    fx.config.journal_bytes = 512 << 10; /* small, so that eviction is at work too */
    fx_open(&fx);
    for (size_t i = 0; i < operations; i++) {
        if (n_flying == IN_FLIGHT_MAX) land_oldest();
        flying[n_flying] = random_operation();
        fx_submit(&fx, flying[n_flying++].x);
        if (rnd(3) == 0) tkv_core_turn(fx.core);
        if (rnd(3) == 0) tkv_core_poll(fx.core);
        if (rnd(50) == 0) {
            while (n_flying > 0)
                land_oldest();
        }
    }
    while (n_flying > 0)
        land_oldest();
    fx_close(&fx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("model");
    TCase *tc = tcase_create("model");
    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, random_operations);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
