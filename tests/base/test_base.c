#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/checked.h"
#include "base/log.h"
#include "base/sizes.h"
#include "base/window.h"
#include "tests/support/check_main.h"

/* Goal: every status has a reason and a code of its own. Method: compare all pairs. */
START_TEST(statuses_are_distinct)
{
    for (int a = 0; a < TKV_STATUS_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            ck_assert_str_ne(tkv_status_reason(a), tkv_status_reason(b));
            ck_assert_int_ne(tkv_status_code(a), tkv_status_code(b));
        }
    }
    ck_assert_int_eq(tkv_status_code(TKV_EPOS), -32002);
}
END_TEST

/* Goal: a buffer keeps its bytes, refuses to pass its maximum, and the refusal sticks. */
START_TEST(buffer_is_bounded)
{
    struct tkv_buffer b;
    tkv_buffer_init(&b, 1000);
    for (int i = 0; i < 100; i++)
        tkv_buffer_printf(&b, "%09d,", i);
    ck_assert_int_eq(tkv_buffer_status(&b), TKV_ETOOLARGE); /* the last NUL did not fit */
    ck_assert_uint_eq(b.len, 990);
    ck_assert_int_eq(memcmp(b.data + 980, "000000098,", 10), 0);
    tkv_buffer_append(&b, "x", 1);
    ck_assert_uint_eq(b.len, 990);
    tkv_buffer_clear(&b);
    tkv_buffer_puts(&b, "abcdef");
    tkv_buffer_consume(&b, 4);
    ck_assert_uint_eq(b.len, 2);
    ck_assert_int_eq(memcmp(b.data, "ef", 2), 0);
    tkv_buffer_close(&b);
}
END_TEST

/* Goal: overflow is said, not wrapped. */
START_TEST(checked_arithmetic)
{
    size_t out;
    size_t fine[] = {3, 5, 7}, huge[] = {(size_t)1 << 32, (size_t)1 << 31, 4};
    ck_assert(tkv_mul_all(fine, 3, &out) && out == 105);
    ck_assert(!tkv_mul_all(huge, 3, &out));
    ck_assert(!tkv_add((size_t)-1, 1, &out));
}
END_TEST

/* Goal: sizes as people write them, and every broken form refused. */
START_TEST(sizes)
{
    static const struct {
        const char *text;
        enum tkv_status st;
        uint64_t value;
    } rows[] = {
        {"0", TKV_OK, 0},
        {"4096", TKV_OK, 4096},
        {"64M", TKV_OK, 64 << 20},
        {"40G", TKV_OK, 40ull << 30},
        {"1KiB", TKV_OK, 1024},
        {"2kb", TKV_EINVAL, 0},
        {"", TKV_EINVAL, 0},
        {"-1", TKV_EINVAL, 0},
        {"1.5G", TKV_EINVAL, 0},
        {"M", TKV_EINVAL, 0},
        {"9Q", TKV_EINVAL, 0},
        {"9223372036854775807", TKV_OK, INT64_MAX},
        {"9999999T", TKV_ERANGE, 0},
        {"9223372036854775808", TKV_ERANGE, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t got = 0;
        ck_assert_int_eq(tkv_parse_size(rows[i].text, &got), rows[i].st);
        ck_assert_uint_eq(got, rows[i].value);
    }
    char text[32];
    ck_assert_str_eq(tkv_format_size(1536, text, sizeof text), "1.5 KiB");
    ck_assert_str_eq(tkv_format_size(12, text, sizeof text), "12 B");
}
END_TEST

/* Goal: text from outside cannot forge a log line. */
START_TEST(log_quotes)
{
    char out[32];
    enum tkv_log_level level;
    ck_assert_str_eq(tkv_log_quote("a\"b\nc", out, sizeof out), "\"a\\\"b\\x0ac\"");
    ck_assert_uint_lt(strlen(tkv_log_quote("0123456789012345678901234567890123456789", out, 16)),
                      16);
    ck_assert(tkv_log_level_from_word("debug", &level) && level == TKV_LOG_DEBUG);
    ck_assert(!tkv_log_level_from_word("loud", &level));
}
END_TEST

/* Goal: percentiles are those of a sorted list, within a bucket's width.
 * Method: values of many sizes, each percentile against the list's own. */
START_TEST(percentiles)
{
    static struct tkv_histogram h;
    enum { N = 4000 };
    uint64_t value = 1;
    ck_assert_uint_eq(tkv_histogram_percentile(&h, 0.5), 0);
    for (int i = 1; i <= N; i++) { /* ascending, from 1 to some 10^9 */
        value = value + value / 200 + 1;
        tkv_histogram_add(&h, value);
    }
    ck_assert_uint_eq(h.count, N);
    ck_assert_uint_eq(tkv_histogram_percentile(&h, 1), value);
    uint64_t at = 1;
    for (int i = 1; i <= N; i++) {
        at = at + at / 200 + 1;
        uint64_t got = tkv_histogram_percentile(&h, (double)i / N);
        ck_assert_uint_ge(got, at);
        ck_assert_uint_le(got, at + at / 16 + 1);
    }
    tkv_histogram_add(&h, UINT64_MAX); /* beyond the last bucket */
    ck_assert_uint_eq(h.max, UINT64_MAX);
}
END_TEST

/* Goal: a window forgets what is older than its ticks, and nothing sooner. */
START_TEST(windows_forget)
{
    static struct tkv_histogram h;
    static struct tkv_window w;
    tkv_histogram_add(&h, 1000000);
    ck_assert_uint_eq(tkv_window_count(&w, &h), 1);
    ck_assert_uint_eq(tkv_window_percentile(&w, &h, 0.5), 1000000);
    for (int tick = 0; tick < 3 * TKV_WINDOW_TICKS; tick++) {
        tkv_window_tick(&w, &h);
        tkv_histogram_add(&h, 10);
        uint64_t n = tkv_window_count(&w, &h), old = tick + 1 < TKV_WINDOW_TICKS;
        uint64_t young = old ? (uint64_t)tick + 1 : TKV_WINDOW_TICKS;
        ck_assert_uint_eq(n, young + old);
        ck_assert_uint_eq(tkv_window_percentile(&w, &h, 1), old ? 1000000 : 10);
    }
}
END_TEST

/* Lines of the file that hold `what`. */
static unsigned lines_with(const char *path, const char *what)
{
    char line[512];
    unsigned n = 0;
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL)
        n += strstr(line, what) != NULL;
    fclose(file);
    return n;
}

