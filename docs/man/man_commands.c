#include "docs/man/man.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/command.h"

static const char options_of_all[] = "options of every command";

/* What "truekv help COMMAND" prints, without colours; free() it. NULL: no memory. */
static char *help_of(const struct command *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (to == NULL) return NULL;
    struct out o = {.to = to, .width = UINT32_MAX};
    help_one(&o, c);
    if (fclose(to) == 0) return text;
    free(text);
    return NULL;
}

/* "  -s, --socket SOCKET  what it is" and "      --json  what it is" begin a row; a line of another
 * depth goes on with the row before. */
static void put_row(const char *line)
{
    size_t deep = strspn(line, " ");
    const char *word = line + deep, *gap = strstr(word, "  ");
    if (gap == NULL || (deep != 2 && strncmp(word, "--", 2) != 0)) {
        man_put_line(word);
        return;
    }
    man_put_tag(word, (size_t)(gap - word));
    man_put_line(gap + strspn(gap, " "));
}

/* A section of a help text is a line after a blank one, then rows. Those of every command stand
 * once in the page: with of_all, nothing but their rows; else all the others. */
static void put_sections(char *help, bool of_all)
{
    bool blank = false, wanted = false;
    for (char *line; (line = strsep(&help, "\n")) != NULL; blank = line[0] == '\0') {
        if (line[0] == ' ' && wanted) put_row(line);
        if (!blank || line[0] == '\0') continue;
        bool every = strcmp(line, options_of_all) == 0;
        wanted = every == of_all && strncmp(line, "truekv ", 7) != 0;
        if (!wanted || every) continue;
        printf(".P\n\\fI%c%s\\fR\n", line[0] - 'a' + 'A', line + 1);
    }
}

static void put_usage(const struct command *c)
{
    printf(".SS %s\n\\fBtruekv %s\\fR%s", c->name, c->name, c->options != 0 ? " [options]" : "");
    if (c->arguments[0] != '\0') putchar(' ');
    man_put_line(c->arguments);
}

/* The summary is a sentence that begins small, for the list of commands. */
static void put_meaning(const struct command *c)
{
    printf(".P\n%c", c->summary[0] - 'a' + 'A');
    man_put_text(c->summary + 1, strlen(c->summary + 1), false);
    puts(".");
    for (const char *p = c->help; p != NULL && *p != '\0';) {
        size_t n = strcspn(p, "\n");
        puts(".P");
        man_put_text(p, n, true);
        putchar('\n');
        p += n + (p[n] == '\n');
    }
}

/* The codes that most commands end with stand once in the page. */
static void cut_usual_codes(char *help)
{
    char *codes = strstr(help, "\nexit codes\n");
    if (codes != NULL && strstr(codes, "\n  1  the daemon says no\n") != NULL) *codes = '\0';
}

static bool put_command(const struct command *c)
{
    char *help = help_of(c);
    if (help == NULL) return false;
    cut_usual_codes(help);
    put_usage(c);
    put_meaning(c);
    put_sections(help, false);
    free(help);
    return true;
}

bool man_put_commands(void)
{
    bool ok = true;
    for (size_t i = 0; i < n_commands && ok; i++)
        ok = put_command(&commands[i]);
    return ok;
}

bool man_put_options(void)
{
    char *help = help_of(&commands[0]);
    if (help == NULL) return false;
    put_sections(help, true);
    free(help);
    return true;
}
