#include "daemon/access_config.h"

#include <assert.h>
#include <grp.h>
#include <libconfig.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/sizes.h"
#include "daemon/config.h"
#include "daemon/settings.h"

bool tkv_users_have(const struct tkv_users *users, uint32_t uid)
{
    for (size_t i = 0; i < users->n; i++) {
        if (users->uids[i] == uid) return true;
    }
    return false;
}

bool tkv_group_find(const char *name, uint32_t *gid)
{
    const struct group *found = getgrnam(name);
    if (found != NULL) *gid = found->gr_gid;
    return found != NULL;
}

/* --- users ------------------------------------------------------------------------------------ */

static enum tkv_status take_user(const config_setting_t *at, uint32_t *uid, char *why, size_t size)
{
    int type = config_setting_type(at);
    if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) {
        long long number = config_setting_get_int64(at);
        *uid = (uint32_t)number;
        if (number >= 0 && number < TKV_NO_UID) return TKV_OK;
        snprintf(why, size, "%lld is no user's number; 0 to %u are", number, TKV_NO_UID - 1);
        return TKV_EINVAL;
    }
    if (type != CONFIG_TYPE_STRING) {
        snprintf(why, size, "a user must be a number, or a name in quotes");
        return TKV_EINVAL;
    }
    const char *name = config_setting_get_string(at);
    const struct passwd *found = getpwnam(name);
    if (found == NULL) {
        snprintf(why, size, "there is no user \"%.60s\" on this machine", name);
        return TKV_EINVAL;
    }
    *uid = found->pw_uid;
    return TKV_OK;
}

static bool is_list(const config_setting_t *at)
{
    int type = config_setting_type(at);
    return type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY;
}

static enum tkv_status take_users(struct tkv_users *users, const config_setting_t **at, char *why,
                                  size_t size)
{
    const config_setting_t *list = *at;
    enum tkv_status st = TKV_OK;
    if (!is_list(list)) {
        snprintf(why, size, "has the wrong type; it must be a list of users: ( 1000, \"alice\" )");
        return TKV_EINVAL;
    }
    unsigned n = (unsigned)config_setting_length(list);
    if (n > TKV_USERS_MAX) {
        snprintf(why, size, "has more than %d users; leave some out", TKV_USERS_MAX);
        return TKV_EINVAL;
    }
    users->given = true;
    for (unsigned i = 0; st == TKV_OK && i < n; i++) {
        *at = config_setting_get_elem(list, i);
        st = take_user(*at, &users->uids[users->n++], why, size);
    }
    return st;
}

static bool same_users(const struct tkv_users *a, const struct tkv_users *b)
{
    return a->given == b->given && a->n == b->n &&
           memcmp(a->uids, b->uids, a->n * sizeof *a->uids) == 0;
}

/* --- quotas ----------------------------------------------------------------------------------- */

static const char quota_members[] = "a quota has user, max_sequences and max_bytes";

/* A whole number, or text such as "64M" where it may be a size. */
static enum tkv_status take_limit(const config_setting_t *at, bool is_size, uint64_t max,
                                  uint64_t *out, char *why, size_t size)
{
    int type = config_setting_type(at);
    enum tkv_status st = TKV_EINVAL;
    if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) {
        long long number = config_setting_get_int64(at);
        *out = (uint64_t)number;
        st = number >= 0 ? TKV_OK : TKV_EINVAL;
    } else if (is_size && type == CONFIG_TYPE_STRING) {
        st = tkv_parse_size(config_setting_get_string(at), out);
    }
    if (st == TKV_OK && *out <= max) return TKV_OK;
    snprintf(why, size, "%s must be %s, %s at most; 0: no limit", config_setting_name(at),
             is_size ? "a size such as \"40G\"" : "a whole number",
             is_size ? "1024T" : "100000000");
    return TKV_EINVAL;
}

static enum tkv_status take_member(struct tkv_quota *quota, const config_setting_t *at, char *why,
                                   size_t size)
{
    const uint64_t sequences = 100000000;
    const char *name = config_setting_name(at);
    if (strcmp(name, "user") == 0) return take_user(at, &quota->uid, why, size);
    if (strcmp(name, "max_sequences") == 0)
        return take_limit(at, false, sequences, &quota->max_sequences, why, size);
    if (strcmp(name, "max_bytes") == 0)
        return take_limit(at, true, TKV_PIB, &quota->max_bytes, why, size);
    snprintf(why, size, "there is no member \"%.40s\"; %s", name, quota_members);
    return TKV_EINVAL;
}

static enum tkv_status take_quota(struct tkv_config *config, const config_setting_t **at, char *why,
                                  size_t size)
{
    const config_setting_t *group = *at;
    struct tkv_quota *quota = &config->auth_quotas[config->n_auth_quotas];
    *quota = (struct tkv_quota){.uid = TKV_NO_UID};
    if (config_setting_type(group) != CONFIG_TYPE_GROUP) {
        snprintf(why, size, "has the wrong type; it must be a group: { user = ...; }");
        return TKV_EINVAL;
    }
    for (unsigned i = 0; i < (unsigned)config_setting_length(group); i++) {
        *at = config_setting_get_elem(group, i);
        if (take_member(quota, *at, why, size) != TKV_OK) return TKV_EINVAL;
    }
    *at = group;
    if (quota->uid == TKV_NO_UID) {
        snprintf(why, size, "user is missing; %s", quota_members);
        return TKV_EINVAL;
    }
    for (size_t i = 0; i < config->n_auth_quotas; i++) {
        if (config->auth_quotas[i].uid != quota->uid) continue;
        snprintf(why, size, "user %u has one before it; write one for each", quota->uid);
        return TKV_EINVAL;
    }
    config->n_auth_quotas++;
    return TKV_OK;
}

