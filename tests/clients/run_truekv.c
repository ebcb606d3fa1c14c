#include "tests/clients/run_truekv.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char dir[] = "/tmp/truekv-test-XXXXXX", socket_path[64], output[1 << 16];

bool run_begin(void)
{
    bool fine = mkdtemp(dir) != NULL;
    snprintf(socket_path, sizeof socket_path, "%s/s", dir);
    return fine;
}

void run_end(void)
{
    (void)unlink(socket_path);
    (void)rmdir(dir);
}

static int run(const char *arguments)
{
    char line[1024];
    snprintf(line, sizeof line, "TRUEKV_SOCKET=%s %s %s 2>&1", socket_path, TRUEKV_PROGRAM,
             arguments);
    FILE *f = popen(line, "r");
    ck_assert_ptr_nonnull(f);
    size_t n = fread(output, 1, sizeof output - 1, f);
    output[n] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void expect(const char *arguments, int code, const char *text)
{
    int got = run(arguments);
    ck_assert_msg(got == code && strstr(output, text) != NULL,
                  "truekv %s: exit %d, expected %d, \"%s\" in:\n%s", arguments, got, code, text,
                  output);
}

void expect_with(const struct fake_step *steps, size_t n, const char *arguments, int code,
                 const char *text)
{
    fake_server_listen(&server, socket_path, steps, n);
    expect(arguments, code, text);
    fake_server_finish(&server);
}
