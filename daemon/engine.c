#include "daemon/engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

/* First in, first out. */
struct queue {
    struct tkv_job *head, *tail;
};

struct tkv_engine {
    struct tkv_device *dev; /* engine thread, but for open and close */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;     /* todo is not empty, or stop */
    struct queue todo, done; /* under lock */
    bool stop;               /* under lock */
    bool working;            /* under lock: a job runs, here or in run_now() */
    bool alert;              /* under lock: a job is about to come */
    struct tkv_engine_manner manner;
    atomic_bool news;               /* a job has come, or stop; for the thread that spins */
    atomic_bool looking;            /* it spins */
    atomic_bool finished;           /* done is not empty */
    _Atomic uint64_t look_until_ns; /* so long it spins */
    void (*wake)(void *arg);
    void *arg;
    atomic_bool failed;
    _Atomic uint64_t busy_since_ns;
};

static void push(struct queue *q, struct tkv_job *job)
{
    job->next = NULL;
    if (q->tail != NULL)
        q->tail->next = job;
    else
        q->head = job;
    q->tail = job;
}

static struct tkv_job *pop(struct queue *q)
{
    struct tkv_job *job = q->head;
    if (job == NULL) return NULL;
    q->head = job->next;
    if (q->head == NULL) q->tail = NULL;
    return job;
}

static void look_out(struct tkv_engine *e, uint64_t us)
{
    uint64_t until = tkv_now_ns() + us * 1000;
    if (until > atomic_load_explicit(&e->look_until_ns, memory_order_relaxed))
        atomic_store_explicit(&e->look_until_ns, until, memory_order_relaxed);
}

/* Looks out for a job for a while: who sleeps is woken some 10 to 50 us late. */
static void spin(struct tkv_engine *e)
{
    atomic_store_explicit(&e->looking, true, memory_order_relaxed);
    while (!atomic_load_explicit(&e->news, memory_order_relaxed) &&
           tkv_now_ns() < atomic_load_explicit(&e->look_until_ns, memory_order_relaxed))
        tkv_relax();
    atomic_store_explicit(&e->looking, false, memory_order_relaxed);
    atomic_store_explicit(&e->news, false, memory_order_relaxed);
}

/* Sleeps until there is something to do; spins once where it is told that there will be. */
static void wait_for_work(struct tkv_engine *e)
{
    while (e->working || (e->todo.head == NULL && !e->stop)) {
        if (!e->alert) {
            pthread_cond_wait(&e->work, &e->lock);
            continue;
        }
        e->alert = false;
        pthread_mutex_unlock(&e->lock);
        spin(e);
        pthread_mutex_lock(&e->lock);
    }
}

/* The next job, or NULL at the end. */
static struct tkv_job *next_job(struct tkv_engine *e)
{
    pthread_mutex_lock(&e->lock);
    wait_for_work(e);
    struct tkv_job *job = pop(&e->todo);
    e->working = job != NULL;
    pthread_mutex_unlock(&e->lock);
    return job;
}

static void run_job(struct tkv_engine *e, struct tkv_job *job)
{
    job->begun_ns = tkv_now_ns();
    atomic_store(&e->busy_since_ns, job->begun_ns);
    job->status = atomic_load(&e->failed) ? TKV_EDEVICE : job->run(job, e->dev);
    if (job->status == TKV_EDEVICE) atomic_store(&e->failed, true);
    job->ended_ns = tkv_now_ns();
    atomic_store(&e->busy_since_ns, 0);
}

static void hand_back(struct tkv_engine *e, struct tkv_job *job)
{
    bool finishes = job->finish != NULL;
    if (finishes) job->finish(job);
    pthread_mutex_lock(&e->lock);
    e->working = false;
    bool first = !finishes && e->done.head == NULL;
    if (!finishes) push(&e->done, job);
    if (!finishes) atomic_store_explicit(&e->finished, true, memory_order_release);
    pthread_mutex_unlock(&e->lock);
    if (first) e->wake(e->arg);
}

