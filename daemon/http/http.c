#include "daemon/http/http.h"

#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/http/api.h"
#include "daemon/http/metrics.h"
#include "daemon/http/page.h"

enum {
    BACKLOG = 64,
    CONNECTIONS_MAX = 64,
    CONNECTIONS_PER_IP = 32, /* so that others can still ask for health */
    CALLS_MAX = 8,           /* that wait for the loop, so that they do not take all connections */
    SILENT_S = 10,           /* a client that neither sends nor reads for so long is closed */
    HEADERS_MAX = 16 * 1024,
    STACK_BYTES = 256 * 1024,
    BODY_MAX = 16 * 1024,
    PAGE_MAX = 64 << 20, /* of an answer */
    CALL_MS = 10000,
    VERIFY_MS = 300000,
    WHY_MAX = 512
};

/* Nothing from elsewhere, and nobody's frame: the page is all there is. */
static const char policy[] = "default-src 'none'; style-src 'unsafe-inline'; "
                             "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
                             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct tkv_http {
    struct tkv_server *server;
    struct MHD_Daemon *daemon;
    struct tkv_listening socket;
    bool allow_verify;
    atomic_int calls; /* that wait for the loop */
};

/* One request, on its connection's thread. */
struct exchange {
    struct tkv_http *http;
    struct MHD_Connection *conn;
    struct tkv_buffer body; /* of a POST */
    struct tkv_buffer out;
    const char *type;
};

/* --- what is served --------------------------------------------------------------------------- */

static const char text[] = "text/plain; charset=utf-8", json[] = "application/json";

static unsigned put_health(struct exchange *ex, const char *why)
{
    ex->type = text;
    tkv_buffer_printf(&ex->out, "%s\n", why != NULL ? why : "ok");
    return why != NULL ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
}

static unsigned get_healthz(struct exchange *ex)
{
    return put_health(ex, tkv_health_stalled(&ex->http->server->health));
}

static unsigned get_readyz(struct exchange *ex)
{
    return put_health(ex, tkv_health_unready(&ex->http->server->health));
}

static unsigned get_metrics(struct exchange *ex)
{
    ex->type = "text/plain; version=0.0.4; charset=utf-8";
    tkv_metrics_write(&ex->out, ex->http->server);
    return MHD_HTTP_OK;
}

static unsigned get_page(struct exchange *ex)
{
    ex->type = "text/html; charset=utf-8";
    tkv_buffer_append(&ex->out, tkv_page, tkv_page_bytes);
    return MHD_HTTP_OK;
}

/* Of the last look at the gauges: this is answered while the loop stands still. */
static unsigned get_stats(struct exchange *ex)
{
    struct tkv_json j;
    tkv_json_init(&j, &ex->out);
    tkv_telemetry_put(&j, &ex->http->server->telemetry);
    return MHD_HTTP_OK;
}

static unsigned get_abilities(struct exchange *ex)
{
    tkv_buffer_printf(&ex->out, "{\"verify\":%s}", ex->http->allow_verify ? "true" : "false");
    return MHD_HTTP_OK;
}

static unsigned put_error(struct exchange *ex, unsigned status, const char *message)
{
    tkv_buffer_clear(&ex->out);
    tkv_buffer_printf(&ex->out, "{\"error\":{\"message\":\"%s\"}}", message);
    return status;
}

static unsigned ask_loop(struct exchange *ex, const char *method, const char *params,
                         int timeout_ms)
{
    struct tkv_http *http = ex->http;
    unsigned status;
    if (atomic_fetch_add(&http->calls, 1) < CALLS_MAX)
        status = tkv_api_call(http->server, method, params, timeout_ms, &ex->out);
    else
        status = put_error(ex, MHD_HTTP_SERVICE_UNAVAILABLE, "too many questions at a time");
    atomic_fetch_sub(&http->calls, 1);
    return status;
}

static unsigned get_info(struct exchange *ex)
{
    return ask_loop(ex, "server.info", "{}", CALL_MS);
}

static unsigned get_last(struct exchange *ex)
{
    return ask_loop(ex, "debug.last", "{}", CALL_MS);
}

