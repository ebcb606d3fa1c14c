#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/c/command/bench/load_impl.h"
#include "clients/c/command/json_in.h"
#include "clients/c/connect.h"

enum { EVENTS = 64, LATE_MS = 1, NAP_MS = 100, FILES_BESIDE = 32, MS_NS = 1000000 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---- What happens when --------------------------------------------------------------------- */

static void rest(struct load *l, struct slot *s)
{
    s->state = SLOT_RESTING;
    l->under_way--;
}

/* A slot goes round its own groups, so that no two requests in flight share one. */
static void next_group(const struct load *l, struct slot *s)
{
    uint64_t slots = bench_plan_slots(l->plan);
    size_t group = s->group + (size_t)slots;
    if (group >= l->messages.n_groups) group = s->group % (size_t)slots;
    if (group != s->group) s->message.ready = false;
    s->group = group;
}

/* The slot's next request, unless the run is at its end. It is under way already. */
static void begin(struct load *l, struct connection *c, struct slot *s, uint64_t now_ns)
{
    if (l->phase == LOAD_MEASURE && l->plan->requests > 0 && l->begun == l->plan->requests)
        l->phase = LOAD_DRAIN;
    if (l->phase == LOAD_DRAIN) {
        rest(l, s);
        return;
    }
    s->measured = l->phase == LOAD_MEASURE;
    l->begun += s->measured;
    s->begun_ns = now_ns;
    if (!s->freeing) bench_message_build(&l->messages, &s->message, s->id, s->group);
    if (l->messages.n_groups > 0) next_group(l, s);
    traffic_queue(l, c, s);
}

void load_answered(struct load *l, struct connection *c, struct slot *s, uint64_t seq,
                   uint64_t now_ns)
{
    uint64_t took = now_ns - s->begun_ns;
    live_add(&l->live, took);
    if (s->measured) {
        histogram_add(&l->result->latency, took);
        bench_series_add(&l->result->series, now_ns - l->start_ns);
        l->last_ns = now_ns;
    }
    if (l->plan->method == BENCH_CHURN) {
        s->freeing = !s->freeing;
        if (s->freeing) bench_message_free(&s->message, s->id, seq);
    }
    begin(l, c, s, now_ns);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

static enum truekv_status status_of(const char *reason)
{
    for (int i = 0; reason != NULL && i < TRUEKV_STATUS_COUNT; i++) {
        if (strcmp(truekv_reason((enum truekv_status)i), reason) == 0) return (enum truekv_status)i;
    }
    return TRUEKV_EUNKNOWN;
}

/* Keeps the error object as the reason why the run ends. */
static void give_up(struct load *l, const cJSON *error, const char *json, size_t len)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(error, "data");
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(error, "code");
    const char *message = json_text(error, "message"), *reason = json_text(data, "reason");
    tkc_error_set(&l->why, status_of(reason), 0, "%s", message != NULL ? message : "refused");
    if (reason != NULL) snprintf(l->why.reason, sizeof l->why.reason, "%s", reason);
    l->why.code = cJSON_IsNumber(code) ? code->valueint : 0;
    free(l->why_json);
    l->why_json = strndup(json, len);
    l->why.json = l->why_json;
}

bool load_refused(struct load *l, struct slot *s, const char *json, size_t len, uint64_t now_ns)
{
    cJSON *error = cJSON_ParseWithLength(json, len);
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(error, "data");
    const char *reason = json_text(data, "reason");
    bool later = s != NULL && (s->state == SLOT_WAITING || s->sending) && reason != NULL &&
                 strcmp(reason, truekv_reason(TRUEKV_EOVERLOADED)) == 0 &&
                 cJSON_HasObjectItem(data, "retry_after_ms");
    if (later) {
        s->due_ns = now_ns + json_count(data, "retry_after_ms") * MS_NS;
        s->state = SLOT_LATE;
        l->late++;
        l->result->overloaded++;
    } else {
        give_up(l, error, json, len);
    }
    cJSON_Delete(error);
    return later;
}

/* Nothing was done: the same bytes go out again. */
static bool retry_late(struct load *l, uint64_t now_ns)
{
    bool fine = true;
    for (uint32_t i = 0; l->late > 0 && fine && i < l->plan->clients; i++) {
        struct connection *c = &l->connections[i];
        for (uint32_t k = 0; k < l->plan->in_flight; k++) {
            struct slot *s = &c->slots[k];
            if (s->state != SLOT_LATE || s->sending || s->due_ns > now_ns) continue;
            l->late--;
            traffic_queue(l, c, s);
        }
        if (c->queued > 0) fine = traffic_send(l, c);
    }
    return fine;
}

/* ---- The loop ------------------------------------------------------------------------------ */

static void start_measuring(struct load *l, uint64_t now_ns)
{
    l->phase = LOAD_MEASURE;
    l->start_ns = l->last_ns = now_ns;
}

/* When the phase ends by the clock; 0: it does not. */
static uint64_t phase_end_ns(const struct load *l)
{
    if (l->phase == LOAD_WARMUP) return l->start_ns + (uint64_t)l->plan->warmup_ms * MS_NS;
    if (l->phase == LOAD_DRAIN || l->plan->requests > 0) return 0;
    return l->start_ns + (uint64_t)l->plan->measure_ms * MS_NS;
}

static void change_phase(struct load *l, uint64_t now_ns)
{
    uint64_t end = phase_end_ns(l);
    if (interrupted) {
        l->result->interrupted = true;
        l->phase = LOAD_DRAIN;
    } else if (end > 0 && now_ns >= end) {
        if (l->phase == LOAD_WARMUP)
            start_measuring(l, now_ns);
        else
            l->phase = LOAD_DRAIN;
    }
}

static int wait_ms(const struct load *l, uint64_t now_ns)
{
    uint64_t end = phase_end_ns(l);
    if (l->late > 0) return LATE_MS;
    if (end == 0 || end > now_ns + (uint64_t)NAP_MS * MS_NS) return NAP_MS;
    return end > now_ns ? (int)((end - now_ns) / MS_NS) + 1 : 0;
}

static bool is_stalled(struct load *l, uint64_t now_ns)
{
    if (l->plan->timeout_ms < 0) return false;
    if (now_ns < l->moved_ns + (uint64_t)l->plan->timeout_ms * MS_NS) return false;
    tkc_error_set(&l->why, TRUEKV_ETIMEOUT, 0, "truekvd did not answer within %.3g s",
                  l->plan->timeout_ms / 1000.0);
    return true;
}

static bool handle(struct load *l, const struct epoll_event *event)
{
    uint32_t i = event->data.u32;
    if (i >= l->plan->clients) {
        tkc_error_set(&l->why, TRUEKV_ELOST, 0, "truekvd closed an idle connection");
        return false;
    }
    struct connection *c = &l->connections[i];
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0 && !traffic_receive(l, c)) return false;
    return traffic_send(l, c);
}

