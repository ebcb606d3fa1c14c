/* address.h - where the daemon listens: "unix:PATH" or "tcp:HOST:PORT" (an IPv6 host in brackets).
 * Start-up only: looking up a host name waits. */
#ifndef TKV_DAEMON_ADDRESS_H
#define TKV_DAEMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

enum { TKV_PATH_MAX = 107, TKV_HOST_MAX = 255, TKV_ADDRESS_CHARS = TKV_HOST_MAX + 16 };

struct tkv_address {
    bool is_unix;
    char path[TKV_PATH_MAX + 1];
    char host[TKV_HOST_MAX + 1]; /* without brackets */
    char port[6];
};

/* A bound socket. A unix socket's file is removed when it closes, if it is still the same file. */
struct tkv_listening {
    int fd;
    char name[TKV_ADDRESS_CHARS]; /* as written, but port 0 is the port that was given */
    bool is_unix;
    bool owns_file;
    char path[TKV_PATH_MAX + 1];
    dev_t dev;
    ino_t ino;
};

/* TKV_EINVAL: message says what is wrong with text and what would be right. */
enum tkv_status tkv_address_parse(struct tkv_address *out, const char *text, char *message,
                                  size_t size);

/* Binds, does not listen yet: nobody can connect before a unix socket's mode is set (0660 here). A
 * socket file on which nobody answers is replaced; one on which somebody does, or a file of another
 * kind, is left alone. TKV_EINTERNAL: message says why not. The socket does not block. */
enum tkv_status tkv_listening_open(struct tkv_listening *out, const char *text, char *message,
                                   size_t size);

/* Takes a listening stream socket over from whoever started us; its file is theirs. TKV_EINVAL: it
 * is no such socket. */
enum tkv_status tkv_listening_inherit(struct tkv_listening *out, int fd, char *message,
                                      size_t size);

/* Removes the file. The descriptor is closed by whoever listens on it, later: while it is open, no
 * other file can get the number that ours is known by. */
void tkv_listening_remove(struct tkv_listening *l);

#endif
