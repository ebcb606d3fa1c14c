/* engine.h - the one thread that works on a device: it takes jobs in order, runs each to its end,
 * and hands them back.
 *
 * Because jobs run in the order in which they were given, a job given later sees what an earlier
 * one wrote: memory released by one job is there for the next. Live caches are touched by nobody
 * else, but for a job that tkv_engine_run_now() runs in the engine's place. The thread never
 * touches a socket or the loop, but through `wake`. */
#ifndef TKV_DAEMON_ENGINE_H
#define TKV_DAEMON_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/device.h"

struct tkv_engine; /* opaque: tkv_engine_open() .. tkv_engine_close() */

/* A piece of work. Embedded first in the struct that holds its arguments. */
struct tkv_job {
    /* Engine thread: does the work and waits for the device. */
    enum tkv_status (*run)(struct tkv_job *job, struct tkv_device *dev);
    /* Engine thread, after run: takes the job away. NULL: it goes to tkv_engine_done(). */
    void (*finish)(struct tkv_job *job);
    /* For the taker of tkv_engine_done(): what to do with it. The engine never calls it. */
    void (*complete)(struct tkv_job *job, void *arg);
    uint64_t begun_ns, ended_ns; /* of run, as tkv_now_ns() */
    enum tkv_status status; /* what run returned; TKV_EDEVICE for all once the device is lost */
    struct tkv_job *next;
};

/* How the thread goes about its work. */
struct tkv_engine_manner {
    bool background; /* others have the CPU first, also before the threads that its device starts */
    uint32_t spin_us; /* after a job it looks out for the next one for so long before it sleeps, and
                         ten times as long when it has been told that one comes; 0: it sleeps */
};

/* Starts the thread. dev is the engine's until close, which closes it. wake(arg) is called on the
 * engine thread when finished jobs begin to wait; it must only make the loop call
 * tkv_engine_done(). TKV_ENOMEM: dev stays the caller's. */
enum tkv_status tkv_engine_open(struct tkv_engine **out, struct tkv_device *dev,
                                struct tkv_engine_manner manner, void (*wake)(void *arg),
                                void *arg);

/* Runs what is queued, stops the thread, closes the device. Finished jobs have all been taken. */
void tkv_engine_close(struct tkv_engine *engine);

/* Any thread. Never waits. */
void tkv_engine_submit(struct tkv_engine *engine, struct tkv_job *job);

/* Any thread: a job is about to be submitted. A thread that sleeps takes tens of microseconds to
 * wake; told in time, it looks out for the job. Told while it just goes to sleep, it may miss it:
 * whoever can tells it more than once. */
void tkv_engine_alert(struct tkv_engine *engine);

/* Runs the job on the calling thread, in the engine's place, where it has nothing else to do, and
 * returns true: then the caller completes it. For work that takes less time than two threads need
 * to hear of each other. False: it was not run. Not while jobs wait for tkv_engine_done(): they
 * come first. */
bool tkv_engine_run_now(struct tkv_engine *engine, struct tkv_job *job);

/* Whether there are finished jobs. Any thread; takes no lock. */
bool tkv_engine_has_done(const struct tkv_engine *engine);

/* Finished jobs, the earliest first, linked by next; NULL: none. Any thread. */
struct tkv_job *tkv_engine_done(struct tkv_engine *engine);

/* Whether a sticky device error has been seen. Any thread. */
bool tkv_engine_failed(const struct tkv_engine *engine);

/* Engine thread, from a job that takes long: it is making progress. */
void tkv_engine_progress(struct tkv_engine *engine);

/* Since when the job under way has been running, or made progress last, as tkv_now_ns(); 0: none
 * is. Any thread. */
uint64_t tkv_engine_busy_since_ns(const struct tkv_engine *engine);

#endif
