/* leases.h - which sequence's ttl_ms may have passed: a heap of deadlines.
 * A deadline is a hint: whoever takes one looks at the sequence and adds a new one where it has
 * been named meanwhile, so that naming a sequence costs nothing here. Loop thread only. */
#ifndef TKV_DAEMON_LEASES_H
#define TKV_DAEMON_LEASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct tkv_lease {
    uint64_t deadline_ms;
    uint64_t seq, generation;
};

struct tkv_leases {
    struct tkv_lease *heap; /* the earliest first */
    size_t n, cap;
};

void tkv_leases_init(struct tkv_leases *leases);
void tkv_leases_close(struct tkv_leases *leases);

/* TKV_ENOMEM leaves the heap as it was. */
enum tkv_status tkv_leases_add(struct tkv_leases *leases, const struct tkv_lease *lease);

/* Takes the earliest lease where its deadline is <= now_ms. */
bool tkv_leases_take(struct tkv_leases *leases, uint64_t now_ms, struct tkv_lease *out);

/* The earliest deadline, or UINT64_MAX. */
uint64_t tkv_leases_deadline_ms(const struct tkv_leases *leases);

/* Drops every lease for which keep() says no: those of sequences that were freed early. */
void tkv_leases_keep(struct tkv_leases *leases,
                     bool (*keep)(const struct tkv_lease *lease, void *arg), void *arg);

#endif
