#include "daemon/http/api.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { READ_BYTES = 64 * 1024 };

/* How the daemon's answers to requests with id 1 begin. */
static const char result_head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":";
static const char error_head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":";

static unsigned fail(struct tkv_buffer *out, unsigned http, const char *message)
{
    tkv_buffer_clear(out);
    tkv_buffer_printf(out, "{\"error\":{\"message\":\"%s\"}}", message);
    return http;
}

static bool send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* A line without its end; TKV_EOVERLOADED: not in time. */
static enum tkv_status read_line(int fd, int timeout_ms, struct tkv_buffer *in)
{
    uint64_t end = tkv_now_ms() + (uint64_t)timeout_ms;
    for (;;) {
        uint64_t now = tkv_now_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = now < end ? poll(&wait, 1, (int)(end - now)) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return TKV_EOVERLOADED;
        char *to = tkv_buffer_reserve(in, READ_BYTES);
        if (to == NULL) return tkv_buffer_status(in);
        ssize_t n = recv(fd, to, READ_BYTES, 0);
        if (n <= 0) return TKV_EDRAINING;
        in->len += (size_t)n;
        if (to[n - 1] != '\n') continue;
        in->len--;
        return TKV_OK;
    }
}

static unsigned http_of(long code)
{
    enum tkv_status st = TKV_OK;
    while (st < TKV_STATUS_COUNT && tkv_status_code(st) != code)
        st++;
    switch (st) {
    case TKV_EINVAL:
    case TKV_ERANGE: return 400;
    case TKV_EPERM: return 403;
    case TKV_ENOTFOUND: return 404;
    case TKV_EOVERLOADED:
    case TKV_ENOMEM:
    case TKV_EDEVICE:
    case TKV_EDRAINING: return 503;
    default: return 500;
    }
}

/* The answer without its envelope. */
static unsigned unwrap(const struct tkv_buffer *line, struct tkv_buffer *out)
{
    const size_t result = sizeof result_head - 1, error = sizeof error_head - 1;
    const char *text = (const char *)line->data;
    if (line->len > result && memcmp(text, result_head, result) == 0) {
        tkv_buffer_append(out, text + result, line->len - result - 1);
        return 200;
    }
    if (line->len <= error || memcmp(text, error_head, error) != 0)
        return fail(out, 500, "an answer that nobody understands");
    tkv_buffer_puts(out, "{\"error\":");
    tkv_buffer_append(out, text + error, line->len - error);
    return http_of(strtol(text + error + sizeof "{\"code\":" - 1, NULL, 10));
}

static unsigned exchange(int fd, const struct tkv_buffer *request, int timeout_ms,
                         struct tkv_buffer *out)
{
    struct tkv_buffer line;
    enum tkv_status st = TKV_EDRAINING;
    unsigned http;
    tkv_buffer_init(&line, out->max);
    if (send_all(fd, (const char *)request->data, request->len))
        st = read_line(fd, timeout_ms, &line);
    if (st == TKV_OK)
        http = unwrap(&line, out);
    else if (st == TKV_EOVERLOADED)
        http = fail(out, 504, "the event loop does not answer");
    else if (st == TKV_EDRAINING)
        http = fail(out, 503, "the daemon stops");
    else
        http = fail(out, 500, "no memory for the answer");
    tkv_buffer_close(&line);
    return http;
}

unsigned tkv_api_call(struct tkv_server *server, const char *method, const char *params,
                      int timeout_ms, struct tkv_buffer *out)
{
    struct tkv_buffer request;
    unsigned http = 0;
    int fd = tkv_inlet_connect(&server->inlet);
    if (fd < 0) return fail(out, 503, "the daemon takes no more questions");
    tkv_buffer_init(&request, out->max);
    tkv_buffer_printf(&request, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
                      method, params);
    if (tkv_buffer_status(&request) == TKV_OK)
        http = exchange(fd, &request, timeout_ms, out);
    else
        http = fail(out, 500, "no memory for the question");
    tkv_buffer_close(&request);
    close(fd);
    return http;
}
