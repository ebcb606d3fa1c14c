/* cache.h - the device memory of one sequence. It outlives the sequence while somebody still reads
 * it; nothing is freed before the work that uses it has run, because the release is a job behind
 * it. Loop thread only, but for the jobs themselves. */
#ifndef TKV_DAEMON_CACHE_H
#define TKV_DAEMON_CACHE_H

#include "daemon/engine.h"

enum { TKV_TRUNCATIONS_MAX = 16 };

/* After batch `batch`, everything at or past `len` may have been written again. */
struct tkv_truncation {
    uint64_t batch;
    uint32_t len;
};

/* What a cache takes, bytes. The budget is for the planes, rounded up as the device maps them, so
 * that it holds as many sequences as their shape says; checksums come on top, some 0.4 %. */
struct tkv_cache_size {
    size_t charged;
    size_t all;     /* what is allocated */
    size_t sums_at; /* where its checksums begin; 0: it has none */
};

struct tkv_cache {
    struct tkv_job job; /* first; the allocation, later the release */
    struct tkv_memory mem;
    struct tkv_cache_size size;
    bool lingers;                /* its sequence is gone; somebody still reads it */
    bool damage_known;           /* the background scrub has said so already */
    struct tkv_account *account; /* whose quota it takes; NULL: nobody's */
    uint64_t generation;         /* unique for the life of the process */
    uint32_t refs;
    struct tkv_truncation truncations[TKV_TRUNCATIONS_MAX]; /* both members ascend */
    uint32_t n_truncations;
    void *owner; /* whoever waits for the allocation */
};

/* A cache of that size, one reference, no memory yet: the caller sets job.complete and submits
 * cache->job. NULL: out of memory. */
struct tkv_cache *tkv_cache_open(const struct tkv_cache_size *size, uint64_t generation);

/* Its checksums [capacity][n_layers][2], device memory; NULL: it has none. */
uint64_t *tkv_cache_sums(const struct tkv_cache *cache);

/* Turns a cache with memory and no reference into the job that releases it; job.complete is the
 * caller's to set, and frees the struct with free(). */
struct tkv_job *tkv_cache_release_job(struct tkv_cache *cache);

/* Notes that positions from len on may be written again by batches after `batch`. What is noted
 * stays with the memory: who still reads it after its sequence is gone must know, too. */
void tkv_cache_truncated(struct tkv_cache *cache, uint64_t batch, uint32_t len);

/* Whether positions up to `end` that `batch` wrote may have been written again since. Errs on the
 * side of true. */
bool tkv_cache_superseded(const struct tkv_cache *cache, uint64_t batch, uint32_t end);

#endif
