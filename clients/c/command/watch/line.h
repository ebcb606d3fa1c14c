/* line.h - a line of numbers that are there whole or not at all. One thread. */
#ifndef TRUEKV_COMMAND_WATCH_LINE_H
#define TRUEKV_COMMAND_WATCH_LINE_H

#include "clients/c/command/out.h"

struct line {
    struct out *o;
    unsigned column, columns; /* written; allowed */
    unsigned gap;             /* before the next part */
    bool full;                /* something did not fit: nothing follows */
};

/* label "": none. */
void line_begin(struct line *l, struct out *o, unsigned columns, const char *label);
void line_put(struct line *l, enum style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void line_end(struct line *l);

/* "name 12 345", "12 345 name" and the like: fmt has one %s for the number. NAN: not put. */
void line_count(struct line *l, enum style style, const char *fmt, double value);
void line_size(struct line *l, enum style style, const char *fmt, double bytes);
void line_time(struct line *l, enum style style, const char *fmt, double us);

/* A count for people: "0.5", "12 345"; "-" for NAN. Returns text. */
const char *line_number(double value, char *text, size_t size);

#endif
