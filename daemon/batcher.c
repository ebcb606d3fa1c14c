/* batcher.c - appends: admitted all or nothing, gathered while the device is busy, carried by one
 * launch, committed when it has completed. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_impl.h"

/* One batch on the device; a full one may queue behind it, since it will not get any fuller. */
enum { IN_FLIGHT_MAX = 2 };

/* --- admission -------------------------------------------------------------------------------- */

static void set_item_error(struct tkv_op *op, size_t i, const struct tkv_error *e)
{
    if (op->error.status == TKV_OK) op->error = *e;
    if (op->item_errors == NULL) op->item_errors = calloc(op->n_seqs, sizeof *op->item_errors);
    if (op->item_errors == NULL) return; /* the first error still stands for all */
    op->item_errors[op->n_item_errors++] = (struct tkv_item_error){i, *e};
}

/* The model of the sequences that exist; item errors for those that do not. */
static bool find_model(struct tkv_op *op, const struct tkv_model **model)
{
    *model = NULL;
    for (size_t i = 0; i < op->n_seqs; i++) {
        const struct tkv_sequence *seq = op->targets[i].seq;
        struct tkv_error e;
        if (seq == NULL || seq->state != TKV_SEQUENCE_LIVE) {
            tkv_error_set(&e, TKV_ENOTFOUND, "there is no sequence %llu",
                          (unsigned long long)op->seqs[i]);
            tkv_error_number(&e, seq, op->seqs[i]);
            set_item_error(op, i, &e);
        } else if (*model != NULL && seq->model != *model) {
            tkv_error_param(&e, "seqs",
                            "sequence %llu is of model \"%.60s\", others are of \"%.60s\"",
                            (unsigned long long)op->seqs[i], seq->model->name, (*model)->name);
            tkv_error_number(&e, seq, op->seqs[i]);
            set_item_error(op, i, &e);
        } else {
            *model = seq->model;
        }
    }
    return op->error.status == TKV_OK && *model != NULL;
}

/* Layers and source dtype, as given or as absence means. */
static bool fill_shape(struct tkv_op *op, const struct tkv_model *model)
{
    const struct tkv_seq_append *p = &op->request->params.seq_append;
    const struct tkv_geometry *g = &model->geom;
    op->layer_begin = p->layers.given ? p->layers.begin : 0;
    op->layer_end = p->layers.given ? p->layers.end : g->n_layers;
    op->dtype = p->source == TKV_SOURCE_VALUES ? TKV_F32 : g->dtype;
    if (p->dtype.given) op->dtype = p->dtype.value;
    if (op->layer_end <= g->n_layers) return true;
    tkv_error_param(&op->error, "layers", "layers [%u, %u) of model \"%.60s\" with %u layers",
                    op->layer_begin, op->layer_end, model->name, g->n_layers);
    return false;
}

/* The source has exactly the bytes that items, tokens, layers and dtype ask for. */
static bool size_is_right(struct tkv_op *op, const struct tkv_model *model)
{
    const struct tkv_seq_append *p = &op->request->params.seq_append;
    size_t total = 0, bytes;
    bool fits = tkv_block_bytes(&model->geom, op->layer_end - op->layer_begin, 1, op->dtype,
                                &op->token_bytes);
    for (size_t i = 0; i < p->m; i++) {
        if (fits && tkv_mul(op->token_bytes, p->tokens[i], &bytes) && tkv_add(total, bytes, &total))
            continue;
        tkv_error_param(&op->error, "tokens", "%u tokens make more bytes than 64 bits count",
                        p->tokens[i]);
        return false;
    }
    size_t got = op->block != NULL ? op->block->bytes : 0;
    if (got == total) return true;
    tkv_error_param(&op->error, p->source == TKV_SOURCE_PAYLOAD ? "payload" : "data",
                    "the source has %zu bytes; %zu items of layers [%u, %u) as %s need %zu", got,
                    p->m, op->layer_begin, op->layer_end, tkv_dtype_word(op->dtype), total);
    return false;
}

static enum tkv_status position_error(struct tkv_error *e, uint64_t seq, uint64_t pos, uint32_t len)
{
    tkv_error_set(e, TKV_EPOS, "pos %llu of sequence %llu: its length is %u",
                  (unsigned long long)pos, (unsigned long long)seq, len);
    tkv_error_number(e, expected, len);
    return e->status;
}

static enum tkv_status capacity_error(struct tkv_error *e, const struct tkv_sequence *seq,
                                      uint32_t len, uint32_t tokens)
{
    tkv_error_set(e, TKV_ECAPACITY, "%u tokens do not fit sequence %llu: length %u of capacity %u",
                  tokens, (unsigned long long)seq->id, len, seq->capacity);
    tkv_error_number(e, len, len);
    tkv_error_number(e, capacity, seq->capacity);
    return e->status;
}

