/* shadow.h - shadow mode: a share of production's batches (shadow.sample), chosen by chance, is
 * verified as soon as it is done; and the newest and the first report with a divergence, whoever
 * asked for them, are kept for debug.last. Loop thread only. */
#ifndef TKV_DAEMON_SHADOW_H
#define TKV_DAEMON_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/report.h"

struct tkv_batch;
struct tkv_core;

enum { TKV_SHADOW_PENDING_MAX = 8 }; /* more than these do not wait: they are counted as missed */

/* A report with a divergence; its list is its own. */
struct tkv_kept {
    bool given, shadow;
    uint64_t at_ms;
    struct tkv_verify_report report;
};

struct tkv_shadow {
    struct tkv_batch *pending[TKV_SHADOW_PENDING_MAX]; /* a reference each, oldest first */
    uint32_t n_pending;
    uint64_t random, logged_ms;    /* logged_ms: when a finding was; 0: never */
    bool waits_its_turn;           /* asked verifications and batches take turns */
    struct tkv_kept first, newest; /* reports; first: since the start, for good */
};

void tkv_shadow_init(struct tkv_core *core);
void tkv_shadow_close(struct tkv_core *core); /* what waits is let go; the last report, too */

/* A batch of production has completed; the caller keeps its reference. */
void tkv_shadow_offer(struct tkv_core *core, struct tkv_batch *batch);

/* Gives the checker, which is idle, the next one. */
void tkv_shadow_next(struct tkv_core *core);

/* Whether one more finding of shadow mode may be logged: a kernel that is wrong is wrong in every
 * batch, and one line each few seconds says so. */
bool tkv_shadow_may_log(struct tkv_core *core);

/* A batch of shadow mode has been checked. */
void tkv_shadow_checked(struct tkv_core *core, const struct tkv_verify_report *report);

/* Keeps a report with a divergence; takes its list of divergences over (and leaves NULL). The first
 * one stays, since it has latched health, perhaps; the others are replaced by newer ones. */
void tkv_shadow_keep(struct tkv_core *core, struct tkv_verify_report *report, bool shadow);

#endif
