/* answers.h - what the clients wrote down, as histories. */
#ifndef TKV_TESTS_HISTORIES_ANSWERS_H
#define TKV_TESTS_HISTORIES_ANSWERS_H

#include "tests/histories/client.h"

struct h_answers {
    struct h_op *ops; /* of all sequences, sorted by h_compare() */
    size_t n, room;
    uint64_t **cells; /* that ops borrow */
    size_t n_cells, room_cells;
    uint64_t requests;      /* that may have happened */
    uint64_t nameless_lost; /* creates without an id and without an answer */
    char wrong[512];        /* an answer that no history has a place for; "": none */
};

/* clients: all of them, the observer too. barrier: when all that had been asked for before it, by
 * clients that have gone, was over. */
void h_answers_collect(struct h_answers *a, struct h_client *clients, size_t n_clients,
                       uint64_t barrier);
void h_answers_free(struct h_answers *a);

#endif
