/* waiting.h - operations that wait for earlier ones on their sequences.
 *
 * Each sequence has a queue of those that wait and name it, in the order of submission. Appends to
 * a sequence may overlap; everything else wants it quiet (op->wants_quiet), and so does an append
 * that was refused on lengths of appends in flight, until it is judged again. An operation knows
 * how many of its names hold it back, and is ready when none does: what waits costs nothing until
 * something happens to one of its sequences. Loop thread only. */
#ifndef TKV_DAEMON_WAITING_H
#define TKV_DAEMON_WAITING_H

#include <stdbool.h>
#include <stddef.h>

struct tkv_core;
struct tkv_op;
struct tkv_sequence;

enum {
    TKV_WAITING_NAMES_MAX = 1 << 20, /* of all that wait, together */
    TKV_WAITING_NAMES_TURN = 1 << 14 /* of those that run in one turn of the loop */
};

/* Where in the queues of its sequences: one that was ready, and has to wait after all, goes first.
 */
enum tkv_waiting_place { TKV_WAITING_LAST, TKV_WAITING_FIRST };

/* A name of an operation that waits, in its sequence's queue. */
struct tkv_waiter {
    struct tkv_op *op;
    struct tkv_sequence *seq;
    struct tkv_waiter *next; /* NULL: the last */
    bool blocked;            /* it counts in op->n_blocked */
};

/* Whether an operation that has just come must wait. */
bool tkv_waiting_must(struct tkv_core *core, const struct tkv_op *op);

/* Makes it wait, whatever it names (an entry is made of a name that has none). False: there is no
 * memory, or too much waits already; nothing has changed, and op's error says so. */
bool tkv_waiting_begin(struct tkv_core *core, struct tkv_op *op, enum tkv_waiting_place place);

/* Runs who is ready, with run(core, op), until nobody is, or so much has been done that others
 * should have their turn: core->ready is not empty then. *names counts down what may be done. */
void tkv_waiting_run(struct tkv_core *core, size_t *names,
                     void (*run)(struct tkv_core *core, struct tkv_op *op));

/* The sequence has become quiet, or its creation has ended: whoever is first in its queue may be
 * ready now. */
void tkv_waiting_look(struct tkv_core *core, struct tkv_sequence *seq);

#endif