/* By value: a loop that nothing else can change is done eight at a time. */
static void set_lens(uint32_t *lens, uint32_t begin, uint32_t end, uint32_t len)
{
    for (uint32_t l = begin; l < end; l++)
        lens[l] = len;
}

/* Reserves one item's positions, or says why not. */
static enum tkv_status admit_item(struct tkv_op *op, size_t i, struct tkv_error *e)
{
    const struct tkv_seq_append *p = &op->request->params.seq_append;
    struct tkv_sequence *seq = op->targets[i].seq;
    uint32_t len, tokens = p->tokens[i];
    if (!tkv_lens_equal(seq->reserved, op->layer_begin, op->layer_end, &len))
        return tkv_error_param(e, "layers", "layers [%u, %u) of sequence %llu differ in length",
                               op->layer_begin, op->layer_end, (unsigned long long)seq->id);
    if (p->pos != NULL && p->pos[i] != len) return position_error(e, seq->id, p->pos[i], len);
    if (tokens > seq->capacity - len) return capacity_error(e, seq, len, tokens);
    set_lens(seq->reserved, op->layer_begin, op->layer_end, len + tokens);
    seq->appending++;
    op->targets[i].pos = len;
    return TKV_OK;
}

enum { NOT_ADMITTED = UINT32_MAX };

/* Takes back what admit_item() reserved; nothing has been admitted since. */
static void unadmit(struct tkv_op *op)
{
    for (size_t i = 0; i < op->n_seqs; i++) {
        struct tkv_sequence *seq = op->targets[i].seq;
        if (op->targets[i].pos == NOT_ADMITTED) continue;
        for (uint32_t l = op->layer_begin; l < op->layer_end; l++)
            seq->reserved[l] -= op->request->params.seq_append.tokens[i];
        seq->appending--;
    }
}

/* All items or none. */
static bool admit(struct tkv_op *op)
{
    for (size_t i = 0; i < op->n_seqs; i++) {
        struct tkv_error e;
        if (admit_item(op, i, &e) == TKV_OK) continue;
        op->targets[i].pos = NOT_ADMITTED;
        tkv_error_number(&e, seq, op->seqs[i]);
        set_item_error(op, i, &e);
    }
    if (op->error.status == TKV_OK) return true;
    unadmit(op);
    return false;
}

static bool allocate_outcome(struct tkv_op *op)
{
    if (op->result.appended.lens == NULL)
        op->result.appended.lens = calloc(op->n_seqs, sizeof *op->result.appended.lens);
    if (op->result.appended.lens != NULL) return true;
    tkv_error_set(&op->error, TKV_ENOMEM, "no host memory for %zu items", op->n_seqs);
    return false;
}

static bool is_sound(struct tkv_op *op)
{
    const struct tkv_model *model;
    return find_model(op, &model) && fill_shape(op, model) && size_is_right(op, model) &&
           allocate_outcome(op);
}

static void gather(struct tkv_core *core, struct tkv_op *op)
{
    op->admitted_us = tkv_now_us();
    tkv_op_push(&core->gathering, op);
    core->gathering_items += op->n_seqs;
    tkv_stat_add(&core->stats.append_requests, 1);
}

static void refuse(struct tkv_core *core, struct tkv_op *op)
{
    tkv_stat_add(&core->stats.append_refused, 1);
    tkv_core_finish(core, op);
}

/* Whether admit() said no because of lengths that appends in flight are yet to reach. */
static bool rests_on_flight(const struct tkv_op *op)
{
    for (size_t i = 0; i < op->n_seqs; i++) {
        if (op->targets[i].pos == NOT_ADMITTED && op->targets[i].seq->appending > 0) return true;
    }
    return false;
}

/* They may fail: it is judged again when they have completed, lest a client take a length for the
 * effect of its own append that the sequence never had. */
static void judge_later(struct tkv_core *core, struct tkv_op *op)
{
    op->wants_quiet = true;
    op->n_item_errors = 0;
    if (!tkv_waiting_begin(core, op, TKV_WAITING_FIRST)) refuse(core, op);
}

void tkv_run_append(struct tkv_core *core, struct tkv_op *op)
{
    bool sound = is_sound(op);
    if (sound && admit(op))
        gather(core, op);
    else if (sound && rests_on_flight(op))
        judge_later(core, op);
    else
        refuse(core, op);
}

/* --- completion ------------------------------------------------------------------------------- */

/* Nothing that op was admitted on top of has failed. */
static bool commits(const struct tkv_op *op)
{
    for (size_t i = 0; i < op->n_seqs; i++) {
        if (op->targets[i].seq->broken) return false;
    }
    return true;
}

