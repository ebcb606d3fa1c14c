/* status.h - the one list of outcomes: C enum, reason on the wire and JSON-RPC code.
 * Any thread. Strings returned are constants. */
#ifndef TKV_BASE_STATUS_H
#define TKV_BASE_STATUS_H

/* X(name, reason on the wire, JSON-RPC code). Return codes carry what the world may do to us;
 * assert() carries what only our own bug can do. */
#define TKV_STATUS_MAP(X)                     \
    X(OK, "ok", 0)                            \
    X(EPARSE, "parse_error", -32700)          \
    X(EREQUEST, "invalid_request", -32600)    \
    X(EMETHOD, "method_not_found", -32601)    \
    X(EINVAL, "invalid_params", -32602)       \
    X(EINTERNAL, "internal_error", -32603)    \
    X(ENOTFOUND, "not_found", -32000)         \
    X(EEXISTS, "already_exists", -32001)      \
    X(EPOS, "position_mismatch", -32002)      \
    X(ECAPACITY, "capacity_exceeded", -32003) \
    X(ENOMEM, "out_of_memory", -32004)        \
    X(EOVERLOADED, "overloaded", -32005)      \
    X(ETOOLARGE, "too_large", -32006)         \
    X(EDEVICE, "backend_failed", -32007)      \
    X(EDRAINING, "draining", -32008)          \
    X(EPERM, "permission_denied", -32009)     \
    X(ENOTSUP, "not_supported", -32010)       \
    X(ERANGE, "out_of_range", -32011)

enum tkv_status {
#define X(name, reason, code) TKV_##name,
    TKV_STATUS_MAP(X)
#undef X
        TKV_STATUS_COUNT
};

/* The reason on the wire, such as "not_found". */
const char *tkv_status_reason(enum tkv_status st);

/* The JSON-RPC error code, such as -32000; 0 for TKV_OK. */
int tkv_status_code(enum tkv_status st);

#endif
