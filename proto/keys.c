#include "proto/keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "proto/text.h"

enum { PAIRWISE_MAX = 16 }; /* up to here comparing all pairs is the quickest */

void tkv_keys_init(struct tkv_keys *keys)
{
    keys->all = keys->few;
    keys->n = 0;
    keys->cap = TKV_KEYS_FEW;
}

void tkv_keys_close(struct tkv_keys *keys)
{
    if (keys->all != keys->few) free(keys->all);
    tkv_keys_init(keys);
}

static enum tkv_status grow(struct tkv_keys *keys)
{
    size_t bytes;
    if (!tkv_mul(keys->cap, 2 * sizeof *keys->all, &bytes)) return TKV_ENOMEM;
    struct tkv_key *all = realloc(keys->all == keys->few ? NULL : keys->all, bytes);
    if (all == NULL) return TKV_ENOMEM;
    if (keys->all == keys->few) memcpy(all, keys->few, sizeof keys->few);
    keys->all = all;
    keys->cap *= 2;
    return TKV_OK;
}

static uint32_t hash_of(const char *at) /* FNV-1a over code points */
{
    uint32_t hash = 2166136261u;
    while (*at != '"')
        hash = (hash ^ tkv_string_next(&at)) * 16777619u;
    return hash;
}

enum tkv_status tkv_keys_add(struct tkv_keys *keys, const char *at)
{
    if (keys->n == keys->cap && grow(keys) != TKV_OK) return TKV_ENOMEM;
    keys->all[keys->n++] = (struct tkv_key){.at = at, .hash = hash_of(at)};
    return TKV_OK;
}

/* Some total order, by what the keys mean; 0: the same key. Equal hashes that somebody made on
 * purpose cost time in proportion to the keys' length, no more. */
static int compare(const struct tkv_key *a, const struct tkv_key *b)
{
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    const char *p = a->at, *q = b->at;
    while (*p != '"' && *q != '"') {
        uint32_t c = tkv_string_next(&p), d = tkv_string_next(&q);
        if (c != d) return c < d ? -1 : 1;
    }
    return (*p != '"') - (*q != '"');
}

static const char *later(const struct tkv_key *a, const struct tkv_key *b)
{
    return a->at > b->at ? a->at : b->at;
}

static void sift_down(struct tkv_key *keys, size_t root, size_t n)
{
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && compare(&keys[child], &keys[child + 1]) < 0) child++;
        if (compare(&keys[root], &keys[child]) >= 0) return;
        struct tkv_key swap = keys[root];
        keys[root] = keys[child];
        keys[child] = swap;
    }
}

/* Heapsort: no input makes it slow, and it allocates nothing. */
static void sort(struct tkv_key *keys, size_t n)
{
    for (size_t root = n / 2; root-- > 0;)
        sift_down(keys, root, n);
    for (size_t end = n; end-- > 1;) {
        struct tkv_key largest = keys[0];
        keys[0] = keys[end];
        keys[end] = largest;
        sift_down(keys, 0, end);
    }
}

static const char *find_pairwise(const struct tkv_key *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (compare(&keys[i], &keys[k]) == 0) return keys[i].at;
        }
    }
    return NULL;
}

static const char *find_sorted(struct tkv_key *keys, size_t n)
{
    sort(keys, n);
    for (size_t i = 1; i < n; i++) {
        if (compare(&keys[i - 1], &keys[i]) == 0) return later(&keys[i - 1], &keys[i]);
    }
    return NULL;
}

const char *tkv_keys_end_object(struct tkv_keys *keys, size_t first)
{
    assert(first <= keys->n);
    size_t n = keys->n - first;
    struct tkv_key *own = keys->all + first;
    keys->n = first;
    return n <= PAIRWISE_MAX ? find_pairwise(own, n) : find_sorted(own, n);
}