/* Goal: an event that repeats is cut off, others are not, and the next line says what is missing.
 * Method: stderr is a file meanwhile; as many lines as fit into two seconds at the most. */
START_TEST(repeated_events_are_cut_off)
{
    char path[] = "/tmp/tkv-log-XXXXXX";
    int fd = mkstemp(path), saved = dup(STDERR_FILENO);
    ck_assert_int_ge(fd, 0);
    dup2(fd, STDERR_FILENO);
    for (int i = 0; i < 1000; i++)
        tkv_log(TKV_LOG_WARNING, "flood", "i=%d", i);
    tkv_log(TKV_LOG_WARNING, "rare", "i=%d", 1);
    usleep(1100000);
    tkv_log(TKV_LOG_WARNING, "flood", "i=%d", 1000);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    unsigned flood = lines_with(path, "flood"), told = lines_with(path, "suppressed=");
    ck_assert_uint_ge(flood, TKV_LOG_BURST + 1);
    ck_assert_uint_le(flood, 3 * TKV_LOG_BURST + 1);
    ck_assert_uint_ge(told, 1);
    ck_assert_uint_eq(lines_with(path, "rare i=1"), 1);
    ck_assert_uint_eq(lines_with(path, "flood i=1000 suppressed="), 1);
    unlink(path);
}
END_TEST

/* Goal: a pipe that nobody reads holds nobody up. Method: more lines than a pipe takes. */
START_TEST(logging_never_waits)
{
    int ends[2], saved = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    for (int i = 0; i < 5000; i++) {
        tkv_log_set_level(TKV_LOG_DEBUG);
        tkv_log(TKV_LOG_DEBUG, "event", "filler=%0100d", i);
    }
    tkv_log_set_level(TKV_LOG_INFO);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *tc = tcase_create("base");
    tcase_add_test(tc, statuses_are_distinct);
    tcase_add_test(tc, buffer_is_bounded);
    tcase_add_test(tc, checked_arithmetic);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, log_quotes);
    tcase_add_test(tc, repeated_events_are_cut_off);
    tcase_add_test(tc, logging_never_waits);
    tcase_add_test(tc, percentiles);
    tcase_add_test(tc, windows_forget);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
