#include <stdlib.h>
#include <string.h>

#include "clients/c/client_impl.h"

static const double EXACT_MAX = 9007199254740992.0; /* 2^53 */

static enum truekv_status broken(struct truekv *kv, const char *what)
{
    return tkc_fail(kv, TRUEKV_EANSWER, "the answer's %s is not what the protocol says", what);
}

enum truekv_status tkc_parse(struct truekv *kv)
{
    kv->parsed = cJSON_ParseWithLength(kv->answer.json, kv->answer.json_len);
    return cJSON_IsObject(kv->parsed) ? TRUEKV_OK : broken(kv, "result");
}

static bool exact(const cJSON *item, uint64_t *out)
{
    if (!cJSON_IsNumber(item)) return false;
    if (!(item->valuedouble >= 0 && item->valuedouble <= EXACT_MAX)) return false;
    *out = (uint64_t)item->valuedouble;
    return (double)*out == item->valuedouble;
}

static bool get(const cJSON *object, const char *name, uint64_t *out)
{
    return exact(cJSON_GetObjectItemCaseSensitive(object, name), out);
}

static bool get32(const cJSON *object, const char *name, uint32_t *out)
{
    uint64_t value;
    if (!get(object, name, &value) || value > UINT32_MAX) return false;
    *out = (uint32_t)value;
    return true;
}

/* 0 where it is absent: for what only describes. */
static uint64_t get_or_0(const cJSON *object, const char *name)
{
    uint64_t value = 0;
    return get(object, name, &value) ? value : 0;
}

/* NULL where it is absent. */
static const char *get_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static bool get_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int64_t get_device(const cJSON *object)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "device");
    return cJSON_IsNumber(item) ? (int64_t)item->valueint : -1;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* n zeroed members of `size` bytes that live until the next call; NULL is no memory. */
static void *new_list(struct truekv *kv, size_t n, size_t size)
{
    free(kv->list);
    kv->list = calloc(n > 0 ? n : 1, size);
    if (kv->list == NULL) tkc_fail(kv, TRUEKV_ENOMEM, "no memory for the answer");
    return kv->list;
}

static bool take_model(const cJSON *object, struct truekv_model *out)
{
    const char *dtype = get_text(object, "dtype");
    out->name = get_text(object, "name");
    return out->name != NULL && dtype != NULL && truekv_dtype_from_word(dtype, &out->dtype) &&
           get32(object, "n_layers", &out->n_layers) &&
           get32(object, "n_kv_heads", &out->n_kv_heads) &&
           get32(object, "head_dim", &out->head_dim) && get(object, "capacity", &out->capacity);
}

static void take_limits(const cJSON *limits, struct truekv_info *out)
{
    out->max_header_bytes = get_or_0(limits, "max_header_bytes");
    out->max_payload_bytes = get_or_0(limits, "max_payload_bytes");
    out->max_connections = get_or_0(limits, "max_connections");
    out->max_sequences = get_or_0(limits, "max_sequences");
    out->memory_budget_bytes = get_or_0(limits, "memory_budget_bytes");
}

enum truekv_status tkc_take_info(struct truekv *kv, struct truekv_info *out)
{
    struct truekv_info info = {0};
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    const cJSON *models = cJSON_GetObjectItemCaseSensitive(kv->parsed, "models"), *model;
    const cJSON *uptime = cJSON_GetObjectItemCaseSensitive(kv->parsed, "uptime_s");
    if (!cJSON_IsArray(models)) return broken(kv, "models");
    struct truekv_model *list =
        new_list(kv, (size_t)cJSON_GetArraySize(models), sizeof(struct truekv_model));
    if (list == NULL) return TRUEKV_ENOMEM;
    cJSON_ArrayForEach(model, models)
    {
        if (!take_model(model, &list[info.n_models++])) return broken(kv, "models");
    }
    info.models = list;
    info.version = or_empty(get_text(kv->parsed, "version"));
    info.backend = or_empty(get_text(kv->parsed, "backend"));
    info.protocol = (uint32_t)get_or_0(kv->parsed, "protocol");
    take_limits(cJSON_GetObjectItemCaseSensitive(kv->parsed, "limits"), &info);
    info.uptime_s = cJSON_IsNumber(uptime) ? uptime->valuedouble : 0;
    info.healthy = get_true(kv->parsed, "healthy");
    info.unhealthy_because = get_text(kv->parsed, "unhealthy_because");
    *out = info;
    return TRUEKV_OK;
}

