/* steps.h - a core driven by hand, for benchmarks: decode steps of m sequences, submitted and
 * waited for, one after the other; verifications beside them. One thread. */
#ifndef TKV_BENCH_STEPS_H
#define TKV_BENCH_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core.h"

struct steps; /* opaque: steps_open() .. steps_close() */

struct steps_shape {
    uint32_t m, layers, n_kv_heads, head_dim, capacity; /* f16 */
    size_t journal_bytes, scratch_bytes;
    bool checksums;
};

/* Opens a core with m sequences. Whatever fails ends the program with a message. */
struct steps *steps_open(enum tkv_backend backend, const struct steps_shape *shape);
void steps_close(struct steps *s);

size_t steps_bytes(const struct steps *s); /* of one step's rows */

/* Microseconds of one decode step: from the last byte in its block to the answer, and from the rows
 * in a client's buffer on, a copy into the block included. */
struct step_times {
    double step, whole;
};

/* One decode step; full sequences are rolled back first, outside of what is timed. */
struct step_times steps_append(struct steps *s);

/* Begins a verification of all that is recorded, unless one is under way. */
void steps_verify_begin(struct steps *s);

/* Whether one is; work that has come back is taken. */
bool steps_verifying(struct steps *s);

/* Begins one and waits for it; its report, valid until the next. */
const struct tkv_verify_report *steps_verify(struct steps *s);

const struct tkv_device_info *steps_device(struct steps *s);
uint64_t steps_recorded_bytes(struct steps *s); /* in the journal */

#endif
