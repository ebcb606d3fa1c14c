/* access.h - who may connect, and who may call what. Loop thread only.
 *
 * Over a Unix socket the kernel says who the peer is; over TCP a token does (access_token.h). What
 * is decided here holds for the life of the connection. */
#ifndef TKV_DAEMON_ACCESS_H
#define TKV_DAEMON_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/status.h"
#include "proto/method.h"

struct tkv_config;
struct tkv_connection;
struct tkv_error;
struct tkv_listening;
struct tkv_server;

/* The other side of a connection; embedded in it. */
struct tkv_peer {
    bool is_unix;
    uint32_t uid, gid; /* as they were when it connected; TKV_NO_UID over TCP */
    pid_t pid;         /* 0: not known */

    /* access_token.h */
    bool authenticated;            /* or it need not be */
    struct tkv_connection **place; /* among those that wait; NULL: it does not */
    uint64_t since_ms;             /* it waits, or it was denied */
    bool denied;                   /* it was, and does not know yet */
    struct tkv_buffer denial;      /* what it will hear */
};

/* Gives the file of a Unix socket of ours the configuration's mode and group; of another socket,
 * does nothing. TKV_EINTERNAL: logged. */
enum tkv_status tkv_access_prepare_file(const struct tkv_config *config,
                                        const struct tkv_listening *socket);

/* Makes a bound socket ready for clients: its file as above; one of TCP that nobody would need a
 * token for is refused, unless the configuration wants that. TKV_EINTERNAL: logged. */
enum tkv_status tkv_access_prepare(const struct tkv_server *server,
                                   const struct tkv_listening *socket);

/* Finds out who has connected. TKV_EPERM: somebody who may not; TKV_EOVERLOADED: too many are here
 * of whom that is not known. *error says so. */
enum tkv_status tkv_access_meet(struct tkv_connection *conn, bool is_unix, struct tkv_error *error);

/* The peer for the log, "uid=1000 gid=1000 pid=77" or "peer=[::1]:4242", in out. Returns out. */
const char *tkv_access_name(const struct tkv_connection *conn, char *out, size_t size);

/* Whether the connection may call the method at all. */
bool tkv_access_allows(const struct tkv_connection *conn, enum tkv_method method);

/* The error of a method that it may not call. */
void tkv_access_refuse(struct tkv_error *error, enum tkv_method method);

#endif
