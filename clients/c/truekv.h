/* truekv.h - libtruekv: a blocking client of truekvd, for C and C++. Needs no other header.
 *
 *   struct truekv_error why;
 *   if (truekv_open(&kv, "/run/truekv/truekv.sock", NULL, &why) != TRUEKV_OK) die(&why);
 *   if (truekv_server_ping(kv) != TRUEKV_OK) die(truekv_error(kv));
 *   truekv_close(kv);
 *
 * Thread: a client is one connection, used by one thread at a time; clients share nothing.
 * Error: every call returns a status; truekv_error() says more until the next call. A lost
 *   connection is an error, never a signal, and final: close the client and open another.
 * Owner: arguments are borrowed for the call only. What a result points to (text, lists, payloads
 *   in the client's memory) is the client's, valid until the next call on that client.
 * Units: positions, lengths and capacities in tokens; sizes in bytes; times as the name says.
 * Shape of a block of K/V, appended or read: C order, little endian,
 *   [layers][2][n_kv_heads][tokens][head_dim], where 2 is {K, V}. */
#ifndef TRUEKV_H
#define TRUEKV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, reason, JSON-RPC code): the protocol's reasons, then what the client finds itself.
 * ECONNECT, EARGUMENT and EFULL: nothing was sent. ELOST: requests in flight may or may not have
 * taken effect. ETIMEOUT: no byte moved for timeout_ms. EANSWER: an answer is not what the protocol
 * says. EUNKNOWN: a newer daemon's reason, see truekv_error.reason. */
/* clang-format off */
#define TRUEKV_STATUS_MAP(X) \
    X(OK,         "ok",                 0)       X(EPARSE,      "parse_error",       -32700) \
    X(EREQUEST,   "invalid_request",    -32600)  X(EMETHOD,     "method_not_found",  -32601) \
    X(EINVAL,     "invalid_params",     -32602)  X(EINTERNAL,   "internal_error",    -32603) \
    X(ENOTFOUND,  "not_found",          -32000)  X(EEXISTS,     "already_exists",    -32001) \
    X(EPOS,       "position_mismatch",  -32002)  X(ECAPACITY,   "capacity_exceeded", -32003) \
    X(ENOMEM,     "out_of_memory",      -32004)  X(EOVERLOADED, "overloaded",        -32005) \
    X(ETOOLARGE,  "too_large",          -32006)  X(EDEVICE,     "backend_failed",    -32007) \
    X(EDRAINING,  "draining",           -32008)  X(EPERM,       "permission_denied", -32009) \
    X(ENOTSUP,    "not_supported",      -32010)  X(ERANGE,      "out_of_range",      -32011) \
    X(ECONNECT,   "cannot_connect",     0)       X(ELOST,       "connection_lost",   0)      \
    X(ETIMEOUT,   "timed_out",          0)       X(EANSWER,     "bad_answer",        0)      \
    X(EARGUMENT,  "bad_argument",       0)       X(EFULL,       "too_many_in_flight", 0)     \
    X(EUNKNOWN,   "unknown_reason",     0)
/* clang-format on */

enum truekv_status {
#define X(name, reason, code) TRUEKV_##name,
    TRUEKV_STATUS_MAP(X)
#undef X
        TRUEKV_STATUS_COUNT
};

const char *truekv_reason(enum truekv_status status); /* such as "not_found"; a constant */

/* One item of an atomic request that was at fault. */
struct truekv_item_error {
    size_t index; /* in the request's seqs */
    uint64_t seq;
    enum truekv_status status;
    char reason[32];
    int64_t expected; /* position_mismatch: where the sequence stands; -1: not said */
};

/* Why the last call failed. A number that was not said is -1. */
struct truekv_error {
    enum truekv_status status;
    int code, os_error; /* JSON-RPC code, 0: found by the client; errno or 0 */
    char reason[32];    /* as on the wire */
    char message[512];  /* for people, without a newline */
    char param[64];     /* invalid_params: which; else "" */
    int64_t seq, expected, len, capacity, needed, available, retry_after_ms, limit, size;
    const struct truekv_item_error *items; /* n_items of them */
    size_t n_items;
    const char *json; /* the error object as it came; NULL: found by the client */
};

struct truekv; /* opaque: truekv_open() .. truekv_close() */