/* A number of the query, as JSON; false: it is none. Absent: fallback. */
static bool query_number(struct exchange *ex, const char *name, const char *fallback,
                         const char **out)
{
    const char *value = MHD_lookup_connection_value(ex->conn, MHD_GET_ARGUMENT_KIND, name);
    *out = value != NULL ? value : fallback;
    size_t n = *out != NULL ? strlen(*out) : 1;
    return n > 0 && n <= 16 && (*out == NULL || strspn(*out, "0123456789") == n);
}

static unsigned get_sequences(struct exchange *ex)
{
    char params[128];
    const char *limit, *cursor;
    if (!query_number(ex, "limit", "100", &limit) || !query_number(ex, "cursor", NULL, &cursor))
        return put_error(ex, MHD_HTTP_BAD_REQUEST, "limit and cursor must be whole numbers");
    if (cursor != NULL)
        snprintf(params, sizeof params, "{\"limit\":%s,\"cursor\":%s}", limit, cursor);
    else
        snprintf(params, sizeof params, "{\"limit\":%s}", limit);
    return ask_loop(ex, "seq.list", params, CALL_MS);
}

/* The body, written anew as one object with nothing beside it; NULL: it is none. For cJSON_free().
 */
static char *object_of(const struct tkv_buffer *body)
{
    const char *end = NULL, *text_end = (const char *)body->data + body->len;
    if (body->len == 0) return NULL;
    cJSON *value = cJSON_ParseWithLengthOpts((const char *)body->data, body->len, &end, 0);
    while (value != NULL && end < text_end && strchr(" \t\r\n", *end) != NULL && *end != '\0')
        end++;
    char *object = cJSON_IsObject(value) && end == text_end ? cJSON_PrintUnformatted(value) : NULL;
    cJSON_Delete(value);
    return object;
}

/* The header is one that a page from elsewhere cannot send unasked. */
static unsigned post_verify(struct exchange *ex)
{
    const char *wanted = MHD_lookup_connection_value(ex->conn, MHD_HEADER_KIND, "X-Truekv");
    if (!ex->http->allow_verify || wanted == NULL || strcmp(wanted, "verify") != 0)
        return put_error(ex, MHD_HTTP_FORBIDDEN, "http.allow_verify does not allow it");
    char *params = object_of(&ex->body);
    if (params == NULL) return put_error(ex, MHD_HTTP_BAD_REQUEST, "the body must be an object");
    unsigned status = ask_loop(ex, "debug.verify", params, VERIFY_MS);
    cJSON_free(params);
    return status;
}

static const struct {
    const char *method, *path;
    unsigned (*serve)(struct exchange *ex); /* returns the status; fills out and type */
} routes[] = {
    {"GET", "/", get_page},
    {"GET", "/metrics", get_metrics},
    {"GET", "/healthz", get_healthz},
    {"GET", "/readyz", get_readyz},
    {"GET", "/api/stats", get_stats},
    {"GET", "/api/info", get_info},
    {"GET", "/api/sequences", get_sequences},
    {"GET", "/api/last", get_last},
    {"GET", "/api/abilities", get_abilities},
    {"POST", "/api/verify", post_verify},
};

static unsigned serve(struct exchange *ex, const char *method, const char *path)
{
    bool known = false;
    if (strcmp(method, "HEAD") == 0) method = "GET"; /* libmicrohttpd leaves the body out */
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(path, routes[i].path) != 0) continue;
        known = true;
        if (strcmp(method, routes[i].method) == 0) return routes[i].serve(ex);
    }
    if (known) return put_error(ex, MHD_HTTP_METHOD_NOT_ALLOWED, "not with this method");
    return put_error(ex, MHD_HTTP_NOT_FOUND, "there is no such page");
}

/* --- libmicrohttpd ---------------------------------------------------------------------------- */

