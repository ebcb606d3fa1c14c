/* The command truekv, as an operator uses it on a running daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

#define MODELS "models = ( " FX_TINY " );\n"

static struct daemon d;
static char output[1 << 16];

static void setup(void)
{
    daemon_start(&d, MODELS);
}

static void teardown(void)
{
    daemon_close(&d);
}

/* Runs truekv, interrupted after two seconds where it runs for so long; both streams into output.
 * --foreground: else a SIGCONT follows, and undoes the SIGSTOP with which LeakSanitizer, which
 * looks at a process as it ends, stops it: both wait for ever. */
static int run_truekv(const char *arguments)
{
    char line[512];
    const char *truekv = getenv("TRUEKV");
    snprintf(line, sizeof line, "TRUEKV_SOCKET=%s timeout --foreground -k 20 -s INT 2 %s %s 2>&1",
             d.socket, truekv != NULL ? truekv : TKV_TEST_TRUEKV, arguments);
    FILE *pipe = popen(line, "r");
    ck_assert_ptr_nonnull(pipe);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *arguments, int code, const char *text)
{
    int got = run_truekv(arguments);
    ck_assert_msg(got == code && strstr(output, text) != NULL, "truekv %s: %d, \"%s\" in:\n%s",
                  arguments, got, text, output);
}

/* Goal: settings change and are named; what is wrong is said in the daemon's words. */
START_TEST(settings_change)
{
    daemon_configure(&d, MODELS "shadow: { sample = 0.5; };\njournal: { bytes = \"1M\"; };\n");
    expect("reload", 0, "Changed: shadow.sample\nWaits for a restart: journal.bytes\n");
    daemon_configure(&d, "nonsense");
    expect("reload", 1, "nothing changed");
    expect("log-level debug", 0, "log level is debug now; it was info.");
    expect("--json log-level info", 0, "{\"level\":\"info\",\"was\":\"debug\"}");
    expect("log-level loud", 1, "error, warning, info or debug");
    expect("log-level", 2, "something is missing");
}
END_TEST

/* Goal: both views go on until they are interrupted (timeout's 124), where no terminal is, too. */
START_TEST(views_go_on)
{
    expect("stats --watch --interval 0.3", 124, "appends  tokens  bytes");
    expect("stats --watch --interval 0.1 --count 2", 0, "\n      0       0     0B     0 ");
    expect("--json stats --watch --interval 0.3", 124, "\"appends_per_second\":0,");
    expect("top --interval 0.3", 124, "sequences  0 live");
    expect("top --interval 0.1 --count 3", 0, "checks     divergent 0  damaged 0");
    ck_assert_ptr_null(strchr(output, '\x1b'));
}
END_TEST

/* Goal: a measurement is not lost where the one who made it may not have it verified, and it is
 * said that nothing was; unless that was asked for. */
START_TEST(measured_without_a_check)
{
    daemon_configure(&d, MODELS "auth: { debug_uids = (); };\n");
    expect("reload", 0, "Changed: auth.debug_uids");
    expect("bench --seconds 0.1 --warmup 0.1", 0, "NOT CHECKED: you may not call debug.verify");
    ck_assert_ptr_nonnull(strstr(output, "requests/s"));
    expect("--json bench --seconds 0.1 --warmup 0.1", 0, "\"requests_per_second\":");
    ck_assert_ptr_null(strstr(output, "\"verify\":{"));
    expect("bench --seconds 0.1 --warmup 0.1 --verify", 1, "permission_denied");
}
END_TEST

/* Goal: a daemon that is drained ends with 0; a view says that it is gone, and goes on waiting. */
START_TEST(drained)
{
    expect("drain", 0, "Draining:");
    ck_assert_int_eq(daemon_wait(&d), 0);
    expect("top", 3, "truekv: top:");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("operator");
    TCase *tc = tcase_create("operator");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, settings_change);
    tcase_add_test(tc, views_go_on);
    tcase_add_test(tc, measured_without_a_check);
    tcase_add_test(tc, drained);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
