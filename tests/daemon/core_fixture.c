#include "tests/daemon/core_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where a program makes allocations fail, only those inside of the core do; the program itself has
 * paused its own. */
void failing_alloc_pause(bool paused) __attribute__((weak));

static void inside_core(bool inside)
{
    if (failing_alloc_pause != NULL) failing_alloc_pause(!inside);
}

static void wake(void *arg)
{
    struct fixture *f = arg;
    pthread_mutex_lock(&f->lock);
    f->wake = true;
    pthread_cond_signal(&f->woken);
    pthread_mutex_unlock(&f->lock);
}

void fx_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->config = (struct tkv_config){.backend = TKV_BACKEND_CPU,
                                    .n_models = 1,
                                    .batch_max_items = 512,
                                    .journal_bytes = 8 << 20,
                                    .memory_budget = (uint64_t)1 << 30,
                                    .limits_max_payload_bytes = 64 << 20,
                                    .limits_max_sequences = 1000,
                                    .limits_staging_bytes = 64 << 20,
                                    .limits_device_ms = 60000,
                                    .debug_scratch_bytes = 32 << 20,
                                    .scrub_checksums = true,
                                    .debug_allow_fault_injection = true};
    f->config.models[0] = (struct tkv_model){"tiny", {3, 2, 5, TKV_F16}, 40};
    const char *backend = getenv("TKV_TEST_BACKEND");
    if (backend != NULL && strcmp(backend, "cuda") == 0) f->config.backend = TKV_BACKEND_CUDA;
}

void fx_open(struct fixture *f)
{
    struct tkv_device *dev;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->woken, NULL);
    ck_assert_int_eq(tkv_device_open(&dev, f->config.backend, 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_core_open(&f->core, &f->config, dev, wake, f), TKV_OK);
}

void fx_close(struct fixture *f)
{
    ck_assert(tkv_core_idle(f->core));
    tkv_core_close(f->core);
    pthread_cond_destroy(&f->woken);
    pthread_mutex_destroy(&f->lock);
}

static void copy_verify(struct fx_op *x, const struct tkv_verify_report *report)
{
    size_t bytes = report->n_divergences * sizeof *report->divergences;
    x->report = *report;
    x->report.divergences = malloc(bytes + 1);
    if (bytes > 0) memcpy(x->report.divergences, report->divergences, bytes);
}

static void copy_scrub(struct fx_op *x, const struct tkv_scrub_report *report)
{
    size_t bytes = report->n_damages * sizeof *report->damages;
    x->scrub = *report;
    x->scrub.damages = malloc(bytes + 1);
    if (bytes > 0) memcpy(x->scrub.damages, report->damages, bytes);
}

static void copy_outcome(struct fx_op *x)
{
    struct tkv_op *op = &x->op;
    x->n_items_at_fault = op->n_item_errors;
    for (size_t i = 0; i < op->n_item_errors; i++)
        x->faulty_index[i] = op->item_errors[i].index;
    if (op->error.status != TKV_OK) return;
    if (x->request.method == TKV_METHOD_SEQ_APPEND)
        memcpy(x->lens, op->result.appended.lens,
               op->request->params.seq_append.m * sizeof(uint64_t));
    for (size_t i = 0; x->request.method == TKV_METHOD_SEQ_LIST && i < op->result.list.n; i++)
        x->listed[i] = op->result.list.states[i].seq;
    if (x->request.method == TKV_METHOD_DEBUG_VERIFY) copy_verify(x, op->result.verify);
    if (x->request.method == TKV_METHOD_DEBUG_SCRUB) copy_scrub(x, op->result.scrub);
    if (x->request.method == TKV_METHOD_DEBUG_LAST) {
        const struct tkv_last_report *last = &op->result.last;
        x->last_given = last->newest.report != NULL;
        x->last_shadow = last->newest.shadow;
        x->first_batch = last->first.report != NULL ? last->first.report->divergences[0].batch : 0;
        if (x->last_given) copy_verify(x, last->newest.report);
    }
    if (x->request.method == TKV_METHOD_DEBUG_SELFTEST) {
        x->selftest = *op->result.selftest;
        size_t bytes = x->selftest.n_items * sizeof *x->selftest.items;
        x->selftest.items = malloc(bytes + 1);
        memcpy(x->selftest.items, op->result.selftest->items, bytes);
    }
}

static void on_done(struct tkv_op *op)
{
    struct fx_op *x = op->owner;
    inside_core(false);
    ck_assert(!x->done);
    copy_outcome(x);
    inside_core(true);
    x->done = true;
}

struct fx_op *fx_simple(enum tkv_method method)
{
    struct fx_op *x = calloc(1, sizeof *x);
    ck_assert_ptr_nonnull(x);
    x->request.method = method;
    x->op.request = &x->request;
    x->op.done = on_done;
    x->op.owner = x;
    return x;
}

struct fx_op *fx_create(uint64_t seq, uint32_t capacity)
{
    struct fx_op *x = fx_simple(TKV_METHOD_SEQ_CREATE);
    x->request.params.seq_create.seq = (struct tkv_maybe){true, seq};
    x->request.params.seq_create.capacity = (struct tkv_maybe){capacity > 0, capacity};
    return x;
}

