#include <string.h>

#include "clients/c/command/command.h"
#include "clients/c/command/table.h"

enum { HELP_WIDTH = 80 };

/* What an option is to one command, where options.h says what it is to another. */
static const struct {
    enum option_id id;
    const char *command, *placeholder, *help;
} own_words[] = {
    {OPT_CAPACITY, "selftest", "TOKENS", "tokens that fit (default 64)"},
    {OPT_SEQS, "append", "LIST", "the sequences to append to, such as 1,2,5-9"},
    {OPT_SEQS, "verify", "LIST", "only these sequences, such as 1,2,5-9"},
    {OPT_SEQS, "scrub", "LIST", "only these sequences, such as 1,2,5-9"},
    {OPT_POS, "read", "N", "the first position (default 0)"},
    {OPT_TOKENS, "read", "N", "how many tokens (default: up to the end)"},
    {OPT_DTYPE, "append", "DTYPE",
     "of the data: f16, bf16 or f32 (default: the cache's own; f32 for --values)"},
    {OPT_BATCHES, "inject", "N", "break the next N batches (default 1)"},
    {OPT_LIMIT, "list", "N", "at most N sequences"},
    {OPT_DATA, "raw", "FILE", "the payload to send; - is standard input"},
    {OPT_ITEMS, "bench", "M", "sequences in one append (default 1)"},
    {OPT_TOKENS, "bench", "N", "tokens of each of them (default 1)"},
    {OPT_N_LAYERS, "bench", "N", "the first N layers (default: all)"},
    {OPT_DTYPE, "bench", "DTYPE", "of the data: f16, bf16 or f32 (default: the cache's own)"},
    {OPT_CAPACITY, "bench", "TOKENS", "of a sequence (default: what fits 256 MiB together)"},
    {OPT_OUT, "raw", "FILE", "write the answer's payload there; - is standard output"},
};

static const char *name_of(const struct command *c, int id, char *text, size_t size)
{
    const struct option_spec *s = &option_specs[id];
    const char *placeholder = s->placeholder;
    char letter[8] = "    ";
    for (size_t i = 0; c != NULL && i < sizeof own_words / sizeof own_words[0]; i++) {
        if ((int)own_words[i].id == id && strcmp(own_words[i].command, c->name) == 0)
            placeholder = own_words[i].placeholder;
    }
    if (s->letter != 0) snprintf(letter, sizeof letter, "-%c, ", s->letter);
    snprintf(text, size, "%s--%s%s%s", letter, s->name, placeholder[0] != '\0' ? " " : "",
             placeholder);
    return text;
}

static const char *words_of(const struct command *c, int id)
{
    for (size_t i = 0; c != NULL && i < sizeof own_words / sizeof own_words[0]; i++) {
        if ((int)own_words[i].id == id && strcmp(own_words[i].command, c->name) == 0)
            return own_words[i].help;
    }
    return option_specs[id].help;
}

/* c: the command whose options they are; NULL: those of all. */
static void put_options(struct out *o, const struct command *c, uint64_t set)
{
    char name[64], padded[64];
    int width = 0;
    for (int i = 0; i < OPT_COUNT; i++) {
        if ((set >> i & 1) == 0) continue;
        int n = (int)strlen(name_of(c, i, name, sizeof name));
        width = n > width ? n : width;
    }
    for (int i = 0; i < OPT_COUNT; i++) {
        if ((set >> i & 1) == 0) continue;
        snprintf(padded, sizeof padded, "%-*s", width + 1, name_of(c, i, name, sizeof name));
        out_para(o, 2, (unsigned)width + 4, PLAIN, padded, "%s", words_of(c, i));
    }
}

/* Help is as narrow as the terminals that it is read on, also through a pipe. */
static void narrow(struct out *o)
{
    if (o->width > HELP_WIDTH) o->width = HELP_WIDTH;
}

void help_all(struct out *o)
{
    struct table t;
    narrow(o);
    table_init(&t, NULL, 2);
    out_put(o, PLAIN, "usage: truekv [-s SOCKET] [--json] [--timeout S] COMMAND ...\n\n");
    out_put(o, BOLD, "commands\n");
    for (size_t i = 0; i < n_commands; i++) {
        table_cell(&t, "%s", commands[i].name);
        table_cell(&t, "%s", commands[i].summary);
    }
    table_print(&t, o, 2);
    table_close(&t);
    out_put(o, BOLD, "\noptions of every command\n");
    put_options(o, NULL, OPTIONS_OF_ALL);
    fputc('\n', o->to);
    out_para(o, 0, 0, PLAIN, "",
             "The socket is -s, or else $TRUEKV_SOCKET, or else %s. Exit code: 0 fine; 1 the "
             "daemon says no, or verify, scrub or selftest found something; 2 a bad command line; "
             "3 no connection, or it was lost.",
             DEFAULT_SOCKET);
    out_put(o, PLAIN, "\"truekv help COMMAND\" says more.\n");
}

void help_one(struct out *o, const struct command *c)
{
    char lead[64];
    narrow(o);
    out_para(o, 0, (unsigned)strlen("usage: truekv ") + (unsigned)strlen(c->name) + 1, PLAIN,
             "usage:", "truekv %s%s%s%s", c->name, c->options != 0 ? " [options]" : "",
             c->arguments[0] != '\0' ? " " : "", c->arguments);
    fputc('\n', o->to);
    snprintf(lead, sizeof lead, "truekv %s:", c->name);
    out_para(o, 0, 2, BOLD, lead, "%s.", c->summary);
    for (const char *p = c->help; p != NULL && *p != '\0';) {
        int n = (int)strcspn(p, "\n");
        out_para(o, 0, 0, PLAIN, "", "%.*s", n, p);
        p += n + (p[n] == '\n');
    }
    if (c->options != 0) {
        out_put(o, BOLD, "\noptions\n");
        put_options(o, c, c->options);
    }
    out_put(o, BOLD, "\noptions of every command\n");
    put_options(o, NULL, OPTIONS_OF_ALL);
}
