#include <math.h>
#include <string.h>

#include "clients/c/client_impl.h"

static const struct {
    const char *word;
    size_t bytes;
} dtypes[] = {
    [TRUEKV_DTYPE_CACHE] = {"", 0},
    [TRUEKV_F16] = {"f16", 2},
    [TRUEKV_BF16] = {"bf16", 2},
    [TRUEKV_F32] = {"f32", 4},
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0] };

const char *truekv_dtype_word(enum truekv_dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].word : "";
}

size_t truekv_dtype_bytes(enum truekv_dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].bytes : 0;
}

bool truekv_dtype_from_word(const char *word, enum truekv_dtype *out)
{
    for (int i = 1; i < DTYPE_COUNT; i++) {
        if (strcmp(word, dtypes[i].word) != 0) continue;
        *out = (enum truekv_dtype)i;
        return true;
    }
    return false;
}

/* ---- Calls that need no more than their params --------------------------------------------- */

/* Begins a request whose params are an object, and opens it. */
static enum truekv_status begin(struct truekv *kv, struct tkc_json *j, const char *method)
{
    tkc_clear(kv);
    enum truekv_status st = tkc_request_begin(kv, j, method);
    if (st == TRUEKV_OK) tkc_json_open(j, '{');
    return st;
}

static enum truekv_status call(struct truekv *kv, struct tkc_json *j)
{
    static const struct truekv_request no_payload = {0};
    tkc_json_close(j, '}');
    return tkc_request_call(kv, j, &no_payload);
}

static void put_unless_0(struct tkc_json *j, const char *name, uint64_t value)
{
    if (value != 0) tkc_json_put_uint(j, name, value);
}

enum truekv_status truekv_auth(struct truekv *kv, const char *token)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "auth");
    if (st != TRUEKV_OK) return st;
    tkc_json_put_string(&j, "token", token);
    return call(kv, &j);
}

enum truekv_status truekv_server_ping(struct truekv *kv)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "server.ping");
    return st == TRUEKV_OK ? call(kv, &j) : st;
}

enum truekv_status truekv_server_info(struct truekv *kv, struct truekv_info *out)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "server.info");
    if (st == TRUEKV_OK) st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_info(kv, out) : st;
}

enum truekv_status truekv_server_stats(struct truekv *kv)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "server.stats");
    return st == TRUEKV_OK ? call(kv, &j) : st;
}

enum truekv_status truekv_seq_create(struct truekv *kv, const struct truekv_create *how,
                                     struct truekv_created *out)
{
    static const struct truekv_create defaults = {0};
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "seq.create");
    if (st != TRUEKV_OK) return st;
    if (how == NULL) how = &defaults;
    if (how->seq != NULL) tkc_json_put_uint(&j, "seq", *how->seq);
    if (how->model != NULL) tkc_json_put_string(&j, "model", how->model);
    put_unless_0(&j, "capacity", how->capacity);
    if (how->label != NULL) tkc_json_put_string(&j, "label", how->label);
    put_unless_0(&j, "ttl_ms", how->ttl_ms);
    if (how->free_on_disconnect) tkc_json_put_string(&j, "on_disconnect", "free");
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_created(kv, out) : st;
}

enum truekv_status truekv_seq_truncate(struct truekv *kv, uint64_t seq, uint64_t to, uint64_t *len)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "seq.truncate");
    if (st != TRUEKV_OK) return st;
    tkc_json_put_uint(&j, "seq", seq);
    tkc_json_put_uint(&j, "len", to);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_number(kv, "len", len) : st;
}

enum truekv_status truekv_seq_free(struct truekv *kv, const uint64_t *seqs, size_t m,
                                   uint64_t *freed)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "seq.free");
    if (st != TRUEKV_OK) return st;
    tkc_json_put_list(&j, "seqs", seqs, m);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_number(kv, "freed", freed) : st;
}

enum truekv_status truekv_seq_info(struct truekv *kv, uint64_t seq, struct truekv_seq *out)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "seq.info");
    if (st != TRUEKV_OK) return st;
    tkc_json_put_uint(&j, "seq", seq);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_seq(kv, out) : st;
}