enum truekv_status tkc_take_created(struct truekv *kv, struct truekv_created *out)
{
    struct truekv_created made = {0};
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    if (!get(kv->parsed, "seq", &made.seq)) return broken(kv, "seq");
    if (!get(kv->parsed, "capacity", &made.capacity)) return broken(kv, "capacity");
    made.bytes = get_or_0(kv->parsed, "bytes");
    made.model = or_empty(get_text(kv->parsed, "model"));
    made.device = get_device(kv->parsed);
    *out = made;
    return TRUEKV_OK;
}

enum truekv_status tkc_take_appended(struct truekv *kv, size_t m, uint64_t *lens, uint64_t *batch)
{
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(kv->parsed, "lens"), *item;
    uint64_t len, number;
    size_t n = 0;
    if (!cJSON_IsArray(list) || (size_t)cJSON_GetArraySize(list) != m) return broken(kv, "lens");
    if (!get(kv->parsed, "batch", &number)) return broken(kv, "batch");
    cJSON_ArrayForEach(item, list)
    {
        if (!exact(item, &len)) return broken(kv, "lens");
        if (lens != NULL) lens[n++] = len;
    }
    if (batch != NULL) *batch = number;
    return TRUEKV_OK;
}

/* The payload is as large as its shape says. */
static bool sizes_agree(const struct truekv_rows *rows)
{
    size_t bytes = truekv_dtype_bytes(rows->dtype);
    return !__builtin_mul_overflow(bytes, (size_t)2 * rows->layers, &bytes) &&
           !__builtin_mul_overflow(bytes, rows->n_kv_heads, &bytes) &&
           !__builtin_mul_overflow(bytes, rows->tokens, &bytes) &&
           !__builtin_mul_overflow(bytes, rows->head_dim, &bytes) && bytes == rows->bytes;
}

enum truekv_status tkc_take_rows(struct truekv *kv, struct truekv_rows *out)
{
    struct truekv_rows rows = {.data = kv->answer.payload, .bytes = kv->answer.payload_bytes};
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(kv->parsed, "shape"), *item;
    const char *dtype = get_text(kv->parsed, "dtype");
    uint64_t dims[5] = {0};
    size_t n = 0;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) != 5) return broken(kv, "shape");
    cJSON_ArrayForEach(item, shape)
    {
        if (!exact(item, &dims[n++]) || (n != 4 && dims[n - 1] > UINT32_MAX))
            return broken(kv, "shape");
    }
    if (dims[1] != 2) return broken(kv, "shape");
    if (dtype == NULL || !truekv_dtype_from_word(dtype, &rows.dtype)) return broken(kv, "dtype");
    rows.layers = (uint32_t)dims[0];
    rows.n_kv_heads = (uint32_t)dims[2];
    rows.tokens = dims[3];
    rows.head_dim = (uint32_t)dims[4];
    if (!sizes_agree(&rows)) return broken(kv, "payload");
    *out = rows;
    return TRUEKV_OK;
}

enum truekv_status tkc_take_number(struct truekv *kv, const char *name, uint64_t *out)
{
    uint64_t n;
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    if (!get(kv->parsed, name, &n)) return broken(kv, name);
    if (out != NULL) *out = n;
    return TRUEKV_OK;
}

enum truekv_status tkc_take_text(struct truekv *kv, const char *name, const char **out)
{
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    const char *text = get_text(kv->parsed, name);
    if (text == NULL) return broken(kv, name);
    if (out != NULL) *out = text;
    return TRUEKV_OK;
}

/* ---- Descriptions of sequences -------------------------------------------------------------- */

static size_t count_layer_lens(const cJSON *object)
{
    const cJSON *lens = cJSON_GetObjectItemCaseSensitive(object, "layer_lens");
    return cJSON_IsArray(lens) ? (size_t)cJSON_GetArraySize(lens) : 0;
}

