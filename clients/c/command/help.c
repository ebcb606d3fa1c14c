#include <string.h>

#include "clients/c/command/command.h"
#include "clients/c/command/faults.h"
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
    {OPT_N_LAYERS, "bench", "N", "the first N layers (default: all)"},
    {OPT_DTYPE, "bench", "DTYPE", "of the data: f16, bf16 or f32 (default: the cache's own)"},
    {OPT_CAPACITY, "bench", "TOKENS", "of a sequence (default: what fits 256 MiB together)"},
    {OPT_TOKENS, "bench", "N", "tokens of each sequence in it (default 1)"},
    {OPT_JSON, "bench", "", "print the result as one line of JSON"},
    {OPT_JSON, "stats", "",
     "print the daemon's answer as one line of JSON; with --watch an object "
     "for each line"},
    {OPT_JSON, "top", "", "not here: \"truekv stats --watch\" has it"},
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
    out_put(o, PLAIN,
            "usage: truekv [-s SOCKET] [--token-file FILE] [--json] [--timeout S] COMMAND ...\n\n");
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
             "daemon says no or is not healthy, or verify, scrub, selftest or bench found "
             "something; 2 a "
             "bad command line; 3 no connection, or it was lost; 4 verify or scrub had nothing to "
             "check.",
             DEFAULT_SOCKET);
    out_para(o, 0, 0, PLAIN, "",
             "TLS is for tcp: alone. What its options do not say is in $TRUEKV_TLS_CA, "
             "$TRUEKV_TLS_CERTIFICATE, $TRUEKV_TLS_KEY and $TRUEKV_TLS_NAME, where they are set.");
    out_put(o, PLAIN, "\"truekv help COMMAND\" says more.\n");
}

static void put_faults(struct out *o)
{
    char name[32];
    out_put(o, BOLD, "\nfaults\n");
    for (size_t i = 0; i < n_faults; i++) {
        const struct fault *f = &faults[i];
        snprintf(name, sizeof name, "%-16s", f->name);
        out_para(o, 2, 19, PLAIN, name, "%s%s%s", f->does, f->needs != NULL ? "; needs " : "",
                 f->needs != NULL ? f->needs : "");
    }
}

/* What 1 is, where it is more than that the daemon says no. */
static const struct {
    const char *command, *no;
} own_codes[] = {
    {"ping", "the daemon says that it is not healthy, or no"},
    {"verify", "something was found (with --last or --first: is kept), or the daemon says no"},
    {"scrub", "something was found, or the daemon says no"},
    {"selftest", "the kernels differ, or the daemon says no"},
    {"bench", "a byte is wrong, or the daemon says no"},
};

static void put_code(struct out *o, enum exit_code code, const char *what)
{
    char lead[8];
    snprintf(lead, sizeof lead, "%d ", (int)code);
    out_para(o, 2, 5, PLAIN, lead, "%s", what);
}

static void put_codes(struct out *o, const struct command *c)
{
    const char *no = "the daemon says no";
    for (size_t i = 0; i < sizeof own_codes / sizeof own_codes[0]; i++) {
        if (strcmp(own_codes[i].command, c->name) == 0) no = own_codes[i].no;
    }
    out_put(o, BOLD, "\nexit codes\n");
    put_code(o, EXIT_FINE, "fine");
    if (c->run != cmd_help) put_code(o, EXIT_NO, no);
    put_code(o, EXIT_USAGE, "a bad command line, or a file that cannot be read or written");
    if (c->run == cmd_help) return;
    put_code(o, EXIT_NO_DAEMON, "no connection, or it was lost, or no answer came in time");
    if (c->run == cmd_verify || c->run == cmd_scrub)
        put_code(o, EXIT_NOTHING, "there was nothing to check");
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
    if (c->run == cmd_inject) put_faults(o);
    if (c->options != 0) {
        out_put(o, BOLD, "\noptions\n");
        put_options(o, c, c->options);
    }
    out_put(o, BOLD, "\noptions of every command\n");
    put_options(o, c, OPTIONS_OF_ALL);
    put_codes(o, c);
}
