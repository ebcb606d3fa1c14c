#include "tests/histories/search.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/histories/memo.h"

/* More states than any history needs that is right; a search past it has lost its way. */
static const uint64_t states_max = UINT64_C(3000000);

/* An operation done, and what was before it. */
struct frame {
    size_t op;
    uint64_t newest;  /* the latest request among those done */
    uint64_t first;   /* first_answer() */
    bool only;        /* nothing else need be tried in its place */
    unsigned guesses; /* operations without an answer, one after the other, that end here */
    struct h_state state;
};

/* Operations that are not done are in a list, in order, between HEAD and itself. */
enum { HEAD = 0 };

struct search {
    const struct h_op *ops;
    size_t n;
    const struct h_limits *limits;
    size_t *next, *prev; /* [n + 1], by index + 1 */
    bool *done;          /* [n] */
    size_t *before;      /* [n]: the one of the same connection that must be done first, + 1 */
    size_t *follower;    /* [n]: the next one of the same connection, + 1 */
    size_t *leader;      /* [n]: the one before it on its connection, + 1 */
    size_t *partner;     /* [n]: of a CREATE, its GONE; of a GONE, its CREATE; + 1 */
    size_t left;         /* that must be done */
    unsigned guesses_max;
    bool held_back;       /* a guess was not made because of guesses_max */
    XXH128_hash_t set;    /* stands for those that are done */
    struct frame *frames; /* [n] */
    size_t depth;
    struct h_memo memo;
    struct h_found *found;
};

static bool forced(const struct search *q, size_t i)
{
    return q->limits->in != 0 && q->ops[i].request == q->limits->in;
}

static bool is_guess(const struct search *q, size_t i)
{
    return q->ops[i].maybe && !forced(q, i);
}

static uint64_t ret_of(const struct search *q, size_t i)
{
    uint64_t until = forced(q, i) ? q->limits->until : 0;
    return until != 0 && until < q->ops[i].ret ? until : q->ops[i].ret;
}

static uint64_t earliest_of(const struct search *q, size_t i, const struct h_state *s)
{
    uint64_t earliest = h_earliest(s, &q->ops[i]);
    return forced(q, i) && q->limits->from > earliest ? q->limits->from : earliest;
}

/* --- the list --------------------------------------------------------------------------------- */

static void flip(struct search *q, size_t i)
{
    q->set.low64 ^= h_mix(i, 1);
    q->set.high64 ^= h_mix(i, 2);
    q->done[i] = !q->done[i];
}

static void take_out(struct search *q, size_t i)
{
    q->next[q->prev[i + 1]] = q->next[i + 1];
    q->prev[q->next[i + 1]] = q->prev[i + 1];
    q->left -= !is_guess(q, i);
    flip(q, i);
}

static void put_back(struct search *q, size_t i)
{
    q->next[q->prev[i + 1]] = i + 1;
    q->prev[q->next[i + 1]] = i + 1;
    q->left += !is_guess(q, i);
    flip(q, i);
}

/* --- what may come next ------------------------------------------------------------------------
 */

/* The first answer among what is left: nothing that was asked for later may come next. */
static uint64_t first_answer(const struct search *q)
{
    uint64_t first = H_NEVER;
    for (size_t at = q->next[HEAD]; at != HEAD && q->ops[at - 1].invoke <= first; at = q->next[at])
        if (!is_guess(q, at - 1) && ret_of(q, at - 1) < first) first = ret_of(q, at - 1);
    return first;
}

/* Whether one that comes later on the same connection, or its very end, is done. */
static bool is_overtaken(const struct search *q, size_t i)
{
    size_t gone = q->ops[i].kind == H_CREATE ? q->partner[i] : 0;
    if (gone != 0 && q->done[gone - 1]) return true;
    for (size_t at = q->follower[i]; at != 0; at = q->follower[at - 1]) {
        if (q->done[at - 1]) return true;
    }
    return false;
}

static bool must_wait(const struct search *q, size_t i)
{
    if (q->before[i] != 0 && !q->done[q->before[i] - 1]) return true;
    if (q->limits->second == 0 || q->ops[i].request != q->limits->second) return false;
    for (size_t j = 0; j < q->n; j++) {
        if (q->ops[j].request == q->limits->first && !q->done[j]) return true;
    }
    return false;
}

