/* pool.h - a few threads that help with one piece of work at a time. Private to kernels/cpu/.
 * One owner thread at a time. Threads start with the first work given; where none can be started
 * the owner does it all. */
#ifndef TKV_KERNELS_CPU_POOL_H
#define TKV_KERNELS_CPU_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { TKV_POOL_HELPERS_MAX = 7 };

/* Does task k of a piece of work; called by several threads at once, for different k. */
typedef void (*tkv_pool_fn)(void *ctx, size_t k);

struct tkv_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t threads[TKV_POOL_HELPERS_MAX];
    unsigned wanted, started;
    bool start_tried, stop;
    bool open;           /* helpers may still join the work at hand */
    unsigned long round; /* counts pieces of work */
    unsigned joined;     /* helpers inside it */
    tkv_pool_fn fn;
    void *ctx;
    size_t n_tasks;
    atomic_size_t next_task;
};

/* helpers: threads beside the owner, cut at TKV_POOL_HELPERS_MAX. Starts none yet. */
void tkv_pool_init(struct tkv_pool *pool, unsigned helpers);
void tkv_pool_close(struct tkv_pool *pool);

/* Runs fn(ctx, 0 .. n_tasks-1) in any order on the owner and the helpers; all are done, and what
 * they wrote is seen, when this returns. */
void tkv_pool_run(struct tkv_pool *pool, tkv_pool_fn fn, void *ctx, size_t n_tasks);

#endif
