/* inlet.h - connections from the daemon's own threads: a socket pair, one end of which the loop
 * serves as any client's. So they ask as clients do, and nothing of the loop's is shared. */
#ifndef TKV_DAEMON_INLET_H
#define TKV_DAEMON_INLET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum { TKV_INLET_MAX = 64 /* that wait to be taken */ };

struct tkv_inlet {
    uv_async_t wake;
    pthread_mutex_t lock;
    int waiting[TKV_INLET_MAX]; /* under lock: the loop's ends */
    size_t n_waiting;           /* under lock */
    bool closed;                /* under lock */
    void (*take)(void *arg, int fd);
    void *arg;
};

/* Loop thread. take(arg, fd) is called there for each new connection; fd is its own. An errno of
 * libuv. */
int tkv_inlet_open(struct tkv_inlet *inlet, uv_loop_t *loop, void (*take)(void *arg, int fd),
                   void *arg);

/* No more come; those not taken are closed. The handle is closed with the loop's others. */
void tkv_inlet_close(struct tkv_inlet *inlet);

/* Any thread: a connected stream socket that blocks, the caller's to close; -1: there is none to be
 * had. */
int tkv_inlet_connect(struct tkv_inlet *inlet);

#endif
