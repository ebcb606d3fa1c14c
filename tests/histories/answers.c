#include "tests/histories/answers.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/wire.h"
#include "tests/histories/answers_impl.h"

/* The daemon counts whole milliseconds. */
static const uint64_t rounding_ns = 2000000;

/* A walk through the list: what it showed between its first request and its last answer. */
struct walk {
    uint32_t client, number;
    uint64_t invoke, ret;
    uint64_t *seqs;
    size_t n;
};

struct collection {
    struct h_answers *out;
    uint64_t barrier;
    struct h_ending *endings; /* [conn] */
    struct walk *walks;
    size_t n_walks;
};

static void *larger(void *p, size_t n, size_t *room, size_t bytes)
{
    if (n < *room) return p;
    *room = 2 * *room + 256;
    p = realloc(p, *room * bytes);
    assert(p != NULL);
    return p;
}

static void add(struct h_answers *a, const struct h_op *op)
{
    if (op->outcome == H_OUT_BUSY) return;
    a->ops = larger(a->ops, a->n, &a->room, sizeof *a->ops);
    a->ops[a->n++] = *op;
}

static void strange(struct h_answers *a, const struct h_request *r)
{
    if (a->wrong[0] != '\0') return;
    snprintf(a->wrong, sizeof a->wrong, "request r%" PRIx64 " of client %u is answered %.400s",
             r->number, r->client, r->line != NULL ? r->line : "not at all");
}

/* --- each method ---------------------------------------------------------------------------------
 */

/* What the daemon may do by itself, later, because of a create. */
static void add_own(struct collection *c, const struct h_request *r, const struct h_op *create)
{
    struct h_op op = {.seq = create->seq,
                      .client = create->client,
                      .incarnation = r->number,
                      .ret = c->barrier,
                      .settled = c->barrier,
                      .outcome = H_OUT_OK};
    if (r->mortal) {
        op.kind = H_GONE;
        op.invoke = c->endings[r->conn].at;
        /* one that was still being created is freed when it is there, behind whoever waits for it
         */
        uint64_t over = r->fate == H_ANSWERED ? c->endings[r->conn].over : 0;
        if (over != 0) op.ret = over;
        add(c->out, &op);
    }
    if (r->ttl_ms == 0) return;
    op.kind = H_EXPIRED;
    op.outcome = H_OUT_UNKNOWN;
    op.maybe = true;
    op.ttl_ms = r->ttl_ms;
    op.invoke = r->invoke + (uint64_t)r->ttl_ms * 1000000 - rounding_ns;
    op.ret = H_NEVER;
    op.settled = 0;
    add(c->out, &op);
}

static void take_create(struct collection *c, const struct h_request *r, const cJSON *answer)
{
    struct h_op op = h_op_of(r, H_CREATE, r->seqs[0], c->barrier);
    op.outcome = h_outcome_of(answer);
    op.capacity = r->capacity;
    op.ttl_ms = r->ttl_ms;
    op.mortal = r->mortal;
    memcpy(op.label, r->label, sizeof op.label);
    if (!r->has_seq && op.outcome == H_OUT_UNKNOWN) c->out->nameless_lost++;
    if (!r->has_seq && op.outcome != H_OUT_OK) return; /* of no sequence */
    if (op.outcome == H_OUT_OK) op.seq = (uint64_t)json_number(answer, "result.seq");
    if (r->has_seq && op.seq != r->seqs[0]) strange(c->out, r);
    add(c->out, &op);
    if (op.outcome == H_OUT_OK || op.outcome == H_OUT_UNKNOWN) add_own(c, r, &op);
}

/* One operation for each sequence that it names. */
static void take_many(struct collection *c, const struct h_request *r, const cJSON *answer)
{
    for (size_t i = 0; i < r->n_seqs; i++) {
        bool named = false;
        for (size_t j = 0; j < i; j++)
            named |= r->seqs[j] == r->seqs[i];
        if (named) continue;
        bool append = r->method == H_DO_APPEND;
        struct h_op op = h_op_of(r, append ? H_APPEND : H_FREE, r->seqs[i], c->barrier);
        op.outcome = h_outcome_of(answer);
        (append ? h_fill_append : h_fill_free)(&op, r, answer);
        if (op.outcome == H_OUT_STRANGE) strange(c->out, r);
        add(c->out, &op);
    }
}

