/* What top and stats --watch make of the daemon's answers: rates, rows, frames, the busiest
 * sequences. */
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/watch/frame.h"
#include "clients/c/command/watch/line.h"
#include "clients/c/command/watch/rows.h"
#include "clients/c/command/watch/watch.h"
#include "tests/clients/fake_server.h"
#include "tests/support/check_main.h"

/* An answer; the parts that two of them differ in. */
#define ANSWER(uptime, appends, tokens, bytes, batches, items, errors, missing, evicted,           \
               divergent)                                                                          \
    "{\"uptime_s\":" #uptime ",\"sequences\":{\"live\":3,\"created\":5,\"freed\":1,\"expired\":1," \
    "\"disconnected\":0},\"sequence_states\":{\"creating\":0,\"live\":3,\"freeing\":1},"           \
    "\"memory\":"                                                                                  \
    "{\"budget_bytes\":1073741824,\"cache_bytes\":536870912,\"checksum_bytes\":2097152},"          \
    "\"memory_states\":{\"live\":536870912,\"freeing\":107374182,\"checksums\":2097152,\"free\":"  \
    "429496730},\"append\":{\"requests\":" #appends ",\"tokens\":" #tokens ",\"bytes\":" #bytes    \
    ",\"refused\":0},\"batch\":{\"count\":" #batches ",\"items\":" #items ",\"failed\":0,"         \
    "\"largest\":64,\"in_flight\":1},\"read\":{\"requests\":0,\"bytes\":0},\"queue\":"             \
    "{\"gathering\":2,\"waiting\":1},\"journal\":{\"batches\":1024,\"bytes\":67108864,"            \
    "\"evicted\":" #evicted "},\"verify\":{\"runs\":2,\"divergent_items\":" #divergent             \
    ",\"faults_injected\":0},\"shadow\":{\"batches\":0,\"missed\":0},\"scrub\":{\"passes\":7,"     \
    "\"damaged_tokens\":0},\"connections\":{\"open\":12,\"accepted\":40,\"refused\":0},"           \
    "\"requests\":{\"received\":1000,\"errors\":" #errors "},\"network\":{\"bytes_in\":4096,"      \
    "\"bytes_out\":4096},\"methods\":{\"seq.append\":{\"count\":9,\"p50_us\":100,\"p99_us\":200,"  \
    "\"max_us\":118000}},\"reasons\":{\"not_found\":" #missing ",\"overloaded\":1},\"recent\":"    \
    "{\"seq.append\":{\"count\":9,\"p50_us\":120.5,\"p99_us\":1250},\"batch_size\":{\"count\":9,"  \
    "\"p50\":8,\"p99\":64}}}"

#define FIRST  ANSWER(100.5, 1000, 2000, 1048576, 10, 80, 4, 2, 0, 0)
#define SECOND ANSWER(102.5, 25000, 50000, 3222274048, 1010, 12080, 8, 4, 20, 1)

static struct sample taken(const char *json)
{
    struct sample s;
    cJSON *result = cJSON_Parse(json);
    ck_assert_ptr_nonnull(result);
    sample_take(&s, result);
    cJSON_Delete(result);
    return s;
}

/* ---- Samples ------------------------------------------------------------------------------- */

/* Goal: a rate is growth over the daemon's own time; a daemon that has started anew, or a counter
 * that shrank, has none. */
START_TEST(rates)
{
    struct sample a = taken(FIRST), b = taken(SECOND);
    ck_assert_double_eq(sample_seconds(&a, &b), 2);
    ck_assert_double_eq(sample_rate(&a, &b, SAMPLE_APPENDS), 12000);
    ck_assert_double_eq(sample_rate(&a, &b, SAMPLE_CREATED), 0);
    ck_assert_double_eq(sample_reason_rate(&a, &b, TRUEKV_ENOTFOUND), 1);
    ck_assert_double_eq(sample_reason_rate(&a, &b, TRUEKV_EOVERLOADED), 0);
    ck_assert_double_eq(sample_batch(&a, &b), 12);
    ck_assert_double_eq(sample_wrong(&b), 1);
    ck_assert_double_nan(sample_rate(NULL, &b, SAMPLE_APPENDS));
    ck_assert_double_nan(sample_rate(&b, &a, SAMPLE_APPENDS));
    ck_assert_double_nan(sample_rate(&a, &a, SAMPLE_APPENDS));
    b.of[SAMPLE_APPENDS] = 999;
    ck_assert_double_nan(sample_rate(&a, &b, SAMPLE_APPENDS));
    ck_assert_double_nan(sample_batch(&b, &b));
}
END_TEST