static bool begin_all(struct load *l)
{
    uint64_t now = tkv_now_ns();
    live_init(&l->live, &l->app->err, l->plan, now);
    l->moved_ns = l->start_ns = l->last_ns = now;
    l->phase = LOAD_WARMUP;
    l->under_way = bench_plan_slots(l->plan);
    if (l->plan->warmup_ms == 0) start_measuring(l, now);
    for (uint32_t i = 0; i < l->plan->clients; i++) {
        for (uint32_t k = 0; k < l->plan->in_flight; k++)
            begin(l, &l->connections[i], &l->connections[i].slots[k], now);
        if (!traffic_send(l, &l->connections[i])) return false;
    }
    return l->why.status == TRUEKV_OK;
}

static bool loop(struct load *l)
{
    struct epoll_event events[EVENTS];
    uint64_t now = l->moved_ns;
    bool fine = begin_all(l);
    while (fine && !(l->phase == LOAD_DRAIN && l->under_way == 0)) {
        int n = epoll_wait(l->epoll, events, EVENTS, wait_ms(l, now));
        for (int i = 0; fine && i < n; i++)
            fine = handle(l, &events[i]);
        now = tkv_now_ns();
        if (fine && l->late > 0) fine = retry_late(l, now);
        live_tick(&l->live, l->phase == LOAD_WARMUP ? "warming up" : "", l->result->overloaded,
                  now); /* of the phase that is over, where one ends now */
        change_phase(l, now);
        fine = fine && !is_stalled(l, now);
    }
    live_end(&l->live);
    return fine;
}

