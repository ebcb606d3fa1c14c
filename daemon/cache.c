#include "daemon/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static enum tkv_status run_alloc(struct tkv_job *job, struct tkv_device *dev)
{
    struct tkv_cache *cache = (struct tkv_cache *)job;
    return tkv_memory_alloc(dev, cache->size.all, &cache->mem);
}

static enum tkv_status run_release(struct tkv_job *job, struct tkv_device *dev)
{
    struct tkv_cache *cache = (struct tkv_cache *)job;
    tkv_memory_free(dev, &cache->mem);
    return TKV_OK;
}

uint64_t *tkv_cache_sums(const struct tkv_cache *cache)
{
    if (cache->size.sums_at == 0) return NULL;
    return (uint64_t *)(void *)((char *)cache->mem.ptr + cache->size.sums_at);
}

struct tkv_cache *tkv_cache_open(const struct tkv_cache_size *size, uint64_t generation)
{
    struct tkv_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) return NULL;
    cache->job.run = run_alloc;
    cache->size = *size;
    cache->generation = generation;
    cache->refs = 1;
    return cache;
}

struct tkv_job *tkv_cache_release_job(struct tkv_cache *cache)
{
    assert(cache->refs == 0);
    cache->job = (struct tkv_job){.run = run_release};
    return &cache->job;
}

/* Later truncations to a shorter length make earlier ones to a longer one irrelevant; when the list
 * is full its two oldest are merged into one that covers both. */
void tkv_cache_truncated(struct tkv_cache *cache, uint64_t batch, uint32_t len)
{
    struct tkv_truncation *t = cache->truncations;
    cache->damage_known = false; /* what comes now is damaged anew, if it is */
    while (cache->n_truncations > 0 && t[cache->n_truncations - 1].len >= len)
        cache->n_truncations--;
    if (cache->n_truncations == TKV_TRUNCATIONS_MAX) {
        t[1].len = t[0].len;
        memmove(t, t + 1, (TKV_TRUNCATIONS_MAX - 1) * sizeof *t);
        cache->n_truncations--;
    }
    t[cache->n_truncations++] = (struct tkv_truncation){batch, len};
}

bool tkv_cache_superseded(const struct tkv_cache *cache, uint64_t batch, uint32_t end)
{
    for (uint32_t i = 0; i < cache->n_truncations; i++) {
        if (cache->truncations[i].batch >= batch) return cache->truncations[i].len < end;
    }
    return false;
}
