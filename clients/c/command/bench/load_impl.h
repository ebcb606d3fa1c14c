/* load_impl.h - what is inside of a load; for load.c (what happens when) and traffic.c (bytes). */
#ifndef TRUEKV_COMMAND_BENCH_LOAD_IMPL_H
#define TRUEKV_COMMAND_BENCH_LOAD_IMPL_H

#include "clients/c/command/bench/live.h"
#include "clients/c/command/bench/load.h"
#include "clients/c/command/bench/message.h"

/* A request at a time: resting until it begins, queued until its bytes are sent, waiting for its
 * answer; late when it was refused as overloaded, until it is tried again. */
enum slot_state { SLOT_RESTING, SLOT_QUEUED, SLOT_WAITING, SLOT_LATE };

struct slot {
    enum slot_state state;
    bool measured; /* begun while it was measured */
    bool freeing;  /* create-free: its request is the free */
    bool sending;  /* it stands in its connection's queue */
    uint32_t id;   /* on its connection */
    size_t group;  /* that its request appends to, or reads */
    uint64_t begun_ns, due_ns;
    struct bench_message message;
};

struct connection {
    int fd;
    bool wants_out;         /* epoll has been told */
    struct slot *slots;     /* plan->in_flight of them, in the load's array */
    uint32_t *queue;        /* ids of queued slots, a ring of plan->in_flight */
    uint32_t first, queued; /* in the ring */
    size_t sent;            /* bytes of the first one */
    struct tkv_buffer in;   /* received, not yet taken */
    uint64_t skip;          /* bytes of an answer's payload still to come */
    struct slot *filled;    /* whose payload that is */
};

enum load_phase { LOAD_WARMUP, LOAD_MEASURE, LOAD_DRAIN };

struct load {
    struct app *app;
    const struct bench_plan *plan;
    struct bench_result *result;
    struct bench_messages messages;
    struct live live;
    int epoll;
    struct connection *connections;
    struct slot *slots;
    uint32_t *queues;
    int *idle;               /* plan->idle_connections sockets */
    size_t n_open, n_idle;   /* of connections, of idle */
    void *scratch;           /* payloads that are thrown away go there */
    enum load_phase phase;   /* of the run */
    uint64_t under_way;      /* slots that do not rest */
    uint64_t late;           /* of them, those that wait to be tried again */
    uint64_t begun;          /* requests measured so far */
    uint64_t start_ns;       /* of measuring */
    uint64_t last_ns;        /* the newest answer to one that is measured */
    uint64_t moved_ns;       /* when bytes came last */
    struct truekv_error why; /* status TRUEKV_OK: nothing is wrong */
    char *why_json;          /* owned */
};

/* ---- traffic.c */

enum { TRAFFIC_SCRATCH_BYTES = 256 * 1024 };

/* Opens a connection, which says nothing yet; index: what epoll calls it. */
bool traffic_open(struct load *l, int *fd, uint32_t index);

/* Puts a slot's message into its connection's queue. */
void traffic_queue(struct load *l, struct connection *c, struct slot *s);

/* Sends what is queued, as far as the socket takes it. false: l->why says it. */
bool traffic_send(struct load *l, struct connection *c);

/* Receives what is there, and hands each answer to load.c. false: l->why says it. */
bool traffic_receive(struct load *l, struct connection *c);

/* ---- load.c, called by traffic.c */

/* An answer is all there, at now_ns. seq: of a create. */
void load_answered(struct load *l, struct connection *c, struct slot *s, uint64_t seq,
                   uint64_t now_ns);

/* An error is the answer; json is its object. false: it ends the run, and l->why says it. */
bool load_refused(struct load *l, struct slot *s, const char *json, size_t len, uint64_t now_ns);

#endif