/* Members that are 0 mean the default. */
struct truekv_options {
    int connect_timeout_ms; /* 0: 5000; negative: as long as it takes */
    int timeout_ms; /* a call fails when no byte moved for this long. 0: 30000; negative: never */
    unsigned in_flight_max; /* tickets at once. 0: 1024 */
    size_t line_max_bytes;  /* longest line of JSON accepted. 0: 64 MiB */
    size_t held_max_bytes;  /* payloads held in the client's memory at once. 0: 1 GiB */

    /* TLS, 1.2 or newer, for "tcp:" alone; files in PEM. The daemon's certificate must hold, and be
     * for HOST, always. Where the daemon asks for a certificate of the client, it gets this one. */
    const char *tls_ca_file; /* whom to believe. NULL: no TLS, and the others are NULL, too */
    const char *tls_certificate_file; /* with its chain; NULL: none */
    const char *tls_key_file;         /* NULL: it is in tls_certificate_file */
    const char *tls_name; /* in the daemon's certificate, in place of HOST; NULL: HOST */
};

/* Connects to "unix:PATH", "PATH" or "tcp:HOST:PORT" ("tcp:[::1]:7500").
 * Owner: *out is the caller's, for truekv_close(); written on success only. options and why may be
 * NULL. ECONNECT (with os_error EPROTO: TLS), ETIMEOUT, EARGUMENT (the address, a file), ENOMEM:
 * *why says it. */
enum truekv_status truekv_open(struct truekv **out, const char *address,
                               const struct truekv_options *options, struct truekv_error *why);

/* The same over a connected stream socket. Owner: on success fd is the client's. ENOMEM; EARGUMENT:
 * options ask for TLS, which needs a name to look for, and words where it fails. */
enum truekv_status truekv_open_fd(struct truekv **out, int fd, const struct truekv_options *o);

/* Closes the connection and frees everything, answers that nobody waited for too. NULL is fine. */
void truekv_close(struct truekv *kv);

/* The socket, for poll() alone: once it can be read, truekv_wait() finds something new, be it that
 * the connection is lost. Owner: the client. */
int truekv_fd(const struct truekv *kv);
void truekv_set_timeout(struct truekv *kv, int timeout_ms); /* as options.timeout_ms */

/* What the last call on kv has to say; status TRUEKV_OK after one that went well. */
const struct truekv_error *truekv_error(const struct truekv *kv);

struct truekv_block {
    const void *data;
    size_t bytes;
};

/* blocks, one after the other, are the payload: one sendmsg, from where they lie. */
struct truekv_request {
    const char *method, *params; /* params: text of a JSON object; NULL: {} */
    const struct truekv_block *blocks;
    void *into; /* for the answer's payload, borrowed until waited for; NULL: the client's memory */
    size_t n_blocks, into_bytes;
};
struct truekv_answer {
    const char *json;    /* "result" as it came, NUL-terminated */
    const void *payload; /* == into, where given; NULL: none */
    size_t json_len, payload_bytes;
};

/* Sends a request and returns before its answer. Blocks while the socket takes no more; reads
 * answers meanwhile, so that two full sockets never wait for each other.
 * EFULL, EARGUMENT, ENOMEM: nothing was sent. ELOST, ETIMEOUT: the connection is lost. */
enum truekv_status truekv_submit(struct truekv *kv, const struct truekv_request *request,
                                 uint64_t *ticket);

/* The answer of a ticket, in any order of tickets. answer may be NULL.
 * ETIMEOUT: the ticket stays, wait again. Otherwise the ticket is used up. ETOOLARGE with code 0:
 * the payload did not fit (error.size, error.limit) and was thrown away; the connection lives. */
enum truekv_status truekv_wait(struct truekv *kv, uint64_t ticket, struct truekv_answer *answer);

/* Gives a ticket up: its answer is thrown away when it comes, and into is the caller's again. */
void truekv_abandon(struct truekv *kv, uint64_t ticket);
unsigned truekv_in_flight(const struct truekv *kv); /* tickets not yet waited for */

/* Submit and wait in one; a ticket that times out is abandoned. */
enum truekv_status truekv_call(struct truekv *kv, const struct truekv_request *request,
                               struct truekv_answer *answer);

/* Sends a line as it is (a newline is added) and the blocks, and takes the next line that comes as
 * the answer: answer->json is all of it. answer NULL: waits for none. EARGUMENT while tickets are
 * in flight. An error in the answer is not an error of this call. */