static enum tkv_status take_quotas(struct tkv_config *config, const config_setting_t **at,
                                   char *why, size_t size)
{
    const config_setting_t *list = *at;
    enum tkv_status st = TKV_OK;
    if (config_setting_type(list) != CONFIG_TYPE_LIST) {
        snprintf(why, size, "has the wrong type; it must be a list: ( { user = ...; } )");
        return TKV_EINVAL;
    }
    unsigned n = (unsigned)config_setting_length(list);
    if (n > TKV_QUOTAS_MAX) {
        snprintf(why, size, "has more than %d quotas; leave some out", TKV_QUOTAS_MAX);
        return TKV_EINVAL;
    }
    for (unsigned i = 0; st == TKV_OK && i < n; i++) {
        *at = config_setting_get_elem(list, i);
        st = take_quota(config, at, why, size);
    }
    return st;
}

static bool same_quotas(const struct tkv_config *a, const struct tkv_config *b)
{
    if (a->n_auth_quotas != b->n_auth_quotas) return false;
    for (size_t i = 0; i < a->n_auth_quotas; i++) {
        const struct tkv_quota *p = &a->auth_quotas[i], *q = &b->auth_quotas[i];
        if (p->uid != q->uid || p->max_sequences != q->max_sequences ||
            p->max_bytes != q->max_bytes)
            return false;
    }
    return true;
}

/* --- all of them ------------------------------------------------------------------------------ */

static const struct {
    const char *key;
    size_t at;
} lists_of_users[] = {
    {"auth.uids", offsetof(struct tkv_config, auth_uids)},
    {"auth.debug_uids", offsetof(struct tkv_config, auth_debug_uids)},
    {"auth.admin_uids", offsetof(struct tkv_config, auth_admin_uids)},
};

/* Where the list of users called key is in a config; false: it is that of quotas. */
static bool find_users(const char *key, size_t *at)
{
    for (size_t i = 0; i < sizeof lists_of_users / sizeof lists_of_users[0]; i++) {
        if (strcmp(lists_of_users[i].key, key) != 0) continue;
        *at = lists_of_users[i].at;
        return true;
    }
    assert(strcmp(key, "auth.quotas") == 0);
    return false;
}

enum tkv_status tkv_access_take(struct tkv_config *config, const char *key,
                                const struct config_setting_t **at, char *why, size_t size)
{
    size_t offset;
    if (!find_users(key, &offset)) return take_quotas(config, at, why, size);
    return take_users((struct tkv_users *)((char *)config + offset), at, why, size);
}

bool tkv_access_same(const char *key, const struct tkv_config *a, const struct tkv_config *b)
{
    size_t offset;
    if (!find_users(key, &offset)) return same_quotas(a, b);
    return same_users((const struct tkv_users *)((const char *)a + offset),
                      (const struct tkv_users *)((const char *)b + offset));
}

void tkv_access_copy(const char *key, struct tkv_config *to, const struct tkv_config *from)
{
    size_t offset;
    if (find_users(key, &offset)) {
        memcpy((char *)to + offset, (const char *)from + offset, sizeof(struct tkv_users));
        return;
    }
    memcpy(to->auth_quotas, from->auth_quotas, sizeof to->auth_quotas);
    to->n_auth_quotas = from->n_auth_quotas;
}

static enum tkv_status check_tls(const struct tkv_config *config, const char **key, char *why,
                                 size_t size)
{
    bool certificate = config->auth_tls_certificate != NULL, has_key = config->auth_tls_key != NULL;
    if (certificate == has_key && (certificate || config->auth_tls_client_ca == NULL))
        return TKV_OK;
    *key = certificate ? "auth.tls_certificate" : has_key ? "auth.tls_key" : "auth.tls_client_ca";
    snprintf(why, size, "TLS needs both auth.tls_certificate and auth.tls_key");
    return TKV_EINVAL;
}

enum tkv_status tkv_access_check_file(const struct tkv_config *config, const char **key, char *why,
                                      size_t size)
{
    uint32_t gid;
    const char *group = config->auth_socket_group;
    if (group != NULL && !tkv_group_find(group, &gid)) {
        *key = "auth.socket_group";
        snprintf(why, size, "there is no group \"%.60s\" on this machine", group);
        return TKV_EINVAL;
    }
    return check_tls(config, key, why, size);
}

enum tkv_status tkv_access_check_listen(const struct tkv_config *config, char *message, size_t size)
{
    if (config->auth_token_file != NULL || config->auth_tcp_without_token) return TKV_OK;
    for (size_t i = 0; i < config->n_listen; i++) {
        if (strncmp(config->listen[i], "tcp:", 4) != 0) continue;
        snprintf(
            message, size,
            "listen: \"%.200s\" needs auth.token_file, a file with the token that clients over "
            "TCP must send; or auth.tcp_without_token = true, where whoever reaches the "
            "address is trusted",
            config->listen[i]);
        return TKV_EINVAL;
    }
    return TKV_OK;
}
