/* cache.h - the device memory of one sequence. It outlives the sequence while somebody still reads
 * it; nothing is freed before the work that uses it has run, because the release is a job behind
 * it. Loop thread only, but for the jobs themselves. */
#ifndef TKV_DAEMON_CACHE_H
#define TKV_DAEMON_CACHE_H

#include "daemon/engine.h"

struct tkv_cache {
    struct tkv_job job; /* first; the allocation, later the release */
    struct tkv_memory mem;
    size_t bytes;        /* mapped bytes, what the budget is charged */
    uint64_t generation; /* unique for the life of the process */
    uint32_t refs;
    void *owner; /* whoever waits for the allocation */
};

/* A cache of `bytes` mapped bytes, one reference, no memory yet: the caller sets job.complete and
 * submits cache->job. NULL: out of memory. */
struct tkv_cache *tkv_cache_open(size_t bytes, uint64_t generation);

/* Turns a cache with memory and no reference into the job that releases it; job.complete is the
 * caller's to set, and frees the struct with free(). */
struct tkv_job *tkv_cache_release_job(struct tkv_cache *cache);

#endif
