/* Processes that are killed: clients in the middle of anything, the daemon under load. */
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

enum { CLIENT_KILLS = 60, DAEMON_KILLS = 20, CLIENTS = 4, TOKENS = 10, SOON_US = 30000 };

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

/* --- the daemon ------------------------------------------------------------------------------- */

static atomic_bool stop_clients;

/* Appends token after token by position, and asks again for what got no answer, whatever becomes of
 * the daemon; a daemon that knows nothing of the sequence starts at 0. Counts what was answered. */
static void *persistent_client(void *arg)
{
    unsigned seq = *(unsigned *)arg, token = 0;
    int fd = -1;
    while (!atomic_load(&stop_clients)) {
        char line[1024];
        if (fd < 0) {
            fd = wire_connect(d.socket);
            token = 0;
            if (fd < 0) {
                usleep(1000);
                continue;
            }
            int n = snprintf(line, sizeof line,
                             "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"seq.create\",\"params\":"
                             "{\"seq\":%u}}\n",
                             seq);
            (void)send(fd, line, (size_t)n, MSG_NOSIGNAL);
        } else {
            send_append(fd, seq, token % TOKENS);
        }
        ssize_t n = recv(fd, line, sizeof line - 1, 0);
        if (n <= 0) {
            close(fd);
            fd = -1;
            continue;
        }
        token++;
    }
    if (fd >= 0) close(fd);
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

/* Goal: a daemon that is killed at any time under load comes up again on the same socket, whose
 * file was left, and serves clients that come back; nothing of the last one is there. */
START_TEST(killed_daemons_come_up_again)
{
    pthread_t threads[CLIENTS];
    unsigned seqs[CLIENTS];
    seed();
    atomic_store(&stop_clients, false);
    daemon_start(&d, MODELS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        seqs[i] = i + 1;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, persistent_client, &seqs[i]), 0);
    }
    for (int round = 0; round < DAEMON_KILLS; round++) {
        usleep(below(SOON_US));
        kill(d.pid, SIGKILL);
        ck_assert_int_eq(daemon_wait(&d), 128 + SIGKILL);
        daemon_spawn(&d, NULL);
        daemon_wait_ready(&d);
        wire_open(&w, &d);
        expect_fresh(100);
        wire_close(&w);
    }
    atomic_store(&stop_clients, true);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
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
    tcase_add_test(tc, killed_daemons_come_up_again);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