/* Goal: latency is of the last ten seconds where the daemon tells that; else since its start. */
START_TEST(latencies)
{
    struct sample recent = taken(SECOND);
    struct sample idle = taken("{\"recent\":{\"seq.append\":{\"count\":0,\"p50_us\":0}},"
                               "\"methods\":{\"seq.append\":{\"p50_us\":7,\"max_us\":9}}}");
    struct sample methods = taken("{\"methods\":{\"seq.append\":{\"p50_us\":7,\"max_us\":9}},"
                                  "\"step\":{\"total\":{\"p50_us\":1}}}");
    struct sample old = taken("{\"step\":{\"total\":{\"p50_us\":1,\"p99_us\":2,\"max_us\":3}}}");
    ck_assert_double_eq(sample_latency(&recent).p50_us, 120.5);
    ck_assert_double_eq(sample_latency(&recent).max_us, 118000);
    ck_assert(sample_latency(&recent).recent && sample_latency(&idle).recent);
    ck_assert_double_nan(sample_latency(&idle).p50_us);
    ck_assert_double_eq(sample_latency(&methods).p50_us, 7);
    ck_assert_double_nan(sample_latency(&methods).p99_us);
    ck_assert_double_eq(sample_latency(&old).p99_us, 2);
    ck_assert_double_eq(sample_latency(&old).max_us, 3);
    ck_assert(!sample_latency(&old).recent);
}
END_TEST

/* ---- Text ---------------------------------------------------------------------------------- */

static char *text;
static size_t text_len;
static struct out out;

static void begin_text(bool color)
{
    free(text);
    text = NULL;
    out = (struct out){.to = open_memstream(&text, &text_len), .color = color, .width = 100};
}

static void expect_text(const char *expected)
{
    ck_assert_int_eq(fclose(out.to), 0);
    ck_assert_msg(strcmp(text, expected) == 0, "got:\n%s\nexpected:\n%s", text, expected);
}

/* Goal: rows to the letter; what is not known is a dash, whatever its size a number fits. */
START_TEST(rows_as_text)
{
    struct sample a = taken(FIRST), b = taken(SECOND), none = taken("{}"), many = taken(SECOND);
    begin_text(false);
    rows_head(&out, &b);
    rows_put(&out, &a, &b);
    rows_put(&out, NULL, &none);
    many.of[SAMPLE_APPENDS] = 1000 + 2 * 123456789.0;
    many.of[SAMPLE_APPEND_BYTES] = 1048576 + 2 * 1.5e15;
    many.of[SAMPLE_ERRORS] = 4 + 1;
    many.of[SAMPLE_RECENT_P99_US] = 999600;
    rows_put(&out, &a, &many);
    rows_head(&out, &none);
    expect_text(
        "--------- a second --------- - last 10 s -\n"
        "appends  tokens  bytes  errs    p50    p99 batch queue   seqs memory conn wrong\n"
        "  12000   24000  1.50G     2  120us 1.25ms    12     3      3   512M   12     1\n"
        "      -       -      -     -      -      -     -     -      -      -    -     -\n"
        "   123M   24000  1.33P   0.5  120us  1.00s    12     3      3   512M   12     1\n"
        "--------- a second --------- -since start-\n"
        "appends  tokens  bytes  errs    p50    p99 batch queue   seqs memory conn wrong\n");
}
END_TEST

