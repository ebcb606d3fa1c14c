#include "tests/e2e/wire.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60000, LINE_MAX_BYTES = 1 << 16 };

int wire_connect(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

int wire_connect_tcp(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "%s", strerror(errno));
    return fd;
}

void wire_open(struct wire *w, const struct daemon *d)
{
    memset(w, 0, sizeof *w);
    w->fd = wire_connect(d->socket);
    ck_assert_msg(w->fd >= 0, "cannot connect: %s", strerror(errno));
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0) close(w->fd);
    free(w->in);
    memset(w, 0, sizeof *w);
    w->fd = -1;
}

void wire_shut(struct wire *w)
{
    ck_assert_int_eq(shutdown(w->fd, SHUT_WR), 0);
}

/* --- out -------------------------------------------------------------------------------------- */

bool wire_try_send(struct wire *w, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t sent = send(w->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

void wire_send(struct wire *w, const void *bytes, size_t n)
{
    ck_assert_msg(wire_try_send(w, bytes, n), "cannot send: %s", strerror(errno));
}

void wire_sendf(struct wire *w, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, args);
    va_end(args);
    ck_assert(n >= 0 && (size_t)n < sizeof line - 1);
    line[n] = '\n';
    wire_send(w, line, (size_t)n + 1);
}

/* --- in --------------------------------------------------------------------------------------- */

/* Reads once; false at the end of the stream. */
static bool fill(struct wire *w)
{
    if (w->ended) return false;
    struct pollfd ready = {.fd = w->fd, .events = POLLIN};
    ck_assert_msg(poll(&ready, 1, TIMEOUT_MS) == 1, "no answer within %d ms", TIMEOUT_MS);
    if (w->taken > 0) memmove(w->in, w->in + w->taken, w->len - w->taken);
    w->len -= w->taken;
    w->taken = 0;
    if (w->cap - w->len < LINE_MAX_BYTES) {
        w->cap = 2 * w->cap + LINE_MAX_BYTES;
        w->in = realloc(w->in, w->cap);
        ck_assert_ptr_nonnull(w->in);
    }
    ssize_t n = recv(w->fd, w->in + w->len, w->cap - w->len, 0);
    if (n <= 0) w->ended = true; /* a reset is an end, too */
    if (n > 0) w->len += (size_t)n;
    return n > 0;
}

const char *wire_line(struct wire *w)
{
    for (size_t scanned = 0;;) {
        char *start = w->in + w->taken;
        size_t n = w->len - w->taken;
        char *end = n > scanned ? memchr(start + scanned, '\n', n - scanned) : NULL;
        if (end != NULL) {
            *end = '\0';
            w->taken += (size_t)(end - start) + 1;
            return start;
        }
        scanned = n;
        if (!fill(w)) return NULL;
    }
}

void wire_bytes(struct wire *w, void *to, size_t n)
{
    while (w->len - w->taken < n)
        ck_assert_msg(fill(w), "the stream ended in a payload");
    memcpy(to, w->in + w->taken, n);
    w->taken += n;
}

cJSON *wire_answer(struct wire *w)
{
    const char *line = wire_line(w);
    ck_assert_msg(line != NULL, "the daemon closed the connection");
    cJSON *json = cJSON_Parse(line);
    ck_assert_msg(json != NULL, "not JSON: %s", line);
    return json;
}

static cJSON *call(struct wire *w, const char *method, const char *params)
{
    if (params != NULL)
        wire_sendf(w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method,
                   params);
    else
        wire_sendf(w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}", method);
    return wire_answer(w);
}

cJSON *wire_call(struct wire *w, const char *method, const char *params_fmt, ...)
{
    static char params[LINE_MAX_BYTES];
    va_list args;
    if (params_fmt == NULL) return call(w, method, NULL);
    va_start(args, params_fmt);
    vsnprintf(params, sizeof params, params_fmt, args);
    va_end(args);
    return call(w, method, params);
}

void wire_ok(struct wire *w, const char *method, const char *params)
{
    cJSON *answer = call(w, method, params);
    char *text = cJSON_PrintUnformatted(answer);
    ck_assert_msg(json_at(answer, "result") != NULL, "%s %s -> %s", method, params, text);
    free(text);
    cJSON_Delete(answer);
}

void wire_refused(struct wire *w, const char *method, const char *params, const char *reason)
{
    cJSON *answer = call(w, method, params);
    char *text = cJSON_PrintUnformatted(answer);
    const cJSON *got = json_at(answer, "error.data.reason");
    ck_assert_msg(got != NULL && strcmp(got->valuestring, reason) == 0, "%s %s -> %s, wanted %s",
                  method, params, text, reason);
    free(text);
    cJSON_Delete(answer);
}

void wire_verify_ok(struct wire *w, bool some)
{
    cJSON *answer = call(w, "debug.verify", NULL);
    char *text = cJSON_PrintUnformatted(answer);
    ck_assert_msg(json_is(answer, "result.ok", "true"), "%s", text);
    if (some) ck_assert_msg(json_number(answer, "result.items_checked") > 0, "%s", text);
    free(text);
    cJSON_Delete(answer);
}

/* --- paths ------------------------------------------------------------------------------------ */

static const cJSON *member(const cJSON *json, const char *name, size_t n)
{
    char copy[64];
    ck_assert_uint_lt(n, sizeof copy);
    memcpy(copy, name, n);
    copy[n] = '\0';
    return cJSON_GetObjectItemCaseSensitive(json, copy);
}

const cJSON *json_at(const cJSON *json, const char *path)
{
    while (json != NULL && *path != '\0') {
        if (*path == '.') path++;
        if (path[0] == '[' && path[1] == '\'') {
            size_t n = strcspn(path + 2, "'");
            json = member(json, path + 2, n);
            path += n + 4;
        } else if (*path == '[') {
            char *end;
            json = cJSON_GetArrayItem(json, (int)strtol(path + 1, &end, 10));
            path = end + 1;
        } else {
            size_t n = strcspn(path, ".[");
            json = member(json, path, n);
            path += n;
        }
    }
    return json;
}

double json_number(const cJSON *json, const char *path)
{
    const cJSON *value = json_at(json, path);
    ck_assert_msg(cJSON_IsNumber(value), "no number at %s", path);
    return value->valuedouble;
}

bool json_is(const cJSON *json, const char *path, const char *want)
{
    const cJSON *got = json_at(json, path);
    if (want[0] == '\0') return got == NULL;
    cJSON *wanted = cJSON_Parse(want);
    ck_assert_msg(wanted != NULL, "the test wants what is not JSON: %s", want);
    bool same = got != NULL && cJSON_Compare(got, wanted, true);
    cJSON_Delete(wanted);
    return same;
}

void json_expect(const cJSON *json, const char *path, const char *want)
{
    if (json_is(json, path, want)) return;
    char *text = cJSON_PrintUnformatted(json);
    ck_abort_msg("wanted %s = %s, got %s", path, want[0] != '\0' ? want : "nothing", text);
}

double wire_stat(struct wire *w, const char *path)
{
    char whole[128];
    snprintf(whole, sizeof whole, "result.%s", path);
    cJSON *stats = wire_call(w, "server.stats", NULL);
    double value = json_number(stats, whole);
    cJSON_Delete(stats);
    return value;
}

void wire_await_stat(struct wire *w, const char *path, double want)
{
    double got;
    for (int i = 0; (got = wire_stat(w, path)) != want; i++) {
        ck_assert_msg(i < FX_WAIT_S * 100, "%s is %f, not %f", path, got, want);
        usleep(10000);
    }
}

void wire_await_quiet(struct wire *w)
{
    wire_await_stat(w, "connections.open", 1);
    wire_await_stat(w, "queue.waiting", 0);
    wire_await_stat(w, "memory.staging_bytes", 0);
}
