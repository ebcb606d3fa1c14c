#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/command.h"
#include "clients/c/command/table.h"
#include "clients/c/command/tls.h"
#include "clients/c/command/token.h"
#include "clients/c/json_out.h"

#ifndef TRUEKV_VERSION
#define TRUEKV_VERSION "0"
#endif

enum { ITEMS_SHOWN = 8, JSON_MAX = 1 << 16 };

/* ---- Errors -------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What to do about an error, where that is known. */
static void put_hint(struct app *app, const char *hint)
{
    out_para(&app->err, 2, 2, DIM, "", "%s", hint);
}

static const struct {
    enum truekv_status status;
    const char *hint;
} hints[] = {
    {TRUEKV_ENOTFOUND, "\"truekv list\" shows the sequences that exist."},
    {TRUEKV_EPOS, "Leave --pos out to append where each sequence ends; \"truekv show SEQ\" says "
                  "where that is."},
    {TRUEKV_ECAPACITY,
     "Roll it back (truekv truncate), or create a sequence with more --capacity."},
    {TRUEKV_ENOMEM, "Free sequences that are done with (truekv list, truekv free), or raise "
                    "memory.budget in the daemon's configuration."},
    {TRUEKV_EDEVICE, "The device is lost to the daemon; its log says why. A supervisor restarts "
                     "it."},
    {TRUEKV_EDRAINING, "The daemon is stopping. Wait for the next one to start."},
    {TRUEKV_EMETHOD, "The daemon is older than this command: compare \"truekv info\" with "
                     "\"truekv --version\"."},
    {TRUEKV_ETIMEOUT,
     "--timeout S waits longer; \"truekv ping\" says whether the daemon answers at "
     "all."},
    {TRUEKV_ELOST, "Whether the request took effect is not known; the daemon's log may say why it "
                   "went away."},
};

/* The option that a param of the protocol goes by, where its name is another; else NULL. */
static const char *option_of_param(const char *command, const char *param)
{
    static const struct {
        const char *command, *param;
        enum option_id option;
    } others[] = {
        {"selftest", "m", OPT_ITEMS},           {"selftest", "n_kv_heads", OPT_KV_HEADS},
        {"selftest", "head_dim", OPT_HEAD_DIM}, {"selftest", "cache_len", OPT_CACHE_LEN},
        {"selftest", "layers", OPT_N_LAYERS},   {"verify", "scratch_bytes", OPT_SCRATCH_BYTES},
        {"create", "ttl_ms", OPT_TTL_MS},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(others[i].command, command) == 0 && strcmp(others[i].param, param) == 0)
            return option_specs[others[i].option].name;
    }
    return NULL;
}

/* Who may do what is the configuration's: what it wants depends on what was asked. */
static void hint_at_permission(struct app *app, const struct truekv_error *e)
{
    bool tcp = begins(app->address, "tcp:"), of_method = strstr(e->message, "may not call") != NULL;
    if (strcmp(app->command->name, "inject") == 0)
        put_hint(app, "The daemon's configuration decides that: debug.allow_fault_injection, and "
                      "who may use debug.* (auth).");
    else if (tcp && !of_method && app->token[0] == '\0')
        put_hint(app, "Over TCP it may want a token: --token-file FILE, or $TRUEKV_TOKEN_FILE.");
    else if (tcp && of_method)
        put_hint(app, "Over TCP debug.* and admin.* are for those whom the daemon's configuration "
                      "lets (auth.tcp_debug, auth.tcp_admin); a Unix socket is another way.");
    else
        put_hint(app, "Who may do that is in the daemon's configuration (auth).");
}

static bool hint_at_tls(struct app *app, const struct truekv_error *e)
{
    const char *hint = tls_hint(app, e);
    if (hint != NULL) put_hint(app, hint);
    return hint != NULL;
}

