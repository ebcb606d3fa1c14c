#include "daemon/quota.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "daemon/config.h"

enum { KEY_MAX = 64, FREE_RETRY_MS = 1000, LINGER_RETRY_MS = 20 };

struct tkv_account {
    uint32_t uid;
    uint64_t sequences, bytes;
    uint64_t lingering_bytes; /* of bytes: of sequences that are gone, and somebody still reads */
    UT_hash_handle hh;
};

/* A user's limits (0: none), and what the configuration calls them. */
struct limits {
    uint64_t sequences, bytes;
    char sequences_key[KEY_MAX], bytes_key[KEY_MAX];
};

static struct limits limits_of(const struct tkv_config *config, uint32_t uid)
{
    struct limits limits = {config->auth_quota_sequences, config->auth_quota_bytes,
                            "auth.quota_sequences", "auth.quota_bytes"};
    for (size_t i = 0; i < config->n_auth_quotas; i++) {
        const struct tkv_quota *quota = &config->auth_quotas[i];
        if (quota->uid != uid) continue;
        limits.sequences = quota->max_sequences;
        limits.bytes = quota->max_bytes;
        snprintf(limits.sequences_key, KEY_MAX, "auth.quotas[%zu].max_sequences", i);
        snprintf(limits.bytes_key, KEY_MAX, "auth.quotas[%zu].max_bytes", i);
    }
    return limits;
}

static struct tkv_account *find(const struct tkv_accounts *accounts, uint32_t uid)
{
    struct tkv_account *account;
    HASH_FIND(hh, accounts->by_uid, &uid, sizeof uid, account);
    return account;
}

/* "user 1000", in out. */
static const char *name_of(uint32_t uid, char *out, size_t size)
{
    if (uid == TKV_NO_UID)
        snprintf(out, size, "clients over TCP");
    else
        snprintf(out, size, "user %u", uid);
    return out;
}

static enum tkv_status fail_bytes(const struct tkv_account *account, uint32_t uid,
                                  const struct limits *limits, uint64_t needed,
                                  struct tkv_error *error)
{
    char name[KEY_MAX];
    uint64_t taken = account != NULL ? account->bytes : 0;
    uint64_t lingering = account != NULL ? account->lingering_bytes : 0;
    uint64_t available = limits->bytes > taken ? limits->bytes - taken : 0;
    if (needed <= available + lingering) {
        tkv_error_set(error, TKV_EOVERLOADED,
                      "freed caches of %s hold %llu bytes until a verification has done with them",
                      name_of(uid, name, sizeof name), (unsigned long long)lingering);
        tkv_error_number(error, retry_after_ms, LINGER_RETRY_MS);
        return TKV_EOVERLOADED;
    }
    tkv_error_set(error, TKV_ENOMEM,
                  "the cache needs %llu bytes; of %s (%llu) %llu are left for %s",
                  (unsigned long long)needed, limits->bytes_key, (unsigned long long)limits->bytes,
                  (unsigned long long)available, name_of(uid, name, sizeof name));
    tkv_error_number(error, needed, needed);
    tkv_error_number(error, available, available);
    return TKV_ENOMEM;
}

enum tkv_status tkv_quota_check(const struct tkv_accounts *accounts, uint32_t uid, uint64_t bytes,
                                struct tkv_error *error)
{
    char name[KEY_MAX];
    struct limits limits = limits_of(accounts->config, uid);
    if (limits.sequences == 0 && limits.bytes == 0) return TKV_OK;
    const struct tkv_account *account = find(accounts, uid);
    uint64_t sequences = account != NULL ? account->sequences : 0;
    uint64_t taken = account != NULL ? account->bytes : 0;
    if (limits.sequences > 0 && sequences >= limits.sequences) {
        tkv_error_set(error, TKV_EOVERLOADED, "%s: all of %s (%llu) exist",
                      name_of(uid, name, sizeof name), limits.sequences_key,
                      (unsigned long long)limits.sequences);
        tkv_error_number(error, retry_after_ms, FREE_RETRY_MS);
        return TKV_EOVERLOADED;
    }
    if (limits.bytes > 0 && (taken > limits.bytes || bytes > limits.bytes - taken))
        return fail_bytes(account, uid, &limits, bytes, error);
    return TKV_OK;
}

struct tkv_account *tkv_quota_charge(struct tkv_accounts *accounts, uint32_t uid, uint64_t bytes)
{
    struct tkv_account *account = find(accounts, uid);
    if (account == NULL) {
        account = calloc(1, sizeof *account);
        if (account == NULL) return NULL;
        account->uid = uid;
        HASH_ADD(hh, accounts->by_uid, uid, sizeof uid, account);
        if (account->hh.tbl == NULL) { /* HASH_NONFATAL_OOM */
            free(account);
            return NULL;
        }
    }
    account->sequences++;
    account->bytes += bytes;
    return account;
}

void tkv_quota_linger(struct tkv_account *account, uint64_t bytes)
{
    account->lingering_bytes += bytes;
    assert(account->lingering_bytes <= account->bytes);
}

void tkv_quota_release(struct tkv_accounts *accounts, struct tkv_account *account, uint64_t bytes,
                       bool lingered)
{
    assert(account->sequences > 0 && account->bytes >= bytes);
    account->sequences--;
    account->bytes -= bytes;
    if (lingered) account->lingering_bytes -= bytes;
    if (account->sequences > 0) return;
    assert(account->bytes == 0 && account->lingering_bytes == 0);
    /* the analyzer does not see that the macro frees its table with the last entry only */
    HASH_DEL(accounts->by_uid, account); /* NOLINT(clang-analyzer-unix.Malloc) */
    free(account);
}

size_t tkv_quota_users(const struct tkv_accounts *accounts)
{
    return HASH_COUNT(accounts->by_uid);
}