/* Ctrl-C ends the run, not the report; a second one ends the program. */
static bool run(struct load *l)
{
    struct sigaction act = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}, before;
    interrupted = 0;
    (void)sigaction(SIGINT, &act, &before);
    bool fine = loop(l);
    (void)sigaction(SIGINT, &before, NULL);
    l->result->elapsed_ns = l->last_ns - l->start_ns;
    return fine;
}

/* ---- Open and close ------------------------------------------------------------------------ */

static void allow_files(size_t n)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= n) return;
    limit.rlim_cur = n < limit.rlim_max ? (rlim_t)n : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* where it is too low, connecting says so */
}

static void wire_up(struct load *l)
{
    uint32_t n = l->plan->in_flight;
    for (uint32_t i = 0; i < l->plan->clients; i++) {
        struct connection *c = &l->connections[i];
        c->slots = &l->slots[(size_t)i * n];
        c->queue = &l->queues[(size_t)i * n];
        tkv_buffer_init(&c->in, (size_t)8 << 20);
        for (uint32_t k = 0; k < n; k++) {
            c->slots[k].id = k;
            c->slots[k].group = (size_t)i * n + k;
        }
    }
}

static bool allocate(struct load *l, const uint64_t *seqs)
{
    size_t slots = (size_t)bench_plan_slots(l->plan);
    l->connections = calloc(l->plan->clients, sizeof l->connections[0]);
    l->slots = calloc(slots, sizeof l->slots[0]);
    l->queues = calloc(slots, sizeof l->queues[0]);
    l->idle = calloc((size_t)l->plan->idle_connections + 1, sizeof l->idle[0]);
    l->scratch = malloc(TRAFFIC_SCRATCH_BYTES);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    bool fine = bench_messages_init(&l->messages, l->plan, seqs) && l->connections != NULL &&
                l->slots != NULL && l->queues != NULL && l->idle != NULL && l->scratch != NULL &&
                l->epoll >= 0;
    if (!fine)
        tkc_error_set(&l->why, TRUEKV_ENOMEM, errno, "no memory for so many requests in flight");
    return fine;
}

static bool connect_all(struct load *l)
{
    allow_files((size_t)l->plan->clients + l->plan->idle_connections + FILES_BESIDE);
    wire_up(l);
    for (; l->n_open < l->plan->clients; l->n_open++) {
        if (!traffic_open(l, &l->connections[l->n_open].fd, (uint32_t)l->n_open)) return false;
    }
    for (; l->n_idle < l->plan->idle_connections; l->n_idle++) {
        if (!traffic_open(l, &l->idle[l->n_idle], l->plan->clients + (uint32_t)l->n_idle))
            return false;
    }
    return true;
}

static void close_all(struct load *l)
{
    for (size_t i = 0; i < l->n_open; i++) {
        close(l->connections[i].fd);
        tkv_buffer_close(&l->connections[i].in);
    }
    for (size_t i = 0; i < l->n_idle; i++)
        close(l->idle[i]);
    for (uint64_t i = 0; l->slots != NULL && i < bench_plan_slots(l->plan); i++)
        tkv_buffer_close(&l->slots[i].message.line);
    if (l->epoll >= 0) close(l->epoll);
    bench_messages_close(&l->messages);
    free(l->connections);
    free(l->slots);
    free(l->queues);
    free(l->idle);
    free(l->scratch);
    free(l->why_json);
    free(l);
}

enum exit_code bench_load_run(struct app *app, const struct bench_plan *plan, const uint64_t *seqs,
                              struct bench_result *out)
{
    struct load *l = calloc(1, sizeof *l);
    enum exit_code code = EXIT_FINE;
    if (l == NULL) return app_usage(app, "no memory");
    bench_result_init(out);
    l->app = app;
    l->plan = plan;
    l->result = out;
    l->epoll = -1;
    if (!allocate(l, seqs) || !connect_all(l) || !run(l)) code = app_failed_with(app, &l->why);
    close_all(l);
    return code;
}