static void commit_item(struct tkv_op *op, size_t i, const struct tkv_append_item *item)
{
    struct tkv_sequence *seq = op->targets[i].seq;
    uint32_t len;
    bool same = tkv_lens_equal(seq->committed, item->layer_begin, item->layer_end, &len);
    assert(same && len == item->pos);
    (void)same;
    set_lens(seq->committed, item->layer_begin, item->layer_end, len + item->tokens);
    seq->appends++;
    op->result.appended.lens[i] = tkv_sequence_len(seq);
}

static void commit(struct tkv_core *core, struct tkv_op *op, const struct tkv_append_item *items)
{
    uint64_t tokens = 0;
    for (size_t i = 0; i < op->n_seqs; i++) {
        commit_item(op, i, &items[i]);
        tokens += items[i].tokens;
    }
    tkv_stat_add(&core->stats.append_items, op->n_seqs);
    tkv_stat_add(&core->stats.append_tokens, tokens);
}

/* The items no longer are in flight. After a failure reserved lengths are stale: what was admitted
 * on top of them fails in its turn, and the last one to leave sets them right. */
static void leave_flight(struct tkv_core *core, struct tkv_op *op)
{
    for (size_t i = 0; i < op->n_seqs; i++) {
        struct tkv_sequence *seq = op->targets[i].seq;
        assert(seq->appending > 0);
        if (op->error.status != TKV_OK) seq->broken = true;
        if (--seq->appending > 0) continue;
        if (seq->broken) tkv_sequence_roll_back(seq, core->newest_batch);
        tkv_waiting_look(core, seq);
    }
}

static void complete_op(struct tkv_core *core, struct tkv_batch *b, struct tkv_op *op)
{
    enum tkv_status st = b->job.status;
    if (st == TKV_OK && !commits(op)) st = TKV_EDEVICE;
    if (st == TKV_OK)
        commit(core, op, &b->items[op->first_item]);
    else
        tkv_error_set(&op->error, st, "batch %llu failed on the device; lengths are as they were",
                      (unsigned long long)b->id);
    op->result.appended.batch = b->id;
    op->step.sent_ns = b->sent_ns;
    op->step.begun_ns = b->job.begun_ns;
    op->step.uploaded_ns = b->uploaded_ns;
    op->step.ended_ns = b->job.ended_ns;
    op->step.completed_ns = tkv_now_ns();
    if (st == TKV_OK) tkv_steps_completed(&core->steps, &op->step);
    leave_flight(core, op);
    tkv_core_finish(core, op);
}

static void count_batch(struct tkv_core *core, const struct tkv_batch *b)
{
    struct tkv_stats *s = &core->stats;
    tkv_stat_add(&s->batch_count, 1);
    tkv_histogram_add(&s->batch_size, b->n);
    tkv_stat_add(&s->batch_items, b->n);
    tkv_stat_add(&s->append_bytes, b->bytes);
    if (b->job.status != TKV_OK) tkv_stat_add(&s->batch_failed, 1);
    if (b->plan.n > 0) tkv_stat_add(&s->verify_faults_injected, 1);
    if (b->n > tkv_stat_get(&s->batch_largest)) tkv_stat_set(&s->batch_largest, b->n);
}

static void complete_batch(struct tkv_job *job, void *arg)
{
    struct tkv_core *core = arg;
    struct tkv_batch *b = (struct tkv_batch *)job;
    core->in_flight--;
    count_batch(core, b);
    if (job->status != TKV_OK)
        tkv_log(TKV_LOG_ERROR, "batch_failed", "batch=%llu items=%u reason=%s",
                (unsigned long long)b->id, b->n, tkv_status_reason(job->status));
    struct tkv_op *op = b->ops;
    b->ops = NULL;
    while (op != NULL) {
        struct tkv_op *next = op->next;
        complete_op(core, b, op);
        op = next;
    }
    if (job->status == TKV_OK) {
        tkv_shadow_offer(core, b);
        tkv_journal_record(&core->journal, b);
    } else {
        tkv_batch_unref(b);
    }
}

/* --- batches ---------------------------------------------------------------------------------- */

static const struct tkv_model *model_of(const struct tkv_op *op)
{
    return op->targets[0].seq->model;
}

/* Fills the items of op into b behind those that are there. */
static void put_items(struct tkv_batch *b, struct tkv_op *op)
{
    const struct tkv_seq_append *p = &op->request->params.seq_append;
    const uint8_t *rows = op->block->ptr;
    op->first_item = b->n;
    for (size_t i = 0; i < op->n_seqs; i++, b->n++) {
        const struct tkv_sequence *seq = op->targets[i].seq;
        size_t bytes = op->token_bytes * p->tokens[i]; /* counted before: it fits */
        b->items[b->n] = (struct tkv_append_item){.cache = seq->cache->mem.ptr,
                                                  .rows = rows,
                                                  .pos = op->targets[i].pos,
                                                  .tokens = p->tokens[i],
                                                  .capacity = seq->capacity,
                                                  .layer_begin = op->layer_begin,
                                                  .layer_end = op->layer_end,
                                                  .rows_dtype = op->dtype,
                                                  .sums = tkv_cache_sums(seq->cache)};
        b->owners[b->n] = (struct tkv_item_owner){seq->id, seq->cache->generation};
        rows += bytes;
        b->bytes += bytes;
    }
    b->blocks[b->n_blocks++] = op->block;
    op->block = NULL;
}

