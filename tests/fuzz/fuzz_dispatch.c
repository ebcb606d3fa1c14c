/* What a client may send, to a whole daemon in this process: connection, dispatch, core, on a CPU
 * device. The first byte says how the rest is cut into writes.
 *
 * However it goes, the daemon answers in lines of JSON (and payloads as long as they say), closes
 * the connection once its client has ended, and serves the next one, who frees what is left: then
 * all accounts are at zero, and verification finds nothing. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/log.h"
#include "clients/c/envelope.h"
#include "daemon/connection.h"
#include "daemon/server.h"
#include "proto/gate.h"
#include "tests/fuzz/target.h"

enum { TURNS_MAX = 100000, READ_BYTES = 1 << 16 };

static struct tkv_config config;
static struct tkv_server *server;

/* The other end of a connection. */
struct peer {
    int fd;
    bool ended;
    struct tkv_buffer in;   /* what was read and not yet taken */
    uint64_t payload;       /* bytes of it still to come */
    struct tkv_buffer line; /* the newest line */
    size_t lines;
};

/* --- the daemon ------------------------------------------------------------------------------- */

static void configure(void)
{
    tkv_config_init(&config);
    config.backend = TKV_BACKEND_CPU;
    config.models[0] = (struct tkv_model){"m", {2, 1, 4, TKV_F16}, 16};
    config.models[1] = (struct tkv_model){"n", {1, 2, 3, TKV_BF16}, 8};
    config.n_models = 2;
    config.limits_max_header_bytes = 32 << 10;
    config.limits_max_payload_bytes = 64 << 10;
    config.limits_staging_bytes = 1 << 20;
    config.limits_output_bytes = 64 << 10;
    config.limits_max_sequences = 32;
    config.limits_drain_ms = 1000;
    config.memory_budget = 1 << 20;
    config.journal_bytes = 256 << 10;
    config.debug_scratch_bytes = 1 << 20;
    config.log_level = TKV_LOG_ERROR;
    tkv_log_set_level(TKV_LOG_ERROR);
}

static void boot(void)
{
    struct tkv_device *dev;
    configure();
    MUST(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL) == TKV_OK);
    MUST(tkv_server_open(&server, &config, dev) == TKV_OK);
}

/* admin.drain has been asked for. */
static void restart(void)
{
    MUST(tkv_server_run(server) == 0);
    MUST(tkv_server_close(server));
    boot();
}

/* --- a peer ----------------------------------------------------------------------------------- */

