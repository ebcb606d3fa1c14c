#include "tests/histories/agree.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/histories/blame.h"
#include "tests/histories/search.h"

/* The history of one sequence, but for what its lists showed. */
struct history {
    struct h_op *ops;
    size_t n;
};

struct check {
    struct history *all; /* [n], by seq */
    size_t n;
    struct h_verdict *verdict;
};

/* An operation of a request that names several sequences. */
struct part {
    uint64_t request;
    size_t history;       /* index */
    size_t place;         /* in the order that was found for it; SIZE_MAX: not in it */
    uint64_t from, until; /* when it may have been, in that order */
    bool maybe;
};

struct parts {
    struct part *all;
    size_t n, room;
};

static bool search(struct check *c, const struct h_op *ops, size_t n, struct h_found *found)
{
    h_search(ops, n, NULL, found);
    c->verdict->searches++;
    c->verdict->states += found->states;
    c->verdict->undecided += found->given_up;
    return found->linearizable || found->given_up;
}

static void blame(struct check *c, const struct h_op *ops, size_t n)
{
    struct h_op *wrong = calloc(n + 1, sizeof *wrong);
    assert(wrong != NULL);
    memcpy(wrong, ops, n * sizeof *ops);
    c->verdict->wrong = wrong;
    c->verdict->n_wrong = h_reduce(wrong, n);
}

/* --- each by itself -----------------------------------------------------------------------------
 */

/* What a list is compared with: whatever changes the sequence. */
static bool check_lists(struct check *c, const struct h_op *ops, size_t n)
{
    struct h_op *seen = calloc(n + 1, sizeof *seen);
    struct h_found found;
    bool any = false, right;
    size_t m = 0;
    assert(seen != NULL);
    for (size_t i = 0; i < n; i++) {
        any |= ops[i].kind == H_LISTED;
        if (ops[i].kind != H_LISTED && !h_may_change(&ops[i])) continue;
        seen[m] = ops[i];
        if (ops[i].settled != 0) seen[m].ret = ops[i].settled;
        m++;
    }
    right = !any;
    if (any) {
        right = search(c, seen, m, &found);
        free(found.order);
    }
    if (!right) blame(c, seen, m);
    free(seen);
    return right;
}

/* The others, gathered at the beginning of ops; returns how many there are. */
static size_t without_lists(struct h_op *ops, size_t n)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind != H_LISTED) ops[m++] = ops[i];
    }
    return m;
}

/* When each may have been in the order that was found: not before what came before it was asked
 * for, not after what came after it was answered. */
static void date(const struct history *h, const struct h_found *found, struct part *dated)
{
    uint64_t from = 0, until = H_NEVER;
    for (size_t i = 0; i < h->n; i++)
        dated[i] = (struct part){.place = SIZE_MAX};
    for (size_t i = 0; i < found->n_order; i++) {
        const struct h_op *op = &h->ops[found->order[i]];
        from = op->invoke > from ? op->invoke : from;
        dated[found->order[i]].place = i;
        dated[found->order[i]].from = from;
    }
    for (size_t i = found->n_order; i-- > 0;) {
        const struct h_op *op = &h->ops[found->order[i]];
        until = op->ret < until ? op->ret : until;
        dated[found->order[i]].until = until;
    }
}

static void note_parts(struct parts *parts, const struct history *h, size_t index,
                       const struct h_found *found)
{
    struct part *dated = calloc(h->n + 1, sizeof *dated);
    assert(dated != NULL);
    date(h, found, dated);
    for (size_t i = 0; i < h->n; i++) {
        const struct h_op *op = &h->ops[i];
        if (op->kind != H_APPEND && op->kind != H_FREE) continue; /* others name one sequence */
        if (!h_may_change(op)) continue;
        if (parts->n == parts->room) {
            parts->room = 2 * parts->room + 256;
            parts->all = realloc(parts->all, parts->room * sizeof *parts->all);
            assert(parts->all != NULL);
        }
        dated[i].request = op->request;
        dated[i].history = index;
        dated[i].maybe = op->maybe;
        parts->all[parts->n++] = dated[i];
    }
    free(dated);
}

static bool check_each(struct check *c, struct parts *parts)
{
    for (size_t i = 0; i < c->n; i++) {
        struct history *h = &c->all[i];
        struct h_found found;
        if (!check_lists(c, h->ops, h->n)) return false;
        h->n = without_lists(h->ops, h->n);
        bool right = search(c, h->ops, h->n, &found);
        if (right) note_parts(parts, h, i, &found);
        free(found.order);
        if (right) continue;
        blame(c, h->ops, h->n);
        return false;
    }
    return true;
}

/* --- whole requests -----------------------------------------------------------------------------
 */

static int by_request(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->request != y->request) return x->request < y->request ? -1 : 1;
    return (x->history > y->history) - (x->history < y->history);
}

static bool fits(struct check *c, size_t history, const struct h_limits *limits)
{
    const struct history *h = &c->all[history];
    c->verdict->searches++;
    return h_linearizable(h->ops, h->n, limits, &c->verdict->states);
}

/* The earliest instant by which it may have happened there (late: the latest from which on), to a
 * microsecond; it may have. */
static uint64_t bound(struct check *c, const struct part *part, const struct h_op *op, bool late)
{
    uint64_t low = op->invoke, high = op->ret;
    while (high - low > 1000) {
        uint64_t middle = low + (high - low) / 2;
        struct h_limits limits = {.in = part->request};
        *(late ? &limits.from : &limits.until) = middle;
        if (fits(c, part->history, &limits) == late)
            low = middle;
        else
            high = middle;
    }
    return late ? high : low;
}

