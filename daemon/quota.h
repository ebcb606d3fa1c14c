/* quota.h - what each user has of the daemon: sequences, and device memory of their caches. Loop
 * thread only.
 *
 * A sequence is on the account of whoever created it, until its memory is free: also when its
 * client has gone. Users without a sequence have no account. */
#ifndef TKV_DAEMON_QUOTA_H
#define TKV_DAEMON_QUOTA_H

#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"

struct tkv_account; /* of one user */
struct tkv_config;

/* Embedded in the core; zeroed at start, but for config (borrowed). */
struct tkv_accounts {
    const struct tkv_config *config;
    struct tkv_account *by_uid;
};

/* Whether the user may have one more sequence of `bytes`. Not TKV_OK: *error names the quota.
 * TKV_EOVERLOADED: all sequences that it allows exist, or memory of freed ones comes back by
 * itself; TKV_ENOMEM: its bytes do not suffice. */
enum tkv_status tkv_quota_check(const struct tkv_accounts *accounts, uint32_t uid, uint64_t bytes,
                                struct tkv_error *error);

/* Puts a sequence on the user's account. NULL: no host memory. */
struct tkv_account *tkv_quota_charge(struct tkv_accounts *accounts, uint32_t uid, uint64_t bytes);

/* It is gone, but somebody still reads its memory. */
void tkv_quota_linger(struct tkv_account *account, uint64_t bytes);

/* Its memory is free. lingered: after tkv_quota_linger(). */
void tkv_quota_release(struct tkv_accounts *accounts, struct tkv_account *account, uint64_t bytes,
                       bool lingered);

/* Users that have an account. */
size_t tkv_quota_users(const struct tkv_accounts *accounts);

#endif