static void open_peer(struct peer *p)
{
    int pair[2];
    memset(p, 0, sizeof *p);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    MUST(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    p->fd = pair[0];
    tkv_buffer_init(&p->in, 64 << 20);
    tkv_buffer_init(&p->line, 64 << 20);
    tkv_connection_adopt(server, pair[1]);
}

static void close_peer(struct peer *p)
{
    close(p->fd);
    tkv_buffer_close(&p->in);
    tkv_buffer_close(&p->line);
}

static void take_line(struct peer *p, const char *line, size_t len)
{
    struct tkv_gate_error err;
    struct tkc_envelope envelope = {0};
    MUST(tkv_gate_check(line, len, &err) == TKV_OK);
    if (line[0] != '[') MUST(tkc_envelope_scan(line, len, &envelope));
    p->payload = envelope.payload_bytes;
    p->lines++;
    tkv_buffer_clear(&p->line);
    tkv_buffer_append(&p->line, line, len);
    tkv_buffer_append(&p->line, "", 1);
}

/* Takes lines and payloads, as far as they are whole. */
static void take(struct peer *p)
{
    for (;;) {
        size_t skip = p->payload < p->in.len ? (size_t)p->payload : p->in.len;
        tkv_buffer_consume(&p->in, skip);
        p->payload -= skip;
        char *end = p->payload == 0 && p->in.len > 0 ? memchr(p->in.data, '\n', p->in.len) : NULL;
        if (end == NULL) return;
        size_t len = (size_t)(end - (char *)p->in.data);
        take_line(p, (const char *)p->in.data, len);
        tkv_buffer_consume(&p->in, len + 1);
    }
}

static void receive(struct peer *p)
{
    while (!p->ended) {
        char *to = tkv_buffer_reserve(&p->in, READ_BYTES);
        MUST(to != NULL);
        ssize_t n = recv(p->fd, to, READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        p->ended = n <= 0;
        if (n <= 0) return;
        p->in.len += (size_t)n;
        take(p);
    }
}

/* A turn of the daemon. It is waited for where `wait`, and something must come. */
static void turn(struct peer *p, bool wait)
{
    uv_run(&server->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    receive(p);
}

static void send_all(struct peer *p, const uint8_t *data, size_t size, size_t piece)
{
    for (int turns = 0; size > 0 && !p->ended; turns++) {
        MUST(turns < TURNS_MAX);
        ssize_t n = send(p->fd, data, size < piece ? size : piece, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return; /* it has been closed */
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
        turn(p, n < 0);
    }
}

/* Whatever it asked is answered, and then it is closed. */
static void end(struct peer *p)
{
    shutdown(p->fd, SHUT_WR);
    for (int turns = 0; !p->ended; turns++) {
        MUST(turns < TURNS_MAX);
        turn(p, true);
    }
    MUST(p->payload == 0 && p->in.len == 0);
}

/* --- who comes next --------------------------------------------------------------------------- */

static cJSON *call(struct peer *p, const char *request)
{
    size_t before = p->lines;
    send_all(p, (const uint8_t *)request, strlen(request), SIZE_MAX);
    for (int turns = 0; p->lines == before; turns++) {
        MUST(turns < TURNS_MAX && !p->ended);
        turn(p, true);
    }
    cJSON *answer = cJSON_Parse((const char *)p->line.data);
    MUST(answer != NULL);
    return answer;
}

static void free_one(struct peer *p, double seq)
{
    char request[160];
    (void)snprintf(request, sizeof request,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.free\",\"params\":"
                   "{\"seqs\":[%.0f]}}\n",
                   seq);
    cJSON_Delete(call(p, request));
}

static void free_all(struct peer *p)
{
    int left;
    do {
        cJSON *answer = call(p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.list\"}\n");
        const cJSON *seqs = cJSON_GetObjectItem(cJSON_GetObjectItem(answer, "result"), "seqs");
        MUST(cJSON_IsArray(seqs));
        left = cJSON_GetArraySize(seqs);
        const cJSON *one;
        cJSON_ArrayForEach(one, seqs)
        {
            free_one(p, cJSON_GetObjectItem(one, "seq")->valuedouble);
        }
        cJSON_Delete(answer);
    } while (left > 0);
}

static void expect_ok(struct peer *p, const char *request)
{
    cJSON *answer = call(p, request);
    MUST(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetObjectItem(answer, "result"), "ok")));
    cJSON_Delete(answer);
}

static void expect_nothing_left(void)
{
    const struct tkv_stats *stats = tkv_core_stats(server->core);
    for (int turns = 0; server->n_connections > 0 || stats->sequence_states_freeing > 0; turns++) {
        MUST(turns < TURNS_MAX);
        uv_run(&server->loop, UV_RUN_ONCE);
        stats = tkv_core_stats(server->core);
    }
    MUST(tkv_core_idle(server->core));
    MUST(stats->sequence_states_live == 0 && stats->sequence_states_creating == 0);
    MUST(stats->memory_cache_bytes == 0 && stats->memory_checksum_bytes == 0);
    MUST(stats->memory_states_live == 0 && stats->memory_states_freeing == 0);
    MUST(stats->memory_staging_bytes == 0 && stats->queue_waiting == 0);
}

static void clean_up(void)
{
    struct peer next;
    open_peer(&next);
    expect_ok(&next, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"debug.verify\"}\n");
    expect_ok(&next, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"debug.scrub\"}\n");
    free_all(&next);
    end(&next);
    close_peer(&next);
    expect_nothing_left();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer p;
    if (size == 0) return 0;
    if (server == NULL) boot();
    open_peer(&p);
    send_all(&p, data + 1, size - 1, data[0] == 0 ? SIZE_MAX : data[0]);
    end(&p);
    close_peer(&p);
    if (server->phase == TKV_PHASE_SERVING)
        clean_up();
    else
        restart();
    return 0;
}
