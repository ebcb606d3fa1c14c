#include "daemon/leases.h"

#include <stdlib.h>

void tkv_leases_init(struct tkv_leases *leases)
{
    *leases = (struct tkv_leases){0};
}

void tkv_leases_close(struct tkv_leases *leases)
{
    free(leases->heap);
    *leases = (struct tkv_leases){0};
}

static bool earlier(const struct tkv_leases *leases, size_t a, size_t b)
{
    return leases->heap[a].deadline_ms < leases->heap[b].deadline_ms;
}

static void swap(struct tkv_leases *leases, size_t a, size_t b)
{
    struct tkv_lease t = leases->heap[a];
    leases->heap[a] = leases->heap[b];
    leases->heap[b] = t;
}

enum tkv_status tkv_leases_add(struct tkv_leases *leases, const struct tkv_lease *lease)
{
    if (leases->n == leases->cap) {
        size_t cap = leases->cap > 0 ? leases->cap * 2 : 64;
        struct tkv_lease *heap = realloc(leases->heap, cap * sizeof *heap);
        if (heap == NULL) return TKV_ENOMEM;
        leases->heap = heap;
        leases->cap = cap;
    }
    size_t i = leases->n++;
    leases->heap[i] = *lease;
    for (; i > 0 && earlier(leases, i, (i - 1) / 2); i = (i - 1) / 2)
        swap(leases, i, (i - 1) / 2);
    return TKV_OK;
}

static void sink(struct tkv_leases *leases, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < leases->n; child++) {
            if (earlier(leases, child, least)) least = child;
        }
        if (least == i) return;
        swap(leases, i, least);
        i = least;
    }
}

bool tkv_leases_take(struct tkv_leases *leases, uint64_t now_ms, struct tkv_lease *out)
{
    if (tkv_leases_deadline_ms(leases) > now_ms) return false;
    *out = leases->heap[0];
    leases->heap[0] = leases->heap[--leases->n];
    sink(leases, 0);
    return true;
}

uint64_t tkv_leases_deadline_ms(const struct tkv_leases *leases)
{
    return leases->n > 0 ? leases->heap[0].deadline_ms : UINT64_MAX;
}

void tkv_leases_keep(struct tkv_leases *leases,
                     bool (*keep)(const struct tkv_lease *lease, void *arg), void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < leases->n; i++) {
        if (keep(&leases->heap[i], arg)) leases->heap[kept++] = leases->heap[i];
    }
    leases->n = kept;
    for (size_t i = kept / 2; i-- > 0;)
        sink(leases, i);
}