enum truekv_status truekv_seq_list(struct truekv *kv, const uint64_t *cursor, uint64_t limit,
                                   struct truekv_page *out)
{
    struct tkc_json j;
    uint64_t from = cursor != NULL ? *cursor : 0; /* it may lie in the page that begin() forgets */
    enum truekv_status st = begin(kv, &j, "seq.list");
    if (st != TRUEKV_OK) return st;
    if (cursor != NULL) tkc_json_put_uint(&j, "cursor", from);
    put_unless_0(&j, "limit", limit);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_page(kv, out) : st;
}

/* ---- K/V ----------------------------------------------------------------------------------- */

static void put_layers(struct tkc_json *j, struct truekv_layers layers)
{
    uint64_t range[2] = {layers.begin, layers.end};
    if (layers.begin != 0 || layers.end != 0) tkc_json_put_list(j, "layers", range, 2);
}

static void put_dtype(struct tkc_json *j, enum truekv_dtype dtype)
{
    if (dtype != TRUEKV_DTYPE_CACHE) tkc_json_put_string(j, "dtype", truekv_dtype_word(dtype));
}

/* One integer where it stands for all, as it does for most. */
static void put_tokens(struct tkc_json *j, const uint64_t *tokens, size_t m)
{
    bool equal = true;
    for (size_t i = 1; i < m; i++)
        equal = equal && tokens[i] == tokens[0];
    if (equal && m > 0)
        tkc_json_put_uint(j, "tokens", tokens[0]);
    else
        tkc_json_put_list(j, "tokens", tokens, m);
}

static void put_values(struct tkc_json *j, const double *values, size_t n)
{
    tkc_json_name(j, "data");
    tkc_json_open(j, '{');
    tkc_json_name(j, "values");
    tkc_json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        tkc_json_double(j, values[i]);
    tkc_json_close(j, ']');
    tkc_json_close(j, '}');
}

static enum truekv_status check_values(struct truekv *kv, const struct truekv_append *a)
{
    if (a->n_blocks > 0) return tkc_fail(kv, TRUEKV_EARGUMENT, "give blocks or values, not both");
    for (size_t i = 0; i < a->n_values; i++) {
        if (!isfinite(a->values[i]))
            return tkc_fail(kv, TRUEKV_EARGUMENT, "value %zu is not finite: JSON cannot carry it",
                            i);
    }
    return TRUEKV_OK;
}

static enum truekv_status put_append(struct truekv *kv, struct tkc_json *j,
                                     const struct truekv_append *a)
{
    enum truekv_status st = begin(kv, j, "seq.append");
    if (st == TRUEKV_OK && a->values != NULL) st = check_values(kv, a);
    if (st != TRUEKV_OK) return st;
    tkc_json_put_list(j, "seqs", a->seqs, a->m);
    if (a->pos != NULL) tkc_json_put_list(j, "pos", a->pos, a->m);
    if (a->tokens != NULL) put_tokens(j, a->tokens, a->m);
    put_layers(j, a->layers);
    put_dtype(j, a->dtype);
    if (a->values != NULL) put_values(j, a->values, a->n_values);
    tkc_json_close(j, '}');
    return TRUEKV_OK;
}

enum truekv_status truekv_seq_append_submit(struct truekv *kv, const struct truekv_append *append,
                                            uint64_t *ticket)
{
    struct tkc_json j;
    struct truekv_request r = {.blocks = append->blocks, .n_blocks = append->n_blocks};
    enum truekv_status st = put_append(kv, &j, append);
    return st == TRUEKV_OK ? tkc_request_send(kv, &j, &r, ticket) : st;
}

enum truekv_status truekv_seq_append_wait(struct truekv *kv, uint64_t ticket, size_t m,
                                          uint64_t *lens, uint64_t *batch)
{
    tkc_clear(kv);
    enum truekv_status st = tkc_wait(kv, ticket);
    return st == TRUEKV_OK ? tkc_take_appended(kv, m, lens, batch) : st;
}

enum truekv_status truekv_seq_append(struct truekv *kv, const struct truekv_append *append,
                                     uint64_t *lens, uint64_t *batch)
{
    struct tkc_json j;
    struct truekv_request r = {.blocks = append->blocks, .n_blocks = append->n_blocks};
    enum truekv_status st = put_append(kv, &j, append);
    if (st == TRUEKV_OK) st = tkc_request_call(kv, &j, &r);
    return st == TRUEKV_OK ? tkc_take_appended(kv, append->m, lens, batch) : st;
}

