/* table.h - rows of text in aligned columns. One thread; running out of memory drops rows. */
#ifndef TRUEKV_COMMAND_TABLE_H
#define TRUEKV_COMMAND_TABLE_H

#include <stddef.h>

#include "clients/c/command/out.h"

enum { TABLE_COLUMNS_MAX = 16 };

struct table {
    const char *const
        *heads; /* borrowed; a head that begins with '>' is of a right-aligned column */
    size_t n_columns;
    char **cells; /* rows one after the other */
    size_t n_cells, room;
};

/* heads: n_columns names, borrowed; NULL, or all of them empty: no line of heads. */
void table_init(struct table *t, const char *const *heads, size_t n_columns);
void table_close(struct table *t);

/* The next cell; after n_columns of them the next row begins. Control characters become '?'. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints it, indented; columns that are empty in every row are left out, and columns stand closer
 * where they would not fit the width. */
void table_print(const struct table *t, struct out *o, unsigned indent);

#endif
