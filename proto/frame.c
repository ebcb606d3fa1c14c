#include "proto/frame.h"

#include <assert.h>
#include <string.h>

enum {
    ROOM_MIN = 16 * 1024,  /* a read is offered at least this much, */
    ROOM_MAX = 128 * 1024, /* and up to this where reads come full of small messages */
    LINES_MANY = 3
};

/* A line, its \r\n, and one more read behind it. */
static size_t buffer_max(size_t line_max)
{
    return line_max < SIZE_MAX / 2 ? line_max + 2 + ROOM_MAX : SIZE_MAX / 2;
}

void tkv_frame_init(struct tkv_frame *f, size_t line_max)
{
    assert(line_max > 0);
    *f = (struct tkv_frame){.line_max = line_max};
    f->room = ROOM_MIN;
    tkv_buffer_init(&f->in, buffer_max(line_max));
}

void tkv_frame_limit(struct tkv_frame *f, size_t line_max)
{
    assert(line_max > 0);
    f->line_max = line_max;
    if (f->in.max < buffer_max(line_max)) f->in.max = buffer_max(line_max);
}

void tkv_frame_close(struct tkv_frame *f)
{
    tkv_buffer_close(&f->in);
    *f = (struct tkv_frame){.line_max = f->line_max, .room = ROOM_MIN, .in = f->in};
}

/* True while bytes of the stream go straight into the payload's own memory. */
static bool is_direct(const struct tkv_frame *f)
{
    return f->in_payload && f->payload != NULL && f->taken == f->in.len;
}

/* Moves what is not yet taken to the buffer's front. */
static void compact(struct tkv_frame *f)
{
    tkv_buffer_consume(&f->in, f->taken);
    f->scanned = f->scanned > f->taken ? f->scanned - f->taken : 0;
    f->taken = 0;
    if (f->in.len == 0 && f->in.cap / 2 > ROOM_MAX) tkv_buffer_close(&f->in);
}

enum tkv_status tkv_frame_space(struct tkv_frame *f, void **to, size_t *room)
{
    if (is_direct(f)) {
        assert(f->payload_left > 0);
        *to = f->payload;
        *room = f->payload_left < SIZE_MAX ? (size_t)f->payload_left : SIZE_MAX;
        return TKV_OK;
    }
    compact(f);
    if (tkv_buffer_reserve(&f->in, f->room) == NULL) return TKV_ENOMEM;
    *to = f->in.data + f->in.len;
    *room = f->in.cap - f->in.len;
    return TKV_OK;
}

/* Many small messages are read many at a time; a large payload should not be read into the buffer
 * first. */
static void adapt(struct tkv_frame *f, bool full)
{
    if (full && f->lines >= LINES_MANY && f->room < ROOM_MAX) f->room *= 2;
    if (f->lines < LINES_MANY && f->room > ROOM_MIN) f->room /= 2;
    f->lines = 0;
}

void tkv_frame_filled(struct tkv_frame *f, size_t n)
{
    if (f->lost) return; /* nobody can tell what these bytes are */
    if (is_direct(f)) {
        assert(n <= f->payload_left);
        f->payload += n;
        f->payload_left -= n;
        return;
    }
    assert(n <= f->in.cap - f->in.len);
    adapt(f, n == f->in.cap - f->in.len);
    f->in.len += n;
}

static enum tkv_frame_event lose(struct tkv_frame *f, enum tkv_frame_event event)
{
    f->lost = true;
    f->in_payload = false;
    f->in.len = f->taken = f->scanned = 0;
    return event;
}

static enum tkv_frame_event next_payload(struct tkv_frame *f)
{
    size_t n = f->in.len - f->taken;
    if (n > f->payload_left) n = (size_t)f->payload_left;
    if (f->payload != NULL && n > 0) {
        memcpy(f->payload, f->in.data + f->taken, n);
        f->payload += n;
    }
    f->taken += n;
    f->payload_left -= n;
    if (f->payload_left > 0) return TKV_FRAME_MORE;
    f->in_payload = false;
    f->payload = NULL;
    return TKV_FRAME_PAYLOAD;
}

/* Whether the bytes [taken, len), in which no newline is, are already more than a line may be. */
static bool is_hopeless(const struct tkv_frame *f)
{
    size_t n = f->in.len - f->taken;
    if (n <= f->line_max) return false;
    return n > f->line_max + 1 || f->in.data[f->in.len - 1] != '\r';
}

enum tkv_frame_event tkv_frame_next(struct tkv_frame *f, const char **line, size_t *len)
{
    if (f->lost) return TKV_FRAME_MORE;
    if (tkv_buffer_status(&f->in) != TKV_OK) return lose(f, TKV_FRAME_FAILED);
    if (f->in_payload) return next_payload(f);
    for (;;) {
        if (f->scanned < f->taken) f->scanned = f->taken;
        size_t left = f->in.len - f->scanned;
        const uint8_t *end = left > 0 ? memchr(f->in.data + f->scanned, '\n', left) : NULL;
        if (end == NULL) {
            f->scanned = f->in.len;
            return is_hopeless(f) ? lose(f, TKV_FRAME_TOO_LONG) : TKV_FRAME_MORE;
        }
        const uint8_t *start = f->in.data + f->taken;
        size_t n = (size_t)(end - start);
        f->taken += n + 1;
        if (n > 0 && start[n - 1] == '\r') n--;
        if (n > f->line_max) return lose(f, TKV_FRAME_TOO_LONG);
        if (n == 0) continue;
        *line = (const char *)start;
        *len = n;
        f->lines++;
        return TKV_FRAME_LINE;
    }
}

void tkv_frame_expect(struct tkv_frame *f, void *to, uint64_t n)
{
    assert(!f->in_payload && n > 0);
    if (f->lost) return;
    f->in_payload = true;
    f->payload = to;
    f->payload_left = n;
}

void tkv_frame_rest(struct tkv_frame *f)
{
    if (f->taken < f->in.len || f->room > ROOM_MIN) return;
    f->in.len = f->taken = f->scanned = 0;
    tkv_buffer_close(&f->in);
}

void tkv_frame_trim(struct tkv_frame *f)
{
    f->room = ROOM_MIN;
    tkv_frame_rest(f);
}

void tkv_frame_discard(struct tkv_frame *f)
{
    f->payload = NULL;
}
