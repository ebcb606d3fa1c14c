/* client.h - a client that asks at random, in a thread of its own, and writes down what it asked,
 * when, and what came back. It judges nothing. */
#ifndef TKV_TESTS_HISTORIES_CLIENT_H
#define TKV_TESTS_HISTORIES_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/histories/peer.h"
#include "tests/histories/request.h"

/* Sequences with chosen ids are from H_POOL_FIRST on; those whose ids the daemon chose are below.
 */
#define H_POOL_FIRST (UINT64_C(1) << 40)
enum { H_POOL = 20, H_FOUND_MAX = 8, H_BURST_MAX = 8 };

/* What all clients of an epoch know. */
struct h_world {
    const char *socket;
    uint64_t ended_before; /* connections of the daemon that had ended when the world began */
    uint64_t seed;
    _Atomic uint64_t opened;             /* connections, of all clients so far */
    _Atomic uint64_t ended;              /* of these: a client lets go of them, or has */
    _Atomic uint64_t found[H_FOUND_MAX]; /* sequences whose ids the daemon chose; 0: none */
    _Atomic uint32_t guesses[H_POOL];    /* lengths, as last heard of; may be wrong */
};

/* A connection's number and its end: when the client let go of it, and when the daemon surely had
 * taken all that came over it (0: nobody knows). */
struct h_ending {
    uint32_t conn;
    uint64_t at, over;
};

struct h_client {
    struct h_world *world;
    uint32_t id; /* from 1 on */
    uint64_t random;
    size_t quota; /* requests to be made */
    struct h_peer peer;
    uint32_t conn;
    uint32_t walks;
    struct h_request *requests;
    size_t n, room;
    struct h_ending *endings;
    size_t n_endings;
    struct h_request retry; /* has_pos where there is one: an append without an answer */
    pthread_t thread;
    char wrong[256]; /* "": nothing */
};

void h_client_init(struct h_client *c, struct h_world *world, uint32_t id, size_t quota);
void h_client_free(struct h_client *c);

/* The thread's body: the whole quota; arg: the client. */
void *h_client_run(void *arg);

/* One by one, by hand: adds a request to be filled in, sends it, takes its answer. For the
 * observations at the end. False where the daemon did not answer. */
struct h_request *h_client_add(struct h_client *c, enum h_method method);
bool h_client_ask(struct h_client *c);
void h_client_hang_up(struct h_client *c);

#endif
