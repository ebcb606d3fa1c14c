#include "daemon/staging.h"

#include <assert.h>
#include <stdlib.h>

/* Size classes: 8 steps to a doubling, so that at most an eighth is wasted. */
enum {
    MIN_SHIFT = 12,
    STEPS_SHIFT = 3,
    STEPS = 1 << STEPS_SHIFT,
    CLASSES = (64 - MIN_SHIFT) * STEPS
};

struct tkv_staging_pool {
    enum tkv_backend backend;
    size_t max_bytes, cached_max;
    size_t used;   /* blocks with references, parked ones not counted */
    size_t cached; /* blocks without */
    struct tkv_staging *free[CLASSES];
};

/* The class whose room is the smallest >= bytes; room is written too. */
static unsigned class_of(size_t bytes, size_t *room)
{
    size_t pages = (bytes + ((size_t)1 << MIN_SHIFT) - 1) >> MIN_SHIFT;
    if (pages <= STEPS) {
        *room = pages << MIN_SHIFT;
        return (unsigned)pages - 1;
    }
    unsigned top = 63u - (unsigned)__builtin_clzll(pages - 1); /* 2^top <= pages-1 < 2^(top+1) */
    unsigned shift = top - STEPS_SHIFT;
    size_t steps = ((pages - 1) >> shift) + 1; /* STEPS < steps <= 2 * STEPS */
    *room = (steps << shift) << MIN_SHIFT;
    return (shift + 1) * STEPS + (unsigned)(steps - STEPS) - 1;
}

enum tkv_status tkv_staging_pool_open(struct tkv_staging_pool **out, enum tkv_backend backend,
                                      size_t max_bytes, size_t cached_bytes)
{
    struct tkv_staging_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) return TKV_ENOMEM;
    pool->backend = backend;
    class_of(max_bytes, &pool->max_bytes);
    pool->cached_max = cached_bytes;
    *out = pool;
    return TKV_OK;
}

static void destroy(struct tkv_staging *block)
{
    tkv_staging_free(block->pool->backend, block->ptr, block->room);
    free(block);
}

static void drop_cached(struct tkv_staging_pool *pool, size_t keep)
{
    for (int c = CLASSES - 1; c >= 0 && pool->cached > keep; c--) {
        while (pool->free[c] != NULL && pool->cached > keep) {
            struct tkv_staging *block = pool->free[c];
            pool->free[c] = block->next;
            pool->cached -= block->room;
            destroy(block);
        }
    }
}

void tkv_staging_pool_close(struct tkv_staging_pool *pool)
{
    if (pool == NULL) return;
    assert(pool->used == 0);
    drop_cached(pool, 0);
    free(pool);
}

static enum tkv_status allocate(struct tkv_staging_pool *pool, size_t room,
                                struct tkv_staging **out)
{
    struct tkv_staging *block = calloc(1, sizeof *block);
    if (block == NULL) return TKV_ENOMEM;
    void *ptr = NULL;
    enum tkv_status st = tkv_staging_alloc(pool->backend, room, &ptr);
    if (st != TKV_OK && pool->cached > 0) {
        drop_cached(pool, 0);
        st = tkv_staging_alloc(pool->backend, room, &ptr);
    }
    if (st != TKV_OK) {
        free(block);
        return st;
    }
    block->ptr = ptr;
    block->room = room;
    block->pool = pool;
    *out = block;
    return TKV_OK;
}

enum tkv_status tkv_staging_take(struct tkv_staging_pool *pool, size_t bytes,
                                 struct tkv_staging **out)
{
    size_t room;
    assert(bytes >= 1);
    if (bytes > pool->max_bytes || pool->used > pool->max_bytes) return TKV_EOVERLOADED;
    unsigned c = class_of(bytes, &room);
    if (room > pool->max_bytes - pool->used) return TKV_EOVERLOADED;
    struct tkv_staging *block = pool->free[c];
    if (block != NULL) {
        pool->free[c] = block->next;
        pool->cached -= block->room;
    } else {
        enum tkv_status st = allocate(pool, room, &block);
        if (st != TKV_OK) return st;
    }
    assert(block->room == room);
    block->bytes = bytes;
    block->refs = 1;
    pool->used += room;
    *out = block;
    return TKV_OK;
}

void tkv_staging_ref(struct tkv_staging *block)
{
    assert(block->refs > 0);
    block->refs++;
}

void tkv_staging_unref(struct tkv_staging *block)
{
    size_t room;
    if (block == NULL) return;
    assert(block->refs > 0);
    if (--block->refs > 0) return;
    struct tkv_staging_pool *pool = block->pool;
    pool->used -= block->room;
    if (block->room > pool->cached_max) {
        destroy(block);
        return;
    }
    drop_cached(pool, pool->cached_max - block->room);
    unsigned c = class_of(block->room, &room);
    assert(room == block->room);
    block->next = pool->free[c];
    pool->free[c] = block;
    pool->cached += block->room;
}

void tkv_staging_park(struct tkv_staging *block)
{
    block->pool->used -= block->room;
}

void tkv_staging_unpark(struct tkv_staging *block)
{
    block->pool->used += block->room;
}

size_t tkv_staging_used(const struct tkv_staging_pool *pool)
{
    return pool->used;
}
