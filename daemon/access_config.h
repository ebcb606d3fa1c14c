/* access_config.h - the lists of the configuration's group auth: users by number or name, and what
 * the whole of it must be. Reading them looks names up: start-up and reloads only. */
#ifndef TKV_DAEMON_ACCESS_CONFIG_H
#define TKV_DAEMON_ACCESS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct tkv_config;
struct config_setting_t; /* libconfig.h */

/* No user has this number: POSIX keeps it for "none". */
#define TKV_NO_UID UINT32_MAX

enum { TKV_USERS_MAX = 256, TKV_QUOTAS_MAX = 256 };

/* A list of users. */
struct tkv_users {
    bool given; /* false: the list is absent, which is not the same as an empty one */
    size_t n;
    uint32_t uids[TKV_USERS_MAX];
};

/* What one user may have; 0: as much as there is. */
struct tkv_quota {
    uint32_t uid;
    uint64_t max_sequences, max_bytes;
};

bool tkv_users_have(const struct tkv_users *users, uint32_t uid);

/* The number of a group, by its name; false: there is none. */
bool tkv_group_find(const char *name, uint32_t *gid);

/* Takes the list called key ("auth.uids"). TKV_EINVAL: why says what would be right, and *at is
 * where it is wrong. */
enum tkv_status tkv_access_take(struct tkv_config *config, const char *key,
                                const struct config_setting_t **at, char *why, size_t size);

/* What no setting of the group shows alone. TKV_EINVAL: *key is the setting at fault. */
enum tkv_status tkv_access_check_file(const struct tkv_config *config, const char **key, char *why,
                                      size_t size);

/* Whether all addresses to listen on, of the file or the command line, can be served: TCP needs a
 * token. TKV_EINVAL: message says so. */
enum tkv_status tkv_access_check_listen(const struct tkv_config *config, char *message,
                                        size_t size);

/* Whether the list called key is the same in both. */
bool tkv_access_same(const char *key, const struct tkv_config *a, const struct tkv_config *b);

/* Makes the list called key that of another configuration. */
void tkv_access_copy(const char *key, struct tkv_config *to, const struct tkv_config *from);

#endif
