/* standings.h - the table of the busiest sequences. One thread. */
#ifndef TRUEKV_COMMAND_WATCH_STANDINGS_H
#define TRUEKV_COMMAND_WATCH_STANDINGS_H

#include "clients/c/command/out.h"
#include "clients/c/command/watch/board.h"

/* At most `rows` lines: a caption, heads, sequences. live: how many there are; NAN: not known. */
void standings_put(struct out *o, const struct board *b, double live, unsigned rows,
                   unsigned columns);

/* Cuts text to so many columns, in place. */
void standings_cut(char *text, unsigned columns);

#endif
