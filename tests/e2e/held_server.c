#include "tests/e2e/held_server.h"

#include <check.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/engine.h"
#include "tests/e2e/wire.h"

static _Atomic uint64_t busy_since_ns;
static atomic_bool holds_back;

/* The linker puts these in place of the engine's own. */
uint64_t __real_tkv_engine_busy_since_ns(const struct tkv_engine *engine);
uint64_t __wrap_tkv_engine_busy_since_ns(const struct tkv_engine *engine);
struct tkv_job *__real_tkv_engine_done(struct tkv_engine *engine);
struct tkv_job *__wrap_tkv_engine_done(struct tkv_engine *engine);
bool __real_tkv_engine_run_now(struct tkv_engine *engine, struct tkv_job *job);
bool __wrap_tkv_engine_run_now(struct tkv_engine *engine, struct tkv_job *job);

uint64_t __wrap_tkv_engine_busy_since_ns(const struct tkv_engine *engine)
{
    uint64_t since = atomic_load(&busy_since_ns);
    return since != 0 ? since : __real_tkv_engine_busy_since_ns(engine);
}

struct tkv_job *__wrap_tkv_engine_done(struct tkv_engine *engine)
{
    return atomic_load(&holds_back) ? NULL : __real_tkv_engine_done(engine);
}

bool __wrap_tkv_engine_run_now(struct tkv_engine *engine, struct tkv_job *job)
{
    return !atomic_load(&holds_back) && __real_tkv_engine_run_now(engine, job);
}

void held_hold(void)
{
    atomic_store(&holds_back, true);
}

void held_release(struct held_server *h)
{
    atomic_store(&holds_back, false);
    uv_async_send(&h->server->wake); /* as the engine did when it was not heard */
}

void held_seem_busy(uint64_t since_ns)
{
    atomic_store(&busy_since_ns, since_ns);
}

static void http_path(const struct held_server *h, char *out, size_t size)
{
    snprintf(out, size, "%s/http", h->d.dir);
}

void held_init(struct held_server *h)
{
    char why[256], listen[FX_PATH_MAX + 8];
    memset(h, 0, sizeof *h);
    snprintf(h->d.dir, sizeof h->d.dir, "/tmp/tkv-held-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(h->d.dir));
    snprintf(h->d.socket, sizeof h->d.socket, "%s/s", h->d.dir);
    snprintf(listen, sizeof listen, "unix:%s", h->d.socket);
    tkv_config_init(&h->config);
    ck_assert_int_eq(tkv_config_add_listen(&h->config, listen, why, sizeof why), TKV_OK);
    snprintf(listen, sizeof listen, "unix:%s/http", h->d.dir);
    h->config.http_listen = strdup(listen);
    h->config.models[0] = (struct tkv_model){
        .name = "m",
        .geom = {.n_layers = 4, .n_kv_heads = 8, .head_dim = 128, .dtype = TKV_F16},
        .capacity = 4096};
    h->config.n_models = 1;
}

void held_close(struct held_server *h)
{
    char path[FX_PATH_MAX];
    h->config.n_models = 0; /* the name is a constant */
    tkv_config_close(&h->config);
    tkv_device_fail_nth(0, TKV_OK);
    held_seem_busy(0);
    atomic_store(&holds_back, false);
    http_path(h, path, sizeof path);
    unlink(path);
    unlink(h->d.socket);
    rmdir(h->d.dir);
}

static void *run(void *arg)
{
    struct held_server *h = arg;
    h->code = tkv_server_run(h->server);
    return NULL;
}

void held_start(struct held_server *h)
{
    struct tkv_device *dev;
    signal(SIGPIPE, SIG_IGN); /* as main() does */
    ck_assert_int_eq(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL), TKV_OK);
    ck_assert_int_eq(tkv_server_open(&h->server, &h->config, dev), TKV_OK);
    ck_assert_int_eq(tkv_http_open(&h->http, h->server), TKV_OK);
    ck_assert_int_eq(pthread_create(&h->thread, NULL, run, h), 0);
}

int held_join(struct held_server *h)
{
    pthread_join(h->thread, NULL);
    return h->code;
}

/* A lost device's core has work left, which ends once the device is well again. */
void held_take_apart(struct held_server *h)
{
    bool closed;
    tkv_http_close(h->http);
    closed = tkv_server_close(h->server);
    ck_assert(closed == (h->code == 0));
    if (closed) return;
    tkv_device_fail_nth(0, TKV_OK);
    held_seem_busy(0);
    atomic_store(&holds_back, false);
    h->server->failed = false;
    while (!tkv_core_idle(h->server->core)) {
        usleep(1000);
        tkv_core_poll(h->server->core);
    }
    ck_assert(tkv_server_close(h->server));
}

int held_get(const struct held_server *h, const char *path, char *body, size_t size)
{
    char request[256], at[FX_PATH_MAX], answer[4096];
    size_t used = 0;
    struct wire w = {0};
    http_path(h, at, sizeof at);
    w.fd = wire_connect(at);
    ck_assert_int_ge(w.fd, 0);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    wire_send(&w, request, (size_t)n);
    for (ssize_t got; (got = recv(w.fd, answer + used, sizeof answer - 1 - used, 0)) > 0;)
        used += (size_t)got;
    wire_close(&w);
    answer[used] = '\0';
    const char *end = strstr(answer, "\r\n\r\n"), *status = strchr(answer, ' ');
    ck_assert_msg(end != NULL && status != NULL, "no answer of HTTP: %s", answer);
    snprintf(body, size, "%s", end + 4);
    return (int)strtol(status, NULL, 10);
}
