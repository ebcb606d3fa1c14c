/* plan.c - what a client asks: any operation, of few sequences, so that clients meet on them. */
#include <stdio.h>
#include <string.h>

#include "tests/histories/client_impl.h"

enum { TTL_MIN_MS = 5, TTL_MAX_MS = 60, BALLAST_CAPACITY = 250 };
static const uint64_t nobody = (UINT64_C(1) << 53) - 1; /* no sequence has this id */

static uint32_t below(struct h_client *c, uint32_t n)
{
    return h_below(&c->random, n);
}

static bool chance(struct h_client *c, uint32_t percent)
{
    return below(c, 100) < percent;
}

_Atomic uint32_t *h_guess(struct h_client *c, uint64_t seq)
{
    if (seq < H_POOL_FIRST || seq >= H_POOL_FIRST + H_POOL) return NULL;
    return &c->world->guesses[seq - H_POOL_FIRST];
}

/* Some are asked for more often than others. */
static uint64_t any_seq(struct h_client *c)
{
    if (chance(c, 12)) {
        uint64_t found = atomic_load(&c->world->found[below(c, H_FOUND_MAX)]);
        if (found != 0) return found;
    }
    return H_POOL_FIRST + (chance(c, 25) ? below(c, 4) : below(c, H_POOL));
}

static void any_layers(struct h_client *c, struct h_request *r, uint32_t percent_all)
{
    r->all_layers = chance(c, percent_all);
    r->layer_begin = 0;
    r->layer_end = H_LAYERS;
    if (r->all_layers) return;
    r->layer_begin = below(c, H_LAYERS);
    r->layer_end = r->layer_begin + 1 + below(c, H_LAYERS - r->layer_begin);
}

static void plan_create(struct h_client *c, struct h_request *r)
{
    r->has_seq = !chance(c, 15);
    r->seqs[0] = any_seq(c);
    if (r->seqs[0] < H_POOL_FIRST) r->has_seq = true;
    r->n_seqs = 1;
    r->capacity = H_CAPACITY_MAX - below(c, 2) * below(c, H_CAPACITY_MAX);
    if (!r->has_seq && chance(c, 30)) r->capacity = BALLAST_CAPACITY; /* nobody writes to it */
    if (chance(c, 25)) r->ttl_ms = TTL_MIN_MS + below(c, TTL_MAX_MS - TTL_MIN_MS);
    r->mortal = chance(c, 30) || (!r->has_seq && r->ttl_ms == 0);
    if (chance(c, 40)) snprintf(r->label, sizeof r->label, "l%u", below(c, 1000000));
}

static void plan_append(struct h_client *c, struct h_request *r)
{
    uint32_t m = chance(c, 65) ? 1 : 2 + below(c, H_ITEMS_MAX - 1);
    r->tag = h_mix(c->world->seed, r->number);
    r->source = (enum h_source)below(c, H_SOURCES);
    r->has_pos = chance(c, 50);
    any_layers(c, r, 75);
    for (r->n_seqs = 0; r->n_seqs < m; r->n_seqs++) {
        size_t i = r->n_seqs;
        r->seqs[i] = i > 0 && chance(c, 15) ? r->seqs[i - 1] : any_seq(c); /* twice */
        r->tokens[i] = chance(c, 70) ? 1 : 1 + below(c, 5);
        _Atomic uint32_t *guess = h_guess(c, r->seqs[i]);
        r->pos[i] = guess != NULL ? atomic_load(guess) : below(c, 6);
        if (i > 0 && r->seqs[i] == r->seqs[i - 1]) r->pos[i] = r->pos[i - 1] + r->tokens[i - 1];
    }
}

static void plan_free(struct h_client *c, struct h_request *r)
{
    uint32_t m = chance(c, 70) ? 1 : 2 + below(c, 2);
    while (r->n_seqs < m) {
        uint64_t seq = any_seq(c);
        bool named = false;
        for (size_t i = 0; i < r->n_seqs; i++)
            named |= r->seqs[i] == seq;
        if (!named) r->seqs[r->n_seqs++] = seq;
    }
}

static void plan_read(struct h_client *c, struct h_request *r)
{
    any_layers(c, r, 60);
    r->base64 = chance(c, 40);
    r->to_the_end = chance(c, 60);
    r->pos[0] = chance(c, 60) ? 0 : below(c, 12);
    r->tokens[0] = below(c, 8);
}

static void fill(struct h_client *c, struct h_request *r)
{
    r->n_seqs = 0;
    if (r->method == H_DO_CREATE) plan_create(c, r);
    if (r->method == H_DO_APPEND) plan_append(c, r);
    if (r->method == H_DO_FREE) plan_free(c, r);
    if (r->n_seqs > 0 || r->method == H_DO_PING) return;
    r->n_seqs = 1;
    r->seqs[0] = r->method == H_DO_EXPORT ? nobody : any_seq(c);
    if (r->method == H_DO_READ) plan_read(c, r);
    if (r->method == H_DO_TRUNCATE) r->len = chance(c, 30) ? below(c, 3) : below(c, H_CAPACITY_MAX);
}

struct h_request *h_plan(struct h_client *c)
{
    static const struct {
        enum h_method method;
        uint32_t percent;
    } shares[] = {{H_DO_APPEND, 42},  {H_DO_READ, 17}, {H_DO_CREATE, 16}, {H_DO_INFO, 9},
                  {H_DO_TRUNCATE, 8}, {H_DO_FREE, 6},  {H_DO_PING, 1},    {H_DO_EXPORT, 1}};
    uint32_t dice = below(c, 100), i = 0;
    while (dice >= shares[i].percent)
        dice -= shares[i++].percent;
    struct h_request *r = h_client_add(c, shares[i].method);
    fill(c, r);
    return r;
}
