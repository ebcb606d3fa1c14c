#include "clients/c/command/html.h"

#include <stdarg.h>

enum { ELEMENT_BYTES = 4096 };

static const char *entity_of(unsigned char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return c < 0x20 || c == 0x7f ? "?" : NULL;
    }
}

void html_text(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        const char *entity = *text == '\n' ? NULL : entity_of((unsigned char)*text);
        if (entity != NULL)
            fputs(entity, to);
        else
            fputc(*text, to);
    }
}

void html_element(FILE *to, const char *tag, const char *class, const char *fmt, ...)
{
    char text[ELEMENT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (class != NULL)
        fprintf(to, "<%s class=\"%s\">", tag, class);
    else
        fprintf(to, "<%s>", tag);
    html_text(to, text);
    fprintf(to, "</%s>\n", tag);
}
