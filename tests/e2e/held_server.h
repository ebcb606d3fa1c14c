/* held_server.h - the server in a thread of this process, HTTP beside it, on a device that hangs,
 * seems busy or fails as a test wants it. The program must be linked with --wrap for
 * tkv_engine_busy_since_ns, tkv_engine_done and tkv_engine_run_now. One at a time. */
#ifndef TKV_TESTS_E2E_HELD_SERVER_H
#define TKV_TESTS_E2E_HELD_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/http/http.h"
#include "daemon/server.h"
#include "tests/e2e/daemon_fixture.h"

struct held_server {
    struct daemon d; /* its folder and socket only */
    struct tkv_config config;
    struct tkv_server *server;
    struct tkv_http *http;
    pthread_t thread;
    int code; /* once joined */
};

/* A folder, and a configuration that a test may change: its one model is "m". */
void held_init(struct held_server *h);
void held_close(struct held_server *h);

void held_start(struct held_server *h);

/* Waits for the loop's end; HTTP answers on. Returns the exit code. */
int held_join(struct held_server *h);

/* After held_join(): the process would end here. Takes the memory back, once the device is well
 * again where it was not. */
void held_take_apart(struct held_server *h);

/* What the device does from now on does not come back before it is released. */
void held_hold(void);
void held_release(struct held_server *h);

/* The engine says that it has been busy since then, tkv_now_ns(); 0: it tells the truth. */
void held_seem_busy(uint64_t since_ns);

/* The status of a GET over HTTP, and its body. */
int held_get(const struct held_server *h, const char *path, char *body, size_t size);

#endif
