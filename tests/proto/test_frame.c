#include <string.h>

#include "proto/frame.h"
#include "tests/support/check_main.h"

enum { LINE_MAX_BYTES = 100, IDLE_CAP = 65536 };

/* What a reader saw: lines as they are, payloads in brackets, one after the other with '|'. */
struct seen {
    char text[1024];
    size_t len;
    int lost;
};

static void see(struct seen *seen, const char *open, const char *bytes, size_t n, const char *close)
{
    ck_assert_uint_lt(seen->len + n + 8, sizeof seen->text);
    memcpy(seen->text + seen->len, open, strlen(open));
    seen->len += strlen(open);
    memcpy(seen->text + seen->len, bytes, n);
    seen->len += n;
    memcpy(seen->text + seen->len, close, strlen(close));
    seen->len += strlen(close);
    seen->text[seen->len] = '\0';
}

/* A reader by the book. A line "pN" announces N bytes, "dN" N bytes that nobody wants. */
struct player {
    struct tkv_frame frame;
    struct seen seen;
    char payload[256];
    size_t payload_len;
};

static void take_line(struct player *p, const char *line, size_t len)
{
    see(&p->seen, "", line, len, "|");
    if (len < 2 || (line[0] != 'p' && line[0] != 'd')) return;
    p->payload_len = 0;
    for (size_t i = 1; i < len; i++)
        p->payload_len = p->payload_len * 10 + (size_t)(line[i] - '0');
    ck_assert_uint_le(p->payload_len, sizeof p->payload);
    memset(p->payload, '#', sizeof p->payload);
    tkv_frame_expect(&p->frame, line[0] == 'p' ? p->payload : NULL, p->payload_len);
}

static void take_events(struct player *p)
{
    const char *line;
    size_t len;
    enum tkv_frame_event event;
    while ((event = tkv_frame_next(&p->frame, &line, &len)) != TKV_FRAME_MORE) {
        if (event == TKV_FRAME_LINE)
            take_line(p, line, len);
        else if (event == TKV_FRAME_PAYLOAD)
            see(&p->seen, "[", p->payload, p->payload_len, "]|");
        else
            p->seen.lost++;
    }
}

/* n bytes of the stream, in pieces of at most `step` bytes. */
static void feed(struct player *p, const char *bytes, size_t n, size_t step)
{
    while (n > 0) {
        void *to;
        size_t room, piece = n < step ? n : step;
        ck_assert_int_eq(tkv_frame_space(&p->frame, &to, &room), TKV_OK);
        ck_assert_uint_gt(room, 0);
        if (piece > room) piece = room;
        memcpy(to, bytes, piece);
        tkv_frame_filled(&p->frame, piece);
        take_events(p);
        bytes += piece;
        n -= piece;
    }
}

static void start(struct player *p)
{
    memset(p, 0, sizeof *p);
    tkv_frame_init(&p->frame, LINE_MAX_BYTES);
}

static const char stream[] =
    "one\n\r\n\n  two \r\np5\nab\ncdp3\r\n\r\n\nd4\nwxyzthree\n\np1\n!four\n";
static const char expected[] = "one|  two |p5|[ab\ncd]|p3|[\r\n\n]|d4|[####]|three|p1|[!]|four|";

/* Goal: what is seen does not depend on how the stream is cut.
 * Method: every place of one cut, every pair of cuts, and pieces of every size. */
START_TEST(every_cut)
{
    struct player p;
    const size_t n = sizeof stream - 1;
    for (size_t a = 0; a <= n; a++) {
        for (size_t b = a; b <= n; b++) {
            start(&p);
            feed(&p, stream, a, n);
            feed(&p, stream + a, b - a, n);
            feed(&p, stream + b, n - b, n);
            ck_assert_str_eq(p.seen.text, expected);
            tkv_frame_close(&p.frame);
        }
    }
    for (size_t step = 1; step <= n; step++) {
        start(&p);
        feed(&p, stream, n, step);
        ck_assert_str_eq(p.seen.text, expected);
        tkv_frame_close(&p.frame);
    }
}
END_TEST