static void hint_at(struct app *app, const struct truekv_error *e)
{
    if (hint_at_tls(app, e)) return;
    if (e->status == TRUEKV_EPERM) hint_at_permission(app, e);
    if (e->status == TRUEKV_EOVERLOADED && e->retry_after_ms >= 0) {
        out_para(&app->err, 2, 2, DIM, "", "Try again in %" PRId64 " ms.", e->retry_after_ms);
        return;
    }
    const char *option = option_of_param(app->command->name, e->param);
    if (e->status == TRUEKV_EINVAL || e->status == TRUEKV_ETOOLARGE) {
        if (option != NULL)
            out_para(&app->err, 2, 2, DIM, "", "%s is --%s of this command.", e->param, option);
    }
    if (e->status == TRUEKV_EINVAL && strcmp(e->param, "config") != 0)
        out_para(&app->err, 2, 2, DIM, "", "\"truekv help %s\" says what it takes.",
                 app->command->name);
    if (e->status == TRUEKV_ENOTSUP && strcmp(app->command->name, "scrub") == 0)
        put_hint(app, "The daemon's configuration has checksums turned off; \"truekv verify\" "
                      "needs none.");
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (hints[i].status == e->status) put_hint(app, hints[i].hint);
    }
}

static const char *path_of(const char *address)
{
    return begins(address, "unix:") ? address + 5 : address;
}

static void hint_at_socket(struct app *app, const struct truekv_error *e)
{
    if (hint_at_tls(app, e)) return;
    if (e->os_error == EACCES)
        put_hint(app, "You may not write to the socket: join its group, or use sudo.");
    else if (e->status == TRUEKV_ECONNECT && strcmp(path_of(app->address), DEFAULT_SOCKET) == 0)
        put_hint(app, "Is truekvd running? (systemctl status truekvd; in the repository: ./dev "
                      "run.) Another socket: -s SOCKET, or $TRUEKV_SOCKET.");
    else if (e->status == TRUEKV_ECONNECT)
        put_hint(app, "Is truekvd running? (In the repository: ./dev run.) And is this its socket? "
                      "Another one: -s SOCKET, or $TRUEKV_SOCKET.");
    if (e->status == TRUEKV_ECONNECT && strpbrk(app->address, "/:") == NULL)
        out_para(&app->err, 2, 2, DIM, "",
                 "\"%s\" was taken for a socket in this directory; over TCP it is tcp:HOST:PORT.",
                 app->address);
}

static void put_items(struct app *app, const struct truekv_error *e)
{
    if (e->n_items == 1) return; /* the message has said it */
    for (size_t i = 0; i < e->n_items && i < ITEMS_SHOWN; i++) {
        const struct truekv_item_error *item = &e->items[i];
        char expected[64] = "";
        if (item->expected >= 0)
            snprintf(expected, sizeof expected, ", it has %" PRId64 " tokens", item->expected);
        out_para(&app->err, 2, 4, PLAIN, "", "item %zu (sequence %" PRIu64 "): %s%s", item->index,
                 item->seq, item->reason, expected);
    }
    if (e->n_items > ITEMS_SHOWN)
        out_para(&app->err, 2, 4, PLAIN, "", "and %zu more", e->n_items - ITEMS_SHOWN);
}

/* The error that the client itself found, in the form of the daemon's. */
static void print_json_error(FILE *to, const struct truekv_error *e)
{
    struct tkv_buffer b;
    struct tkc_json j;
    tkv_buffer_init(&b, JSON_MAX);
    tkc_json_init(&j, &b);
    tkc_json_open(&j, '{');
    tkc_json_put_uint(&j, "code", 0);
    tkc_json_put_string(&j, "message", e->message);
    tkc_json_name(&j, "data");
    tkc_json_open(&j, '{');
    tkc_json_put_string(&j, "reason", e->reason);
    tkc_json_close(&j, '}');
    tkc_json_close(&j, '}');
    fprintf(to, "%.*s\n", (int)b.len, (const char *)b.data);
    tkv_buffer_close(&b);
}

static enum exit_code code_of(const struct truekv_error *e)
{
    switch (e->status) {
    case TRUEKV_ECONNECT:
    case TRUEKV_ELOST:
    case TRUEKV_ETIMEOUT:
    case TRUEKV_EANSWER: return EXIT_NO_DAEMON;
    case TRUEKV_EARGUMENT: return EXIT_USAGE;
    default: return EXIT_NO;
    }
}