static void take_truncate(struct collection *c, const struct h_request *r, const cJSON *answer)
{
    struct h_op op = h_op_of(r, H_TRUNCATE, r->seqs[0], c->barrier);
    op.outcome = h_outcome_of(answer);
    op.len = r->len;
    if (op.outcome == H_OUT_OK) op.told = (uint64_t)json_number(answer, "result.len");
    add(c->out, &op);
}

static void take_info(struct collection *c, const struct h_request *r, const cJSON *answer)
{
    struct h_op op = h_op_of(r, H_INFO, r->seqs[0], c->barrier);
    op.outcome = h_outcome_of(answer);
    if (op.outcome == H_OUT_OK) h_fill_state(&op, json_at(answer, "result"));
    add(c->out, &op);
}

static void take_read(struct collection *c, const struct h_request *r, const cJSON *answer)
{
    struct h_answers *a = c->out;
    struct h_op op = h_op_of(r, H_READ, r->seqs[0], c->barrier);
    op.outcome = h_outcome_of(answer);
    op.pos = r->pos[0];
    op.tokens = r->tokens[0];
    op.to_the_end = r->to_the_end;
    if (op.outcome == H_OUT_OK) {
        uint64_t *cells = h_read_cells(&op, r, answer);
        if (cells == NULL) strange(a, r);
        a->cells = larger(a->cells, a->n_cells, &a->room_cells, sizeof *a->cells);
        a->cells[a->n_cells++] = cells;
        op.cells = cells;
    }
    add(a, &op);
}

/* --- lists ---------------------------------------------------------------------------------------
 */

static struct walk *walk_of(struct collection *c, const struct h_request *r)
{
    struct walk *last = c->n_walks > 0 ? &c->walks[c->n_walks - 1] : NULL;
    if (last != NULL && last->client == r->client && last->number == r->walk) return last;
    c->walks = realloc(c->walks, (c->n_walks + 1) * sizeof *c->walks);
    assert(c->walks != NULL);
    last = &c->walks[c->n_walks++];
    *last = (struct walk){.client = r->client, .number = r->walk, .invoke = r->invoke};
    return last;
}

static void take_page(struct collection *c, const struct h_request *r, const cJSON *answer)
{
    struct walk *walk = walk_of(c, r);
    const cJSON *entry;
    walk->ret = r->ret;
    cJSON_ArrayForEach(entry, json_at(answer, "result.seqs"))
    {
        uint64_t seq = (uint64_t)json_number(entry, "seq");
        struct h_op op = h_op_of(r, H_LISTED, seq, c->barrier);
        op.outcome = H_OUT_OK;
        op.conn = 0;
        h_fill_state(&op, entry);
        add(c->out, &op);
        walk->seqs = realloc(walk->seqs, (walk->n + 1) * sizeof *walk->seqs);
        assert(walk->seqs != NULL);
        walk->seqs[walk->n++] = seq;
    }
    if (h_outcome_of(answer) != H_OUT_OK) strange(c->out, r);
}

/* Who was not in a whole walk did not exist at some instant of it. */
static void add_absence(struct collection *c, const struct walk *walk, uint64_t seq)
{
    for (size_t i = 0; i < walk->n; i++) {
        if (walk->seqs[i] == seq) return;
    }
    struct h_op op = {.kind = H_LISTED,
                      .outcome = H_OUT_NOT_FOUND,
                      .seq = seq,
                      .invoke = walk->invoke,
                      .ret = walk->ret,
                      .client = walk->client};
    add(c->out, &op);
}

static void add_absences(struct collection *c)
{
    size_t n = c->out->n;
    for (size_t i = 0; i < n; i++) {
        uint64_t seq = c->out->ops[i].seq;
        if (i > 0 && seq == c->out->ops[i - 1].seq) continue;
        for (size_t w = 0; w < c->n_walks; w++)
            add_absence(c, &c->walks[w], seq);
    }
}