/* Goal: a prefix of the stream shows a prefix of the events, and nothing is lost. */
START_TEST(every_prefix)
{
    for (size_t n = 0; n < sizeof stream; n++) {
        struct player p;
        start(&p);
        feed(&p, stream, n, 7);
        ck_assert_int_eq(strncmp(p.seen.text, expected, p.seen.len), 0);
        ck_assert_int_eq(p.seen.lost, 0);
        tkv_frame_close(&p.frame);
    }
}
END_TEST

/* Goal: once its line has been taken, a payload is read straight into its place, and its room ends
 * where the payload ends. */
START_TEST(payload_goes_straight_to_its_place)
{
    struct player p;
    void *to;
    size_t room;
    start(&p);
    feed(&p, "p10\nab", 6, 6); /* two bytes of it come with the line */
    ck_assert_int_eq(tkv_frame_space(&p.frame, &to, &room), TKV_OK);
    ck_assert_ptr_eq(to, p.payload + 2);
    ck_assert_uint_eq(room, 8);
    memcpy(to, "cdef", 4);
    tkv_frame_filled(&p.frame, 4);
    take_events(&p);
    ck_assert_int_eq(tkv_frame_space(&p.frame, &to, &room), TKV_OK);
    ck_assert_ptr_eq(to, p.payload + 6);
    ck_assert_uint_eq(room, 4);
    tkv_frame_filled(&p.frame, 0); /* nothing came */
    take_events(&p);
    feed(&p, "ghijnext\n", 9, 9);
    ck_assert_str_eq(p.seen.text, "p10|[abcdefghij]|next|");
    tkv_frame_close(&p.frame);
}
END_TEST

/* Goal: a payload given up in its middle is still taken from the stream, and its memory is left
 * alone. Method: discard after 3 of 9 bytes. */
START_TEST(discard_in_the_middle)
{
    struct player p;
    start(&p);
    feed(&p, "p9\nabc", 6, 6);
    tkv_frame_discard(&p.frame);
    feed(&p, "defghi", 6, 2);
    feed(&p, "next\n", 5, 5);
    ck_assert_str_eq(p.seen.text, "p9|[abc######]|next|");
    tkv_frame_close(&p.frame);
}
END_TEST

/* Goal: discarding works for more bytes than memory could hold. */
START_TEST(discard_of_a_huge_payload)
{
    struct player p;
    start(&p);
    feed(&p, "go\n", 3, 3);
    tkv_frame_expect(&p.frame, NULL, (UINT64_C(1) << 53) - 1);
    for (int i = 0; i < 100; i++)
        feed(&p, stream, sizeof stream - 1, 10);
    ck_assert_str_eq(p.seen.text, "go|");
    ck_assert_uint_le(p.frame.in.cap, IDLE_CAP);
    tkv_frame_close(&p.frame);
}
END_TEST

/* A line of n times 'x', with the end given, in pieces of step. */
static int lost_after(size_t n, const char *end, size_t step)
{
    struct player p;
    char line[256];
    memset(line, 'x', n);
    memcpy(line + n, end, strlen(end) + 1);
    start(&p);
    feed(&p, "first\n", 6, step);
    feed(&p, line, strlen(line), step);
    feed(&p, "after\n", 6, step);
    int lost = p.seen.lost;
    if (lost > 0)
        ck_assert_str_eq(p.seen.text, "first|");
    else
        ck_assert_uint_eq(p.seen.len, 6 + n + 1 + 6);
    tkv_frame_close(&p.frame);
    return lost;
}

/* Goal: a line of just the limit passes, with \r too; one more byte is TOO_LONG, said once, and
 * nothing that follows is seen. Method: also in pieces, so that the newline is not yet there. */
