/* command.h - the program truekv: one table of commands drives dispatch and help. */
#ifndef TRUEKV_COMMAND_COMMAND_H
#define TRUEKV_COMMAND_COMMAND_H

#include "clients/c/command/options.h"
#include "clients/c/command/out.h"
#include "clients/c/truekv.h"

#define DEFAULT_SOCKET "/run/truekv/truekv.sock"

enum { TOKEN_MAX = 512 }; /* bytes, as the protocol has it */

/* How the program ends. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_NO = 1,        /* the daemon says no or is not healthy; something was found or failed */
    EXIT_USAGE = 2,     /* the command line, or a file that it names */
    EXIT_NO_DAEMON = 3, /* no connection, or it was lost, or no answer came */
    EXIT_NOTHING = 4    /* verify or scrub had nothing to check */
};

struct command;

/* One run of the program. */
struct app {
    const struct command *command;
    struct options options;
    struct out out;
    struct out err;
    const char *address;
    char token[TOKEN_MAX + 1]; /* "": none */
    struct truekv *kv;         /* NULL until app_connect() */
};

struct command {
    const char *name;
    const char *arguments; /* as usage shows them */
    const char *summary;   /* one line */
    const char *help;      /* paragraphs; NULL: the summary says it all */
    enum exit_code (*run)(struct app *app);
    uint64_t options;       /* those of all commands aside */
    int rest_min, rest_max; /* words that are no options; rest_max < 0: any number */
    int timeout_ms;         /* negative: no limit */
};

extern const struct command commands[];
extern const size_t n_commands;

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);

/* The command that a misspelt name may have meant; NULL: none is near. */
const struct command *command_nearest(const char *name);

/* The whole program: what main() does. */
enum exit_code truekv_main(int argc, char **argv);

/* ---- help.c */
void help_all(struct out *o);
void help_one(struct out *o, const struct command *c);

/* ---- app.c: for the commands */

/* Connects. Where it fails: says so, and the code to end with is in *code. */
bool app_connect(struct app *app, enum exit_code *code);

/* The same without a word, after app_connect(): *why says what was wrong; app->kv is there where
 * the daemon said so. connect_timeout_ms: also for the token; 0: as usual. */
bool app_open(struct app *app, int connect_timeout_ms, struct truekv_error *why);

/* Says what is wrong with the command line: truekv: append: ... */
enum exit_code app_usage(struct app *app, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Says why the last call failed; with --json, prints the error object. */
enum exit_code app_failed(struct app *app);

/* The same of an error that came another way. */
enum exit_code app_failed_with(struct app *app, const struct truekv_error *e);

/* Whether --json was given; if so, the daemon's last answer has been printed. */
bool app_printed_json(struct app *app);

/* The number that word i of the command line is; false: it has been said. */
bool app_rest_number(struct app *app, int i, const char *what, uint64_t *out);

static inline const struct option_value *app_option(const struct app *app, enum option_id id)
{
    return &app->options.of[id];
}

/* ---- cmd_*.c */
enum exit_code cmd_ping(struct app *app);
enum exit_code cmd_info(struct app *app);
enum exit_code cmd_stats(struct app *app);
enum exit_code cmd_watch(struct app *app, double seconds); /* stats --watch */
enum exit_code cmd_top(struct app *app);
enum exit_code cmd_reload(struct app *app);
enum exit_code cmd_drain(struct app *app);
enum exit_code cmd_log_level(struct app *app);
enum exit_code cmd_create(struct app *app);
enum exit_code cmd_append(struct app *app);
enum exit_code cmd_read(struct app *app);
enum exit_code cmd_truncate(struct app *app);
enum exit_code cmd_free(struct app *app);
enum exit_code cmd_show(struct app *app);
enum exit_code cmd_list(struct app *app);
enum exit_code cmd_verify(struct app *app);
enum exit_code cmd_scrub(struct app *app);
enum exit_code cmd_selftest(struct app *app);
enum exit_code cmd_inject(struct app *app);
enum exit_code cmd_bench(struct app *app);
enum exit_code cmd_top(struct app *app);
enum exit_code cmd_reload(struct app *app);
enum exit_code cmd_drain(struct app *app);
enum exit_code cmd_log_level(struct app *app);
enum exit_code cmd_raw(struct app *app);
enum exit_code cmd_help(struct app *app);

#endif
