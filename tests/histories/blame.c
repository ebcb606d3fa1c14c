#include "tests/histories/blame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/histories/search.h"

static bool is_wrong(const struct h_op *ops, size_t n)
{
    uint64_t states = 0;
    return !h_linearizable(ops, n, NULL, &states);
}

/* What had been asked for by `now`; what was not answered by then may or may not have happened. */
static size_t as_of(const struct h_op *ops, size_t n, uint64_t now, struct h_op *out)
{
    size_t m = 0;
    for (size_t i = 0; i < n && ops[i].invoke <= now; i++) {
        if (ops[i].ret > now && !ops[i].maybe && !h_may_change(&ops[i])) continue;
        out[m] = ops[i];
        out[m].maybe |= ops[i].ret > now;
        m++;
    }
    return m;
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The first answer with which the history is wrong; by halves, since one that is wrong stays so. */
static size_t cut_end(struct h_op *ops, size_t n, struct h_op *spare)
{
    uint64_t *ends = calloc(n, sizeof *ends);
    size_t low = 0, high = n - 1;
    assert(ends != NULL);
    for (size_t i = 0; i < n; i++)
        ends[i] = ops[i].ret;
    qsort(ends, n, sizeof *ends, by_time);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (is_wrong(spare, as_of(ops, n, ends[middle], spare)))
            high = middle;
        else
            low = middle + 1;
    }
    size_t m = as_of(ops, n, ends[high], spare);
    if (is_wrong(spare, m)) {
        memcpy(ops, spare, m * sizeof *ops);
        n = m;
    }
    free(ends);
    return n;
}

/* Whether nothing of ops[0..cut) is under way when ops[cut] is asked for. */
static bool is_quiet(const struct h_op *ops, size_t cut)
{
    for (size_t i = 0; i < cut; i++) {
        if (ops[i].ret >= ops[cut].invoke && ops[i].kind != H_EXPIRED) return false;
    }
    return true;
}

/* Whether the sequence surely does not exist after ops[0..cut): no order has it exist then. */
static bool is_absent_after(const struct h_op *ops, size_t cut, struct h_op *spare)
{
    uint64_t states = 0;
    memcpy(spare, ops, cut * sizeof *ops);
    spare[cut] = (struct h_op){.kind = H_CREATE,
                               .outcome = H_OUT_EXISTS,
                               .invoke = ops[cut].invoke,
                               .ret = ops[cut].invoke};
    return h_linearizable(ops, cut, NULL, &states) &&
           !h_linearizable(spare, cut + 1, NULL, &states);
}

static size_t cut_beginning(struct h_op *ops, size_t n, struct h_op *spare)
{
    for (size_t cut = n; cut-- > 1;) {
        if (!is_quiet(ops, cut) || !is_absent_after(ops, cut, spare)) continue;
        if (!is_wrong(ops + cut, n - cut)) continue;
        memmove(ops, ops + cut, (n - cut) * sizeof *ops);
        return n - cut;
    }
    return n;
}

/* Without an answer that only looks, a history is no more wrong than with it. */
static size_t drop_lookers(struct h_op *ops, size_t n, struct h_op *spare)
{
    for (size_t i = n; i-- > 0;) {
        if (h_may_change(&ops[i]) && !ops[i].maybe) continue;
        memcpy(spare, ops, i * sizeof *ops);
        memcpy(spare + i, ops + i + 1, (n - i - 1) * sizeof *ops);
        if (!is_wrong(spare, n - 1)) continue;
        if (h_may_change(&ops[i]) && ops[i].kind != H_EXPIRED) continue; /* it might explain */
        memcpy(ops, spare, --n * sizeof *ops);
    }
    return n;
}

size_t h_reduce(struct h_op *ops, size_t n)
{
    struct h_op *spare = calloc(n + 1, sizeof *spare);
    assert(spare != NULL);
    n = cut_end(ops, n, spare);
    n = cut_beginning(ops, n, spare);
    n = drop_lookers(ops, n, spare);
    free(spare);
    return n;
}

static void print_all(FILE *out, const struct h_op *ops, size_t n, uint64_t zero)
{
    char line[H_TEXT_MAX];
    fprintf(out, "      asked   answered us  client, request\n");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s\n", h_describe(&ops[i], zero, line));
}

void h_blame(FILE *out, const struct h_op *ops, size_t n)
{
    char line[H_TEXT_MAX];
    struct h_found found;
    uint64_t zero = n > 0 ? ops[0].invoke : 0;
    fprintf(out, "sequence %llu: no order of these %zu operations gives these answers\n",
            n > 0 ? (unsigned long long)ops[0].seq : 0, n);
    print_all(out, ops, n, zero);
    h_search(ops, n, NULL, &found);
    fprintf(out, "the longest order found ends with\n");
    for (size_t i = found.n_order > 5 ? found.n_order - 5 : 0; i < found.n_order; i++)
        fprintf(out, "%s\n", h_describe(&ops[found.order[i]], zero, line));
    fprintf(out, "then %s; and none of these fits:\n", h_state_text(&found.state));
    bool *done = calloc(n + 1, sizeof *done);
    assert(done != NULL);
    for (size_t i = 0; i < found.n_order; i++)
        done[found.order[i]] = true;
    for (size_t i = 0; i < n; i++) {
        if (!done[i]) fprintf(out, "%s\n", h_describe(&ops[i], zero, line));
    }
    free(done);
    free(found.order);
}
