#include "clients/c/command/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_BYTES = 512, FIRST_ROOM = 64 };

void table_init(struct table *t, const char *const *heads, size_t n_columns)
{
    assert(n_columns > 0 && n_columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){.heads = heads, .n_columns = n_columns};
}

void table_close(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}

static bool make_room(struct table *t)
{
    if (t->n_cells < t->room) return true;
    size_t room = t->room > 0 ? 2 * t->room : FIRST_ROOM;
    char **cells = realloc(t->cells, room * sizeof cells[0]);
    if (cells == NULL) return false;
    t->cells = cells;
    t->room = room;
    return true;
}

void table_cell(struct table *t, const char *fmt, ...)
{
    char text[CELL_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!make_room(t)) return;
    t->cells[t->n_cells] = strdup(out_clean(text));
    if (t->cells[t->n_cells] != NULL) t->n_cells++;
}

static const char *head_of(const struct table *t, size_t column)
{
    const char *head = t->heads[column];
    return head[0] == '>' ? head + 1 : head;
}

static bool right_aligned(const struct table *t, size_t column)
{
    return t->heads != NULL && t->heads[column][0] == '>';
}

/* 0: no row has anything there. */
static unsigned width_of(const struct table *t, size_t column)
{
    unsigned width = 0;
    for (size_t i = column; i < t->n_cells; i += t->n_columns) {
        unsigned n = out_columns(t->cells[i]);
        if (n > width) width = n;
    }
    if (width > 0 && t->heads != NULL && out_columns(head_of(t, column)) > width)
        width = out_columns(head_of(t, column));
    return width;
}

/* Of each column; 0: it is left out. */
struct widths {
    unsigned of[TABLE_COLUMNS_MAX];
    unsigned gap; /* between columns */
};

static void choose_gap(struct widths *w, size_t n_columns, unsigned room)
{
    unsigned sum = 0;
    for (size_t c = 0; c < n_columns; c++)
        sum += w->of[c] > 0 ? w->of[c] + 2 : 0;
    w->gap = sum <= room + 2 ? 2 : 1;
}

static void print_row(const struct table *t, const struct widths *w, struct out *o, unsigned indent,
                      const char *const *cells, enum style style)
{
    unsigned gap = indent, owed = 0; /* blanks, written only where text follows */
    for (size_t c = 0; c < t->n_columns; c++) {
        if (w->of[c] == 0) continue;
        unsigned pad = w->of[c] - out_columns(cells[c]);
        owed += gap + (right_aligned(t, c) ? pad : 0);
        gap = w->gap;
        if (cells[c][0] != '\0') {
            fprintf(o->to, "%*s", (int)owed, "");
            out_put(o, style, "%s", cells[c]);
            owed = 0;
        }
        if (!right_aligned(t, c)) owed += pad;
    }
    fputc('\n', o->to);
}

void table_print(const struct table *t, struct out *o, unsigned indent)
{
    struct widths w = {{0}, 0};
    const char *heads[TABLE_COLUMNS_MAX];
    bool named = false;
    for (size_t c = 0; c < t->n_columns; c++) {
        w.of[c] = width_of(t, c);
        heads[c] = t->heads != NULL ? head_of(t, c) : "";
        named = named || heads[c][0] != '\0';
    }
    choose_gap(&w, t->n_columns, o->width - indent);
    if (named) print_row(t, &w, o, indent, heads, DIM);
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
        print_row(t, &w, o, indent, (const char *const *)&t->cells[i], PLAIN);
}
