/* man.h - the parts of make_man: roff text, and the lists that come from the programs' own tables.
 * All of it goes to stdout. */
#ifndef TKV_MAN_MAN_H
#define TKV_MAN_MAN_H

#include <stdbool.h>
#include <stddef.h>

/* n characters of text, so that roff takes them as they are; begins_line: they stand first. */
void man_put_text(const char *text, size_t n, bool begins_line);

/* A line of text. */
void man_put_line(const char *text);

/* Begins a tagged paragraph: n characters of tag in bold, then what follows. */
void man_put_tag(const char *tag, size_t n);

/* ---- man_settings.c: daemon/settings.h */
void man_put_settings(void);
void man_put_models(void);

/* ---- man_commands.c: the table of commands, and what truekv help says. false: no memory. */
bool man_put_commands(void);
bool man_put_options(void); /* those of every command */

#endif