static enum exit_code report_error(struct app *app, const struct truekv_error *e)
{
    char lead[64];
    if (app_option(app, OPT_JSON)->given) {
        if (e->json != NULL)
            fprintf(app->out.to, "%s\n", e->json);
        else
            print_json_error(app->out.to, e);
        return code_of(e);
    }
    snprintf(lead, sizeof lead, "truekv: %s:", app->command->name);
    out_para(&app->err, 0, 2, BAD, lead, "%s%s%s%s", e->message, e->json != NULL ? " (" : "",
             e->json != NULL ? e->reason : "", e->json != NULL ? ")" : "");
    put_items(app, e);
    return code_of(e);
}

enum exit_code app_failed_with(struct app *app, const struct truekv_error *e)
{
    enum exit_code code = report_error(app, e);
    if (!app_option(app, OPT_JSON)->given) hint_at(app, e);
    return code;
}

enum exit_code app_failed(struct app *app)
{
    return app_failed_with(app, truekv_error(app->kv));
}

enum exit_code app_usage(struct app *app, const char *fmt, ...)
{
    char text[512], lead[64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(lead, sizeof lead, "truekv: %s:", app->command->name);
    out_para(&app->err, 0, 2, BAD, lead, "%s", text);
    out_para(&app->err, 2, 2, DIM, "", "\"truekv help %s\" says more.", app->command->name);
    return EXIT_USAGE;
}

/* ---- For the commands ---------------------------------------------------------------------- */

bool app_open(struct app *app, int connect_timeout_ms, struct truekv_error *why)
{
    const struct option_value *timeout = app_option(app, OPT_TIMEOUT);
    struct truekv_options options = {.timeout_ms = app->command->timeout_ms};
    if (connect_timeout_ms != 0) {
        options.timeout_ms = options.connect_timeout_ms = connect_timeout_ms;
    } else if (timeout->given) {
        options.timeout_ms = timeout->ms;
        options.connect_timeout_ms = timeout->ms;
    }
    tls_options(app, &options);
    assert(app->kv == NULL);
    if (truekv_open(&app->kv, app->address, &options, why) != TRUEKV_OK) return false;
    if (app->token[0] == '\0' || truekv_auth(app->kv, app->token) == TRUEKV_OK) return true;
    *why = *truekv_error(app->kv);
    return false;
}

bool app_connect(struct app *app, enum exit_code *code)
{
    struct truekv_error why;
    char text[sizeof why.message];
    if (!tls_check(app)) {
        *code = EXIT_USAGE;
        return false;
    }
    if (!token_read(app, text, sizeof text)) {
        *code = app_usage(app, "%s", text);
        return false;
    }
    if (app_open(app, 0, &why)) return true;
    bool refused = app->kv != NULL; /* by the daemon */
    *code = report_error(app, &why);
    if (app_option(app, OPT_JSON)->given) return false;
    if (!refused)
        hint_at_socket(app, &why);
    else if (why.status == TRUEKV_EPERM)
        put_hint(app,
                 "The file must hold what the daemon's own token file (auth.token_file) does.");
    else
        hint_at(app, &why);
    return false;
}

bool app_printed_json(struct app *app)
{
    if (!app_option(app, OPT_JSON)->given) return false;
    fprintf(app->out.to, "%s\n", truekv_last_answer(app->kv)->json);
    return true;
}

bool app_rest_number(struct app *app, int i, const char *what, uint64_t *out)
{
    if (parse_u64(app->options.rest[i], out)) return true;
    app_usage(app, "%s must be a number such as 12, not \"%s\"", what, app->options.rest[i]);
    return false;
}

static enum exit_code no_command(struct app *app, const char *name)
{
    const struct command *near = command_nearest(name);
    if (near != NULL)
        out_para(&app->err, 0, 2, BAD, "truekv:", "there is no command \"%s\"; did you mean %s?",
                 name, near->name);
    else
        out_para(&app->err, 0, 2, BAD, "truekv:", "there is no command \"%s\"", name);
    out_para(&app->err, 2, 2, DIM, "", "\"truekv help\" lists them.");
    return EXIT_USAGE;
}

enum exit_code cmd_help(struct app *app)
{
    if (app->options.n_rest == 0) {
        help_all(&app->out);
        return EXIT_FINE;
    }
    for (int i = 0; i < app->options.n_rest; i++) {
        const struct command *c = command_find(app->options.rest[i]);
        if (c == NULL) return no_command(app, app->options.rest[i]);
        if (i > 0) fputc('\n', app->out.to);
        help_one(&app->out, c);
    }
    return EXIT_FINE;
}

/* ---- The program --------------------------------------------------------------------------- */

static enum exit_code run_command(struct app *app)
{
    const struct command *c = app->command;
    int n = app->options.n_rest;
    if (app_option(app, OPT_HELP)->given) {
        help_one(&app->out, c);
        return EXIT_FINE;
    }
    if (n < c->rest_min)
        return app_usage(app, "something is missing: truekv %s %s", c->name, c->arguments);
    if (c->rest_max >= 0 && n > c->rest_max)
        return app_usage(app, "\"%s\" is too much: truekv %s %s", app->options.rest[c->rest_max],
                         c->name, c->arguments);
    const char *from_environment = getenv("TRUEKV_SOCKET");
    app->address = DEFAULT_SOCKET;
    if (from_environment != NULL && from_environment[0] != '\0') app->address = from_environment;
    if (app_option(app, OPT_SOCKET)->given) app->address = app_option(app, OPT_SOCKET)->text;
    if (strchr(app->address, ':') != NULL && strchr(app->address, '/') == NULL &&
        !begins(app->address, "unix:") && !begins(app->address, "tcp:"))
        return app_usage(app,
                         "\"%s\" is no address: unix:PATH, PATH or tcp:HOST:PORT (a path with a "
                         "colon and no slash needs unix: before it)",
                         app->address);
    return c->run(app);
}

static enum exit_code without_command(struct app *app)
{
    if (app_option(app, OPT_VERSION)->given) {
        out_put(&app->out, PLAIN, "truekv %s\n", TRUEKV_VERSION);
        return EXIT_FINE;
    }
    bool asked = app_option(app, OPT_HELP)->given;
    help_all(asked ? &app->out : &app->err);
    return asked ? EXIT_FINE : EXIT_USAGE;
}

static enum exit_code parse_and_run(struct app *app, int argc, char **argv)
{
    struct options *o = &app->options;
    if (!options_parse(o, OPTIONS_OF_ALL, true, argc, argv)) {
        out_put(&app->err, DIM, "  \"truekv help\" says more.\n");
        return EXIT_USAGE;
    }
    if (app_option(app, OPT_VERSION)->given || o->n_rest == 0) return without_command(app);
    app->command = command_find(o->rest[0]);
    if (app->command == NULL) return no_command(app, o->rest[0]);
    if (!options_parse(o, OPTIONS_OF_ALL | app->command->options, false, o->n_rest, o->rest)) {
        out_put(&app->err, DIM, "  \"truekv help %s\" says more.\n", app->command->name);
        return EXIT_USAGE;
    }
    if (app_option(app, OPT_VERSION)->given) return without_command(app);
    return run_command(app);
}

enum exit_code truekv_main(int argc, char **argv)
{
    static const struct command none = {.name = "truekv"};
    struct app app = {.command = &none};
    out_init(&app.out, stdout);
    out_init(&app.err, stderr);
    enum exit_code code = parse_and_run(&app, argc, argv);
    truekv_close(app.kv);
    options_close(&app.options);
    if (fflush(stdout) == 0 && ferror(stdout) == 0) return code;
    out_para(&app.err, 0, 2, BAD, "truekv:", "cannot write the output: %s", strerror(errno));
    return code != EXIT_FINE ? code : EXIT_USAGE;
}
