#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/command/bench/load.h"
#include "clients/c/command/bench/tell.h"
#include "clients/c/command/save.h"
#include "clients/c/command/tls.h"

/* Before a run, so that it is not for nothing. The file is written beside and renamed: what counts
 * is its folder, unless it is a device or a pipe. */
static bool can_write(const char *file)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    size_t n = slash == NULL ? 0 : slash == file ? 1 : (size_t)(slash - file);
    if (access(file, W_OK) == 0) return true;
    if (n >= sizeof folder) return false;
    snprintf(folder, sizeof folder, "%.*s", (int)n, file);
    return access(n == 0 ? "." : folder, W_OK) == 0;
}

static bool check_plot(struct app *app)
{
    const struct option_value *plot = app_option(app, OPT_PLOT);
    if (!plot->given) return true;
    if (plot->text[0] == '\0' || strcmp(plot->text, "-") == 0)
        app_usage(app, "--plot takes the name of a file, not \"%s\"", plot->text);
    else if (!can_write(plot->text))
        app_usage(app, "--plot: \"%s\" cannot be written", plot->text);
    else
        return true;
    return false;
}

static bool write_plot(struct app *app, const struct bench_report *r)
{
    const char *file = app_option(app, OPT_PLOT)->text;
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (to != NULL) bench_plot(to, r);
    bool fine = to != NULL && ferror(to) == 0;
    if (to != NULL && fclose(to) != 0) fine = false;
    if (!fine)
        app_usage(app, "no memory for the picture");
    else
        fine = save_file(app, file, text, bytes);
    free(text);
    if (fine && !app_option(app, OPT_JSON)->given)
        out_para(&app->out, 0, 0, DIM, "", "Drew it into %s.", file);
    return fine;
}

static enum exit_code tell(struct app *app, const struct bench_report *r)
{
    bool right = r->check == NULL || bench_check_ok(r->check);
    if (app_option(app, OPT_JSON)->given)
        bench_tell_json(app->out.to, r);
    else
        bench_tell_text(&app->out, r);
    bool drawn = !app_option(app, OPT_PLOT)->given || write_plot(app, r);
    if (!right) return EXIT_NO; /* what was found weighs more */
    return drawn ? EXIT_FINE : EXIT_USAGE;
}

static enum exit_code measure(struct app *app, const struct bench_plan *plan,
                              struct bench_result *result)
{
    struct bench_check check;
    uint64_t *seqs = NULL;
    enum exit_code code = bench_sequences_make(app, plan, &seqs);
    if (code != EXIT_FINE) return code;
    code = bench_load_run(app, plan, seqs, result);
    if (code == EXIT_FINE && plan->verify) code = bench_sequences_check(app, plan, seqs, &check);
    struct bench_report report = {plan, result, plan->verify ? &check : NULL};
    if (code == EXIT_FINE) code = tell(app, &report);
    free(seqs);
    return code;
}

enum exit_code cmd_bench(struct app *app)
{
    struct bench_plan plan;
    enum exit_code code;
    if (!bench_plan_read(app, &plan) || !check_plot(app)) return EXIT_USAGE;
    if (tls_is_on(app))
        return app_usage(app,
                         "bench does not speak TLS (--tls-ca, or $TRUEKV_TLS_CA): measure over "
                         "a Unix socket, or a tcp: address without");
    if (!app_connect(app, &code)) return code;
    code = bench_plan_settle(app, &plan);
    if (code != EXIT_FINE) return code;
    struct bench_result *result = malloc(sizeof *result);
    if (result == NULL) return app_usage(app, "no memory");
    code = measure(app, &plan, result);
    free(result);
    return code;
}