static bool may_come(struct search *q, size_t i, const struct frame *now)
{
    const struct h_op *op = &q->ops[i];
    if (q->limits->out != 0 && op->request == q->limits->out && op->maybe) return false;
    if (is_guess(q, i) && now->newest > ret_of(q, i)) return false; /* most of them, quickly */
    if (must_wait(q, i)) return false;
    uint64_t earliest = earliest_of(q, i, &now->state);
    if (earliest > ret_of(q, i) || earliest > now->first) return false;
    if (!op->maybe) return true;
    if (now->newest > ret_of(q, i) || is_overtaken(q, i)) return false;
    if (!is_guess(q, i) || now->guesses < q->guesses_max) return true;
    q->held_back = true;
    return false;
}

/* --- depth first -------------------------------------------------------------------------------
 */

/* A state that has been reached with the same operations done need not be tried again. */
static bool is_new(struct search *q, size_t i, const struct frame *after)
{
    XXH128_hash_t key = h_fingerprint(&after->state);
    key.low64 ^= q->set.low64 ^ h_mix(i, 1);
    key.high64 ^= q->set.high64 ^ h_mix(i, 2);
    key.high64 += after->guesses; /* how many more may follow */
    return h_memo_add(&q->memo, key);
}

/* Does operation i where it may come next; *now becomes what is then. */
static bool enter(struct search *q, size_t i, struct frame *now)
{
    struct frame after = *now;
    if (!may_come(q, i, now) || !h_step(&after.state, &q->ops[i])) return false;
    if (q->ops[i].invoke > after.newest) after.newest = q->ops[i].invoke;
    after.guesses = is_guess(q, i) ? now->guesses + 1 : 0;
    after.only = false;
    if (!is_new(q, i, &after)) return false;
    q->found->states++;
    now->op = i;
    q->frames[q->depth++] = *now;
    take_out(q, i);
    *now = after;
    now->first = first_answer(q);
    return true;
}

/* Whether it leaves all as it is; a lease that it renews is not. */
static bool is_same(const struct h_state *a, const struct h_state *b)
{
    return a->exists == b->exists && a->incarnation == b->incarnation && a->appends == b->appends &&
           memcmp(a->lens, b->lens, sizeof a->lens) == 0 &&
           (a->ttl_ns == 0 || a->named_ns == b->named_ns);
}

/* The first end among what is left, and of guesses that can still be made. */
static uint64_t first_end(const struct search *q, const struct frame *now)
{
    uint64_t first = H_NEVER;
    for (size_t at = q->next[HEAD]; at != HEAD; at = q->next[at]) {
        uint64_t end = ret_of(q, at - 1);
        if (q->ops[at - 1].invoke > first) break;
        if (is_guess(q, at - 1) && end < now->newest) continue;
        if (end < first) first = end;
    }
    return first;
}

/* What may come next, fits, and could change nothing later either may as well come now: wherever it
 * stands in an order that explains all, it can be moved to here. Then nothing else need be tried in
 * its place. (Not so a GONE whose CREATE is still to come, perhaps; nor what would put an end to
 * a guess: what was asked for when its time was over, or later on its connection.) */
static bool costs_nothing(struct search *q, size_t i, const struct frame *now)
{
    const struct h_op *op = &q->ops[i];
    struct h_state after = now->state;
    if (op->maybe || (h_may_change(op) && op->kind != H_GONE)) return false;
    if (op->kind == H_GONE && q->partner[i] != 0 && !q->done[q->partner[i] - 1]) return false;
    for (size_t at = q->leader[i]; at != 0; at = q->leader[at - 1]) {
        if (q->ops[at - 1].maybe && !q->done[at - 1]) return false;
    }
    return may_come(q, i, now) && h_step(&after, op) && is_same(&now->state, &after);
}

static bool enter_at_no_cost(struct search *q, struct frame *now)
{
    uint64_t first = first_end(q, now);
    for (size_t at = q->next[HEAD]; at != HEAD && q->ops[at - 1].invoke <= first;
         at = q->next[at]) {
        if (!costs_nothing(q, at - 1, now)) continue;
        now->only = true;
        if (enter(q, at - 1, now)) return true;
        now->only = false;
    }
    return false;
}

static void leave(struct search *q, struct frame *now)
{
    *now = q->frames[--q->depth];
    put_back(q, now->op);
}

/* Back to the last choice; false: there is none. */
static bool go_back(struct search *q, struct frame *now)
{
    do {
        if (q->depth == 0) return false;
        leave(q, now);
    } while (now->only);
    return true;
}

