#include "clients/c/command/watch/standings.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/sizes.h"
#include "clients/c/command/watch/line.h"

enum { CELL_BYTES = 96, GAP = 2 };

enum cell { SEQ, MODEL, APPENDS, RATE, TOKENS, CAPACITY, MEMORY, IDLE, LABEL, CELL_COUNT };

/* In their order; those of rank 0 stay longest. The last one takes what is left. */
static const struct {
    const char *head;
    unsigned columns, rank;
    bool left;
} cells[CELL_COUNT] = {
    [SEQ] = {"SEQ", 8, 0, false},          [MODEL] = {"MODEL", 12, 8, true},
    [APPENDS] = {"APPENDS", 10, 7, false}, [RATE] = {"APPENDS/s", 9, 1, false},
    [TOKENS] = {"TOKENS", 8, 2, false},    [CAPACITY] = {"CAPACITY", 8, 4, false},
    [MEMORY] = {"MEMORY", 9, 5, false},    [IDLE] = {"IDLE", 7, 3, false},
    [LABEL] = {"LABEL", 10, 6, true},
};

/* Columns of each; 0: it is left out. */
struct layout {
    unsigned of[CELL_COUNT];
};

void standings_cut(char *text, unsigned columns)
{
    char *p = text;
    for (unsigned n = 0; *p != '\0'; p++) {
        if (((unsigned char)*p & 0xc0) == 0x80) continue;
        if (n++ == columns) break;
    }
    *p = '\0';
}

static const char *cell_text(enum cell cell, const struct board_row *r, char *text)
{
    switch (cell) {
    case SEQ: snprintf(text, CELL_BYTES, "%" PRIu64, r->seq); break;
    case MODEL: snprintf(text, CELL_BYTES, "%s", r->model); break;
    case APPENDS: out_count(r->appends, text, CELL_BYTES); break;
    case RATE: line_number(r->rate, text, CELL_BYTES); break;
    case TOKENS: snprintf(text, CELL_BYTES, "%" PRIu64, r->len); break;
    case CAPACITY: snprintf(text, CELL_BYTES, "%" PRIu64, r->capacity); break;
    case MEMORY: tkv_format_size(r->bytes, text, CELL_BYTES); break;
    case IDLE: out_duration((double)r->idle_ms / 1e3, text, CELL_BYTES); break;
    default: snprintf(text, CELL_BYTES, "%s", r->label); break;
    }
    return out_clean(text);
}

/* Numbers that are wider than usual make their column wider. */
static unsigned columns_of(enum cell cell, const struct board *b, size_t n)
{
    char text[CELL_BYTES];
    unsigned widest = cells[cell].columns;
    for (size_t i = 0; i < n && !cells[cell].left; i++) {
        unsigned one = out_columns(cell_text(cell, &b->rows[i], text));
        widest = one > widest ? one : widest;
    }
    return widest;
}

static void lay_out(struct layout *l, const struct board *b, size_t n, unsigned columns)
{
    unsigned used = 0;
    *l = (struct layout){{0}};
    for (unsigned rank = 0; rank < CELL_COUNT; rank++) {
        enum cell c = SEQ;
        while (cells[c].rank != rank)
            c++;
        unsigned wide = columns_of(c, b, n);
        if (used + (used > 0 ? GAP : 0) + wide > columns) break;
        l->of[c] = wide;
        used += (used > 0 ? GAP : 0) + wide;
    }
    if (l->of[LABEL] > 0) l->of[LABEL] += columns - used;
}

/* row NULL: the heads. */
static void put_row(struct out *o, const struct layout *l, const struct board_row *row)
{
    char text[CELL_BYTES], line[1024];
    size_t n = 0;
    line[0] = '\0';
    for (enum cell c = SEQ; c < CELL_COUNT && n < sizeof line / 2; c++) {
        if (l->of[c] == 0) continue;
        if (row != NULL)
            standings_cut((char *)(uintptr_t)cell_text(c, row, text), l->of[c]);
        else
            snprintf(text, sizeof text, "%s", cells[c].head);
        int pad = (int)(l->of[c] - out_columns(text));
        if (c == LABEL) pad = 0;
        n += (size_t)snprintf(line + n, sizeof line - n, "%*s%*s%s%*s", n > 0 ? GAP : 0, "",
                              cells[c].left ? 0 : pad, "", text, cells[c].left ? pad : 0, "");
    }
    out_put(o, row == NULL ? DIM : PLAIN, "%s", line);
    fputc('\n', o->to);
}

static void put_caption(struct out *o, const struct board *b, double live, unsigned columns)
{
    struct line l;
    char seen[32];
    double n = (double)board_seen(b);
    line_begin(&l, o, columns, "");
    line_put(&l, BOLD, "busiest sequences");
    if (live > n) line_count(&l, DIM, "looking through %s", live);
    if (live > n) line_put(&l, DIM, "%s seen", line_number(n, seen, sizeof seen));
    line_end(&l);
}

void standings_put(struct out *o, const struct board *b, double live, unsigned rows,
                   unsigned columns)
{
    struct layout l;
    if (rows < 3) return;
    size_t n = rows - 2 < b->n ? rows - 2 : b->n;
    lay_out(&l, b, n, columns);
    put_caption(o, b, live, columns);
    put_row(o, &l, NULL);
    for (size_t i = 0; i < n; i++)
        put_row(o, &l, &b->rows[i]);
}