/* Of this thread only, on Linux; threads started by it inherit it. */
static void step_back(void)
{
    const int nice = 10;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns: it often sleeps for some microseconds */
}

static void *engine_main(void *arg)
{
    struct tkv_engine *e = arg;
    struct tkv_job *job;
    if (e->manner.background) step_back();
    while ((job = next_job(e)) != NULL) {
        run_job(e, job);
        hand_back(e, job);
        if (e->manner.spin_us == 0) continue;
        look_out(e, e->manner.spin_us);
        spin(e);
    }
    return NULL;
}

enum tkv_status tkv_engine_open(struct tkv_engine **out, struct tkv_device *dev,
                                struct tkv_engine_manner manner, void (*wake)(void *arg), void *arg)
{
    struct tkv_engine *e = calloc(1, sizeof *e);
    if (e == NULL) return TKV_ENOMEM;
    e->dev = dev;
    e->manner = manner;
    e->wake = wake;
    e->arg = arg;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    if (pthread_create(&e->thread, NULL, engine_main, e) != 0) {
        pthread_cond_destroy(&e->work);
        pthread_mutex_destroy(&e->lock);
        free(e);
        return TKV_ENOMEM;
    }
    *out = e;
    return TKV_OK;
}

void tkv_engine_close(struct tkv_engine *engine)
{
    if (engine == NULL) return;
    pthread_mutex_lock(&engine->lock);
    engine->stop = true;
    atomic_store_explicit(&engine->news, true, memory_order_relaxed);
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
    pthread_join(engine->thread, NULL);
    assert(engine->todo.head == NULL && engine->done.head == NULL);
    tkv_device_close(engine->dev);
    pthread_cond_destroy(&engine->work);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

void tkv_engine_submit(struct tkv_engine *engine, struct tkv_job *job)
{
    assert(job->run != NULL);
    pthread_mutex_lock(&engine->lock);
    push(&engine->todo, job);
    atomic_store_explicit(&engine->news, true, memory_order_relaxed);
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
}

void tkv_engine_alert(struct tkv_engine *engine)
{
    const uint64_t patience = 10; /* of a job that is announced, in times of a pause between two */
    if (engine->manner.spin_us == 0) return;
    look_out(engine, engine->manner.spin_us * patience);
    if (atomic_load_explicit(&engine->looking, memory_order_relaxed)) return;
    pthread_mutex_lock(&engine->lock);
    engine->alert = true;
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
}

bool tkv_engine_run_now(struct tkv_engine *engine, struct tkv_job *job)
{
    pthread_mutex_lock(&engine->lock);
    bool idle = !engine->working && engine->todo.head == NULL && engine->done.head == NULL;
    engine->working = engine->working || idle;
    pthread_mutex_unlock(&engine->lock);
    if (!idle) return false;
    run_job(engine, job);
    pthread_mutex_lock(&engine->lock);
    engine->working = false;
    if (engine->todo.head != NULL) pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
    return true;
}

bool tkv_engine_has_done(const struct tkv_engine *engine)
{
    return atomic_load_explicit(&((struct tkv_engine *)engine)->finished, memory_order_acquire);
}

struct tkv_job *tkv_engine_done(struct tkv_engine *engine)
{
    if (!tkv_engine_has_done(engine)) return NULL;
    pthread_mutex_lock(&engine->lock);
    struct tkv_job *head = engine->done.head;
    engine->done = (struct queue){0};
    atomic_store_explicit(&engine->finished, false, memory_order_relaxed);
    pthread_mutex_unlock(&engine->lock);
    return head;
}

bool tkv_engine_failed(const struct tkv_engine *engine)
{
    return atomic_load(&((struct tkv_engine *)engine)->failed);
}

uint64_t tkv_engine_busy_since_ns(const struct tkv_engine *engine)
{
    return atomic_load(&((struct tkv_engine *)engine)->busy_since_ns);
}

void tkv_engine_progress(struct tkv_engine *engine)
{
    atomic_store(&engine->busy_since_ns, tkv_now_ns());
}
