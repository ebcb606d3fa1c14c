#include "daemon/waiting.h"

#include <assert.h>
#include <stdlib.h>

#include "daemon/core_impl.h"

enum { RETRY_MS = 20 };

static bool stands_in_the_way(const struct tkv_op *op, const struct tkv_sequence *seq)
{
    if (seq->state == TKV_SEQUENCE_CREATING) return true;
    return seq->appending > 0 && op->wants_quiet;
}

bool tkv_waiting_must(struct tkv_core *core, const struct tkv_op *op)
{
    for (size_t i = 0; i < op->n_seqs; i++) {
        const struct tkv_sequence *seq = tkv_core_named(core, op, i);
        if (seq != NULL && (seq->waiters > 0 || stands_in_the_way(op, seq))) return true;
    }
    return false;
}

/* --- into the queues -------------------------------------------------------------------------- */

/* One name needs no memory: an operation of the core's own must not fail for lack of it. */
static bool take_waiters(struct tkv_core *core, struct tkv_op *op)
{
    if (core->waiting_names + op->n_seqs > TKV_WAITING_NAMES_MAX && op->n_seqs > 1) {
        tkv_error_set(&op->error, TKV_EOVERLOADED,
                      "requests that wait for others name %zu sequences already",
                      core->waiting_names);
        tkv_error_number(&op->error, retry_after_ms, RETRY_MS);
        return false;
    }
    assert(op->n_seqs > 0); /* who names nothing waits for nothing */
    op->one = (struct tkv_waiter){0};
    op->waiters = op->n_seqs == 1 ? &op->one : calloc(op->n_seqs, sizeof *op->waiters);
    return op->waiters != NULL;
}

static void give_waiters(struct tkv_op *op)
{
    if (op->waiters != &op->one) free(op->waiters);
    op->waiters = NULL;
}

/* Entries first: they are all that may fail. */
static bool find_entries(struct tkv_core *core, struct tkv_op *op)
{
    for (size_t i = 0; i < op->n_seqs; i++) {
        struct tkv_sequence *seq = tkv_sequences_find(core->sequences, op->seqs[i]);
        if (seq == NULL) seq = tkv_sequences_add(core->sequences, op->seqs[i]);
        if (seq == NULL) return false;
        seq->waiters++;
        op->waiters[i] = (struct tkv_waiter){.op = op, .seq = seq};
        if (op->targets != NULL) op->targets[i].seq = seq;
    }
    return true;
}

/* Whoever kept them does not any longer. */
static void leave_entries(struct tkv_core *core, const struct tkv_waiter *waiters, size_t n)
{
    for (size_t i = 0; i < n && waiters[i].seq != NULL; i++) {
        waiters[i].seq->waiters--;
        tkv_core_drop_if_unused(core, waiters[i].seq);
    }
}

static void enqueue_first(struct tkv_op *op, struct tkv_waiter *waiter)
{
    struct tkv_sequence *seq = waiter->seq;
    waiter->next = seq->first_waiter;
    seq->first_waiter = waiter;
    if (seq->last_waiter == NULL) seq->last_waiter = waiter;
    waiter->blocked = stands_in_the_way(op, seq);
    op->n_blocked += waiter->blocked;
}

static void enqueue_last(struct tkv_op *op, struct tkv_waiter *waiter)
{
    struct tkv_sequence *seq = waiter->seq;
    bool first = seq->first_waiter == NULL || seq->first_waiter->op == op;
    *(seq->last_waiter != NULL ? &seq->last_waiter->next : &seq->first_waiter) = waiter;
    seq->last_waiter = waiter;
    waiter->blocked = !first || stands_in_the_way(op, seq);
    op->n_blocked += waiter->blocked;
}

bool tkv_waiting_begin(struct tkv_core *core, struct tkv_op *op, enum tkv_waiting_place place)
{
    tkv_error_set(&op->error, TKV_ENOMEM, "no host memory to wait with");
    tkv_error_number(&op->error, needed, 1);
    tkv_error_number(&op->error, available, 0);
    if (!take_waiters(core, op)) return false;
    if (!find_entries(core, op)) {
        leave_entries(core, op->waiters, op->n_seqs);
        give_waiters(op);
        return false;
    }
    op->error.status = TKV_OK;
    op->n_blocked = 0;
    for (size_t i = 0; i < op->n_seqs; i++) {
        if (place == TKV_WAITING_FIRST) /* backwards: a queue has its names in op's order */
            enqueue_first(op, &op->waiters[op->n_seqs - 1 - i]);
        else
            enqueue_last(op, &op->waiters[i]);
    }
    assert(op->n_blocked > 0);
    core->waiting_names += op->n_seqs;
    tkv_stat_add(&core->stats.queue_waiting, 1);
    return true;
}

/* --- and out ---------------------------------------------------------------------------------- */

void tkv_waiting_look(struct tkv_core *core, struct tkv_sequence *seq)
{
    struct tkv_waiter *waiter = seq->first_waiter;
    if (waiter == NULL || !waiter->blocked || stands_in_the_way(waiter->op, seq)) return;
    struct tkv_op *op = waiter->op;
    for (; waiter != NULL && waiter->op == op; waiter = waiter->next) { /* it may be named twice */
        waiter->blocked = false;
        if (--op->n_blocked == 0) tkv_op_push(&core->ready, op);
    }
}

/* Takes a ready operation, which is first everywhere, out of the queues. */
static void dequeue(struct tkv_core *core, struct tkv_op *op)
{
    tkv_op_unlink(&core->ready, op);
    for (size_t i = 0; i < op->n_seqs; i++) {
        struct tkv_sequence *seq = op->waiters[i].seq;
        assert(seq->first_waiter == &op->waiters[i]);
        seq->first_waiter = op->waiters[i].next;
        if (seq->first_waiter == NULL) seq->last_waiter = NULL;
    }
    core->waiting_names -= op->n_seqs;
    tkv_stat_sub(&core->stats.queue_waiting, 1);
}

/* It runs before whoever is behind it is looked at, for what it does may stand in their way; its
 * entries stay until then. It may be gone when it has run. */
static void run_ready(struct tkv_core *core, struct tkv_op *op,
                      void (*run)(struct tkv_core *core, struct tkv_op *op))
{
    size_t n = op->n_seqs;
    struct tkv_waiter one, *waiters = op->waiters;
    dequeue(core, op);
    if (waiters == &op->one) {
        one = op->one;
        waiters = &one;
    }
    op->waiters = NULL;
    run(core, op);
    for (size_t i = 0; i < n; i++)
        tkv_waiting_look(core, waiters[i].seq);
    leave_entries(core, waiters, n);
    if (waiters != &one) free(waiters);
}

void tkv_waiting_run(struct tkv_core *core, size_t *names,
                     void (*run)(struct tkv_core *core, struct tkv_op *op))
{
    while (core->ready.head != NULL && *names > 0) {
        struct tkv_op *op = core->ready.head;
        *names -= op->n_seqs < *names ? op->n_seqs : *names;
        run_ready(core, op, run);
    }
}
