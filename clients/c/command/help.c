#include <string.h>

#include "clients/c/command/command.h"
#include "clients/c/command/table.h"

static void put_options(struct out *o, uint64_t set)
{
    struct table t;
    char name[64];
    table_init(&t, NULL, 2);
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_spec *s = &option_specs[i];
        if ((set >> i & 1) == 0) continue;
        if (s->letter != 0)
            snprintf(name, sizeof name, "-%c, --%s %s", s->letter, s->name, s->placeholder);
        else
            snprintf(name, sizeof name, "    --%s %s", s->name, s->placeholder);
        table_cell(&t, "%s", name);
        table_cell(&t, "%s", s->help);
    }
    table_print(&t, o, 2);
    table_close(&t);
}

void help_all(struct out *o)
{
    struct table t;
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
    put_options(o, OPTIONS_OF_ALL);
    fputc('\n', o->to);
    out_para(o, 0, 0, PLAIN, "",
             "The socket is -s, or else $TRUEKV_SOCKET, or else %s. Exit code: 0 fine; 1 the "
             "daemon says no, or verify or selftest found something; 2 a bad command line; "
             "3 no connection, or it was lost.",
             DEFAULT_SOCKET);
    out_put(o, PLAIN, "\"truekv help COMMAND\" says more.\n");
}

void help_one(struct out *o, const struct command *c)
{
    out_put(o, PLAIN, "usage: truekv %s%s%s%s\n\n", c->name, c->options != 0 ? " [options]" : "",
            c->arguments[0] != '\0' ? " " : "", c->arguments);
    out_put(o, BOLD, "truekv %s", c->name);
    out_put(o, PLAIN, ": %s.\n", c->summary);
    for (const char *p = c->help; p != NULL && *p != '\0';) {
        int n = (int)strcspn(p, "\n");
        out_para(o, 0, 0, PLAIN, "", "%.*s", n, p);
        p += n + (p[n] == '\n');
    }
    if (c->options != 0) {
        out_put(o, BOLD, "\noptions\n");
        put_options(o, c->options);
    }
    out_put(o, BOLD, "\noptions of every command\n");
    put_options(o, OPTIONS_OF_ALL);
}