/* Takes what goes into one batch out of the queue: operations of the first one's model, in order,
 * as many as fit. A request is never split. Returns the number of items. */
static size_t take_ops(struct tkv_core *core, struct tkv_op_list *list, uint32_t *n_ops)
{
    const struct tkv_model *model = model_of(core->gathering.head);
    size_t items = 0;
    *n_ops = 0;
    for (struct tkv_op *op = core->gathering.head, *next; op != NULL; op = next) {
        next = op->next;
        if (model_of(op) != model) continue;
        if (items > 0 && items + op->n_seqs > core->config->batch_max_items) break;
        tkv_op_unlink(&core->gathering, op);
        tkv_op_push(list, op);
        items += op->n_seqs;
        (*n_ops)++;
    }
    core->gathering_items -= items;
    return items;
}

static void fail_all(struct tkv_core *core, struct tkv_op_list *list)
{
    for (struct tkv_op *op = list->head, *next; op != NULL; op = next) {
        next = op->next;
        tkv_error_set(&op->error, TKV_ENOMEM, "no host memory for a batch");
        leave_flight(core, op);
        tkv_core_finish(core, op);
    }
}

/* What was armed first, for one batch. */
static struct tkv_fault_plan take_plan(struct tkv_core *core)
{
    if (core->n_armed == 0) return (struct tkv_fault_plan){0};
    struct tkv_fault_plan plan = core->armed[0].plan;
    if (--core->armed[0].batches > 0) return plan;
    core->n_armed--;
    for (size_t i = 0; i < core->n_armed; i++)
        core->armed[i] = core->armed[i + 1];
    return plan;
}

/* What was taken stands first again, in its order. */
static void put_back(struct tkv_core *core, struct tkv_op_list *list)
{
    list->tail->next = core->gathering.head;
    *(core->gathering.head != NULL ? &core->gathering.head->prev : &core->gathering.tail) =
        list->tail;
    core->gathering.head = list->head;
    for (const struct tkv_op *op = list->head; op != NULL; op = op->next) {
        core->gathering_items += op->n_seqs;
        if (op == list->tail) break;
    }
}

/* Whether a batch went out. Without host memory for one, what is in flight will give some back;
 * where nothing is, the requests fail. */
static bool launch(struct tkv_core *core)
{
    struct tkv_op_list list = {0};
    uint32_t n_ops;
    const struct tkv_model *model = model_of(core->gathering.head);
    size_t items = take_ops(core, &list, &n_ops);
    struct tkv_batch *b = tkv_batch_open(model, (uint32_t)items, n_ops);
    if (b == NULL) {
        if (core->in_flight > 0)
            put_back(core, &list);
        else
            fail_all(core, &list);
        return false;
    }
    for (struct tkv_op *op = list.head; op != NULL; op = op->next)
        put_items(b, op);
    assert(b->n == items);
    b->id = ++core->newest_batch;
    b->ops = list.head;
    b->plan = take_plan(core);
    b->upload = &core->upload;
    b->job.complete = complete_batch;
    b->sent_ns = core->sent_ns = tkv_now_ns();
    core->in_flight++;
    bool here = b->bytes <= core->here_bytes && tkv_engine_run_now(core->engine, &b->job);
    if (here)
        complete_batch(&b->job, core);
    else
        tkv_engine_submit(core->engine, &b->job);
    return true;
}

uint64_t tkv_batcher_deadline_us(const struct tkv_core *core)
{
    if (core->gathering.head == NULL || core->in_flight > 0) return UINT64_MAX;
    return core->gathering.head->admitted_us + core->config->batch_max_delay_us;
}

/* An idle device is never kept waiting, unless the configuration asks to wait for company. While it
 * is busy, arrivals gather. */
void tkv_batcher_flush(struct tkv_core *core)
{
    bool went = true;
    while (went && core->gathering.head != NULL && core->in_flight < IN_FLIGHT_MAX) {
        bool full = core->gathering_items >= core->config->batch_max_items;
        bool waited =
            core->config->batch_max_delay_us == 0 || tkv_now_us() >= tkv_batcher_deadline_us(core);
        if (!full && (core->in_flight > 0 || !waited)) return;
        went = launch(core);
    }
}