/* Goal: as JSON, what is not known is left out, and a line is a line. */
START_TEST(rows_as_json)
{
    struct sample a = taken(FIRST), b = taken(SECOND), none = taken("{}");
    begin_text(false);
    rows_json(out.to, &a, &b);
    rows_json(out.to, NULL, &none);
    rows_json_event(out.to, "lost", "a \"b\"\n");
    rows_json_event(out.to, "back", NULL);
    expect_text("{\"uptime_s\":102.5,\"interval_s\":2,\"appends_per_second\":12000,"
                "\"tokens_per_second\":24000,\"bytes_per_second\":1610612736,"
                "\"errors_per_second\":2,\"append_p50_us\":120.5,\"append_p99_us\":1250,"
                "\"batch_mean_items\":12,\"queued\":3,\"sequences\":3,\"cache_bytes\":536870912,"
                "\"connections\":12,\"wrong\":1}\n"
                "{}\n"
                "{\"event\":\"lost\",\"message\":\"a \\\"b\\\"\\u000a\"}\n"
                "{\"event\":\"back\"}\n");
}
END_TEST

/* Goal: numbers of a line are there whole or not at all, and none after one that did not fit. */
START_TEST(whole_numbers)
{
    struct line l;
    begin_text(false);
    line_begin(&l, &out, 28, "numbers");
    line_count(&l, PLAIN, "a %s", 12345);
    line_count(&l, PLAIN, "not %s", (double)NAN);
    line_put(&l, PLAIN, "%s", "1234567"); /* to the last column */
    line_put(&l, PLAIN, "b");
    line_end(&l);
    line_begin(&l, &out, 27, "numbers");
    line_count(&l, PLAIN, "a %s", 12345);
    line_put(&l, PLAIN, "%s", "1234567"); /* one too many: */
    line_put(&l, PLAIN, "b");             /* this would fit, and is no more said */
    line_end(&l);
    line_begin(&l, &out, 80, "nothing");
    line_count(&l, PLAIN, "%s", (double)NAN);
    line_end(&l);
    line_begin(&l, &out, 80, "");
    line_count(&l, PLAIN, "%s", 0.34);
    line_count(&l, PLAIN, "%s", 9.96);
    line_count(&l, PLAIN, "%s", 1e300);
    line_put(&l, PLAIN, "%s", "\033[2J");
    line_end(&l);
    expect_text("numbers    a 12 345  1234567\n"
                "numbers    a 12 345\n"
                "nothing    -\n"
                "0.3  10  9 000 000 000 000 000  ?[2J\n");
}
END_TEST

/* ---- The busiest sequences ------------------------------------------------------------------ */

static struct board board;

static void take_page(const struct truekv_seq *seqs, size_t n, bool more, uint64_t at_s)
{
    struct truekv_page page = {.seqs = seqs, .n = n, .more = more};
    board_take(&board, &page, at_s * 1000000000);
}

#define SEQ(number, n_appends, idle)                                                          \
    {                                                                                         \
        .seq = (number), .appends = (n_appends), .idle_ms = (idle), .len = 7, .capacity = 64, \
        .bytes = 2097152, .model = "tiny", .label = "chat"                                    \
    }

/* Goal: the busiest come first; at first those used last; who is gone goes when the pass ends. */
START_TEST(busiest)
{
    static const struct truekv_seq first[] = {SEQ(1, 10, 900), SEQ(2, 10, 5), SEQ(3, 10, 70)};
    static const struct truekv_seq second[] = {SEQ(1, 30, 0), SEQ(3, 20, 1)};
    static const struct truekv_seq third[] = {SEQ(4, 1, 0)};
    board_init(&board);
    take_page(first, 3, false, 10);
    ck_assert(board.n == 3 && board.rows[0].seq == 2 && board.rows[2].seq == 1);
    ck_assert_double_nan(board.rows[0].rate);
    ck_assert_uint_eq(board_seen(&board), 3);
    take_page(second, 2, true, 12);
    ck_assert(board.n == 3 && board.rows[0].seq == 1 && board.rows[1].seq == 3);
    ck_assert_double_eq(board.rows[0].rate, 10);
    ck_assert_double_eq(board.rows[1].rate, 5);
    ck_assert_uint_eq(board_seen(&board), 2);
    take_page(third, 1, false, 13);
    ck_assert(board.n == 3 && board.rows[2].seq == 4); /* 2 was not seen any more */
    ck_assert_uint_eq(board_seen(&board), 3);
    board_clear(&board);
    ck_assert(board.n == 0 && board_seen(&board) == 0);
    board_close(&board);
}
END_TEST

