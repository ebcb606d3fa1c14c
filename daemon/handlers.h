/* handlers.h - who serves a method, and what its result looks like. Loop thread only. */
#ifndef TKV_DAEMON_HANDLERS_H
#define TKV_DAEMON_HANDLERS_H

#include "daemon/server.h"
#include "proto/answer.h"

enum tkv_place {
    TKV_PLACE_EDGE, /* answered at once, without the core */
    TKV_PLACE_CORE, /* submitted */
    TKV_PLACE_NONE  /* not_supported */
};

struct tkv_handler {
    enum tkv_place place;
    /* Writes the value of "result". op: the outcome; its result is not set for TKV_PLACE_EDGE. */
    void (*put)(struct tkv_json *j, const struct tkv_server *server, const struct tkv_op *op);
};

const struct tkv_handler *tkv_handler_of(enum tkv_method method);

#endif
