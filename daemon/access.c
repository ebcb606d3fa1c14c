#include "daemon/access.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/connection.h"
#include "proto/error.h"

/* --- sockets ---------------------------------------------------------------------------------- */

static enum tkv_status socket_failed(const struct tkv_listening *socket, const char *what)
{
    tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"%s: cannot set its %s: %s\"", socket->name,
            what, strerror(errno));
    return TKV_EINTERNAL;
}

static enum tkv_status prepare_tcp(const struct tkv_server *server,
                                   const struct tkv_listening *socket)
{
    if (!server->config->auth_tcp_without_token) {
        if (server->access.secrets.has_token) return TKV_OK;
        tkv_log(TKV_LOG_ERROR, "listen_failed", "what=\"%s: auth.token_file is missing\"",
                socket->name);
        return TKV_EINTERNAL;
    }
    tkv_log(TKV_LOG_WARNING, "tcp_without_token",
            "listen=%s what=\"whoever reaches it is a client (auth.tcp_without_token)\"",
            socket->name);
    return TKV_OK;
}

enum tkv_status tkv_access_prepare_file(const struct tkv_config *config,
                                        const struct tkv_listening *socket)
{
    uint32_t gid;
    if (!socket->owns_file) return TKV_OK; /* systemd has made it as its unit says */
    if (config->auth_socket_group != NULL) {
        errno = ENOENT;
        if (!tkv_group_find(config->auth_socket_group, &gid) ||
            lchown(socket->path, (uid_t)-1, gid) != 0)
            return socket_failed(socket, "group (auth.socket_group)");
    }
    if (chmod(socket->path, config->auth_socket_mode) != 0)
        return socket_failed(socket, "mode (auth.socket_mode)");
    return TKV_OK;
}

enum tkv_status tkv_access_prepare(const struct tkv_server *server,
                                   const struct tkv_listening *socket)
{
    return socket->is_unix ? tkv_access_prepare_file(server->config, socket)
                           : prepare_tcp(server, socket);
}

/* --- peers ------------------------------------------------------------------------------------ */

static bool ask_kernel(struct tkv_connection *conn)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&conn->handle.stream, &fd) != 0) return false;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) return false;
    conn->peer.uid = cred.uid;
    conn->peer.gid = cred.gid;
    conn->peer.pid = cred.pid;
    return true;
}

enum tkv_status tkv_access_meet(struct tkv_connection *conn, bool is_unix, struct tkv_error *error)
{
    const struct tkv_users *users = &conn->server->config->auth_uids;
    conn->peer = (struct tkv_peer){.is_unix = is_unix, .uid = TKV_NO_UID, .gid = TKV_NO_UID};
    conn->client.principal = TKV_NO_UID;
    if (!is_unix) return tkv_access_await(conn, error);
    conn->peer.authenticated = true;
    if (!ask_kernel(conn))
        return tkv_error_set(error, TKV_EPERM, "the system does not say who you are");
    conn->client.principal = conn->peer.uid;
    if (!users->given || tkv_users_have(users, conn->peer.uid)) return TKV_OK;
    return tkv_error_set(error, TKV_EPERM, "user %u may not connect (auth.uids)", conn->peer.uid);
}

static bool tcp_name(const struct tkv_connection *conn, char *out, size_t size)
{
    struct sockaddr_storage at;
    int len = sizeof at;
    char host[INET6_ADDRSTRLEN + 16], port[8];
    if (uv_tcp_getpeername(&conn->handle.tcp, (struct sockaddr *)&at, &len) != 0) return false;
    if (getnameinfo((struct sockaddr *)&at, (socklen_t)len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    snprintf(out, size, at.ss_family == AF_INET6 ? "peer=[%s]:%s" : "peer=%s:%s", host, port);
    return true;
}

const char *tkv_access_name(const struct tkv_connection *conn, char *out, size_t size)
{
    const struct tkv_peer *peer = &conn->peer;
    if (peer->is_unix)
        snprintf(out, size, "uid=%u gid=%u pid=%d", peer->uid, peer->gid, (int)peer->pid);
    else if (!tcp_name(conn, out, size))
        snprintf(out, size, "peer=gone");
    return out;
}

/* --- methods ---------------------------------------------------------------------------------- */

static bool may_debug(const struct tkv_config *config, const struct tkv_peer *peer)
{
    if (!peer->is_unix) return config->auth_tcp_debug;
    return !config->auth_debug_uids.given || tkv_users_have(&config->auth_debug_uids, peer->uid);
}

static bool may_administer(const struct tkv_config *config, const struct tkv_peer *peer)
{
    if (!peer->is_unix) return config->auth_tcp_admin;
    if (config->auth_admin_uids.given) return tkv_users_have(&config->auth_admin_uids, peer->uid);
    return peer->uid == 0 || peer->uid == geteuid();
}

static bool begins(const char *word, const char *with)
{
    return strncmp(word, with, strlen(with)) == 0;
}

bool tkv_access_allows(const struct tkv_connection *conn, enum tkv_method method)
{
    const char *word = tkv_method_word(method);
    if (conn->internal) return true;
    if (begins(word, "debug.")) return may_debug(conn->server->config, &conn->peer);
    if (begins(word, "admin.")) return may_administer(conn->server->config, &conn->peer);
    return true;
}

void tkv_access_refuse(struct tkv_error *error, enum tkv_method method)
{
    tkv_error_set(error, TKV_EPERM,
                  "you may not call %s: the group auth of the configuration says "
                  "who may",
                  tkv_method_word(method));
}
