/* out.h - text for people: colours on a terminal alone, paragraphs wrapped to its width, and
 * nothing from outside that a terminal would obey. One thread. */
#ifndef TRUEKV_COMMAND_OUT_H
#define TRUEKV_COMMAND_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct out {
    FILE *to; /* borrowed */
    bool color;
    bool unicode;   /* more than ASCII can be shown */
    unsigned width; /* columns of a paragraph */
};

enum style { PLAIN, BOLD, DIM, GOOD, BAD, WARN };

/* Colour where `to` is a terminal, no dumb one, and NO_COLOR is not set; its width, at most 100
 * columns; Unicode where the locale of the environment says UTF-8. */
void out_init(struct out *o, FILE *to);

/* Formatted text as it is, in a style. */
void out_put(struct out *o, enum style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A paragraph: `lead` in a style, then the text, wrapped at words; the lines after the first are
 * indented by `hang` columns, the first by `indent`. Control characters become '?'. */
void out_para(struct out *o, unsigned indent, unsigned hang, enum style style, const char *lead,
              const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Replaces what a terminal would obey, in place. Returns text. */
char *out_clean(char *text);

/* Columns that UTF-8 text takes, each character taken for one. */
unsigned out_columns(const char *text);

/* A duration for people, such as "3.2 s" or "5 min"; a count in groups of three ("12 345");
 * "1 item", "2 items". Each writes to text (size bytes) and returns it. */
const char *out_duration(double seconds, char *text, size_t size);
const char *out_count(uint64_t n, char *text, size_t size);
const char *out_plural(uint64_t n, const char *one, const char *many, char *text, size_t size);

#endif
