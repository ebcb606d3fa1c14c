/* frame.h - bytes of a stream into lines and payloads, without doing any I/O.
 *
 * A message is one line of JSON that ends with \n (a \r before it is dropped, empty lines are
 * skipped) and, where its reader says so, N raw bytes straight after. The caller asks where to put
 * the next bytes (so that a payload is read straight into its final place), reports how many came,
 * and takes events until there is none.
 *
 *   for (;;) {
 *       tkv_frame_space(&f, &to, &room);  n = read(fd, to, room);  tkv_frame_filled(&f, n);
 *       while ((event = tkv_frame_next(&f, &line, &len)) != TKV_FRAME_MORE) ...
 *   }
 * One thread at a time. */
#ifndef TKV_PROTO_FRAME_H
#define TKV_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

enum tkv_frame_event {
    TKV_FRAME_MORE,     /* nothing whole yet: read on */
    TKV_FRAME_LINE,     /* *line, *len: a line without its end; valid until the next call */
    TKV_FRAME_PAYLOAD,  /* the payload asked for has arrived (or was thrown away) */
    TKV_FRAME_TOO_LONG, /* a line over the limit: the stream is lost */
    TKV_FRAME_FAILED    /* out of memory: the stream is lost */
};

struct tkv_frame {
    struct tkv_buffer in; /* bytes read and not yet taken */
    size_t taken;         /* bytes of `in` already handed out */
    size_t scanned;       /* bytes of `in` known to hold no newline */
    size_t room;          /* what the next read is offered */
    uint32_t lines;       /* of the last read */
    size_t line_max;
    uint8_t *payload;      /* where the payload goes; NULL: thrown away */
    uint64_t payload_left; /* bytes of it still to come */
    bool in_payload, lost;
};

/* line_max: the longest line allowed, in bytes, without its end. */
void tkv_frame_init(struct tkv_frame *f, size_t line_max);

/* Another limit for the lines from here on. */
void tkv_frame_limit(struct tkv_frame *f, size_t line_max);

void tkv_frame_close(struct tkv_frame *f);

/* Where the next bytes of the stream go: *to of *room bytes (> 0). While a payload is under way and
 * none of it is buffered, *to is the payload's own memory. TKV_ENOMEM. */
enum tkv_status tkv_frame_space(struct tkv_frame *f, void **to, size_t *room);

/* n bytes were put where tkv_frame_space() said, n <= room. */
void tkv_frame_filled(struct tkv_frame *f, size_t n);

/* The next event. After TKV_FRAME_LINE the caller may call tkv_frame_expect() before the next. */
enum tkv_frame_event tkv_frame_next(struct tkv_frame *f, const char **line, size_t *len);

/* n > 0 raw bytes follow the line just taken: they go to `to` (borrowed until TKV_FRAME_PAYLOAD),
 * or nowhere where it is NULL. */
void tkv_frame_expect(struct tkv_frame *f, void *to, uint64_t n);

/* Bytes of the payload under way that are still to come; 0: none is under way. */
static inline uint64_t tkv_frame_payload_left(const struct tkv_frame *f)
{
    return f->in_payload ? f->payload_left : 0;
}

/* Whether nothing of a message is there, and nothing of one is owed. */
static inline bool tkv_frame_is_whole(const struct tkv_frame *f)
{
    return !f->in_payload && f->taken == f->in.len;
}

/* The rest of the payload under way is thrown away: its memory is the caller's again. */
void tkv_frame_discard(struct tkv_frame *f);

/* Nobody talks for now: memory that holds nothing is given back, unless reads have been coming full
 * of messages. tkv_frame_trim(): nobody has talked for long; even then. */
void tkv_frame_rest(struct tkv_frame *f);
void tkv_frame_trim(struct tkv_frame *f);

#endif
