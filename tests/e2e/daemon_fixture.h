/* daemon_fixture.h - the real truekvd as a child process, with a folder, a configuration and a Unix
 * socket of its own. The binary: $TRUEKVD, else the build's. The backend: $TKV_TEST_BACKEND, else
 * the CPU. Its stderr is shown when it does not behave. */
#ifndef TKV_TESTS_E2E_DAEMON_FIXTURE_H
#define TKV_TESTS_E2E_DAEMON_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The model of most tests: a block of one token is 2 * 2 * 2 * 4 elements. */
#define FX_TINY                                                                       \
    "{ name = \"tiny\"; n_layers = 2; n_kv_heads = 2; head_dim = 4; dtype = \"f16\";" \
    " capacity = 64; }"
enum { FX_TINY_ELEMENTS = 32, FX_TINY_BYTES = 64, FX_PATH_MAX = 96, FX_WAIT_S = 60 };

struct daemon {
    pid_t pid; /* 0: not running */
    char dir[32];
    char config[FX_PATH_MAX], socket[FX_PATH_MAX], log[FX_PATH_MAX];
    void (*in_child)(const struct daemon *d); /* called before the binary is started; may be NULL */
    bool plain;                               /* no --listen and no --backend on its command line */
};

/* Makes the folder and writes the configuration. */
void daemon_init(struct daemon *d, const char *config_text);

/* Writes another configuration, for the next start or reload. */
void daemon_configure(const struct daemon *d, const char *config_text);

/* Starts the binary with --config, --listen on the socket, --backend, and the words of extra (NULL
 * terminated; may be NULL). */
void daemon_spawn(struct daemon *d, const char *const *extra);

/* Waits until it accepts connections; fails the test where it exits instead. */
void daemon_wait_ready(struct daemon *d);

/* Runs it to its end; returns the exit code. */
int daemon_run(struct daemon *d, const char *const *extra);

/* daemon_init(), daemon_spawn() and daemon_wait_ready(). */
void daemon_start(struct daemon *d, const char *config_text);

/* Waits for its end; returns the exit code, or 128 and the signal. Fails the test after FX_WAIT_S.
 */
int daemon_wait(struct daemon *d);

/* SIGTERM, and the exit code must be 0 (a sanitizer's finding makes it another). */
void daemon_stop(struct daemon *d);

/* Kills it where it still runs, and removes the folder. For teardown. */
void daemon_close(struct daemon *d);

/* What it has written to stderr; static memory. */
const char *daemon_log(const struct daemon *d);

#endif
