#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "daemon/settings.h"

enum { OPT_CHECK = 256 };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"listen", required_argument, NULL, 'l'},
    {"backend", required_argument, NULL, 'b'},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static enum tkv_status take(struct tkv_options *out, int option, char **argv, char *message,
                            size_t size)
{
    switch (option) {
    case 'c': out->config = optarg; return TKV_OK;
    case 'b': out->backend = optarg; return TKV_OK;
    case 'l':
        if (out->n_listen < TKV_LISTEN_MAX) {
            out->listen[out->n_listen++] = optarg;
            return TKV_OK;
        }
        snprintf(message, size, "--listen more than %d times; leave some out", TKV_LISTEN_MAX);
        return TKV_EINVAL;
    case OPT_CHECK: out->check_config = true; return TKV_OK;
    case 'V': out->version = true; return TKV_OK;
    case 'h': out->help = true; return TKV_OK;
    case ':':
        snprintf(message, size, "%.100s needs a value; truekvd --help says which",
                 argv[optind - 1]);
        return TKV_EINVAL;
    default:
        snprintf(message, size, "%.100s is no option; truekvd --help lists them", argv[optind - 1]);
        return TKV_EINVAL;
    }
}

enum tkv_status tkv_options_parse(struct tkv_options *out, int argc, char **argv, char *message,
                                  size_t size)
{
    memset(out, 0, sizeof *out);
    optind = 0; /* glibc: start anew, also in a test's second call */
    for (;;) {
        int option = getopt_long(argc, argv, ":c:l:b:Vh", long_options, NULL);
        if (option == -1) break;
        if (take(out, option, argv, message, size) != TKV_OK) return TKV_EINVAL;
    }
    if (optind < argc) {
        snprintf(message, size, "%.100s is no option; truekvd takes no other arguments",
                 argv[optind]);
        return TKV_EINVAL;
    }
    if (out->config == NULL && !out->version && !out->help) {
        snprintf(message, size,
                 "no configuration; name one with --config FILE, such as "
                 "config/truekvd.conf or /etc/truekv/truekvd.conf");
        return TKV_EINVAL;
    }
    return TKV_OK;
}

enum tkv_status tkv_options_apply(const struct tkv_options *options, struct tkv_config *config,
                                  char *message, size_t size)
{
    char why[256];
    if (options->backend != NULL) {
        int place = tkv_words_find("auto|cuda|cpu", options->backend);
        if (place < 0) {
            snprintf(message, size, "--backend %.40s: it must be auto, cuda or cpu",
                     options->backend);
            return TKV_EINVAL;
        }
        config->backend = (enum tkv_backend)place;
    }
    if (options->n_listen > 0) tkv_config_clear_listen(config);
    for (size_t i = 0; i < options->n_listen; i++) {
        enum tkv_status st = tkv_config_add_listen(config, options->listen[i], why, sizeof why);
        if (st == TKV_EINVAL) snprintf(message, size, "--listen: %s", why);
        if (st != TKV_OK) return st;
    }
    if (config->n_listen > 0) return tkv_access_check_listen(config, message, size);
    return tkv_config_add_listen(config, TKV_LISTEN_DEFAULT, message, size);
}

static const char usage[] =
    "truekvd - a KV-cache daemon that can prove its caches are right\n"
    "\n"
    "  truekvd --config FILE [OPTION]...\n"
    "\n"
    "  -c, --config FILE      the configuration; see below\n"
    "  -l, --listen ADDRESS   unix:PATH or tcp:HOST:PORT instead of the file's;\n"
    "                         may be repeated\n"
    "  -b, --backend WORD     auto, cuda or cpu instead of the file's\n"
    "      --check-config     checks the file alone and exits: 0 it is fine, 2 it is not\n"
    "  -V, --version          prints the version and exits\n"
    "  -h, --help             prints this and exits\n"
    "\n"
    "It logs to stderr, and exits with 0 after SIGTERM or SIGINT, with 2 for a bad\n"
    "command line or configuration, with 1 otherwise.\n"
    "\n"
    "Settings of the file and their defaults (config/truekvd.conf explains them); those\n"
    "that are live take effect with SIGHUP:\n";

static void print_settings(const struct tkv_setting *table, const char *indent, int defaults)
{
    char value[64];
    for (const struct tkv_setting *s = table; s->key != NULL; s++) {
        if (defaults)
            tkv_setting_format(s, s->fallback, value, sizeof value);
        else
            snprintf(value, sizeof value, "%s", s->words != NULL ? s->words : "");
        printf("%s%-28s %s%s\n%s    %s\n", indent, s->key, value, s->live ? " (live)" : "", indent,
               s->meaning);
    }
}

void tkv_options_print_help(void)
{
    fputs(usage, stdout);
    print_settings(tkv_settings, "  ", 1);
    printf("\nMembers of a group of models:\n");
    print_settings(tkv_model_settings, "  ", 0);
}
