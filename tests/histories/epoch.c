#include "tests/histories/epoch.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/histories/blame.h"

const char *h_config(void)
{
    static char text[1024];
    const char *backend = getenv("TKV_TEST_BACKEND");
    bool cuda = backend != NULL && strcmp(backend, "cuda") == 0;
    int page_kib = cuda ? 2048 : 4; /* what a small cache takes there */
    snprintf(text, sizeof text,
             "models = ( " H_MODEL " );\n"
             "memory: { budget = \"%dK\"; };\n"
             "journal: { bytes = \"2M\"; };\n"
             "limits: { max_sequences = 28; staging_bytes = \"64K\";"
             " max_payload_bytes = \"16K\"; };\n"
             "debug: { allow_fault_injection = true; };\n"
             "log: { level = \"warning\"; };\n",
             26 * page_kib);
    return text;
}

enum { QUIET_MS = 30000, PAUSE_MS = 2, VICTIMS = 4 };
#define VICTIM_FIRST (H_POOL_FIRST + 1000)
#define NEWCOMER     (H_POOL_FIRST + 2000)

/* --- rest ----------------------------------------------------------------------------------------
 */

/* Whether the numbers at these paths of server.stats are these. */
struct wanted {
    const char *path;
    double value;
};

static bool all_as_wanted(struct wire *w, const struct wanted *wanted, char *text, size_t room)
{
    cJSON *stats = wire_call(w, "server.stats", NULL);
    bool fine = true;
    for (; wanted->path != NULL; wanted++) {
        double got = json_number(stats, wanted->path);
        if (got == wanted->value) continue;
        snprintf(text, room, "%s is %g, not %g", wanted->path, got, wanted->value);
        fine = false;
    }
    cJSON_Delete(stats);
    return fine;
}

static void wait_for(struct wire *w, const struct wanted *wanted)
{
    char text[128] = "";
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    for (int waited = 0; waited < QUIET_MS; waited += PAUSE_MS) {
        if (all_as_wanted(w, wanted, text, sizeof text)) return;
        nanosleep(&pause, NULL);
    }
    ck_abort_msg("the daemon does not come to rest: %s", text);
}

/* All connections that clients opened are known, and closed, and their requests are done. What the
 * device still makes is done before what it is asked for after that. */
static void wait_for_quiet(struct wire *w, double accepted)
{
    const struct wanted wanted[] = {{"result.connections.accepted", accepted},
                                    {"result.connections.open", 1},
                                    {"result.queue.waiting", 0},
                                    {"result.queue.gathering", 0},
                                    {"result.batch.in_flight", 0},
                                    {NULL, 0}};
    wait_for(w, wanted);
    cJSON_Delete(wire_call(w, "seq.create", "{\"seq\":%" PRIu64 "}", NEWCOMER));
    cJSON_Delete(wire_call(w, "seq.free", "{\"seqs\":[%" PRIu64 "]}", NEWCOMER));
}

static void wait_for_nothing(struct wire *w)
{
    const struct wanted wanted[] = {
        {"result.sequences.live", 0},        {"result.memory.cache_bytes", 0},
        {"result.memory.checksum_bytes", 0}, {"result.memory.staging_bytes", 0},
        {"result.connections.open", 1},      {NULL, 0}};
    wait_for(w, wanted);
}

static double accepted_so_far(struct wire *w)
{
    cJSON *stats = wire_call(w, "server.stats", NULL);
    double n = json_number(stats, "result.connections.accepted");
    cJSON_Delete(stats);
    return n;
}

/* One after the other: leases may end meanwhile. */
static void free_all(struct wire *w)
{
    cJSON *list = wire_call(w, "seq.list", "{\"limit\":1000}");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json_at(list, "result.seqs"))
    {
        cJSON_Delete(wire_call(w, "seq.free", "{\"seqs\":[%.0f]}", json_number(entry, "seq")));
    }
    cJSON_Delete(list);
}

/* --- what is left, seen by one observer
 * ----------------------------------------------------------- */

static void ask(struct h_client *observer, enum h_method method, uint64_t seq)
{
    struct h_request *r = h_client_add(observer, method);
    r->seqs[0] = seq;
    r->to_the_end = true;
    ck_assert_msg(h_client_ask(observer), "%s", observer->wrong);
}

static void look_at(struct h_client *observer, uint64_t seq)
{
    ask(observer, H_DO_INFO, seq);
    ask(observer, H_DO_READ, seq);
}

static void look_at_all(struct h_client *observer)
{
    struct h_request *r = h_client_add(observer, H_DO_LIST);
    r->n_seqs = 0;
    r->tokens[0] = 1000;
    ck_assert_msg(h_client_ask(observer), "%s", observer->wrong);
    cJSON *list = cJSON_Parse(observer->requests[observer->n - 1].line);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json_at(list, "result.seqs"))
    {
        uint64_t seq = (uint64_t)json_number(entry, "seq");
        if (seq < H_POOL_FIRST) look_at(observer, seq);
    }
    cJSON_Delete(list);
    for (uint64_t i = 0; i < H_POOL; i++)
        look_at(observer, H_POOL_FIRST + i);
}