/* Goal: a number that another sequence has now (fewer appends than before) has no rate. */
START_TEST(number_taken_again)
{
    static const struct truekv_seq first[] = {SEQ(1, 100, 0)}, second[] = {SEQ(1, 3, 0)};
    board_init(&board);
    take_page(first, 1, false, 1);
    take_page(second, 1, false, 2);
    ck_assert(board.n == 1 && board.rows[0].appends == 3);
    ck_assert_double_nan(board.rows[0].rate);
    board_close(&board);
}
END_TEST

/* Goal: of more sequences than the board has rows, over many pages, it keeps the busiest; labels
 * are cut between characters. */
START_TEST(many_sequences)
{
    enum { N = 4 * BOARD_MAX, PAGE = 50 };
    char label[2 * BOARD_LABEL_BYTES + 1] = "";
    struct truekv_seq page[PAGE];
    for (size_t i = 0; i < BOARD_LABEL_BYTES; i++)
        memcpy(label + 2 * i, "\xc3\xbc", 3);
    board_init(&board);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < N; i++) {
            page[i % PAGE] = (struct truekv_seq){
                .seq = i, .appends = round * (i * 7919 % N), .idle_ms = i % 5, .label = label};
            if (i % PAGE + 1 == PAGE || i + 1 == N) take_page(page, i % PAGE + 1, i + 1 < N, round);
        }
    }
    ck_assert_uint_eq(board.n, BOARD_MAX);
    for (size_t i = 0; i < BOARD_MAX; i++) {
        ck_assert_double_eq(board.rows[i].rate, (double)(N - 1 - i));
        ck_assert_uint_eq(board.rows[i].seq * 7919 % N, N - 1 - i);
    }
    ck_assert_uint_eq(strlen(board.rows[0].label), BOARD_LABEL_BYTES - 2);
    board_close(&board);
}
END_TEST

/* ---- Frames -------------------------------------------------------------------------------- */

static struct sample before, now;

static struct frame frame_of(unsigned rows, unsigned columns)
{
    static const struct truekv_seq seqs[] = {SEQ(7, 10, 20), SEQ(12, 90, 0), SEQ(9, 1, 125000)};
    static const struct truekv_seq later[] = {SEQ(7, 12, 2), SEQ(12, 24090, 0), SEQ(9, 1, 127000)};
    board_close(&board);
    board_init(&board);
    take_page(seqs, 3, false, 100);
    take_page(later, 3, false, 102);
    before = taken(FIRST);
    now = taken(SECOND);
    return (struct frame){.before = &before,
                          .now = &now,
                          .board = &board,
                          .version = "0.1.0",
                          .backend = "cuda",
                          .address = "/run/truekv/truekv.sock",
                          .clock = "12:34:56",
                          .keys = true,
                          .rows = rows,
                          .columns = columns};
}

#define LINES_80                                                                     \
    "appends    12 000/s  24 000 tokens/s  1.5 GiB/s\n"                              \
    "latency    p50 120 us  p99 1.25 ms  max 118 ms  (last 10 s; max since start)\n" \
    "batches    500/s  of 12 items  p50 8  p99 64  largest 64  failed 0\n"           \
    "queue      gathering 2  waiting 1  batches in flight 1\n"                       \
    "memory     [##########--........]  live 512.0 MiB  free 409.6 MiB\n"            \
    "journal    64.0 MiB  1024 batches  full  10 batches/s leave\n"                  \
    "checks     divergent 1  damaged 0  verifications 2  scrubs 7\n"                 \
    "sequences  3 live  +0/s  -0/s  creating 0  freeing 1\n"                         \
    "clients    12 connected  +0/s  refused 0/s\n"                                   \
    "requests   0/s  errors 2/s  not_found 1/s\n"                                    \
    "network    in 0 B/s  out 0 B/s  reads 0/s  of 0 B/s\n"