struct fx_op *fx_append(struct fixture *f, size_t m, const uint64_t *seqs, const uint32_t *tokens,
                        const struct tkv_layer_range *layers, const void *rows, size_t bytes)
{
    struct fx_op *x = fx_simple(TKV_METHOD_SEQ_APPEND);
    struct tkv_seq_append *p = &x->request.params.seq_append;
    ck_assert_uint_le(m, FX_ITEMS_MAX);
    memcpy(x->seqs, seqs, m * sizeof *seqs);
    memcpy(x->tokens, tokens, m * sizeof *tokens);
    *p = (struct tkv_seq_append){.m = m, .seqs = x->seqs, .tokens = x->tokens};
    if (layers != NULL) p->layers = *layers;
    if (bytes == 0) return x;
    struct tkv_error e;
    x->op.block = tkv_core_take_block(f->core, bytes, &e);
    ck_assert_ptr_nonnull(x->op.block);
    memcpy(x->op.block->ptr, rows, bytes);
    return x;
}

struct fx_op *fx_truncate(uint64_t seq, uint64_t len)
{
    struct fx_op *x = fx_simple(TKV_METHOD_SEQ_TRUNCATE);
    x->request.params.seq_truncate = (struct tkv_seq_truncate){seq, len};
    return x;
}

struct fx_op *fx_free(size_t m, const uint64_t *seqs)
{
    struct fx_op *x = fx_simple(TKV_METHOD_SEQ_FREE);
    memcpy(x->seqs, seqs, m * sizeof *seqs);
    x->request.params.seq_free = (struct tkv_seq_free){m, x->seqs};
    return x;
}

struct fx_op *fx_info(uint64_t seq)
{
    struct fx_op *x = fx_simple(TKV_METHOD_SEQ_INFO);
    x->request.params.seq_info.seq = seq;
    return x;
}

struct fx_op *fx_read(uint64_t seq)
{
    struct fx_op *x = fx_simple(TKV_METHOD_SEQ_READ);
    x->request.params.seq_read.seq = seq;
    return x;
}

struct fx_op *fx_list(uint64_t cursor, uint64_t limit)
{
    struct fx_op *x = fx_simple(TKV_METHOD_SEQ_LIST);
    x->request.params.seq_list.cursor = (struct tkv_maybe){cursor > 0, cursor};
    x->request.params.seq_list.limit = (struct tkv_maybe){limit > 0, limit};
    return x;
}

struct fx_op *fx_verify(void)
{
    return fx_simple(TKV_METHOD_DEBUG_VERIFY);
}

struct fx_op *fx_scrub(size_t m, const uint64_t *seqs)
{
    struct fx_op *x = fx_simple(TKV_METHOD_DEBUG_SCRUB);
    if (m > 0) memcpy(x->seqs, seqs, m * sizeof *seqs);
    x->request.params.debug_scrub = (struct tkv_debug_scrub){m, x->seqs};
    return x;
}

struct fx_op *fx_inject(const char *fault, uint64_t batches)
{
    struct fx_op *x = fx_simple(TKV_METHOD_DEBUG_INJECT);
    x->request.params.debug_inject.fault = fault;
    x->request.params.debug_inject.batches = (struct tkv_maybe){true, batches};
    return x;
}

void fx_submit(struct fixture *f, struct fx_op *op)
{
    inside_core(true);
    tkv_core_submit(f->core, &op->op);
    inside_core(false);
}

static void wait_for_wake(struct fixture *f)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1; /* a lost wake-up fails by the test's timeout, not silently */
    pthread_mutex_lock(&f->lock);
    if (!f->wake) pthread_cond_timedwait(&f->woken, &f->lock, &until);
    f->wake = false;
    pthread_mutex_unlock(&f->lock);
}

/* The engine wakes us when finished work begins to wait. */
void fx_wait_untaken(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->wake)
        pthread_cond_wait(&f->woken, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

void fx_wait(struct fixture *f, struct fx_op *op)
{
    inside_core(true);
    tkv_core_turn(f->core);
    inside_core(false);
    while (!op->done) {
        wait_for_wake(f);
        inside_core(true);
        tkv_core_poll(f->core);
        inside_core(false);
    }
}

enum tkv_status fx_run(struct fixture *f, struct fx_op *op)
{
    fx_submit(f, op);
    fx_wait(f, op);
    return op->op.error.status;
}

void fx_drop(struct fx_op *op)
{
    ck_assert(op->done);
    if (op->request.method == TKV_METHOD_SEQ_READ && op->op.error.status == TKV_OK)
        tkv_staging_unref(op->op.result.read.block);
    free(op->report.divergences);
    free(op->selftest.items);
    free(op->scrub.damages);
    free(op);
}

enum tkv_status fx_do(struct fixture *f, struct fx_op *op)
{
    enum tkv_status st = fx_run(f, op);
    fx_drop(op);
    return st;
}