/* --- a planted fault
 * ------------------------------------------------------------------------------ */

/* Four sequences of their own, two appends to all of them, the second through the fault. Another
 * one follows, for what a fault writes beyond the length. */
static void meet_fault(struct h_client *observer, struct wire *w, const char *fault)
{
    free_all(w); /* there must be room */
    for (uint64_t i = 0; i < VICTIMS; i++) {
        struct h_request *r = h_client_add(observer, H_DO_CREATE);
        r->seqs[0] = VICTIM_FIRST + i;
        r->has_seq = true;
        r->capacity = H_CAPACITY_MAX;
        ck_assert_msg(h_client_ask(observer), "%s", observer->wrong);
    }
    for (int step = 0; step < 2; step++) {
        if (step == 1) cJSON_Delete(wire_call(w, "debug.inject", "{\"fault\":\"%s\"}", fault));
        struct h_request *r = h_client_add(observer, H_DO_APPEND);
        r->n_seqs = VICTIMS;
        r->tag = h_mix(r->number, 77);
        for (uint64_t i = 0; i < VICTIMS; i++) {
            r->seqs[i] = VICTIM_FIRST + i;
            r->tokens[i] = 3;
        }
        ck_assert_msg(h_client_ask(observer), "%s", observer->wrong);
    }
    for (uint64_t i = 0; i < VICTIMS; i++)
        look_at(observer, VICTIM_FIRST + i);
}

/* --- an epoch
 * ------------------------------------------------------------------------------------- */

static void run_clients(const struct h_epoch *e, struct h_client *clients, struct h_world *world)
{
    for (size_t i = 0; i < e->n_clients; i++) {
        h_client_init(&clients[i], world, (uint32_t)i + 1, e->operations / e->n_clients);
        int rc = pthread_create(&clients[i].thread, NULL, h_client_run, &clients[i]);
        ck_assert_int_eq(rc, 0);
    }
    for (size_t i = 0; i < e->n_clients; i++)
        pthread_join(clients[i].thread, NULL);
    for (size_t i = 0; i < e->n_clients; i++)
        ck_assert_msg(clients[i].wrong[0] == '\0', "seed %" PRIu64 ": %s", e->seed,
                      clients[i].wrong);
}

static void count(struct h_totals *totals, const struct h_answers *a, const struct h_verdict *v)
{
    totals->operations += a->requests;
    totals->sequences += v->sequences;
    totals->unknown += v->unknown;
    totals->states += v->states;
    totals->searches += v->searches;
    totals->undecided += v->undecided;
}

static void tell(const struct h_epoch *e, const struct h_answers *a, const struct h_verdict *v)
{
    if (e->fault != NULL) return;
    fprintf(stderr, "histories: seed %" PRIu64 " is wrong\n%s%s\n", e->seed, a->wrong, v->text);
    if (v->wrong != NULL) h_blame(stderr, v->wrong, v->n_wrong);
    if (v->undecided > 0) fprintf(stderr, "%" PRIu64 " searches were given up\n", v->undecided);
}

static bool judge(const struct h_epoch *e, struct h_client *clients, uint64_t barrier,
                  struct h_totals *totals)
{
    struct h_answers a;
    struct h_verdict v;
    h_answers_collect(&a, clients, e->n_clients + 1, barrier);
    bool right = h_check_all(a.ops, a.n, &v) && a.wrong[0] == '\0' && v.undecided == 0;
    count(totals, &a, &v);
    if (!right) tell(e, &a, &v);
    free(v.wrong);
    h_answers_free(&a);
    return right;
}

static void verify(struct wire *w, bool right)
{
    cJSON *verified = wire_call(w, "debug.verify", NULL);
    json_expect(verified, "result.ok", right ? "true" : "false");
    cJSON_Delete(verified);
    if (!right) return;
    cJSON *scrubbed = wire_call(w, "debug.scrub", NULL);
    json_expect(scrubbed, "result.ok", "true");
    cJSON_Delete(scrubbed);
}

bool h_epoch_run(const struct h_epoch *e, const struct daemon *d, struct wire *w,
                 struct h_totals *totals)
{
    struct h_world world = {.socket = d->socket, .seed = e->seed};
    struct h_client *clients = calloc(e->n_clients + 1, sizeof *clients), *observer;
    ck_assert_ptr_nonnull(clients);
    double before = accepted_so_far(w);
    world.ended_before = (uint64_t)before - 1; /* this one goes on */
    run_clients(e, clients, &world);
    wait_for_quiet(w, before + (double)atomic_load(&world.opened));
    uint64_t barrier = tkv_now_ns();
    observer = &clients[e->n_clients];
    h_client_init(observer, &world, (uint32_t)e->n_clients + 1, 0);
    if (e->fault != NULL)
        meet_fault(observer, w, e->fault);
    else
        look_at_all(observer);
    h_client_hang_up(observer);
    verify(w, e->fault == NULL || strcmp(e->fault, "none") == 0);
    free_all(w);
    wait_for_nothing(w);
    bool right = judge(e, clients, barrier, totals);
    for (size_t i = 0; i <= e->n_clients; i++)
        h_client_free(&clients[i]);
    free(clients);
    return right;
}
