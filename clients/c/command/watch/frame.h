/* frame.h - one picture of "truekv top" as lines of text. One thread.
 *
 * What does not fit is left out whole: numbers of a line from its right, lines from the least
 * important on, columns of the table from the right. Nothing is cut in the middle but a label. */
#ifndef TRUEKV_COMMAND_WATCH_FRAME_H
#define TRUEKV_COMMAND_WATCH_FRAME_H

#include "clients/c/command/out.h"
#include "clients/c/command/watch/board.h"
#include "clients/c/command/watch/sample.h"

struct frame {
    const struct sample *before, *now; /* before NULL: no rates yet; now NULL: no answer yet */
    const struct board *board;
    const char *version, *backend, *address, *clock;
    const char *unhealthy; /* why; NULL: it is healthy */
    const char *message;   /* what else is to be said; NULL: nothing */
    enum style message_style;
    bool lost; /* what it shows is old */
    bool keys; /* q quits */
    unsigned rows, columns;
};

/* At most f->rows lines, each of at most f->columns, each with its newline. */
void frame_put(struct out *o, const struct frame *f);

#endif
