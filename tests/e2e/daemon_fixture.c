#include "tests/e2e/daemon_fixture.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/wire.h"

enum { ARGS_MAX = 32, PAUSE_MS = 5 };

static void pause_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

void daemon_init(struct daemon *d, const char *config_text)
{
    memset(d, 0, sizeof *d);
    snprintf(d->dir, sizeof d->dir, "/tmp/tkv-e2e-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(d->dir));
    snprintf(d->config, sizeof d->config, "%s/truekvd.conf", d->dir);
    snprintf(d->socket, sizeof d->socket, "%s/s", d->dir);
    snprintf(d->log, sizeof d->log, "%s/log", d->dir);
    daemon_configure(d, config_text);
}

void daemon_configure(const struct daemon *d, const char *config_text)
{
    FILE *file = fopen(d->config, "w");
    ck_assert_ptr_nonnull(file);
    fputs(config_text, file);
    fclose(file);
}

static const char *env_or(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

void daemon_spawn(struct daemon *d, const char *const *extra)
{
    char listen[FX_PATH_MAX + 8];
    snprintf(listen, sizeof listen, "unix:%s", d->socket);
    const char *args[ARGS_MAX] = {
        env_or("TRUEKVD", TKV_TEST_TRUEKVD), "--config", d->config, "--listen", listen, "--backend",
        env_or("TKV_TEST_BACKEND", "cpu")};
    size_t n = d->plain ? 1 : 7;
    for (; extra != NULL && *extra != NULL && n + 1 < ARGS_MAX; extra++)
        args[n++] = *extra;
    args[n] = NULL;
    d->pid = fork();
    ck_assert_int_ge(d->pid, 0);
    if (d->pid > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind a test that dies */
    int log = open(d->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(log, STDERR_FILENO);
    dup2(log, STDOUT_FILENO);
    int program = open(args[0], O_RDONLY | O_CLOEXEC); /* in_child may become one who cannot */
    if (d->in_child != NULL) d->in_child(d);
    if (program >= 0) fexecve(program, (char *const *)args, environ);
    fprintf(stderr, "%s: %s\n", args[0], strerror(errno));
    _exit(127);
}

const char *daemon_log(const struct daemon *d)
{
    static char text[256 * 1024];
    FILE *file = fopen(d->log, "r");
    size_t n = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL) fclose(file);
    text[n] = '\0';
    return text;
}

/* 128 and the signal for one that was killed. */
static int code_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void daemon_wait_ready(struct daemon *d)
{
    for (int waited = 0; waited < FX_WAIT_S * 1000; waited += PAUSE_MS) {
        int status, fd = wire_connect(d->socket);
        if (fd >= 0) {
            close(fd);
            return;
        }
        if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
            d->pid = 0;
            ck_abort_msg("truekvd ended with %d:\n%s", code_of(status), daemon_log(d));
        }
        pause_ms(PAUSE_MS);
    }
    ck_abort_msg("truekvd does not listen:\n%s", daemon_log(d));
}

int daemon_run(struct daemon *d, const char *const *extra)
{
    daemon_spawn(d, extra);
    return daemon_wait(d);
}

void daemon_start(struct daemon *d, const char *config_text)
{
    daemon_init(d, config_text);
    daemon_spawn(d, NULL);
    daemon_wait_ready(d);
}

int daemon_wait(struct daemon *d)
{
    int status;
    for (int waited = 0; waited < FX_WAIT_S * 1000; waited += PAUSE_MS) {
        if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
            d->pid = 0;
            return code_of(status);
        }
        pause_ms(PAUSE_MS);
    }
    ck_abort_msg("truekvd does not end:\n%s", daemon_log(d));
    return -1;
}

void daemon_stop(struct daemon *d)
{
    ck_assert_int_ne(d->pid, 0);
    kill(d->pid, SIGTERM);
    int code = daemon_wait(d);
    ck_assert_msg(code == 0, "truekvd ended with %d:\n%s", code, daemon_log(d));
}

void daemon_close(struct daemon *d)
{
    if (d->pid > 0) {
        fprintf(stderr, "truekvd still ran; its log:\n%s\n", daemon_log(d));
        kill(d->pid, SIGKILL);
        waitpid(d->pid, NULL, 0);
        d->pid = 0;
    }
    unlink(d->config);
    unlink(d->socket);
    unlink(d->log);
    rmdir(d->dir);
}
