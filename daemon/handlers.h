/* handlers.h - who serves a method, and what its result looks like. Loop thread only. */
#ifndef TKV_DAEMON_HANDLERS_H
#define TKV_DAEMON_HANDLERS_H

#include "daemon/server.h"
#include "proto/answer.h"

enum tkv_place {
    TKV_PLACE_EDGE, /* answered at once, without the core */
    TKV_PLACE_ACT,  /* the edge does something, then answers at once */
    TKV_PLACE_CORE, /* submitted */
    TKV_PLACE_NONE  /* not_supported */
};

struct tkv_handler {
    enum tkv_place place;
    /* Writes the value of "result". op: the outcome; its result is not set for TKV_PLACE_EDGE. */
    void (*put)(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op);
    /* TKV_PLACE_ACT. Not TKV_OK: *error is set, and nothing was done. */
    enum tkv_status (*act)(struct tkv_server *server, const struct tkv_request *request,
                           struct tkv_error *error);
};

const struct tkv_handler *tkv_handler_of(enum tkv_method method);

#endif