START_TEST(lines_at_the_limit)
{
    static const size_t steps[] = {1, 2, 99, 100, 101, 102, 1000};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        ck_assert_int_eq(lost_after(LINE_MAX_BYTES - 1, "\n", steps[i]), 0);
        ck_assert_int_eq(lost_after(LINE_MAX_BYTES, "\n", steps[i]), 0);
        ck_assert_int_eq(lost_after(LINE_MAX_BYTES, "\r\n", steps[i]), 0);
        ck_assert_int_eq(lost_after(LINE_MAX_BYTES + 1, "\n", steps[i]), 1);
        ck_assert_int_eq(lost_after(LINE_MAX_BYTES + 1, "\r\n", steps[i]), 1);
        ck_assert_int_eq(lost_after(LINE_MAX_BYTES, "\rx\n", steps[i]), 1);
        ck_assert_int_eq(lost_after(200, "", steps[i]), 1);
    }
}
END_TEST

/* Goal: a long line does not keep its memory for ever, and a stream of lines needs little. */
START_TEST(memory_is_given_back)
{
    struct tkv_frame f;
    void *to;
    const char *line;
    size_t room, len, sent = 0;
    tkv_frame_init(&f, 1 << 20);
    while (sent < (1 << 20)) {
        ck_assert_int_eq(tkv_frame_space(&f, &to, &room), TKV_OK);
        if (room > (1 << 20) - sent) room = (1 << 20) - sent;
        memset(to, 'y', room);
        tkv_frame_filled(&f, room);
        sent += room;
        ck_assert_int_eq(tkv_frame_next(&f, &line, &len), TKV_FRAME_MORE);
    }
    ck_assert_int_eq(tkv_frame_space(&f, &to, &room), TKV_OK);
    memcpy(to, "\n", 1);
    tkv_frame_filled(&f, 1);
    ck_assert_int_eq(tkv_frame_next(&f, &line, &len), TKV_FRAME_LINE);
    ck_assert_uint_eq(len, 1 << 20);
    ck_assert_int_eq(tkv_frame_next(&f, &line, &len), TKV_FRAME_MORE);
    ck_assert_int_eq(tkv_frame_space(&f, &to, &room), TKV_OK);
    ck_assert_uint_le(f.in.cap, IDLE_CAP);
    tkv_frame_close(&f);
}
END_TEST

/* Goal: a client whose reads come full of messages keeps its buffer between them, until it has been
 * silent for long. */
START_TEST(memory_is_given_back_in_silence)
{
    struct tkv_frame f;
    void *to;
    const char *line;
    size_t room, len;
    tkv_frame_init(&f, 1 << 20);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(tkv_frame_space(&f, &to, &room), TKV_OK);
        for (size_t n = 0; n < room; n++)
            ((char *)to)[n] = n % 16 == 15 || n == room - 1 ? '\n' : 'y';
        tkv_frame_filled(&f, room);
        while (tkv_frame_next(&f, &line, &len) == TKV_FRAME_LINE)
            continue;
    }
    tkv_frame_rest(&f);
    ck_assert_uint_gt(f.in.cap, IDLE_CAP);
    tkv_frame_trim(&f);
    ck_assert_ptr_null(f.in.data);
    tkv_frame_close(&f);
}
END_TEST

/* Goal: bytes that no line holds pass through: NUL and bytes above 127 are the gate's business. */
START_TEST(any_byte)
{
    struct player p;
    char bytes[257], *to = bytes;
    start(&p);
    for (int i = 0; i < 256; i++) {
        if (i != '\n' && i != '\r' && i % 4 == 0) *to++ = (char)i;
    }
    *to++ = '\n';
    feed(&p, bytes, (size_t)(to - bytes), 5);
    ck_assert_uint_eq(p.seen.len, (size_t)(to - bytes));
    ck_assert_int_eq(memcmp(p.seen.text, bytes, p.seen.len - 1), 0);
    tkv_frame_close(&p.frame);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frame");
    TCase *tc = tcase_create("frame");
    tcase_add_test(tc, every_cut);
    tcase_add_test(tc, every_prefix);
    tcase_add_test(tc, payload_goes_straight_to_its_place);
    tcase_add_test(tc, discard_in_the_middle);
    tcase_add_test(tc, discard_of_a_huge_payload);
    tcase_add_test(tc, lines_at_the_limit);
    tcase_add_test(tc, memory_is_given_back);
    tcase_add_test(tc, memory_is_given_back_in_silence);
    tcase_add_test(tc, any_byte);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
