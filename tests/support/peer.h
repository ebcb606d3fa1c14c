/* peer.h - the other end of a connection of a daemon that runs in this process, whose loop turns
 * when the peer waits. Whatever is not as the protocol says aborts the program: fuzz targets use
 * it, too. */
#ifndef TKV_TESTS_SUPPORT_PEER_H
#define TKV_TESTS_SUPPORT_PEER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "daemon/server.h"

struct peer {
    struct tkv_server *server;
    int fd;
    bool ended;             /* the daemon has closed */
    struct tkv_buffer in;   /* what was read and not yet taken */
    uint64_t payload;       /* bytes of it still to come */
    struct tkv_buffer line; /* the newest line, with a NUL */
    size_t lines;
};

void peer_open(struct peer *p, struct tkv_server *server);
void peer_close(struct peer *p);

/* Sends in pieces of so many bytes, as far as the daemon takes them. */
void peer_send(struct peer *p, const void *data, size_t size, size_t piece);

/* Ends our side and waits for the daemon to close: whatever was asked has been answered then. */
void peer_end(struct peer *p);

/* Sends a line and waits for one; the caller deletes it. NULL: the daemon has closed instead. */
cJSON *peer_call(struct peer *p, const char *line);

#endif
