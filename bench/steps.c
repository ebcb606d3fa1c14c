#include "bench/steps.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

enum { STEPS_M_MAX = 512 };

struct call {
    struct tkv_op op;
    struct tkv_request request;
    bool done;
};

struct steps {
    struct tkv_config config;
    struct tkv_core *core;
    uint32_t m, len, capacity;
    uint8_t *rows; /* as a client has them */
    size_t bytes;
    uint64_t seqs[STEPS_M_MAX];
    uint32_t ones[STEPS_M_MAX];
    struct call verify;
    bool verifying;
    struct tkv_verify_report report; /* without its list */
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool wake;
};

static void die(const char *what, const struct tkv_error *error)
{
    fprintf(stderr, "bench: %s: %s\n", what, error != NULL ? error->message : "failed");
    exit(1);
}

static void on_wake(void *arg)
{
    struct steps *s = arg;
    pthread_mutex_lock(&s->lock);
    s->wake = true;
    pthread_cond_signal(&s->woken);
    pthread_mutex_unlock(&s->lock);
}

static void on_done(struct tkv_op *op)
{
    struct call *c = (struct call *)op;
    struct steps *s = op->owner;
    c->done = true;
    if (op->error.status != TKV_OK) die(tkv_method_word(op->method), &op->error);
    if (c != &s->verify) return;
    s->report = *op->result.verify;
    s->verifying = false;
}

static void submit(struct steps *s, struct call *c)
{
    c->op.request = &c->request;
    c->op.done = on_done;
    c->op.owner = s;
    c->done = false;
    tkv_core_submit(s->core, &c->op);
    tkv_core_turn(s->core);
}

static void wait_for(struct steps *s, const bool *done)
{
    while (!*done) {
        pthread_mutex_lock(&s->lock);
        while (!s->wake)
            pthread_cond_wait(&s->woken, &s->lock);
        s->wake = false;
        pthread_mutex_unlock(&s->lock);
        tkv_core_poll(s->core);
    }
}

static void run(struct steps *s, struct call *c)
{
    submit(s, c);
    wait_for(s, &c->done);
}

static void create_all(struct steps *s)
{
    for (uint32_t i = 0; i < s->m; i++) {
        struct call c = {.request.method = TKV_METHOD_SEQ_CREATE};
        c.request.params.seq_create.seq = (struct tkv_maybe){true, i};
        run(s, &c);
        s->seqs[i] = i;
        s->ones[i] = 1;
    }
}

static void configure(struct tkv_config *c, enum tkv_backend backend,
                      const struct steps_shape *shape)
{
    tkv_config_init(c);
    c->backend = backend;
    c->n_models = 1;
    c->models[0] = (struct tkv_model){
        "bench", {shape->layers, shape->n_kv_heads, shape->head_dim, TKV_F16}, shape->capacity};
    c->journal_bytes = shape->journal_bytes;
    c->debug_scratch_bytes = shape->scratch_bytes;
    c->scrub_checksums = shape->checksums;
    c->scrub_bytes_per_second = 0; /* what it costs is not what is measured */
}

struct steps *steps_open(enum tkv_backend backend, const struct steps_shape *shape)
{
    struct steps *s = calloc(1, sizeof *s);
    struct tkv_device *dev;
    uint64_t state = 1;
    if (s == NULL || shape->m > STEPS_M_MAX) die("open", NULL);
    tkv_log_set_level(TKV_LOG_ERROR);
    configure(&s->config, backend, shape);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->woken, NULL);
    if (tkv_device_open(&dev, backend, 0, NULL) != TKV_OK) die("device", NULL);
    if (tkv_core_open(&s->core, &s->config, dev, on_wake, s) != TKV_OK) die("core", NULL);
    s->m = shape->m;
    s->capacity = shape->capacity;
    s->bytes = (size_t)shape->m * shape->layers * 2 * shape->n_kv_heads * shape->head_dim * 2;
    s->rows = malloc(s->bytes);
    if (s->rows == NULL) die("rows", NULL);
    for (size_t i = 0; i < s->bytes; i += sizeof state) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        memcpy(s->rows + i, &state, sizeof state);
    }
    create_all(s);
    return s;
}

void steps_close(struct steps *s)
{
    bool over = !s->verifying;
    if (!over) wait_for(s, &s->verify.done);
    tkv_core_close(s->core);
    pthread_cond_destroy(&s->woken);
    pthread_mutex_destroy(&s->lock);
    free(s->rows);
    free(s);
}

size_t steps_bytes(const struct steps *s)
{
    return s->bytes;
}

static void roll_back(struct steps *s)
{
    for (uint32_t i = 0; i < s->m; i++) {
        struct call c = {.request.method = TKV_METHOD_SEQ_TRUNCATE};
        c.request.params.seq_truncate = (struct tkv_seq_truncate){i, 0};
        run(s, &c);
    }
    s->len = 0;
}

struct step_times steps_append(struct steps *s)
{
    struct tkv_error error;
    struct call c = {.request.method = TKV_METHOD_SEQ_APPEND};
    if (s->len == s->capacity) roll_back(s);
    c.request.params.seq_append =
        (struct tkv_seq_append){.m = s->m, .seqs = s->seqs, .tokens = s->ones};
    uint64_t begin = tkv_now_ns();
    c.op.block = tkv_core_take_block(s->core, s->bytes, &error);
    if (c.op.block == NULL) die("block", &error);
    memcpy(c.op.block->ptr, s->rows, s->bytes); /* what reading the socket does */
    uint64_t filled = tkv_now_ns();
    run(s, &c);
    uint64_t end = tkv_now_ns();
    s->len++;
    return (struct step_times){(double)(end - filled) / 1e3, (double)(end - begin) / 1e3};
}

void steps_verify_begin(struct steps *s)
{
    if (s->verifying) return;
    s->verifying = true;
    s->verify = (struct call){.request.method = TKV_METHOD_DEBUG_VERIFY};
    submit(s, &s->verify);
}

bool steps_verifying(struct steps *s)
{
    tkv_core_poll(s->core);
    return s->verifying;
}

const struct tkv_verify_report *steps_verify(struct steps *s)
{
    steps_verify_begin(s);
    wait_for(s, &s->verify.done);
    return &s->report;
}

const struct tkv_device_info *steps_device(struct steps *s)
{
    return tkv_core_device(s->core);
}

uint64_t steps_recorded_bytes(struct steps *s)
{
    return tkv_stat_get(&tkv_core_stats(s->core)->journal_bytes);
}