static enum MHD_Result reply(struct exchange *ex, unsigned status)
{
    static const char *const headers[][2] = {{"Cache-Control", "no-store"},
                                             {"Content-Security-Policy", policy},
                                             {"X-Content-Type-Options", "nosniff"},
                                             {"Referrer-Policy", "no-referrer"}};
    if (tkv_buffer_status(&ex->out) != TKV_OK)
        status = put_error(ex, MHD_HTTP_INTERNAL_SERVER_ERROR, "the answer is too large");
    struct MHD_Response *response =
        MHD_create_response_from_buffer(ex->out.len, ex->out.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", ex->type);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
    enum MHD_Result queued = MHD_queue_response(ex->conn, status, response);
    MHD_destroy_response(response);
    return queued;
}

static struct exchange *begin(struct tkv_http *http, struct MHD_Connection *conn)
{
    struct exchange *ex = calloc(1, sizeof *ex);
    if (ex == NULL) return NULL;
    ex->http = http;
    ex->conn = conn;
    ex->type = json;
    tkv_buffer_init(&ex->body, BODY_MAX);
    tkv_buffer_init(&ex->out, PAGE_MAX);
    return ex;
}

/* Called once with the headers, then for each piece of a body, then with its end. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_bytes, void **state)
{
    struct exchange *ex = *state;
    if (ex == NULL) {
        *state = begin(cls, conn);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*data_bytes > 0) {
        tkv_buffer_append(&ex->body, data, *data_bytes);
        *data_bytes = 0;
        return MHD_YES;
    }
    if (tkv_buffer_status(&ex->body) == TKV_ENOMEM)
        return reply(ex, put_error(ex, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the body"));
    if (tkv_buffer_status(&ex->body) != TKV_OK)
        return reply(ex, put_error(ex, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large"));
    return reply(ex, serve(ex, method, url));
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *ex = *state;
    if (ex == NULL) return;
    tkv_buffer_close(&ex->body);
    tkv_buffer_close(&ex->out);
    free(ex);
    *state = NULL;
}

static void on_log(void *cls, const char *fmt, va_list args)
{
    char line[WHY_MAX], quoted[WHY_MAX + 64];
    (void)vsnprintf(line, sizeof line, fmt, args);
    line[strcspn(line, "\r\n")] = '\0';
    tkv_log(TKV_LOG_DEBUG, "http", "what=%s", tkv_log_quote(line, quoted, sizeof quoted));
}

/* --- life ------------------------------------------------------------------------------------- */

static struct MHD_Daemon *start(struct tkv_http *http)
{
    const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                           MHD_USE_POLL | MHD_USE_ERROR_LOG | MHD_USE_ITC;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, http->socket.fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SILENT_S, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTIONS_PER_IP,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_END);
}

/* The listening socket is libmicrohttpd's once it has started. */
static bool listen_on(struct tkv_http *http, const char *address)
{
    char why[WHY_MAX];
    if (tkv_listening_open(&http->socket, address, why, sizeof why) != TKV_OK) {
        tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"http: %s\"", why);
        return false;
    }
    bool ready = tkv_access_prepare_file(http->server->config, &http->socket) == TKV_OK;
    if (ready && listen(http->socket.fd, BACKLOG) == 0) http->daemon = start(http);
    if (http->daemon != NULL) return true;
    tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"http: %s cannot be served\"", address);
    tkv_listening_remove(&http->socket);
    close(http->socket.fd);
    return false;
}

enum tkv_status tkv_http_open(struct tkv_http **out, struct tkv_server *server)
{
    const char *address = server->config->http_listen;
    *out = NULL;
    if (address == NULL) return TKV_OK;
    struct tkv_http *http = calloc(1, sizeof *http);
    if (http == NULL) return TKV_ENOMEM;
    http->server = server;
    http->allow_verify = server->config->http_allow_verify;
    if (!listen_on(http, address)) {
        free(http);
        return TKV_EINTERNAL;
    }
    *out = http;
    return TKV_OK;
}

void tkv_http_close(struct tkv_http *http)
{
    if (http == NULL) return;
    tkv_listening_remove(&http->socket);
    MHD_stop_daemon(http->daemon);
    free(http);
}

const char *tkv_http_name(const struct tkv_http *http)
{
    return http->socket.name;
}
