/* method.h - the methods of the protocol, and the limits of one request. */
#ifndef TKV_PROTO_METHOD_H
#define TKV_PROTO_METHOD_H

#include <stdint.h>

#define TKV_SEQ_MAX ((UINT64_C(1) << 53) - 1)

/* Limits of one request; a configuration may set lower ones, never higher. */
enum {
    TKV_SEQS_MAX = 4096,  /* entries of seqs */
    TKV_BATCH_MAX = 1024, /* requests in one array */
    TKV_TOKEN_BYTES_MAX = 512,
    TKV_NAME_BYTES_MAX = 256, /* label, model, fault: bytes of UTF-8 */
    TKV_SELFTEST_MAX = 4096,  /* m, n_kv_heads, layers; the others: below */
    TKV_HEAD_DIM_MAX = 65536,
    TKV_SELFTEST_CAPACITY_MAX = 1 << 20
};

/* X(NAME, name on the wire, member of struct tkv_request's union)
 * none: no params; any: params is an object that nobody looks into. */
#define TKV_METHODS(X)                                  \
    X(SERVER_PING, "server.ping", none)                 \
    X(SERVER_INFO, "server.info", none)                 \
    X(SERVER_STATS, "server.stats", none)               \
    X(AUTH, "auth", auth)                               \
    X(SEQ_CREATE, "seq.create", seq_create)             \
    X(SEQ_APPEND, "seq.append", seq_append)             \
    X(SEQ_TRUNCATE, "seq.truncate", seq_truncate)       \
    X(SEQ_FREE, "seq.free", seq_free)                   \
    X(SEQ_INFO, "seq.info", seq_info)                   \
    X(SEQ_LIST, "seq.list", seq_list)                   \
    X(SEQ_READ, "seq.read", seq_read)                   \
    X(SEQ_EXPORT, "seq.export", any)                    \
    X(DEBUG_VERIFY, "debug.verify", debug_verify)       \
    X(DEBUG_LAST, "debug.last", none)                   \
    X(DEBUG_SCRUB, "debug.scrub", debug_scrub)          \
    X(DEBUG_SELFTEST, "debug.selftest", debug_selftest) \
    X(DEBUG_INJECT, "debug.inject", debug_inject)       \
    X(ADMIN_RELOAD, "admin.reload", none)               \
    X(ADMIN_DRAIN, "admin.drain", none)                 \
    X(ADMIN_LOG_LEVEL, "admin.log_level", admin_level)  \
    X(REGION_REGISTER, "region.register", any)          \
    X(REGION_UNREGISTER, "region.unregister", any)

enum tkv_method {
#define X(name, word, member) TKV_METHOD_##name,
    TKV_METHODS(X)
#undef X
        TKV_METHOD_COUNT
};

/* The name on the wire, such as "seq.append". */
const char *tkv_method_word(enum tkv_method method);

#endif
