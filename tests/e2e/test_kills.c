/* Processes that are killed: clients in the middle of anything, the daemon under load. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

#define MODELS "models = ( " FX_TINY " );\n"

enum {
    CLIENT_KILLS = 60,
    DAEMON_KILLS = 20,
    CLIENTS = 4,
    TOKENS = 10,
    ANSWERS = 400,
    SOON_US = 30000
};

static struct daemon d;
static struct wire w;
static uint64_t random_state;

static unsigned below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % n);
}

static void seed(void)
{
    const char *given = getenv("TKV_TEST_SEED");
    random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("TKV_TEST_SEED=%llu\n", (unsigned long long)random_state);
    random_state = random_state * 2654435761u + 1;
}

/* The bytes of a sequence's token: no two of them are the same. */
static void fill_rows(unsigned char *rows, unsigned seq, unsigned token)
{
    for (unsigned i = 0; i < FX_TINY_BYTES; i++)
        rows[i] = (unsigned char)(seq * 31 + token * 7 + i);
}

static void send_append(int fd, unsigned seq, unsigned token)
{
    char line[256];
    unsigned char rows[FX_TINY_BYTES];
    int n = snprintf(line, sizeof line,
                     "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"seq.append\",\"payload\":%d,"
                     "\"params\":{\"seqs\":[%u],\"pos\":[%u]}}\n",
                     token, FX_TINY_BYTES, seq, token);
    fill_rows(rows, seq, token);
    (void)send(fd, line, (size_t)n, MSG_NOSIGNAL);
    (void)send(fd, rows, sizeof rows, MSG_NOSIGNAL);
}

/* --- clients ---------------------------------------------------------------------------------- */

