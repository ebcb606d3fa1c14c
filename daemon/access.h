/* access.h - who may connect, and who may call what. Loop thread only.
 *
 * Over a Unix socket the kernel says who the peer is. Nobody is asked twice: what is decided here
 * holds for the connection's life. */
#ifndef TKV_DAEMON_ACCESS_H
#define TKV_DAEMON_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "proto/method.h"

struct tkv_connection;
struct tkv_error;
struct tkv_listening;
struct tkv_server;

/* The other side of a connection; embedded in it. */
struct tkv_peer {
    bool is_unix;
    uint32_t uid, gid; /* as they were when it connected; TKV_NO_UID over TCP */
    pid_t pid;         /* 0: not known */
};

/* Gives a Unix socket that is bound the configuration's mode and group. TKV_EINTERNAL: logged. */
enum tkv_status tkv_access_prepare(const struct tkv_server *server,
                                   const struct tkv_listening *socket);

/* Finds out who has connected. TKV_EPERM: somebody who may not; *error says so. */
enum tkv_status tkv_access_meet(struct tkv_connection *conn, bool is_unix, struct tkv_error *error);

/* The peer for the log, "uid=1000 gid=1000 pid=77" or "peer=[::1]:4242", in out. Returns out. */
const char *tkv_access_name(const struct tkv_connection *conn, char *out, size_t size);

/* Whether the connection may call the method at all. */
bool tkv_access_allows(const struct tkv_connection *conn, enum tkv_method method);

/* The error of a method that it may not call. */
void tkv_access_refuse(struct tkv_error *error, enum tkv_method method);

#endif
