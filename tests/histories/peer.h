/* peer.h - a connection of a thread that must not call Check: failures are returned. */
#ifndef TKV_TESTS_HISTORIES_PEER_H
#define TKV_TESTS_HISTORIES_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct h_peer {
    int fd;
    struct tkv_buffer in;
};

bool h_peer_open(struct h_peer *p, const char *path);
void h_peer_close(struct h_peer *p);

bool h_peer_send(struct h_peer *p, const void *bytes, size_t n);

/* The next line without its end, the caller frees it; NULL: the stream has ended, or nothing came
 * in a long while. */
char *h_peer_line(struct h_peer *p);

/* The next n bytes; likewise. */
void *h_peer_bytes(struct h_peer *p, size_t n);

#endif
