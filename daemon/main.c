/* main.c - truekvd: from the command line to a daemon that serves, and to its exit code. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sizes.h"
#include "daemon/http/http.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/server.h"

enum { EXIT_USAGE = 2, MESSAGE_MAX = 1024, LINE_MAX_CHARS = 1024 };

static int usage_error(const char *message)
{
    fprintf(stderr, "truekvd: %s\n", message);
    return EXIT_USAGE;
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* Descriptors 0 to 2 lead nowhere rather than to whatever would be opened next: what the log says
 * goes to 2. */
static void fill_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

/* Raises the soft limit of open files to the hard one; returns it. */
static uint64_t raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

/* Lowers a limit, with a warning where it is not only our default. */
static void lower(uint64_t *limit, const char *name, uint64_t fallback, uint64_t to,
                  uint64_t open_files)
{
    if (*limit <= to) return;
    tkv_log(*limit == fallback ? TKV_LOG_INFO : TKV_LOG_WARNING, "limit_lowered",
            "setting=%s from=%" PRIu64 " to=%" PRIu64 " open_files=%" PRIu64
            " what=\"raise the limit of open files (ulimit -Hn, LimitNOFILE=)\"",
            name, *limit, to, open_files);
    *limit = to;
}

/* Every client takes a descriptor: who comes too late is to hear "overloaded" from us and not to be
 * dropped by the kernel. */
static bool fit_open_files(struct tkv_config *config)
{
    struct tkv_config defaults;
    tkv_config_init(&defaults);
    const uint64_t spare = TKV_DESCRIPTORS_SPARE, open_files = raise_open_files();
    if (open_files < 2 * spare) {
        tkv_log(TKV_LOG_ERROR, "too_few_open_files",
                "limit=%" PRIu64 " what=\"at least %" PRIu64
                " open files are needed (ulimit -Hn, LimitNOFILE=)\"",
                open_files, 2 * spare);
        return false;
    }
    lower(&config->limits_max_connections, "limits.max_connections",
          defaults.limits_max_connections, open_files - spare, open_files);
    return true;
}

/* --- start-up --------------------------------------------------------------------------------- */

/* Says which device serves, and why it is not a GPU where one might be expected. */
static enum tkv_status open_device(const struct tkv_config *config, struct tkv_device **dev)
{
    const char *why = NULL;
    enum tkv_status st = tkv_device_open(dev, config->backend, config->device, &why);
    if (st != TKV_OK) {
        tkv_log(TKV_LOG_ERROR, "start_failed", "backend=%s what=\"%s: %s\"",
                tkv_backend_word(config->backend), tkv_status_reason(st),
                why != NULL ? why : "the device cannot be opened");
        return st;
    }
    if (config->backend == TKV_BACKEND_AUTO && tkv_device_backend(*dev) == TKV_BACKEND_CPU)
        tkv_log(TKV_LOG_INFO, "backend_fallback", "backend=cpu why=\"%s\"",
                why != NULL ? why : "there is no GPU");
    return TKV_OK;
}

