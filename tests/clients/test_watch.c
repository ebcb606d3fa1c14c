/* What truekv top and stats --watch make of a daemon's numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/top.h"
#include "tests/support/check_main.h"

/* Answers of server.stats, ten seconds apart, with what is looked at. */
#define STATS(uptime, appends, items, batches, latched)                                         \
    "{\"uptime_s\":" uptime ",\"methods\":{\"seq.append\":{\"count\":" appends                  \
    "}},\"append\":{\"items\":" items ",\"tokens\":" items ",\"bytes\":1048576},\"batch\":"     \
    "{\"count\":" batches ",\"in_flight\":1},\"requests\":{\"errors\":3},\"recent\":"           \
    "{\"seq.append\":{\"p50_us\":20,\"p99_us\":1500},\"batch_size\":{\"p99\":8}},"              \
    "\"sequences\":{\"live\":2},\"connections\":{\"open\":4},\"queue\":{\"waiting\":5},"        \
    "\"memory_states\":{\"live\":536870912,\"freeing\":0,\"checksums\":1048576,\"free\":"       \
    "536870912},\"memory\":{\"budget_bytes\":1073741824},\"journal\":{\"batches\":7,\"bytes\":" \
    "1024,\"evicted\":9},\"verify\":{\"divergent_items\":0},\"health\":{\"latched\":" latched "}}"

static void take(struct watch_sample *s, const char *json)
{
    cJSON *stats = cJSON_Parse(json);
    ck_assert_ptr_nonnull(stats);
    watch_take(s, stats);
    cJSON_Delete(stats);
}

/* Goal: rates are differences over the daemon's own time; with nothing to compare, or a daemon that
 * has started anew, there are none; members that an older daemon lacks are 0. */
START_TEST(rates)
{
    struct watch_sample before = {0}, now, older;
    struct watch_rates r;
    take(&now, STATS("10", "100", "400", "50", "0"));
    watch_compare(&r, &before, &now);
    ck_assert(!r.known);
    before = now;
    take(&now, STATS("20", "1100", "4400", "550", "0"));
    watch_compare(&r, &before, &now);
    ck_assert(r.known);
    ck_assert(r.appends == 100 && r.items == 400 && r.batches == 50 && r.mean_items == 8);
    ck_assert(r.errors == 0 && r.bytes == 0);
    watch_compare(&r, &now, &before);
    ck_assert(!r.known && r.appends == 0);
    take(&older, "{\"uptime_s\":5}");
    ck_assert(older.uptime_s == 5 && older.appends == 0 && older.p99_us == 0);
}
END_TEST

/* The frame of a top as text; the caller frees it. */
static char *frame_of(const struct top *top, unsigned height)
{
    char *frame = NULL;
    size_t size = 0;
    struct out o = {.to = open_memstream(&frame, &size), .width = 80};
    ck_assert_ptr_nonnull(o.to);
    top_print(&o, top, height);
    ck_assert_int_eq(fclose(o.to), 0);
    return frame;
}

static void expect_in(const char *frame, const char *text)
{
    ck_assert_msg(strstr(frame, text) != NULL, "no \"%s\" in:\n%s", text, frame);
}

/* Goal: the frame says what there is, a sequence's label does not reach the terminal as it is, and
 * fewer lines are written where fewer fit. */
START_TEST(frames)
{
    struct truekv_seq seqs[] = {
        {.seq = 1, .label = "a\x1b[2Jb", .model = "m", .len = 3, .capacity = 8, .bytes = 2048},
        {.seq = 2, .model = "m", .len = 4, .capacity = 8, .bytes = 2048, .idle_ms = 5000}};
    struct top top = {.address = "/run/s", .sequences = seqs, .n_sequences = 2};
    struct watch_sample before;
    take(&before, STATS("10", "100", "400", "50", "0"));
    take(&top.now, STATS("20", "1100", "4400", "550", "0"));
    watch_compare(&top.rates, &before, &top.now);
    char *frame = frame_of(&top, 30);
    expect_in(frame, "truekv /run/s  up 20 s  4 clients  nothing divergent was found\n");
    expect_in(frame, "appends           100 /s   tokens          400 /s");
    expect_in(frame, "latency  p50      20 us   p99     1.5 ms");
    expect_in(frame, "8.0 items each, p99 8   1 in flight, 5 wait");
    expect_in(frame, "||||||||||||............ 512.0 MiB of 1.0 GiB");
    expect_in(frame, "journal  7 batches, 1.0 KiB, 9 have left it");
    expect_in(frame, "2 sequences\n");
    ck_assert_ptr_null(strchr(frame, '\x1b'));
    free(frame);
    frame = frame_of(&top, 14);
    expect_in(frame, "\n  1  ");
    ck_assert_ptr_null(strstr(frame, "\n  2  "));
    free(frame);
}
END_TEST

/* Goal: what must not be overlooked is said first: no daemon, a latched divergence, findings. */
START_TEST(alarms)
{
    struct top top = {.address = "/run/s", .lost = "nobody listens"};
    char *frame = frame_of(&top, 30);
    expect_in(frame, "truekv /run/s: no answer: nobody listens\n");
    free(frame);
    top.lost = NULL;
    take(&top.now, STATS("20", "1", "1", "1", "1"));
    frame = frame_of(&top, 30);
    expect_in(frame, "NOT HEALTHY");
    free(frame);
    top.now.latched = 0;
    top.now.divergent = 2;
    frame = frame_of(&top, 30);
    expect_in(frame, "2 items divergent, 0 tokens damaged: truekv verify --last");
    free(frame);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("watch");
    TCase *tc = tcase_create("watch");
    tcase_add_test(tc, rates);
    tcase_add_test(tc, frames);
    tcase_add_test(tc, alarms);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
