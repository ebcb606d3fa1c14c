/* options.h - reading the command line. Each command says which options it takes. */
#ifndef TRUEKV_COMMAND_OPTIONS_H
#define TRUEKV_COMMAND_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/c/command/option_list.h"
#include "clients/c/command/parse.h"

enum option_kind {
    KIND_FLAG,
    KIND_TEXT,
    KIND_UINT,
    KIND_COUNT, /* a number from 1 on */
    KIND_SIZE,  /* from 1 on, too */
    KIND_LIST,
    KIND_NUMBERS,
    KIND_LAYERS,
    KIND_DTYPE,
    KIND_SECONDS
};

enum option_id {
#define X(id, name, letter, kind, placeholder, help) OPT_##id,
    OPTIONS(X)
#undef X
        OPT_COUNT
};

/* A set of options. */
_Static_assert(OPT_COUNT <= 64, "a set is a uint64_t");
#define OPTION(id) (UINT64_C(1) << OPT_##id)
#define OPTIONS_OF_ALL                                                                       \
    (OPTION(SOCKET) | OPTION(JSON) | OPTION(TIMEOUT) | OPTION(TOKEN_FILE) | OPTION(TLS_CA) | \
     OPTION(TLS_CERTIFICATE) | OPTION(TLS_KEY) | OPTION(TLS_NAME) | OPTION(HELP) |           \
     OPTION(VERSION))

struct option_spec {
    const char *name, *placeholder, *help;
    enum option_kind kind;
    int letter; /* 0: none */
};
extern const struct option_spec option_specs[OPT_COUNT];

/* What the command line said; by the option's kind. */
struct option_value {
    bool given;
    const char *text; /* as written; borrowed from argv */
    uint64_t number;
    struct u64_list list;    /* owned */
    struct f64_list numbers; /* owned */
    struct truekv_layers layers;
    enum truekv_dtype dtype;
    int ms;
};

struct options {
    struct option_value of[OPT_COUNT];
    char **rest; /* what is no option; borrowed from argv */
    int n_rest;
};

/* Reads the options of `allowed` from argv[1..]; stop_at_first: up to the first word that is none
 * (then rest begins there). false: it has said on stderr what is wrong. */
bool options_parse(struct options *o, uint64_t allowed, bool stop_at_first, int argc, char **argv);
void options_close(struct options *o);

#endif