static const struct h_op *op_of(const struct check *c, const struct part *part)
{
    const struct history *h = &c->all[part->history];
    for (size_t i = 0; i < h->n; i++) {
        if (h->ops[i].request == part->request) return &h->ops[i];
    }
    return NULL;
}

static bool happened_at_once(struct check *c, const struct part *parts, size_t n)
{
    uint64_t earliest = 0, latest = H_NEVER;
    struct h_limits in = {.in = parts[0].request};
    for (size_t i = 0; i < n; i++) {
        if (!fits(c, parts[i].history, &in)) return false;
    }
    for (size_t i = 0; i < n; i++) {
        const struct h_op *op = op_of(c, &parts[i]);
        uint64_t from = bound(c, &parts[i], op, false), until = bound(c, &parts[i], op, true);
        earliest = from > earliest ? from : earliest;
        latest = until < latest ? until : latest;
    }
    return earliest <= latest;
}

static bool happened_nowhere(struct check *c, const struct part *parts, size_t n)
{
    struct h_limits out = {.out = parts[0].request};
    for (size_t i = 0; i < n; i++) {
        if (!fits(c, parts[i].history, &out)) return false;
    }
    return true;
}

/* Whether the orders found agree on an instant. */
static bool orders_agree(const struct part *parts, size_t n)
{
    uint64_t from = 0, until = H_NEVER;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].place == SIZE_MAX) return false;
        from = parts[i].from > from ? parts[i].from : from;
        until = parts[i].until < until ? parts[i].until : until;
    }
    return from <= until;
}

/* Whether it may have been done everywhere at one instant, or nowhere. */
static bool is_whole(struct check *c, const struct part *parts, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        done += parts[i].place != SIZE_MAX;
    if (done == 0 || orders_agree(parts, n)) return true;
    if (parts[0].maybe && happened_nowhere(c, parts, n)) return true;
    if (happened_at_once(c, parts, n)) return true;
    snprintf(c->verdict->text, sizeof c->verdict->text,
             "request r%" PRIx64 " of %zu sequences, from %" PRIu64
             " on, was not done in all of them at once",
             parts[0].request, n,
             c->all[parts[0].history].ops[0].seq); // NOLINT: a history of a part has operations
    return false;
}

/* Whether a before b (or, turned, b before a) fits all sequences that both name. */
static bool order_fits(struct check *c, const struct part *a, size_t n_a, const struct part *b,
                       size_t n_b, bool turned)
{
    struct h_limits limits = {.first = a->request, .second = b->request};
    if (turned) limits = (struct h_limits){.first = b->request, .second = a->request};
    for (size_t i = 0, j = 0; i < n_a && j < n_b;) {
        if (a[i].history == b[j].history && !fits(c, a[i].history, &limits)) return false;
        if (a[i].history <= b[j].history)
            i++;
        else
            j++;
    }
    return true;
}

static bool is_ordered(struct check *c, const struct part *a, size_t n_a, const struct part *b,
                       size_t n_b)
{
    size_t before = 0, after = 0;
    for (size_t i = 0, j = 0; i < n_a && j < n_b;) {
        if (a[i].history == b[j].history && a[i].place != SIZE_MAX && b[j].place != SIZE_MAX)
            *(a[i].place < b[j].place ? &before : &after) += 1;
        if (a[i].history <= b[j].history)
            i++;
        else
            j++;
    }
    if (a->maybe || b->maybe || before == 0 || after == 0) return true;
    if (order_fits(c, a, n_a, b, n_b, false) || order_fits(c, a, n_a, b, n_b, true)) return true;
    snprintf(c->verdict->text, sizeof c->verdict->text,
             "requests r%" PRIx64 " and r%" PRIx64 " came in one order in some of the sequences "
             "that both name, and in the other in others",
             a->request, b->request);
    return false;
}

static size_t same_request(const struct parts *parts, size_t at)
{
    size_t end = at;
    while (end < parts->n && parts->all[end].request == parts->all[at].request)
        end++;
    return end - at;
}

/* A request of several sequences, and all of those behind it. */
static bool check_pairs(struct check *c, const struct parts *parts, size_t at, size_t n)
{
    for (size_t other = at + n, m; other < parts->n; other += m) {
        m = same_request(parts, other);
        if (m > 1 && !is_ordered(c, &parts->all[at], n, &parts->all[other], m)) return false;
    }
    return true;
}

static bool check_together(struct check *c, struct parts *parts)
{
    if (parts->all == NULL) return true; /* there are none */
    qsort(parts->all, parts->n, sizeof *parts->all, by_request);
    for (size_t at = 0, n; at < parts->n; at += n) {
        n = same_request(parts, at);
        if (n == 1) continue;
        if (!is_whole(c, &parts->all[at], n) || !check_pairs(c, parts, at, n)) return false;
    }
    return true;
}

/* --- all ----------------------------------------------------------------------------------------
 */

static void split(struct check *c, struct h_op *ops, size_t n)
{
    c->all = calloc(n + 1, sizeof *c->all);
    assert(c->all != NULL);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || ops[i].seq != ops[i - 1].seq) c->all[c->n++] = (struct history){&ops[i], 0};
        c->all[c->n - 1].n++;
        c->verdict->unknown += ops[i].outcome == H_OUT_UNKNOWN && ops[i].kind != H_EXPIRED;
    }
    c->verdict->sequences = c->n;
}

bool h_check_all(struct h_op *ops, size_t n, struct h_verdict *verdict)
{
    struct check c = {.verdict = verdict};
    struct parts parts = {0};
    *verdict = (struct h_verdict){0};
    split(&c, ops, n);
    bool right = check_each(&c, &parts) && check_together(&c, &parts);
    free(parts.all);
    free(c.all);
    return right;
}