/* --- all
 * ------------------------------------------------------------------------------------------ */

static void take(struct collection *c, const struct h_request *r, const cJSON *answer)
{
    switch (r->method) {
    case H_DO_CREATE: take_create(c, r, answer); break;
    case H_DO_APPEND:
    case H_DO_FREE: take_many(c, r, answer); break;
    case H_DO_TRUNCATE: take_truncate(c, r, answer); break;
    case H_DO_INFO: take_info(c, r, answer); break;
    case H_DO_READ: take_read(c, r, answer); break;
    case H_DO_LIST: take_page(c, r, answer); break;
    case H_DO_PING:
    case H_DO_EXPORT: break;
    }
}

/* In an array of answers, its own. */
static const cJSON *own_answer(const cJSON *json, uint64_t number)
{
    const cJSON *one;
    if (!cJSON_IsArray(json)) return json;
    cJSON_ArrayForEach(one, json)
    {
        const cJSON *id = json_at(one, "id");
        if (cJSON_IsNumber(id) && id->valuedouble == (double)number) return one;
    }
    return NULL;
}

static void take_request(struct collection *c, const struct h_request *r)
{
    bool looks = r->method == H_DO_INFO || r->method == H_DO_READ || r->method == H_DO_LIST;
    if (r->fate == H_UNSENT) return;
    c->out->requests++;
    if (r->fate == H_LOST && !looks) take(c, r, NULL);
    if (r->fate == H_LOST) return;
    cJSON *json = cJSON_Parse(r->line);
    const cJSON *answer = own_answer(json, r->number);
    if (answer != NULL && h_outcome_of(answer) != H_OUT_STRANGE)
        take(c, r, answer);
    else
        strange(c->out, r);
    cJSON_Delete(json);
}

/* Sequences whose create nobody knows of, since its answer, with the id, was lost: no more than
 * there were such creates. */
static void drop_nameless(struct h_answers *a)
{
    uint64_t nameless = 0;
    size_t m = 0;
    for (size_t i = 0, end; i < a->n; i = end) {
        bool created = a->ops[i].seq >= H_POOL_FIRST;
        for (end = i; end < a->n && a->ops[end].seq == a->ops[i].seq; end++)
            created |= a->ops[end].kind == H_CREATE;
        nameless += !created;
        for (size_t j = i; created && j < end; j++)
            a->ops[m++] = a->ops[j];
    }
    a->n = m;
    if (nameless > a->nameless_lost && a->wrong[0] == '\0')
        snprintf(a->wrong, sizeof a->wrong,
                 "%" PRIu64 " sequences exist that nobody created, of %" PRIu64 " lost creates",
                 nameless, a->nameless_lost);
}

static void note_endings(struct collection *c, const struct h_client *clients, size_t n)
{
    uint64_t opened = atomic_load(&clients[0].world->opened);
    c->endings = calloc(opened + 1, sizeof *c->endings);
    assert(c->endings != NULL);
    for (size_t i = 0; i < n; i++) {
        for (size_t e = 0; e < clients[i].n_endings; e++)
            c->endings[clients[i].endings[e].conn] = clients[i].endings[e];
    }
}

void h_answers_collect(struct h_answers *a, struct h_client *clients, size_t n_clients,
                       uint64_t barrier)
{
    struct collection c = {.out = a, .barrier = barrier};
    *a = (struct h_answers){0};
    note_endings(&c, clients, n_clients);
    for (size_t i = 0; i < n_clients; i++) {
        for (size_t r = 0; r < clients[i].n; r++)
            take_request(&c, &clients[i].requests[r]);
    }
    qsort(a->ops, a->n, sizeof *a->ops, h_compare);
    add_absences(&c);
    qsort(a->ops, a->n, sizeof *a->ops, h_compare);
    drop_nameless(a);
    for (size_t w = 0; w < c.n_walks; w++)
        free(c.walks[w].seqs);
    free(c.walks);
    free(c.endings);
}

void h_answers_free(struct h_answers *a)
{
    for (size_t i = 0; i < a->n_cells; i++)
        free(a->cells[i]);
    free(a->cells);
    free(a->ops);
}