/* Goal: two answers and a page, as the exact frame of a usual terminal. */
START_TEST(frame_80)
{
    struct frame f = frame_of(24, 80);
    begin_text(false);
    frame_put(&out, &f);
    expect_text("truekvd 0.1.0  cuda  healthy  up 102 s  12:34:56  q quits\n" LINES_80
                "busiest sequences\n"
                "     SEQ  APPENDS/s    TOKENS  CAPACITY     MEMORY     IDLE  LABEL\n"
                "      12     12 000         7        64    2.0 MiB      0 s  chat\n"
                "       7          1         7        64    2.0 MiB     2 ms  chat\n"
                "       9          0         7        64    2.0 MiB    2 min  chat\n");
}
END_TEST

/* Goal: what goes wrong is said above all; old rates are not shown as if they were new. */
START_TEST(frame_of_trouble)
{
    struct frame f = frame_of(6, 80);
    f.unhealthy = "shadow mode found a divergence";
    f.message = "Connected again 2 s ago, after 3 s.";
    begin_text(false);
    frame_put(&out, &f);
    expect_text("truekvd 0.1.0  cuda  NOT HEALTHY  up 102 s  12:34:56  q quits\n"
                "Connected again 2 s ago, after 3 s.\n"
                "NOT HEALTHY: shadow mode found a divergence\n"
                "appends    12 000/s  24 000 tokens/s  1.5 GiB/s\n"
                "latency    p50 120 us  p99 1.25 ms  max 118 ms  (last 10 s; max since start)\n"
                "memory     [##########--........]  live 512.0 MiB  free 409.6 MiB\n");
    f.lost = true;
    f.before = NULL;
    f.rows = 3;
    f.message = "Lost for 1 s: truekvd closed\033[31m the connection; trying again.";
    f.columns = 40;
    begin_text(false);
    frame_put(&out, &f);
    expect_text("truekvd 0.1.0  cuda  NOT CONNECTED\n"
                "Lost for 1 s: truekvd closed?[31m the co\n"
                "appends    -\n");
}
END_TEST

/* Goal: a small terminal keeps what matters most, in whole numbers. */
START_TEST(frame_40x10)
{
    struct frame f = frame_of(10, 40);
    begin_text(false);
    frame_put(&out, &f);
    expect_text("truekvd 0.1.0  cuda  healthy  up 102 s\n"
                "appends    12 000/s  24 000 tokens/s\n"
                "latency    p50 120 us  p99 1.25 ms\n"
                "batches    500/s  of 12 items  p50 8\n"
                "queue      gathering 2  waiting 1\n"
                "memory     live 512.0 MiB\n"
                "journal    64.0 MiB  1024 batches  full\n"
                "checks     divergent 1  damaged 0\n"
                "sequences  3 live  +0/s  -0/s\n"
                "clients    12 connected  +0/s\n");
}
END_TEST

/* Columns of text between escape sequences. */
static unsigned visible_columns(const char *line, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\033')
            i += strcspn(line + i, "m");
        else
            n += ((unsigned char)line[i] & 0xc0) != 0x80;
    }
    return n;
}

static void check_fits(const struct frame *f, bool color)
{
    size_t lines = 0;
    begin_text(color);
    frame_put(&out, f);
    ck_assert_int_eq(fclose(out.to), 0);
    ck_assert(text_len == 0 || text[text_len - 1] == '\n');
    for (const char *p = text; *p != '\0'; lines++) {
        size_t n = strcspn(p, "\n");
        ck_assert_msg(visible_columns(p, n) <= f->columns || f->columns < 12, "%ux%u: %.*s",
                      f->columns, f->rows, (int)n, p);
        p += n + 1;
    }
    ck_assert_msg(lines <= f->rows, "%ux%u: %zu lines", f->columns, f->rows, lines);
}

