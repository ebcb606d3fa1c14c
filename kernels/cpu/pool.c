/* The owner works, too, and takes what is left when a helper is late: it never waits for a thread
 * that has not woken up, only for those inside a task. */
#include "kernels/cpu/pool.h"

#include <signal.h>

void tkv_pool_init(struct tkv_pool *pool, unsigned helpers)
{
    *pool = (struct tkv_pool){0};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->wanted = helpers < TKV_POOL_HELPERS_MAX ? helpers : TKV_POOL_HELPERS_MAX;
}

static void take_tasks(struct tkv_pool *pool)
{
    for (;;) {
        size_t k = atomic_fetch_add_explicit(&pool->next_task, 1, memory_order_relaxed);
        if (k >= pool->n_tasks) return;
        pool->fn(pool->ctx, k);
    }
}

static void *helper_main(void *arg)
{
    struct tkv_pool *pool = arg;
    unsigned long seen = 0;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        if (!pool->open || pool->round == seen) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        seen = pool->round;
        pool->joined++;
        pthread_mutex_unlock(&pool->lock);
        take_tasks(pool);
        pthread_mutex_lock(&pool->lock);
        if (--pool->joined == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals belong to the program's own threads: helpers block them all. */
static void start_helpers(struct tkv_pool *pool)
{
    sigset_t all, before;
    pool->start_tried = true;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return;
    while (pool->started < pool->wanted) {
        if (pthread_create(&pool->threads[pool->started], NULL, helper_main, pool) != 0) break;
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void tkv_pool_run(struct tkv_pool *pool, tkv_pool_fn fn, void *ctx, size_t n_tasks)
{
    if (!pool->start_tried) start_helpers(pool);

    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->ctx = ctx;
    pool->n_tasks = n_tasks;
    atomic_store_explicit(&pool->next_task, 0, memory_order_relaxed);
    pool->round++;
    pool->open = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);

    take_tasks(pool);

    pthread_mutex_lock(&pool->lock);
    pool->open = false;
    while (pool->joined > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void tkv_pool_close(struct tkv_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
}