enum truekv_status truekv_seq_read(struct truekv *kv, const struct truekv_read *read, void *to,
                                   size_t room, struct truekv_rows *out)
{
    struct tkc_json j;
    struct truekv_request r = {.into = to, .into_bytes = room};
    enum truekv_status st = begin(kv, &j, "seq.read");
    if (st != TRUEKV_OK) return st;
    tkc_json_put_uint(&j, "seq", read->seq);
    put_layers(&j, read->layers);
    put_unless_0(&j, "pos", read->pos);
    put_unless_0(&j, "tokens", read->tokens);
    put_dtype(&j, read->dtype);
    tkc_json_close(&j, '}');
    st = tkc_request_call(kv, &j, &r);
    return st == TRUEKV_OK ? tkc_take_rows(kv, out) : st;
}

/* ---- debug --------------------------------------------------------------------------------- */

enum truekv_status truekv_debug_verify(struct truekv *kv, const struct truekv_verify *how,
                                       struct truekv_verdict *out)
{
    static const struct truekv_verify all = {0};
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "debug.verify");
    if (st != TRUEKV_OK) return st;
    if (how == NULL) how = &all;
    if (how->m > 0) tkc_json_put_list(&j, "seqs", how->seqs, how->m);
    put_unless_0(&j, "batches", how->batches);
    put_unless_0(&j, "scratch_bytes", how->scratch_bytes);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_verdict(kv, out) : st;
}

enum truekv_status truekv_debug_selftest(struct truekv *kv, const struct truekv_selftest *how,
                                         struct truekv_verdict *out)
{
    static const struct truekv_selftest defaults = {0};
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "debug.selftest");
    if (st != TRUEKV_OK) return st;
    if (how == NULL) how = &defaults;
    put_unless_0(&j, "m", how->m);
    put_unless_0(&j, "n_kv_heads", how->n_kv_heads);
    put_unless_0(&j, "head_dim", how->head_dim);
    put_unless_0(&j, "capacity", how->capacity);
    if (how->cache_len != NULL) tkc_json_put_uint(&j, "cache_len", *how->cache_len);
    put_unless_0(&j, "layers", how->layers);
    put_unless_0(&j, "seed", how->seed);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_verdict(kv, out) : st;
}

enum truekv_status truekv_debug_last(struct truekv *kv, struct truekv_last *out)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "debug.last");
    if (st != TRUEKV_OK) return st;
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_last(kv, out) : st;
}

enum truekv_status truekv_debug_scrub(struct truekv *kv, const uint64_t *seqs, size_t m,
                                      struct truekv_scrub *out)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "debug.scrub");
    if (st != TRUEKV_OK) return st;
    if (m > 0) tkc_json_put_list(&j, "seqs", seqs, m);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_scrub(kv, out) : st;
}

enum truekv_status truekv_debug_inject(struct truekv *kv, const char *fault,
                                       const struct truekv_inject *how)
{
    static const struct truekv_inject defaults = {0};
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "debug.inject");
    if (st != TRUEKV_OK) return st;
    if (how == NULL) how = &defaults;
    tkc_json_put_string(&j, "fault", fault);
    put_unless_0(&j, "batches", how->batches);
    if (how->layer != NULL) tkc_json_put_uint(&j, "layer", *how->layer);
    if (how->kv_head != NULL) tkc_json_put_uint(&j, "kv_head", *how->kv_head);
    if (how->last_item) tkc_json_put_true(&j, "last_item");
    if (how->together) tkc_json_put_true(&j, "together");
    return call(kv, &j);
}

/* ---- admin --------------------------------------------------------------------------------- */

enum truekv_status truekv_admin_reload(struct truekv *kv)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "admin.reload");
    return st == TRUEKV_OK ? call(kv, &j) : st;
}

enum truekv_status truekv_admin_drain(struct truekv *kv)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "admin.drain");
    return st == TRUEKV_OK ? call(kv, &j) : st;
}

enum truekv_status truekv_admin_log_level(struct truekv *kv, const char *level, const char **was)
{
    struct tkc_json j;
    enum truekv_status st = begin(kv, &j, "admin.log_level");
    if (st != TRUEKV_OK) return st;
    tkc_json_put_string(&j, "level", level);
    st = call(kv, &j);
    return st == TRUEKV_OK ? tkc_take_text(kv, "was", was) : st;
}