enum truekv_status truekv_raw(struct truekv *kv, const char *line,
                              const struct truekv_block *blocks, size_t n_blocks,
                              struct truekv_answer *answer);

/* The answer that the last call got, also a typed one; json NULL where it got none. */
const struct truekv_answer *truekv_last_answer(const struct truekv *kv);

/* ---- The protocol's methods; errors are the protocol's and the connection's */

/* Over TCP the first call on a connection. EPERM: the daemon refuses, and hangs up. */
enum truekv_status truekv_auth(struct truekv *kv, const char *token);

enum truekv_dtype { TRUEKV_DTYPE_CACHE, TRUEKV_F16, TRUEKV_BF16, TRUEKV_F32 };
/* "f16", "bf16", "f32" and back, CACHE being ""; false: no such word. Bytes of one element. */
const char *truekv_dtype_word(enum truekv_dtype dtype);
bool truekv_dtype_from_word(const char *word, enum truekv_dtype *out);
size_t truekv_dtype_bytes(enum truekv_dtype dtype);

/* [begin, end); {0, 0}: all layers of the model. */
struct truekv_layers {
    uint32_t begin, end;
};

struct truekv_model {
    const char *name;
    uint32_t n_layers, n_kv_heads, head_dim;
    enum truekv_dtype dtype;
    uint64_t capacity;
};
struct truekv_info {
    const char *version, *backend;
    uint32_t protocol;
    const struct truekv_model *models;
    size_t n_models;
    uint64_t max_header_bytes, max_payload_bytes, max_connections, max_sequences,
        memory_budget_bytes;
    double uptime_s;
    bool healthy;
    const char *unhealthy_because; /* NULL: healthy, or not said */
};

/* The devices of info, and all of stats, are in truekv_last_answer() alone. */
enum truekv_status truekv_server_ping(struct truekv *kv);
enum truekv_status truekv_server_info(struct truekv *kv, struct truekv_info *out);
enum truekv_status truekv_server_stats(struct truekv *kv);

struct truekv_create {
    const uint64_t *seq;       /* NULL: the daemon chooses */
    const char *model, *label; /* NULL: the configuration's first; no label */
    uint64_t capacity, ttl_ms; /* 0: the model's; never freed for being idle */
    bool free_on_disconnect;
};
struct truekv_created {
    uint64_t seq, capacity, bytes;
    const char *model;
    int64_t device;
};

/* how NULL: all defaults. */
enum truekv_status truekv_seq_create(struct truekv *kv, const struct truekv_create *how,
                                     struct truekv_created *out);

/* m items, item i being tokens[i] positions of seqs[i]. The data: blocks, in any cut, or values. */
struct truekv_append {
    size_t m, n_blocks, n_values;
    const uint64_t *seqs;
    const uint64_t *pos; /* m, NULL: not checked. A retry with pos is safe: see position_mismatch */
    const uint64_t *tokens; /* m, NULL: 1 each */
    struct truekv_layers layers;
    enum truekv_dtype dtype; /* of the data; CACHE: the cache's own (f32 for values) */
    const struct truekv_block *blocks;
    const double *values; /* for experiments: as JSON, in place of blocks */
};

/* lens (m) and batch may be NULL. Atomic: on an error of the daemon nothing was written, and
 * truekv_error()->items says which items were at fault. */
enum truekv_status truekv_seq_append(struct truekv *kv, const struct truekv_append *append,
                                     uint64_t *lens, uint64_t *batch);

/* The same in two halves, for pipelining; as truekv_submit() and truekv_wait(). m as submitted. */
enum truekv_status truekv_seq_append_submit(struct truekv *kv, const struct truekv_append *append,
                                            uint64_t *ticket);
enum truekv_status truekv_seq_append_wait(struct truekv *kv, uint64_t ticket, size_t m,
                                          uint64_t *lens, uint64_t *batch);

struct truekv_read {
    uint64_t seq, pos, tokens; /* tokens 0: up to the length */
    struct truekv_layers layers;
    enum truekv_dtype dtype;
};
struct truekv_rows {
    uint32_t layers, n_kv_heads, head_dim;
    uint64_t tokens;
    enum truekv_dtype dtype;
    const void *data; /* == to, where given */
    size_t bytes;
};

