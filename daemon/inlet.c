#include "daemon/inlet.h"

#include <sys/socket.h>
#include <unistd.h>

static void on_wake(uv_async_t *async)
{
    struct tkv_inlet *inlet = async->data;
    int taken[TKV_INLET_MAX];
    pthread_mutex_lock(&inlet->lock);
    size_t n = inlet->n_waiting;
    for (size_t i = 0; i < n; i++)
        taken[i] = inlet->waiting[i];
    inlet->n_waiting = 0;
    pthread_mutex_unlock(&inlet->lock);
    for (size_t i = 0; i < n; i++)
        inlet->take(inlet->arg, taken[i]);
}

int tkv_inlet_open(struct tkv_inlet *inlet, uv_loop_t *loop, void (*take)(void *arg, int fd),
                   void *arg)
{
    int rc = uv_async_init(loop, &inlet->wake, on_wake);
    if (rc != 0) return rc;
    inlet->wake.data = inlet;
    inlet->take = take;
    inlet->arg = arg;
    return -pthread_mutex_init(&inlet->lock, NULL);
}

void tkv_inlet_close(struct tkv_inlet *inlet)
{
    pthread_mutex_lock(&inlet->lock);
    inlet->closed = true;
    for (size_t i = 0; i < inlet->n_waiting; i++)
        close(inlet->waiting[i]);
    inlet->n_waiting = 0;
    pthread_mutex_unlock(&inlet->lock);
}

int tkv_inlet_connect(struct tkv_inlet *inlet)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return -1;
    pthread_mutex_lock(&inlet->lock);
    bool fits = !inlet->closed && inlet->n_waiting < TKV_INLET_MAX;
    if (fits) inlet->waiting[inlet->n_waiting++] = pair[1];
    if (fits) uv_async_send(&inlet->wake); /* under the lock: the handle is not closed meanwhile */
    pthread_mutex_unlock(&inlet->lock);
    if (fits) return pair[0];
    close(pair[0]);
    close(pair[1]);
    return -1;
}
