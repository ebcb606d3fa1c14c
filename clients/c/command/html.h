/* html.h - text into a page: whatever comes from outside arrives as text, never as markup. One
 * thread. */
#ifndef TRUEKV_COMMAND_HTML_H
#define TRUEKV_COMMAND_HTML_H

#include <stdio.h>

/* Escaped text, also for attributes in double quotes; control characters but newlines become '?'.
 */
void html_text(FILE *to, const char *text);

/* <tag class="...">, the formatted text escaped, </tag>; class NULL: none. */
void html_element(FILE *to, const char *tag, const char *class, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
