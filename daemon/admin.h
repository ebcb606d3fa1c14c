/* admin.h - what an operator may do to a running daemon, by method or by signal. Loop thread only.
 */
#ifndef TKV_DAEMON_ADMIN_H
#define TKV_DAEMON_ADMIN_H

#include "base/log.h"
#include "daemon/config.h"
#include "proto/request.h"

struct tkv_server;

/* Embedded in the server. */
struct tkv_admin {
    /* Reads the configuration again and takes over what may change. Not TKV_OK: message says why,
     * and all is as it was. NULL: there is nothing to read it from. */
    enum tkv_status (*reload)(void *arg, struct tkv_reload *report, char *message, size_t size);
    void *arg;
    struct tkv_reload reloaded; /* the last one that was done */
    enum tkv_log_level level_was;
};

/* Of the methods of these names; see handlers.h. */
enum tkv_status tkv_admin_reload(struct tkv_server *server, const struct tkv_request *request,
                                 struct tkv_error *error);
enum tkv_status tkv_admin_drain(struct tkv_server *server, const struct tkv_request *request,
                                struct tkv_error *error);
enum tkv_status tkv_admin_log_level(struct tkv_server *server, const struct tkv_request *request,
                                    struct tkv_error *error);

#endif
