/* make_man.c - fills a frame of a manual page: the lists in it come from the tables that the
 * programs themselves are made from, so that a page cannot tell of another version.
 *
 *   make_man FRAME >PAGE
 *
 * A line of the frame that is @settings@, @models@, @commands@ or @options@ alone becomes the list
 * of that name; @version@ becomes the version wherever it stands. */
#include "docs/man/man.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 1024 };

/* Escapes what roff would obey: a backslash, a '-' (else a hyphen that cannot be searched for or
 * pasted), and a '.' or a quote that begins a line. */
void man_put_text(const char *text, size_t n, bool begins_line)
{
    if (begins_line && n > 0 && strchr(".'", text[0]) != NULL) fputs("\\&", stdout);
    for (size_t i = 0; i < n; i++) {
        switch (text[i]) {
        case '\\': fputs("\\e", stdout); break;
        case '-': fputs("\\-", stdout); break;
        case '\'': fputs("\\(aq", stdout); break;
        case '^': fputs("\\(ha", stdout); break;
        case '~': fputs("\\(ti", stdout); break;
        default: putchar(text[i]);
        }
    }
}

void man_put_line(const char *text)
{
    man_put_text(text, strlen(text), true);
    putchar('\n');
}

void man_put_tag(const char *tag, size_t n)
{
    fputs(".TP\n\\fB", stdout);
    man_put_text(tag, n, false);
    fputs("\\fR\n", stdout);
}

/* --- frames ----------------------------------------------------------------------------------- */

static bool put_settings(void)
{
    man_put_settings();
    return true;
}

static bool put_models(void)
{
    man_put_models();
    return true;
}

static const struct {
    const char *line;
    bool (*put)(void);
} lists[] = {
    {"@settings@\n", put_settings},
    {"@models@\n", put_models},
    {"@commands@\n", man_put_commands},
    {"@options@\n", man_put_options},
};

/* A line of the frame; false: it could not be filled. */
static bool fill(const char *line)
{
    static const char version[] = "@version@";
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (strcmp(line, lists[i].line) == 0) return lists[i].put();
    }
    for (const char *at; (at = strstr(line, version)) != NULL; line = at + strlen(version))
        printf("%.*s%s", (int)(at - line), line, TKV_VERSION);
    fputs(line, stdout);
    return true;
}

int main(int argc, char **argv)
{
    char line[LINE_BYTES];
    FILE *frame = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (frame == NULL) {
        fprintf(stderr, "make_man: usage: make_man FRAME, a file that can be read\n");
        return 2;
    }
    bool ok = true;
    while (ok && fgets(line, sizeof line, frame) != NULL)
        ok = fill(line);
    ok = !ferror(frame) && fflush(stdout) == 0 && ok;
    fclose(frame);
    return ok ? 0 : 1;
}
