#include "daemon/cache.h"

#include <assert.h>
#include <stdlib.h>

static enum tkv_status run_alloc(struct tkv_job *job, struct tkv_device *dev)
{
    struct tkv_cache *cache = (struct tkv_cache *)job;
    return tkv_memory_alloc(dev, cache->bytes, &cache->mem);
}

static enum tkv_status run_release(struct tkv_job *job, struct tkv_device *dev)
{
    struct tkv_cache *cache = (struct tkv_cache *)job;
    tkv_memory_free(dev, &cache->mem);
    return TKV_OK;
}

struct tkv_cache *tkv_cache_open(size_t bytes, uint64_t generation)
{
    struct tkv_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) return NULL;
    cache->job.run = run_alloc;
    cache->bytes = bytes;
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
