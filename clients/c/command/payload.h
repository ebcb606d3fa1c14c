/* payload.h - bytes to send: from a file, from standard input, or made up. One thread. */
#ifndef TRUEKV_COMMAND_PAYLOAD_H
#define TRUEKV_COMMAND_PAYLOAD_H

#include "clients/c/command/command.h"

struct payload {
    void *data; /* owned */
    size_t bytes;
};

/* All of a file; "-" is standard input. false: it has been said. */
bool payload_read(struct app *app, const char *file, struct payload *out);

/* n elements of the protocol's reference generator, as dtype, appended to what is there. The state
 * goes on from call to call: begin with payload_seed(). false: no memory. */
uint64_t payload_seed(uint64_t seed);
bool payload_make(struct payload *p, uint64_t *state, size_t n, enum truekv_dtype dtype);

/* Writes bytes to a file; "-" is standard output. false: it has been said. */
bool payload_write(struct app *app, const char *file, const void *data, size_t bytes);

/* The conversions' own names of a dtype; dtype is not CACHE. */
enum tkv_dtype payload_dtype(enum truekv_dtype dtype);

void payload_close(struct payload *p);

#endif
