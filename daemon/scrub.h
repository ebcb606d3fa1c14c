/* scrub.h - live caches against the checksums that their appends left, of any age: debug.scrub, and
 * a walk through all of them that never ends, at scrub.bytes_per_second.
 *
 * A walk goes piece by piece, a piece being some tokens of all layers of one sequence. Each is a
 * job of its own in the engine's order, so that appends wait for one piece at most, and a row is
 * seen with the checksum that came with it. Only committed tokens are judged; where a truncation
 * since may explain a difference, it is no damage. Caches are only read. Loop thread only. */
#ifndef TKV_DAEMON_SCRUB_H
#define TKV_DAEMON_SCRUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/report.h"

struct tkv_core;
struct tkv_op;

/* Memory that a walk keeps for its checksums. */
struct tkv_scrub_room {
    uint64_t *sums; /* staging memory */
    size_t bytes;
};

/* Where a walk stands. */
struct tkv_scrub_walk {
    struct tkv_scrub_room room;
    struct tkv_op *op;        /* whose it is; NULL: the background's */
    uint64_t seq, generation; /* being read; generation 0: none is */
    uint32_t pos;             /* its next token */
    size_t next;              /* place in the request's seqs, or slot of all sequences */
    bool busy;                /* a piece of it is under way */
    uint64_t started_us;
    struct tkv_scrub_report report;
};

struct tkv_scrub {
    struct tkv_scrub_walk asked, background; /* asked.op NULL: nobody asks */
    uint64_t resume_us;                      /* when the background may read again */
};

void tkv_scrub_init(struct tkv_core *core);
void tkv_scrub_close(struct tkv_core *core); /* nothing of it is under way */

/* Whether a job of it is under way. */
bool tkv_scrub_busy(const struct tkv_core *core);

/* Once a turn of the loop: a request that waited its turn; the background's next piece, where its
 * time has come. */
void tkv_scrub_turn(struct tkv_core *core);

/* When tkv_scrub_turn() wants to be called, as tkv_now_us(); UINT64_MAX: not. */
uint64_t tkv_scrub_deadline_us(const struct tkv_core *core);

#endif
