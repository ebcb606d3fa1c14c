/* board.h - the busiest sequences, of pages of seq.list that go round and round. One thread.
 *
 * A daemon may hold 100,000 sequences, and a page is as much as one asks for at a time. So what is
 * known of a sequence is from the last time that its page came; its rate is the growth of its
 * appends since the time before. Running out of memory forgets rates, no more. */
#ifndef TRUEKV_COMMAND_WATCH_BOARD_H
#define TRUEKV_COMMAND_WATCH_BOARD_H

#include "clients/c/truekv.h"

enum { BOARD_MAX = 128, BOARD_LABEL_BYTES = 64, BOARD_MODEL_BYTES = 32 };

struct board_row {
    uint64_t seq, len, capacity, bytes, idle_ms, appends;
    uint64_t pass; /* in which it was seen last */
    double rate;   /* appends a second; NAN: not known yet */
    char model[BOARD_MODEL_BYTES], label[BOARD_LABEL_BYTES]; /* cut where they are longer */
};

/* A sequence as a pass saw it. */
struct board_look {
    uint64_t seq, appends, at_ns;
};
struct board_pass {
    struct board_look *looks; /* owned; the pass before: sorted by sequence */
    size_t n, room;
};

struct board {
    struct board_row rows[BOARD_MAX]; /* the busiest first */
    size_t n;
    uint64_t pass; /* 1: the first round of pages */
    struct board_pass now, before;
};

void board_init(struct board *b);
void board_close(struct board *b);

/* Forgets all: the daemon has started anew. */
void board_clear(struct board *b);

/* Takes a page that came at at_ns; where it is the last, the next one begins a new pass. */
void board_take(struct board *b, const struct truekv_page *page, uint64_t at_ns);

/* How many sequences this pass has seen; after its last page: those of the whole pass. */
size_t board_seen(const struct board *b);

#endif
