/* plan.h - what a run of truekv bench does: the command line, checked against the daemon. One
 * thread. */
#ifndef TRUEKV_COMMAND_BENCH_PLAN_H
#define TRUEKV_COMMAND_BENCH_PLAN_H

#include "clients/c/command/command.h"

/* X(name, word, method that is sent first) */
#define BENCH_METHODS(X)              \
    X(APPEND, "append", "seq.append") \
    X(PING, "ping", "server.ping")    \
    X(READ, "read", "seq.read")       \
    X(CHURN, "create-free", "seq.create")

enum bench_method {
#define X(name, word, method) BENCH_##name,
    BENCH_METHODS(X)
#undef X
        BENCH_METHOD_COUNT
};

struct bench_plan {
    enum bench_method method;
    uint32_t clients, in_flight, idle_connections;
    uint32_t items;               /* of a request; 1 unless appending */
    uint32_t tokens;              /* of an item */
    uint32_t n_layers;            /* of an item */
    struct truekv_layers layers;  /* as they are sent; {0, 0}: all, not sent */
    enum truekv_dtype dtype;      /* of the data; CACHE: not sent */
    enum truekv_dtype data_dtype; /* the same, never CACHE */
    uint64_t sequences, capacity; /* made before the run; 0: the method needs none */
    uint64_t requests;            /* to measure; 0: for measure_ms */
    int measure_ms, warmup_ms, interval_ms, timeout_ms;
    bool base64, with_pos, verify;

    /* Of the daemon. */
    char model[257], backend[32];
    size_t token_bytes;   /* one token of n_layers layers, as data_dtype */
    size_t request_bytes; /* of K/V, in one request or one answer */
};

/* The words of the command line, as far as they can be understood without a daemon. false: it has
 * been said. */
bool bench_plan_read(struct app *app, struct bench_plan *plan);

/* What depends on the daemon's models and limits. app is connected. */
enum exit_code bench_plan_settle(struct app *app, struct bench_plan *plan);

/* Requests that may be in flight, of all connections together. */
uint64_t bench_plan_slots(const struct bench_plan *plan);

const char *bench_method_word(enum bench_method method);

/* What is measured, as a phrase: "append to 16 sequences, ...". Writes to text, returns it. */
const char *bench_plan_say(const struct bench_plan *plan, char *text, size_t size);

#endif
