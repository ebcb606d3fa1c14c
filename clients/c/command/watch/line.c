#include "clients/c/command/watch/line.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/sizes.h"

enum { LABEL_COLUMNS = 11, PART_BYTES = 256, NUMBER_BYTES = 32 };
static const double COUNT_MAX = 9e15;

void line_begin(struct line *l, struct out *o, unsigned columns, const char *label)
{
    *l = (struct line){.o = o, .columns = columns};
    if (label[0] == '\0') return;
    out_put(o, DIM, "%-*s", LABEL_COLUMNS, label);
    l->column = LABEL_COLUMNS;
}

void line_put(struct line *l, enum style style, const char *fmt, ...)
{
    char text[PART_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    unsigned n = out_columns(out_clean(text));
    if (l->full || l->column + l->gap + n > l->columns) {
        l->full = true;
        return;
    }
    fprintf(l->o->to, "%*s", (int)l->gap, "");
    out_put(l->o, style, "%s", text);
    l->column += l->gap + n;
    l->gap = 2;
}

void line_end(struct line *l)
{
    if (l->gap == 0 && !l->full) line_put(l, DIM, "-");
    fputc('\n', l->o->to);
}

const char *line_number(double value, char *text, size_t size)
{
    if (isnan(value))
        snprintf(text, size, "-");
    else if (value < 9.95 && value != floor(value))
        snprintf(text, size, "%.1f", value);
    else
        out_count((uint64_t)(value < COUNT_MAX ? value + 0.5 : COUNT_MAX), text, size);
    return text;
}

/* fmt comes from the lines of a frame alone, and has one %s. */
static void put_number(struct line *l, enum style style, const char *fmt, const char *number)
{
    const char *at = strstr(fmt, "%s");
    if (at != NULL) line_put(l, style, "%.*s%s%s", (int)(at - fmt), fmt, number, at + 2);
}

void line_count(struct line *l, enum style style, const char *fmt, double value)
{
    char number[NUMBER_BYTES];
    if (!isnan(value)) put_number(l, style, fmt, line_number(value, number, sizeof number));
}

void line_size(struct line *l, enum style style, const char *fmt, double bytes)
{
    char number[NUMBER_BYTES];
    if (isnan(bytes)) return;
    double exact = bytes < COUNT_MAX ? bytes : COUNT_MAX;
    put_number(l, style, fmt, tkv_format_size((uint64_t)exact, number, sizeof number));
}

void line_time(struct line *l, enum style style, const char *fmt, double us)
{
    char number[NUMBER_BYTES];
    if (!isnan(us)) put_number(l, style, fmt, out_duration(us / 1e6, number, sizeof number));
}