static const char *model_names(const struct tkv_config *config, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < config->n_models && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%s", i > 0 ? "," : "", config->models[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

static void announce(const struct tkv_server *server, const struct tkv_config *config,
                     const struct tkv_http *http)
{
    char models[LINE_MAX_CHARS / 2], names[LINE_MAX_CHARS / 2], size[32], quoted[160];
    char status[LINE_MAX_CHARS];
    const struct tkv_device_info *device = tkv_core_device(server->core);
    uint64_t budget = tkv_stat_get(&tkv_core_stats(server->core)->memory_budget_bytes);
    tkv_listeners_names(server, names, sizeof names);
    tkv_log(TKV_LOG_INFO, "ready",
            "version=%s backend=%s device=%s models=%s listen=%s http=%s memory_budget=\"%s\"",
            TKV_VERSION, tkv_backend_word(device->backend),
            tkv_log_quote(device->name, quoted, sizeof quoted),
            model_names(config, models, sizeof models), names,
            http != NULL ? tkv_http_name(http) : "off", tkv_format_size(budget, size, sizeof size));
    snprintf(status, sizeof status, "serving on %s (%s)", names, tkv_backend_word(device->backend));
    tkv_notify_ready(status);
}

/* --- reloading -------------------------------------------------------------------------------- */

/* What a reload needs. */
struct origin {
    const struct tkv_options *options;
    struct tkv_config *config;
    struct tkv_server *server;
};

static enum tkv_status load(const struct tkv_options *options, struct tkv_config *config,
                            char *message, size_t size)
{
    enum tkv_status st;
    snprintf(message, size, "out of memory");
    tkv_config_init(config);
    st = tkv_config_load(config, options->config, message, size);
    return st == TKV_OK ? tkv_options_apply(options, config, message, size) : st;
}

/* At start a configuration may come through a pipe; the loop must not wait for one. */
static bool is_file(const char *path, char *message, size_t size)
{
    struct stat st;
    if (path == NULL || stat(path, &st) != 0 || S_ISREG(st.st_mode)) return true;
    snprintf(message, size, "%s: is no regular file", path);
    return false;
}

static enum tkv_status reload(void *arg, struct tkv_reload *report, char *message, size_t size)
{
    struct origin *origin = arg;
    struct tkv_config fresh;
    struct tkv_secrets secrets;
    if (!is_file(origin->options->config, message, size)) return TKV_EINVAL;
    enum tkv_status st = load(origin->options, &fresh, message, size);
    if (st == TKV_OK && !fit_open_files(&fresh)) {
        snprintf(message, size, "there are too few open files; the log says more");
        st = TKV_EINTERNAL;
    }
    if (st == TKV_OK) st = tkv_access_read(origin->server, &fresh, &secrets, message, size);
    if (st == TKV_OK) {
        tkv_config_reload(origin->config, &fresh, report);
        tkv_access_renew(origin->server, &secrets, report);
        tkv_log_set_level(origin->config->log_level); /* also where admin.log_level has been */
        tkv_core_reconfigured(origin->server->core);
    }
    tkv_config_close(&fresh);
    return st;
}

/* --- serving ---------------------------------------------------------------------------------- */

/* HTTP answers until the loop has ended: health is asked for to the last. */
static int run(struct tkv_server *server, const struct tkv_config *config)
{
    struct tkv_http *http;
    if (tkv_http_open(&http, server) != TKV_OK) return 1;
    announce(server, config, http);
    int code = tkv_server_run(server);
    tkv_http_close(http);
    return code;
}

static int serve(const struct tkv_options *options, struct tkv_config *config)
{
    struct tkv_device *dev;
    struct tkv_server *server;
    signal(SIGPIPE, SIG_IGN);
    tkv_log_set_level(config->log_level);
    if (open_device(config, &dev) != TKV_OK) return 1;
    if (!fit_open_files(config)) {
        tkv_device_close(dev);
        return 1;
    }
    enum tkv_status st = tkv_server_open(&server, config, dev);
    if (st != TKV_OK) return st == TKV_EINVAL ? EXIT_USAGE : 1;
    struct origin origin = {options, config, server};
    server->admin = (struct tkv_admin){.reload = reload, .arg = &origin};
    int code = run(server, config);
    tkv_log(TKV_LOG_INFO, "stopped", "exit=%d", code);
    if (!tkv_server_close(server)) _exit(code);
    return code;
}

int main(int argc, char **argv)
{
    char message[MESSAGE_MAX] = "out of memory";
    struct tkv_options options;
    struct tkv_config config;
    fill_standard_files();
    if (tkv_options_parse(&options, argc, argv, message, sizeof message) != TKV_OK)
        return usage_error(message);
    if (options.help) {
        tkv_options_print_help();
        return 0;
    }
    if (options.version) {
        printf("truekvd %s\n", TKV_VERSION);
        return 0;
    }
    int code = EXIT_USAGE;
    if (load(&options, &config, message, sizeof message) != TKV_OK) {
        usage_error(message);
    } else if (options.check_config) {
        printf("%s: fine\n", options.config);
        code = 0;
    } else {
        code = serve(&options, &config);
    }
    tkv_config_close(&config);
    return code;
}
