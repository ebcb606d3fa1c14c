/* options.h - truekvd's command line. */
#ifndef TKV_DAEMON_OPTIONS_H
#define TKV_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"

/* Words are borrowed from argv. */
struct tkv_options {
    const char *config;  /* NULL: none was given */
    const char *backend; /* NULL: as the file says */
    const char *listen[TKV_LISTEN_MAX];
    size_t n_listen; /* 0: as the file says */
    bool check_config, version, help;
};

/* TKV_EINVAL: message says what is wrong and what would be right. */
enum tkv_status tkv_options_parse(struct tkv_options *out, int argc, char **argv, char *message,
                                  size_t size);

/* Puts what the command line says over what the file said. TKV_EINVAL as above; TKV_ENOMEM. */
enum tkv_status tkv_options_apply(const struct tkv_options *options, struct tkv_config *config,
                                  char *message, size_t size);

/* Help, with every setting of the configuration file and its default, to stdout. */
void tkv_options_print_help(void);

#endif
