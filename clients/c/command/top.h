/* top.h - what truekv top shows. */
#ifndef TRUEKV_COMMAND_TOP_H
#define TRUEKV_COMMAND_TOP_H

#include "clients/c/command/watch.h"

struct top {
    const char *address;
    const char *lost; /* why no daemon answers; NULL: it does */
    struct watch_sample now;
    struct watch_rates rates;
    struct truekv_seq *sequences; /* owned, with their strings; the busiest first */
    size_t n_sequences;
};

/* A frame of at most so many lines, where the terminal has them. */
void top_print(struct out *o, const struct top *top, unsigned height);

#endif