/* Goal: no size makes more lines or longer ones than it has, with colours or without. */
START_TEST(frames_fit)
{
    for (unsigned rows = 0; rows <= 40; rows++) {
        for (unsigned columns = 1; columns <= 210; columns += columns < 20 ? 1 : 7) {
            struct frame f = frame_of(rows, columns);
            board.rows[1].seq = UINT64_MAX;
            f.unhealthy = columns % 2 == 0 ? "something" : NULL;
            f.message = columns % 3 == 0 ? "a message that is longer than many a line is" : NULL;
            f.message_style = BAD;
            check_fits(&f, columns % 5 == 0);
            f.before = NULL;
            check_fits(&f, true);
            f.now = NULL;
            check_fits(&f, true);
        }
    }
}
END_TEST

/* Goal: a daemon that says nothing of what is shown makes dashes, not nonsense; and where there are
 * more sequences than have been seen, that is said. */
START_TEST(frames_of_little)
{
    struct frame f = frame_of(16, 80);
    now = taken("{}");
    begin_text(false);
    frame_put(&out, &f);
    ck_assert_int_eq(fclose(out.to), 0);
    ck_assert_ptr_nonnull(strstr(text, "appends    -\nlatency    -\nbatches    -\nqueue      -\n"
                                       "memory     -\njournal    -\nchecks     -\n"));
    ck_assert_ptr_null(strstr(text, "nan"));
    f = frame_of(16, 80);
    now.of[SAMPLE_SEQUENCES] = 100000;
    begin_text(false);
    frame_put(&out, &f);
    ck_assert_int_eq(fclose(out.to), 0);
    ck_assert_ptr_nonnull(strstr(text, "busiest sequences  looking through 100 000  3 seen\n"));
}
END_TEST

/* Goal: ticks keep their beat, and those that were missed are not made up for. */
START_TEST(ticks)
{
    ck_assert_uint_eq(watch_next(100, 10, 100), 110);
    ck_assert_uint_eq(watch_next(100, 10, 104), 110);
    ck_assert_uint_eq(watch_next(100, 10, 95), 110);
    ck_assert_uint_eq(watch_next(100, 10, 119), 120);
    ck_assert_uint_eq(watch_next(100, 10, 137), 140);
}
END_TEST

/* Goal: what a daemon, or who gave a label, has written does not move the cursor, nor the text
 * around it. */
START_TEST(texts_are_cleaned)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"a\033[2Jb\x7f\n", "a?[2Jb??"},
        {"\xc2\x9b"
         "1m \xc3\xa9",
         "?1m \xc3\xa9"},
        {"a\xe2\x80\xae"
         "b\xe2\x81\xa6"
         "c\xe2\x80\x8f",
         "a?b?c?"},
        {"\xe2\x80\x94 \xe2\x82\xac \xe2\x80", "\xe2\x80\x94 \xe2\x82\xac \xe2\x80"},
    };
    char line[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(line, sizeof line, "%s", cases[i][0]);
        ck_assert_str_eq(out_clean(line), cases[i][1]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("watch");
    TCase *tc = tcase_create("watch");
    tcase_add_test(tc, rates);
    tcase_add_test(tc, latencies);
    tcase_add_test(tc, rows_as_text);
    tcase_add_test(tc, rows_as_json);
    tcase_add_test(tc, whole_numbers);
    tcase_add_test(tc, busiest);
    tcase_add_test(tc, number_taken_again);
    tcase_add_test(tc, many_sequences);
    tcase_add_test(tc, frame_80);
    tcase_add_test(tc, frame_of_trouble);
    tcase_add_test(tc, frame_40x10);
    tcase_add_test(tc, frames_fit);
    tcase_add_test(tc, frames_of_little);
    tcase_add_test(tc, ticks);
    tcase_add_test(tc, texts_are_cleaned);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
