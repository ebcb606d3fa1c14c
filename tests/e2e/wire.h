/* wire.h - the protocol by hand: a socket, lines, raw bytes. Blocking, with a limit of time; every
 * failure fails the test. */
#ifndef TKV_TESTS_E2E_WIRE_H
#define TKV_TESTS_E2E_WIRE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/e2e/daemon_fixture.h"

struct wire {
    int fd;
    char *in; /* bytes received and not yet taken */
    size_t len, cap, taken;
    bool ended; /* the peer has closed */
};

/* A connected descriptor, or -1. */
int wire_connect(const char *path);
int wire_connect_tcp(uint16_t port); /* of this host */

void wire_open(struct wire *w, const struct daemon *d);
void wire_close(struct wire *w);
void wire_shut(struct wire *w); /* our side: no more will be sent */

void wire_send(struct wire *w, const void *bytes, size_t n);
/* The same, but false where the peer has closed. */
bool wire_try_send(struct wire *w, const void *bytes, size_t n);
/* A line: the newline is added. */
void wire_sendf(struct wire *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The next line without its end, valid until the next call; NULL: the peer has closed. */
const char *wire_line(struct wire *w);
/* The next n bytes. */
void wire_bytes(struct wire *w, void *to, size_t n);
/* The next line as JSON; the caller deletes it. Fails at the end of the stream. */
cJSON *wire_answer(struct wire *w);
/* Sends a request (id 1) and takes its answer. params: JSON text, or NULL. */
cJSON *wire_call(struct wire *w, const char *method, const char *params_fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The value at a path such as "error.data.items[1].seq", or "methods['seq.read'].count"; or NULL.
 */
const cJSON *json_at(const cJSON *json, const char *path);
/* The number there; fails where there is none. */
double json_number(const cJSON *json, const char *path);
/* Whether the value at the path is the one that the JSON text `want` says; "" wants it absent. */
bool json_is(const cJSON *json, const char *path, const char *want);
/* Fails unless it is; deletes nothing. */
void json_expect(const cJSON *json, const char *path, const char *want);

/* wire_call() whose answer must be a result (error: must have that reason); it is deleted. */
void wire_ok(struct wire *w, const char *method, const char *params);
void wire_refused(struct wire *w, const char *method, const char *params, const char *reason);

/* A number of server.stats, such as "connections.open". */
double wire_stat(struct wire *w, const char *path);
/* Asks until it is that; fails where it does not become so. */
void wire_await_stat(struct wire *w, const char *path, double want);
/* Until all other clients have gone, and nothing of theirs is left but sequences. */
void wire_await_quiet(struct wire *w);

/* debug.verify says ok, and has checked something where `some`. */
void wire_verify_ok(struct wire *w, bool some);

#endif