/* Asks for all kinds of things, as fast as it can, until it is killed. */
static void hostile_client(unsigned seq)
{
    static const char others[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.list\"}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"debug.verify\",\"params\":{\"batches\":1}}\n";
    int fd = wire_connect(d.socket);
    if (fd < 0) _exit(1);
    for (;;) {
        char line[192];
        int n = snprintf(line, sizeof line,
                         "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.create\",\"params\":"
                         "{\"seq\":%u,\"on_disconnect\":\"free\"}}\n",
                         seq);
        (void)send(fd, line, (size_t)n, MSG_NOSIGNAL);
        for (unsigned token = 0; token < TOKENS; token++)
            send_append(fd, seq, token);
        (void)send(fd, others, sizeof others - 1, MSG_NOSIGNAL);
        n = snprintf(
            line, sizeof line,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.read\",\"params\":{\"seq\":%u}}\n"
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.free\",\"params\":{\"seqs\":[%u]}}\n",
            seq, seq);
        (void)send(fd, line, (size_t)n, MSG_NOSIGNAL);
    }
}

static void expect_all_gone(void)
{
    for (int i = 0;; i++) {
        cJSON *stats = wire_call(&w, "server.stats", NULL);
        bool gone = json_number(stats, "result.sequences.live") == 0 &&
                    json_number(stats, "result.memory.cache_bytes") == 0 &&
                    json_number(stats, "result.sequence_states.freeing") == 0 &&
                    json_number(stats, "result.memory.staging_bytes") == 0 &&
                    json_number(stats, "result.connections.open") == 1;
        char *text = gone || i < FX_WAIT_S * 100 ? NULL : cJSON_PrintUnformatted(stats);
        cJSON_Delete(stats);
        ck_assert_msg(text == NULL, "left behind: %s", text);
        if (gone) return;
        usleep(10000);
    }
}

/* Goal: clients that are killed at any time leave nothing behind: no sequence, no memory, no
 * connection. Method: clients that pipeline without reading; SIGKILL after a random while. */
START_TEST(killed_clients_leave_nothing)
{
    seed();
    daemon_start(&d, MODELS);
    wire_open(&w, &d);
    for (int round = 0; round < CLIENT_KILLS; round++) {
        pid_t client = fork();
        if (client == 0) hostile_client(1 + (unsigned)round % 3);
        usleep(below(SOON_US));
        kill(client, SIGKILL);
        waitpid(client, NULL, 0);
    }
    expect_all_gone();
    wire_verify_ok(&w, false);
    wire_close(&w);
    daemon_stop(&d);
    daemon_close(&d);
}
END_TEST

enum { OVER_TCP, UNREAD, RESETS };

static uint16_t tcp_port(void)
{
    const char *at = NULL;
    for (int i = 0; i < FX_WAIT_S * 1000 && at == NULL; i++) {
        at = strstr(daemon_log(&d), "tcp:127.0.0.1:");
        usleep(1000);
    }
    ck_assert_ptr_nonnull(at);
    return (uint16_t)strtoul(at + strlen("tcp:127.0.0.1:"), NULL, 10);
}

/* Sends bytes, of which the daemon may have read some, and resets the connection. */
static void send_and_reset(int how, uint16_t port, const char *bytes, size_t n)
{
    static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}\n";
    const struct linger none = {.l_onoff = 1};
    char first;
    int fd = how == OVER_TCP ? wire_connect_tcp(port) : wire_connect(d.socket);
    ck_assert_int_ge(fd, 0);
    if (how == UNREAD) { /* an answer that is not read makes a reset of the end */
        ck_assert_int_gt((int)send(fd, ping, sizeof ping - 1, MSG_NOSIGNAL), 0);
        ck_assert_int_eq((int)recv(fd, &first, 1, MSG_PEEK), 1);
    }
    ck_assert_int_eq((int)send(fd, bytes, n, MSG_NOSIGNAL), (int)n);
    if (n % 2 == 0) usleep(200);
    if (how == OVER_TCP) setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

/* Goal: a reset in the middle of a message, at whichever byte of line and payload, is the client's
 * end: nothing is written, nothing stays, and it is counted as one that has left. */
START_TEST(messages_reset_at_every_byte)
{
    static const char *const extra[] = {"--listen", "tcp:127.0.0.1:0", NULL};
    char message[512];
    int n = snprintf(message, sizeof message,
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,"
                     "\"params\":{\"seqs\":[1]}}\n",
                     FX_TINY_BYTES);
    memset(message + n, 'x', FX_TINY_BYTES);
    daemon_init(&d, MODELS "auth: { tcp_without_token = true; };\n");
    daemon_spawn(&d, extra);
    daemon_wait_ready(&d);
    wire_open(&w, &d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
    uint16_t port = tcp_port();
    for (int cut = 1; cut < n + FX_TINY_BYTES; cut++)
        send_and_reset(_i, port, message, (size_t)cut);
    wire_ok(&w, "seq.free", "{\"seqs\":[1]}");
    expect_all_gone();
    cJSON *stats = wire_call(&w, "server.stats", NULL);
    json_expect(stats, "result.append.requests", "0");
    json_expect(stats, "result.requests.errors", "0");
    json_expect(stats, "result.closed.failed", "0");
    ck_assert(json_number(stats, "result.closed.by_client") ==
              json_number(stats, "result.connections.accepted") - 1);
    cJSON_Delete(stats);
    wire_close(&w);
    daemon_stop(&d);
    daemon_close(&d);
}
END_TEST

/* --- the daemon ------------------------------------------------------------------------------- */

static atomic_bool stop_clients;
static atomic_uint answered; /* requests of all clients */

/* A client that outlives its daemons. Check must not be called in its thread: what went wrong is
 * noted. */
struct client {
    pthread_t thread;
    unsigned seq;
    int fd;
    unsigned len; /* tokens that have been acknowledged by the daemon that runs now */
    bool lost;    /* an append had no answer */
    char wrong[256];
};

/* The next line; false: the daemon is gone. */
static bool receive_line(int fd, char *line, size_t size)
{
    for (size_t n = 0; n + 1 < size; n++) {
        if (recv(fd, line + n, 1, 0) != 1) return false;
        if (line[n] != '\n') continue;
        line[n] = '\0';
        atomic_fetch_add(&answered, 1);
        return true;
    }
    return false;
}

/* Takes an answer, which must hold `want`; false: the daemon is gone. */
static bool hear(struct client *c, const char *want)
{
    char line[1024];
    if (!receive_line(c->fd, line, sizeof line)) return false;
    if (strstr(line, want) == NULL && c->wrong[0] == '\0')
        snprintf(c->wrong, sizeof c->wrong, "seq %u: no %s in %.150s", c->seq, want, line);
    return true;
}

static bool ask(struct client *c, const char *method, const char *members, const char *want)
{
    char line[256];
    int n = snprintf(line, sizeof line,
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":"
                     "{\"seq\":%u%s}}\n",
                     method, c->seq, members);
    (void)send(c->fd, line, (size_t)n, MSG_NOSIGNAL);
    return hear(c, want);
}

/* The daemon is another one: what had no answer is asked again, and it knows nothing of it. */
static bool begin(struct client *c)
{
    if (c->lost) {
        send_append(c->fd, c->seq, c->len);
        if (!hear(c, "\"not_found\"")) return false;
    }
    c->len = 0;
    c->lost = false;
    return ask(c, "seq.create", "", "\"len\":0");
}

/* One token more, by its position; where the sequence is long enough, it begins again. */
static bool go_on(struct client *c)
{
    char want[32];
    if (c->len == TOKENS) {
        c->len = 0;
        return ask(c, "seq.truncate", ",\"len\":0", "\"len\":0");
    }
    snprintf(want, sizeof want, "\"result\":{\"lens\":[%u]", c->len + 1);
    send_append(c->fd, c->seq, c->len);
    c->lost = !hear(c, want);
    c->len += !c->lost;
    return !c->lost;
}

static void *persistent_client(void *arg)
{
    struct client *c = arg;
    while (!atomic_load(&stop_clients) || c->fd < 0) {
        bool fresh = c->fd < 0;
        if (fresh) c->fd = wire_connect(d.socket);
        if (c->fd < 0) {
            usleep(1000);
        } else if (!(fresh ? begin(c) : go_on(c))) {
            close(c->fd);
            c->fd = -1;
        }
    }
    return NULL;
}

/* What a fresh daemon has of its own: nothing of the last one, and it works. */
static void expect_fresh(unsigned seq)
{
    unsigned char rows[FX_TINY_BYTES], got[FX_TINY_BYTES];
    char text[64];
    snprintf(text, sizeof text, "{\"seq\":%u}", seq);
    wire_ok(&w, "seq.create", text);
    send_append(w.fd, seq, 0);
    cJSON *answer = wire_answer(&w);
    json_expect(answer, "result.lens", "[1]");
    cJSON_Delete(answer);
    answer = wire_call(&w, "seq.read", "{\"seq\":%u}", seq);
    ck_assert_int_eq((int)json_number(answer, "payload"), FX_TINY_BYTES);
    cJSON_Delete(answer);
    wire_bytes(&w, got, sizeof got);
    fill_rows(rows, seq, 0);
    ck_assert_mem_eq(got, rows,
                     sizeof rows); /* one token of all layers: the block as it was sent */
    wire_verify_ok(&w, true);
    cJSON *scrub = wire_call(&w, "debug.scrub", NULL);
    json_expect(scrub, "result.ok", "true");
    cJSON_Delete(scrub);
}

/* So many answers more have come: there is load. */
static void await_answers(unsigned more)
{
    unsigned until = atomic_load(&answered) + more;
    for (int i = 0; (int)(until - atomic_load(&answered)) > 0; i++) {
        ck_assert_msg(i < FX_WAIT_S * 1000, "clients get no answers");
        usleep(1000);
    }
}

/* All that was acknowledged is there, byte by byte. */
static void expect_tokens(const struct client *c)
{
    unsigned char rows[FX_TINY_BYTES], got[FX_TINY_BYTES];
    cJSON *answer = wire_call(&w, "seq.info", "{\"seq\":%u}", c->seq);
    ck_assert_uint_eq((unsigned)json_number(answer, "result.len"), c->len);
    cJSON_Delete(answer);
    for (unsigned token = 0; token < c->len; token++) {
        cJSON_Delete(
            wire_call(&w, "seq.read", "{\"seq\":%u,\"pos\":%u,\"tokens\":1}", c->seq, token));
        wire_bytes(&w, got, sizeof got);
        fill_rows(rows, c->seq, token);
        ck_assert_mem_eq(got, rows, sizeof got);
    }
}

/* What all the killed ones have left in their folder: what a living one has there. */
static void expect_no_leftovers(void)
{
    DIR *dir = opendir(d.dir);
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *one; (one = readdir(dir)) != NULL;) {
        const char *name = one->d_name;
        bool ours = name[0] == '.' || strcmp(name, "s") == 0 || strcmp(name, "log") == 0 ||
                    strcmp(name, "truekvd.conf") == 0;
        ck_assert_msg(ours, "left behind: %s", name);
    }
    closedir(dir);
    dir = opendir("/dev/shm");
    for (const struct dirent *one; dir != NULL && (one = readdir(dir)) != NULL;)
        ck_assert_msg(strstr(one->d_name, "truekv") == NULL, "left behind: %s", one->d_name);
    if (dir != NULL) closedir(dir);
}

/* Ends the clients, each between two requests; no answer that one of them had was wrong. */
static void end_clients(struct client *clients)
{
    atomic_store(&stop_clients, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        ck_assert_msg(clients[i].wrong[0] == '\0', "%s", clients[i].wrong);
        if (clients[i].fd >= 0) close(clients[i].fd);
    }
}

/* Goal: a daemon that is killed at any time under load comes up again on the same socket, whose
 * file was left, and serves clients that come back: they ask again by position, hear that it knows
 * nothing, and begin anew. What the last one has acknowledged is there. */
START_TEST(killed_daemons_come_up_again)
{
    static struct client clients[CLIENTS];
    seed();
    atomic_store(&stop_clients, false);
    daemon_start(&d, MODELS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.seq = i + 1, .fd = -1};
        ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, persistent_client, &clients[i]),
                         0);
    }
    for (int round = 0; round < DAEMON_KILLS; round++) {
        await_answers(1 + below(ANSWERS));
        kill(d.pid, SIGKILL);
        ck_assert_int_eq(daemon_wait(&d), 128 + SIGKILL);
        daemon_spawn(&d, NULL);
        daemon_wait_ready(&d);
        wire_open(&w, &d);
        expect_fresh(100);
        wire_close(&w);
    }
    await_answers(ANSWERS);
    end_clients(clients);
    wire_open(&w, &d);
    for (unsigned i = 0; i < CLIENTS; i++)
        expect_tokens(&clients[i]);
    wire_verify_ok(&w, true);
    wire_ok(&w, "seq.free", "{\"seqs\":[1,2,3,4,100]}");
    expect_all_gone();
    expect_no_leftovers();
    wire_close(&w);
    daemon_stop(&d);
    daemon_close(&d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kills");
    TCase *tc = tcase_create("kills");
    tcase_set_timeout(tc, 180);
    tcase_add_test(tc, killed_clients_leave_nothing);
    tcase_add_loop_test(tc, messages_reset_at_every_byte, 0, RESETS);
    tcase_add_test(tc, killed_daemons_come_up_again);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