/* The order of trying: what was answered, as it was asked for, then what was not. */
static size_t following(const struct search *q, size_t at, const struct frame *now, bool *guessing)
{
    for (at = q->next[at];; at = q->next[at]) {
        bool end = at == HEAD || q->ops[at - 1].invoke > now->first;
        if (end && *guessing) return HEAD;
        if (end) *guessing = true;
        if (end) at = HEAD;
        if (!end && is_guess(q, at - 1) == *guessing) return at;
    }
}

static void note_longest(struct search *q, const struct frame *now)
{
    if (q->depth < q->found->n_order) return;
    q->found->n_order = q->depth;
    q->found->state = now->state;
    for (size_t d = 0; d < q->depth; d++)
        q->found->order[d] = q->frames[d].op;
}

/* Whether all that must be done can be done, with at most guesses_max guesses in a row. */
static bool descend(struct search *q)
{
    struct frame now = {.first = first_answer(q)};
    bool guessing = false;
    size_t at = HEAD;
    while (q->left > 0) {
        if (at == HEAD && !guessing && enter_at_no_cost(q, &now)) continue;
        at = following(q, at, &now, &guessing);
        if (at != HEAD && enter(q, at - 1, &now)) {
            note_longest(q, &now);
            at = HEAD;
            guessing = false;
        } else if (at == HEAD) {
            if (q->found->states > states_max || !go_back(q, &now)) return false;
            at = now.op + 1;
            guessing = is_guess(q, now.op);
        }
    }
    note_longest(q, &now);
    return true;
}

static void rewind_all(struct search *q)
{
    struct frame now;
    while (q->depth > 0)
        leave(q, &now);
    h_memo_clear(&q->memo);
}

/* --- beginning and end -------------------------------------------------------------------------
 */

static void link_all(struct search *q)
{
    for (size_t i = 0; i <= q->n; i++) {
        q->next[i] = i < q->n ? i + 1 : HEAD;
        q->prev[i] = i > 0 ? i - 1 : q->n;
    }
    for (size_t i = 0; i < q->n; i++)
        q->left += !is_guess(q, i);
}

/* Who stands before and behind it on its connection. */
static void relate_on_connection(struct search *q, size_t i)
{
    for (size_t j = i; q->ops[i].conn != 0 && j-- > 0;) {
        if (q->ops[j].conn != q->ops[i].conn) continue;
        q->follower[j] = i + 1;
        q->leader[i] = j + 1;
        q->before[i] = q->ops[j].maybe ? q->before[j] : j + 1;
        return;
    }
}

static void relate(struct search *q)
{
    for (size_t i = 0; i < q->n; i++) {
        const struct h_op *op = &q->ops[i];
        relate_on_connection(q, i);
        for (size_t j = 0; op->kind == H_GONE && j < q->n; j++) {
            if (q->ops[j].kind != H_CREATE || q->ops[j].request != op->incarnation) continue;
            q->partner[i] = j + 1;
            q->partner[j] = i + 1;
        }
    }
}

static void *take(size_t n, size_t bytes)
{
    void *p = calloc(n + 1, bytes);
    assert(p != NULL);
    return p;
}

static void free_all(struct search *q)
{
    free(q->next);
    free(q->prev);
    free(q->done);
    free(q->before);
    free(q->follower);
    free(q->leader);
    free(q->partner);
    free(q->frames);
    h_memo_close(&q->memo);
}

void h_search(const struct h_op *ops, size_t n, const struct h_limits *limits,
              struct h_found *found)
{
    static const struct h_limits none = {0};
    struct search q = {.ops = ops, .n = n, .limits = limits != NULL ? limits : &none};
    *found = (struct h_found){.order = take(n, sizeof *found->order)};
    q.found = found;
    q.next = take(n, sizeof *q.next);
    q.prev = take(n, sizeof *q.prev);
    q.done = take(n, sizeof *q.done);
    q.before = take(n, sizeof *q.before);
    q.follower = take(n, sizeof *q.follower);
    q.leader = take(n, sizeof *q.leader);
    q.partner = take(n, sizeof *q.partner);
    q.frames = take(n, sizeof *q.frames);
    link_all(&q);
    relate(&q);
    do {
        rewind_all(&q);
        q.held_back = false;
        q.guesses_max++;
        found->linearizable = descend(&q);
    } while (!found->linearizable && q.held_back && found->states <= states_max);
    found->given_up = !found->linearizable && found->states > states_max;
    free_all(&q);
}

bool h_linearizable(const struct h_op *ops, size_t n, const struct h_limits *limits,
                    uint64_t *states)
{
    struct h_found found;
    h_search(ops, n, limits, &found);
    *states += found.states;
    free(found.order);
    return found.linearizable || found.given_up;
}
