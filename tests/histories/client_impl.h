/* client_impl.h - between client.c and plan.c. */
#ifndef TKV_TESTS_HISTORIES_CLIENT_IMPL_H
#define TKV_TESTS_HISTORIES_CLIENT_IMPL_H

#include "tests/histories/client.h"

/* Adds a random request. */
struct h_request *h_plan(struct h_client *c);

/* The sequence's place in world->guesses, or NULL. */
_Atomic uint32_t *h_guess(struct h_client *c, uint64_t seq);

#endif
