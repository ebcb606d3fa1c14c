#include "clients/c/command/damages.h"

#include <stdlib.h>
#include <string.h>

enum { DAMAGES_MAX = 1 << 14 };

static const char *or_unsaid(const char *text)
{
    return text != NULL ? text : "?";
}

static void read_damage(const cJSON *object, struct damage *d)
{
    const char *kv = json_text(object, "kv");
    d->seq = json_count(object, "seq");
    d->layer = json_count(object, "layer");
    d->pos = json_count(object, "pos");
    d->kv = kv != NULL && strcmp(kv, "v") == 0 ? HAS_V : HAS_K;
    d->expected = or_unsaid(json_text(object, "expected"));
    d->found = or_unsaid(json_text(object, "found"));
}

/* ---- Order --------------------------------------------------------------------------------- */

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_planes(const struct damage *a, const struct damage *b)
{
    int c = compare(a->seq, b->seq);
    if (c == 0) c = a->kv - b->kv;
    return c != 0 ? c : compare(a->layer, b->layer);
}

static int compare_damages(const void *x, const void *y)
{
    const struct damage *a = x, *b = y;
    int c = compare_planes(a, b);
    return c != 0 ? c : compare(a->pos, b->pos);
}

/* ---- Patches ------------------------------------------------------------------------------- */

static size_t run_length(const struct damages *d, size_t from)
{
    size_t n = 1;
    while (from + n < d->n && compare_planes(&d->at[from], &d->at[from + n]) == 0)
        n++;
    return n;
}

static bool same_positions(const struct damages *d, size_t a, size_t b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (d->at[a + i].pos != d->at[b + i].pos) return false;
    }
    return true;
}

/* Whether the run of n damages from `from` on goes on where the patch ends. */
static bool extends(const struct damages *d, const struct patch *p, size_t from, size_t n)
{
    const struct damage *a = &d->at[p->from], *b = &d->at[from];
    return p->from + p->planes * p->n == from && p->n == n && a->seq == b->seq && a->kv == b->kv &&
           same_positions(d, p->from, from, n);
}

static void collect_planes(struct damages *d)
{
    for (size_t from = 0; from < d->n;) {
        struct patch *last = d->n_patches > 0 ? &d->patches[d->n_patches - 1] : NULL;
        size_t n = run_length(d, from);
        if (last != NULL && extends(d, last, from, n))
            last->planes++;
        else
            d->patches[d->n_patches++] = (struct patch){from, n, 1, d->at[from].kv};
        from += n;
    }
}

/* Whether v is of V what k is of K. */
static bool is_twin(const struct damages *d, const struct patch *k, const struct patch *v)
{
    if (k->kv != HAS_K || v->kv != HAS_V || k->n != v->n || k->planes != v->planes) return false;
    if (d->at[k->from].seq != d->at[v->from].seq) return false;
    if (!same_positions(d, k->from, v->from, k->n)) return false;
    for (size_t i = 0; i < k->planes; i++) {
        if (d->at[k->from + i * k->n].layer != d->at[v->from + i * v->n].layer) return false;
    }
    return true;
}

/* K's patch takes V's in, where both are of the same layers and positions. */
static void join_twins(struct damages *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->n_patches; i++) {
        struct patch p = d->patches[i];
        size_t k = 0;
        while (k < kept && !is_twin(d, &d->patches[k], &p))
            k++;
        if (k < kept)
            d->patches[k].kv |= HAS_V;
        else
            d->patches[kept++] = p;
    }
    d->n_patches = kept;
}

void damages_close(struct damages *d)
{
    free(d->at);
    free(d->patches);
    *d = (struct damages){0};
}

bool damages_take(struct damages *out, const cJSON *result)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "damages"), *item;
    size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    if (n > DAMAGES_MAX) n = DAMAGES_MAX;
    *out = (struct damages){.at = calloc(n + 1, sizeof(struct damage)),
                            .patches = calloc(n + 1, sizeof(struct patch))};
    if (out->at == NULL || out->patches == NULL) {
        damages_close(out);
        return false;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (out->n == n) break;
        read_damage(item, &out->at[out->n++]);
    }
    qsort(out->at, out->n, sizeof out->at[0], compare_damages);
    collect_planes(out);
    join_twins(out);
    return true;
}

/* ---- As text ------------------------------------------------------------------------------- */

void damages_layers(const struct damages *d, const struct patch *p, char *text, size_t size)
{
    uint64_t *values = calloc(p->planes, sizeof values[0]);
    text[0] = '\0';
    if (values == NULL) return;
    for (size_t i = 0; i < p->planes; i++)
        values[i] = d->at[p->from + i * p->n].layer;
    numbers_cell(values, p->planes, text, size);
    free(values);
}

void damages_positions(const struct damages *d, const struct patch *p, char *text, size_t size)
{
    uint64_t *values = calloc(p->n, sizeof values[0]);
    text[0] = '\0';
    if (values == NULL) return;
    for (size_t i = 0; i < p->n; i++)
        values[i] = d->at[p->from + i].pos;
    numbers_cell(values, p->n, text, size);
    free(values);
}

void damages_sequences(const struct damages *d, char *text, size_t size)
{
    uint64_t *values = calloc(d->n + 1, sizeof values[0]);
    text[0] = '\0';
    if (values == NULL) return;
    for (size_t i = 0; i < d->n; i++)
        values[i] = d->at[i].seq;
    numbers_text(values, d->n, text, size);
    free(values);
}
