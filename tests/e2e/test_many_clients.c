/* 200 clients at once, each with a sequence of its own: they share batches and nothing else. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

enum {
    CLIENTS = 200,
    STEPS = 30,
    ITEMS = CLIENTS * STEPS,
    ELEMENTS = 2 * 2 * 2 * 16,
    STACK_BYTES = 512 * 1024
};

/* A batch waits a little for company: where 200 client threads starve on a busy machine, requests
 * trickle in one by one, and how many share a batch would depend on the scheduler alone. */
static const char config[] = "models = ( { name = \"m\"; n_layers = 2; n_kv_heads = 2;"
                             " head_dim = 16; dtype = \"f16\"; capacity = 64; } );\n"
                             "batch: { max_delay_us = 5000; };\n";

static struct daemon d;
static struct wire w;

/* A client in a thread of its own. Check must not be called there: what went wrong is noted. */
struct client {
    pthread_t thread;
    pthread_barrier_t *start;
    unsigned seq;
    int fd;
    char line[1024];
    char wrong[1200]; /* empty: nothing */
};

static void setup(void)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

static bool send_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    for (ssize_t sent; n > 0; p += sent, n -= (size_t)sent) {
        sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0) return false;
    }
    return true;
}

static bool receive_all(int fd, void *bytes, size_t n)
{
    char *p = bytes;
    for (ssize_t got; n > 0; p += got, n -= (size_t)got) {
        got = recv(fd, p, n, 0);
        if (got <= 0) return false;
    }
    return true;
}

static bool receive_line(struct client *c)
{
    for (size_t n = 0; n + 1 < sizeof c->line; n++) {
        if (!receive_all(c->fd, c->line + n, 1)) return false;
        if (c->line[n] != '\n') continue;
        c->line[n] = '\0';
        return true;
    }
    return false;
}

/* Sends a request with its payload; its answer must hold `want`. */
static bool ask(struct client *c, const char *request, const void *payload, size_t bytes,
                const char *want)
{
    if (!send_all(c->fd, request, strlen(request)) || !send_all(c->fd, payload, bytes) ||
        !receive_line(c)) {
        snprintf(c->wrong, sizeof c->wrong, "seq %u: the connection failed: %s", c->seq,
                 strerror(errno));
        return false;
    }
    if (strstr(c->line, want) != NULL) return true;
    snprintf(c->wrong, sizeof c->wrong, "seq %u: %s", c->seq, c->line);
    return false;
}

/* Element e of a client's step: no two rows alike. */
static uint16_t value(unsigned seq, unsigned step, unsigned e)
{
    return (uint16_t)((seq * STEPS + step) * 2654435761u + e * 40503u);
}

static bool append_all(struct client *c)
{
    char request[256], want[64];
    uint16_t rows[ELEMENTS];
    for (unsigned step = 0; step < STEPS; step++) {
        for (unsigned e = 0; e < ELEMENTS; e++)
            rows[e] = value(c->seq, step, e);
        snprintf(request, sizeof request,
                 "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"seq.append\",\"payload\":%zu,"
                 "\"params\":{\"seqs\":[%u],\"pos\":[%u]}}\n",
                 step, sizeof rows, c->seq, step);
        snprintf(want, sizeof want, "\"id\":%u,\"result\":{\"lens\":[%u]", step, step + 1);
        if (!ask(c, request, rows, sizeof rows, want)) return false;
    }
    return true;
}

static bool read_back(struct client *c)
{
    char request[256];
    static const size_t plane = (size_t)ELEMENTS / 8 * STEPS; /* elements of (layer, K|V, head) */
    uint16_t rows[ELEMENTS * STEPS];
    snprintf(request, sizeof request,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.read\",\"params\":{\"seq\":%u}}\n",
             c->seq);
    if (!ask(c, request, NULL, 0, "\"shape\":[2,2,2,30,16]")) return false;
    if (!receive_all(c->fd, rows, sizeof rows)) return false;
    for (unsigned e = 0; e < ELEMENTS; e++) {
        for (unsigned step = 0; step < STEPS; step++) {
            size_t at = e / 16 * plane + (size_t)step * 16 + e % 16;
            if (rows[at] == value(c->seq, step, e)) continue;
            snprintf(c->wrong, sizeof c->wrong, "seq %u step %u element %u", c->seq, step, e);
            return false;
        }
    }
    return true;
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    char request[128];
    snprintf(request, sizeof request,
             "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"seq.create\",\"params\":{\"seq\":%u}}\n",
             c->seq);
    bool fine = ask(c, request, NULL, 0, "result");
    pthread_barrier_wait(c->start);
    fine = fine && append_all(c) && read_back(c);
    if (!fine && c->wrong[0] == '\0') snprintf(c->wrong, sizeof c->wrong, "cut off");
    return NULL;
}

/* Goal: whatever shares a batch, every byte lands in its own sequence; batches are shared. */
START_TEST(clients_share_batches)
{
    static struct client clients[CLIENTS];
    pthread_barrier_t start;
    pthread_attr_t attr;
    pthread_barrier_init(&start, NULL, CLIENTS);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.start = &start, .seq = i, .fd = wire_connect(d.socket)};
        ck_assert_int_ge(clients[i].fd, 0);
        ck_assert_int_eq(pthread_create(&clients[i].thread, &attr, run_client, &clients[i]), 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        close(clients[i].fd);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        ck_assert_msg(clients[i].wrong[0] == '\0', "%s", clients[i].wrong);
    pthread_attr_destroy(&attr);
    pthread_barrier_destroy(&start);

    cJSON *stats = wire_call(&w, "server.stats", NULL);
    double mean = json_number(stats, "result.batch.mean_items");
    printf("mean items in a batch: %.2f, batches: %.0f\n", mean,
           json_number(stats, "result.batch.count"));
    ck_assert_msg(mean > 1.5, "mean items in a batch: %f", mean);
    ck_assert_int_eq((int)json_number(stats, "result.append.items"), ITEMS);
    cJSON_Delete(stats);
    wire_verify_ok(&w, true);
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("many_clients");
    TCase *tests = tcase_create("many_clients");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, clients_share_batches);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
