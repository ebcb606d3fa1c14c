#include "clients/c/command/watch/board.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 1024, LOOKS_MAX = 1 << 20 };

void board_init(struct board *b)
{
    *b = (struct board){.pass = 1};
}

void board_close(struct board *b)
{
    free(b->now.looks);
    free(b->before.looks);
    *b = (struct board){0};
}

void board_clear(struct board *b)
{
    board_close(b);
    board_init(b);
}

/* ---- Passes -------------------------------------------------------------------------------- */

static int by_sequence(const void *a, const void *b)
{
    const struct board_look *x = a, *y = b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static void remember(struct board_pass *p, struct board_look look)
{
    if (p->n == LOOKS_MAX) return;
    if (p->n == p->room) {
        size_t room = p->room > 0 ? 2 * p->room : FIRST_ROOM;
        struct board_look *looks = realloc(p->looks, room * sizeof looks[0]);
        if (looks == NULL) return;
        p->looks = looks;
        p->room = room;
    }
    p->looks[p->n++] = look;
}

/* NAN: it was not there before, or is another of that number. */
static double rate_of(const struct board_pass *before, struct board_look now)
{
    const struct board_look *then =
        before->n > 0 ? bsearch(&now, before->looks, before->n, sizeof now, by_sequence) : NULL;
    if (then == NULL || now.appends < then->appends || now.at_ns <= then->at_ns) return (double)NAN;
    return (double)(now.appends - then->appends) * 1e9 / (double)(now.at_ns - then->at_ns);
}

/* ---- Rows ---------------------------------------------------------------------------------- */

/* The busier one first; where that is not known yet, the one that was used last. */
static int by_use(const void *a, const void *b)
{
    const struct board_row *x = a, *y = b;
    double rate_x = isnan(x->rate) ? 0 : x->rate, rate_y = isnan(y->rate) ? 0 : y->rate;
    if (rate_x != rate_y) return rate_x > rate_y ? -1 : 1;
    if (x->idle_ms != y->idle_ms) return x->idle_ms < y->idle_ms ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Its row, or a new one, or that of one that is less busy; NULL: it is none of the busiest. */
static struct board_row *place_of(struct board *b, const struct board_row *row)
{
    struct board_row *last = &b->rows[0];
    for (size_t i = 0; i < b->n; i++) {
        if (b->rows[i].seq == row->seq) return &b->rows[i];
        if (by_use(&b->rows[i], last) > 0) last = &b->rows[i];
    }
    if (b->n < BOARD_MAX) return &b->rows[b->n++];
    return by_use(row, last) < 0 ? last : NULL;
}

/* No more than fits, and no character in part. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t n = from != NULL ? strlen(from) : 0;
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80)
            n--;
    }
    if (n > 0) memcpy(to, from, n);
    to[n] = '\0';
}

static void see(struct board *b, const struct truekv_seq *s, uint64_t at_ns)
{
    struct board_look look = {s->seq, s->appends, at_ns};
    struct board_row row = {.seq = s->seq,
                            .len = s->len,
                            .capacity = s->capacity,
                            .bytes = s->bytes,
                            .idle_ms = s->idle_ms,
                            .appends = s->appends,
                            .pass = b->pass,
                            .rate = rate_of(&b->before, look)};
    copy_text(row.model, sizeof row.model, s->model);
    copy_text(row.label, sizeof row.label, s->label);
    struct board_row *place = place_of(b, &row);
    if (place != NULL) *place = row;
    remember(&b->now, look);
}

/* Rows that the pass has not seen are of sequences that are gone. */
static void end_pass(struct board *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->rows[i].pass == b->pass) b->rows[kept++] = b->rows[i];
    }
    b->n = kept;
    struct board_pass spare = b->before;
    b->before = b->now;
    b->now = (struct board_pass){.looks = spare.looks, .room = spare.room};
    if (b->before.n > 0)
        qsort(b->before.looks, b->before.n, sizeof(struct board_look), by_sequence);
    b->pass++;
}

void board_take(struct board *b, const struct truekv_page *page, uint64_t at_ns)
{
    for (size_t i = 0; i < page->n; i++)
        see(b, &page->seqs[i], at_ns);
    if (!page->more) end_pass(b);
    if (b->n > 0) qsort(b->rows, b->n, sizeof b->rows[0], by_use);
}

size_t board_seen(const struct board *b)
{
    return b->now.n > 0 ? b->now.n : b->before.n;
}