/* lens is advanced past the numbers written. */
static bool take_seq(const cJSON *object, struct truekv_seq *out, uint64_t **lens)
{
    const cJSON *item;
    if (!get(object, "seq", &out->seq) || !get(object, "len", &out->len)) return false;
    out->capacity = get_or_0(object, "capacity");
    out->bytes = get_or_0(object, "bytes");
    out->idle_ms = get_or_0(object, "idle_ms");
    out->appends = get_or_0(object, "appends");
    out->model = or_empty(get_text(object, "model"));
    out->label = get_text(object, "label");
    out->device = get_device(object);
    out->n_layer_lens = count_layer_lens(object);
    if (out->n_layer_lens == 0) return true;
    out->layer_lens = *lens;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(object, "layer_lens"))
    {
        if (!exact(item, (*lens)++)) return false;
    }
    return true;
}

enum truekv_status tkc_take_seq(struct truekv *kv, struct truekv_seq *out)
{
    struct truekv_seq seq = {0};
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    uint64_t *lens = new_list(kv, count_layer_lens(kv->parsed), sizeof *lens);
    if (lens == NULL) return TRUEKV_ENOMEM;
    if (!take_seq(kv->parsed, &seq, &lens)) return broken(kv, "sequence");
    *out = seq;
    return TRUEKV_OK;
}

/* The list holds the sequences, then all of their layer_lens. */
enum truekv_status tkc_take_page(struct truekv *kv, struct truekv_page *out)
{
    struct truekv_page page = {0};
    size_t n_lens = 0;
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(kv->parsed, "seqs"), *item;
    if (!cJSON_IsArray(list)) return broken(kv, "seqs");
    cJSON_ArrayForEach(item, list)
    {
        n_lens += count_layer_lens(item);
        page.n++;
    }
    struct truekv_seq *seqs =
        new_list(kv, page.n * sizeof(struct truekv_seq) + n_lens * sizeof(uint64_t), 1);
    if (seqs == NULL) return TRUEKV_ENOMEM;
    uint64_t *lens = (uint64_t *)(void *)(seqs + page.n);
    size_t i = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (!take_seq(item, &seqs[i++], &lens)) return broken(kv, "seqs");
    }
    page.seqs = seqs;
    page.more = get(kv->parsed, "cursor", &page.cursor);
    *out = page;
    return TRUEKV_OK;
}

/* ---- Verdicts ------------------------------------------------------------------------------ */

static bool take_ok(const cJSON *object, bool *ok)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "ok");
    *ok = cJSON_IsTrue(item);
    return cJSON_IsBool(item);
}

static bool take_verdict(const cJSON *object, struct truekv_verdict *out)
{
    out->batches_checked = get_or_0(object, "batches_checked");
    out->items_checked = get_or_0(object, "items_checked");
    out->bytes_compared = get_or_0(object, "bytes_compared");
    out->divergent_items = get_or_0(object, "divergent_items");
    out->duration_us = get_or_0(object, "duration_us");
    return take_ok(object, &out->ok);
}

enum truekv_status tkc_take_verdict(struct truekv *kv, struct truekv_verdict *out)
{
    struct truekv_verdict verdict = {0};
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    if (!take_verdict(kv->parsed, &verdict)) return broken(kv, "ok");
    *out = verdict;
    return TRUEKV_OK;
}

enum truekv_status tkc_take_last(struct truekv *kv, struct truekv_last *out)
{
    struct truekv_last last = {0};
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    const cJSON *report = cJSON_GetObjectItemCaseSensitive(kv->parsed, "report");
    if (cJSON_IsObject(report)) {
        if (!take_verdict(report, &last.verdict)) return broken(kv, "ok");
        last.source = or_empty(get_text(kv->parsed, "source"));
        last.age_ms = get_or_0(kv->parsed, "age_ms");
    } else if (!cJSON_IsNull(report)) {
        return broken(kv, "report");
    }
    *out = last;
    return TRUEKV_OK;
}

enum truekv_status tkc_take_scrub(struct truekv *kv, struct truekv_scrub *out)
{
    struct truekv_scrub scrub = {0};
    enum truekv_status st = tkc_parse(kv);
    if (st != TRUEKV_OK) return st;
    if (!take_ok(kv->parsed, &scrub.ok)) return broken(kv, "ok");
    scrub.seqs_checked = get_or_0(kv->parsed, "seqs_checked");
    scrub.checksums_checked = get_or_0(kv->parsed, "checksums_checked");
    scrub.bytes_read = get_or_0(kv->parsed, "bytes_read");
    scrub.damaged_tokens = get_or_0(kv->parsed, "damaged_tokens");
    scrub.duration_us = get_or_0(kv->parsed, "duration_us");
    *out = scrub;
    return TRUEKV_OK;
}
