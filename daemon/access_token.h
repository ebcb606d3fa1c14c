/* access_token.h - connections that have still to say who they are. Loop thread only.
 *
 * Over TCP the first message must be the method auth with the right token. Until then a connection
 * gets next to nothing: a short line, no payload, no array, little time, and one of few places. A
 * wrong one hears so after a while, in which it keeps its place: guessing is slow, however many
 * guess. */
#ifndef TKV_DAEMON_ACCESS_TOKEN_H
#define TKV_DAEMON_ACCESS_TOKEN_H

#include "daemon/access.h"
#include "daemon/access_secret.h"
#include "daemon/config.h"
#include "daemon/tls.h"

enum {
    TKV_UNAUTHENTICATED_MAX = 64, /* connections at a time */
    TKV_UNAUTHENTICATED_LINE = 1024,
    TKV_DENIAL_MS = 1000 /* how long a wrong one waits for its answer */
};

/* What the files that the group auth names hold. */
struct tkv_secrets {
    bool has_token;
    struct tkv_digest token;
    struct tkv_tls tls;
};

/* Embedded in the server. */
struct tkv_access {
    struct tkv_secrets secrets;
    struct tkv_connection *waiting[TKV_UNAUTHENTICATED_MAX]; /* NULL: a free place */
};

/* Reads the files. TKV_EINVAL: one of them is not right; logged. */
enum tkv_status tkv_access_open(struct tkv_server *server);
void tkv_access_close(struct tkv_server *server);

/* Reads them again, for a reload: new contents count, while a path that is another in `config`
 * waits for the next start. TKV_EINVAL: message says which is not right; *fresh needs no care. */
enum tkv_status tkv_access_read(const struct tkv_server *server, const struct tkv_config *config,
                                struct tkv_secrets *fresh, char *message, size_t size);

/* Takes them over, for connections that are yet to come; *report gets those that are others. */
void tkv_access_renew(struct tkv_server *server, struct tkv_secrets *fresh,
                      struct tkv_reload *report);

/* Gives a connection over TCP one of the places, where it needs one, and its TLS. TKV_EOVERLOADED:
 * there is no place, or no memory; *error says so. */
enum tkv_status tkv_access_await(struct tkv_connection *conn, struct tkv_error *error);

/* Its TLS handshake is done. */
void tkv_access_shaken(struct tkv_connection *conn);

/* A line from a connection that waits: a right one makes it a client, any other ends it. */
void tkv_access_hear(struct tkv_connection *conn, const char *line, size_t len);

/* It has sent more than a line may have. */
void tkv_access_hear_too_much(struct tkv_connection *conn);

/* It is closed: its place is free. */
void tkv_access_forget(struct tkv_connection *conn);

/* Answers those that were wrong, closes those whose time is over (auth.deadline_ms). */
void tkv_access_check(struct tkv_server *server, uint64_t now_ms);

#endif