/* Reads into `to` (room bytes), straight from the socket; NULL: into memory of the client. */
enum truekv_status truekv_seq_read(struct truekv *kv, const struct truekv_read *read, void *to,
                                   size_t room, struct truekv_rows *out);

/* Rolls every layer longer than `to` back to it. len: the length after it; may be NULL. */
enum truekv_status truekv_seq_truncate(struct truekv *kv, uint64_t seq, uint64_t to, uint64_t *len);

/* Atomic: all of the m sequences, or none. freed may be NULL. */
enum truekv_status truekv_seq_free(struct truekv *kv, const uint64_t *seqs, size_t m,
                                   uint64_t *freed);

struct truekv_seq {
    uint64_t seq, capacity, len, bytes, idle_ms, appends;
    const char *model, *label;  /* label NULL: none */
    const uint64_t *layer_lens; /* n_layer_lens of them; NULL: all layers are `len` long */
    size_t n_layer_lens;
    int64_t device;
};
enum truekv_status truekv_seq_info(struct truekv *kv, uint64_t seq, struct truekv_seq *out);

struct truekv_page {
    const struct truekv_seq *seqs; /* n of them */
    size_t n;
    uint64_t cursor;
    bool more; /* another page follows, from cursor on */
};
/* cursor NULL: from the start; limit 0: the daemon's own. */
enum truekv_status truekv_seq_list(struct truekv *kv, const uint64_t *cursor, uint64_t limit,
                                   struct truekv_page *out);

/* The whole report is in truekv_last_answer(). */
struct truekv_verdict {
    bool ok;
    uint64_t batches_checked, items_checked, bytes_compared, divergent_items, duration_us;
};
struct truekv_verify {
    const uint64_t *seqs; /* m of them; m 0: all */
    size_t m;
    uint64_t batches, scratch_bytes; /* 0: all that are recorded; the daemon's own */
};

/* how NULL: all of it. TRUEKV_OK also where it finds something: see out->ok. May take long. */
enum truekv_status truekv_debug_verify(struct truekv *kv, const struct truekv_verify *how,
                                       struct truekv_verdict *out);

/* The newest report that found something, in truekv_last_answer() as it came. */
struct truekv_last {
    const char *source; /* "shadow" or "verify"; NULL: nothing is kept, and the rest is 0 */
    uint64_t age_ms;
    struct truekv_verdict verdict;
};
enum truekv_status truekv_debug_last(struct truekv *kv, struct truekv_last *out);

/* A checksum is of one token's K or V in one layer. */
struct truekv_scrub {
    bool ok;
    uint64_t seqs_checked, checksums_checked, bytes_read, damaged_tokens, duration_us;
};
/* Compares live caches with the checksums made at their appends; m 0: all sequences. TRUEKV_OK also
 * where it finds damage: see out->ok. ENOTSUP: the configuration keeps no checksums. */
enum truekv_status truekv_debug_scrub(struct truekv *kv, const uint64_t *seqs, size_t m,
                                      struct truekv_scrub *out);

/* Members that are 0 or NULL are left to the daemon. */
struct truekv_selftest {
    uint64_t m, n_kv_heads, head_dim, capacity, layers, seed;
    const uint64_t *cache_len;
};
enum truekv_status truekv_debug_selftest(struct truekv *kv, const struct truekv_selftest *how,
                                         struct truekv_verdict *out);

/* Members that are 0 or NULL are left to the daemon: one batch, all of it. */
struct truekv_inject {
    uint64_t batches;
    const uint64_t *layer, *kv_head;
    bool last_item; /* of a batch, that one alone */
    bool together;  /* in the same batches as the fault armed before it */
};
/* how NULL: all defaults. What is armed now is in truekv_last_answer(). */
enum truekv_status truekv_debug_inject(struct truekv *kv, const char *fault,
                                       const struct truekv_inject *how);

/* Reads the configuration file again; the keys are in truekv_last_answer(). EINVAL: the file has a
 * mistake, the message says where, and nothing has changed. */
enum truekv_status truekv_admin_reload(struct truekv *kv);

/* The daemon finishes what it has accepted, and ends. */
enum truekv_status truekv_admin_drain(struct truekv *kv);

/* level: "error", "warning", "info" or "debug". was: the level before; may be NULL. */
enum truekv_status truekv_admin_log_level(struct truekv *kv, const char *level, const char **was);

#ifdef __cplusplus
}
#endif
#endif
