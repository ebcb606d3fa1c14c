#include <math.h>
#include <string.h>

#include "proto/decode.h"

/* The members of params that need to know how many seqs there are, or more than one member. */
struct raw_append {
    const cJSON *seqs, *pos, *tokens, *data;
    struct tkv_layer_range layers;
    struct tkv_maybe_dtype dtype;
};

struct raw_data {
    const cJSON *base64, *values;
    struct tkv_maybe region, offset;
};

#define AT(member) .at = offsetof(struct raw_append, member)
static const struct tkv_field fields[] = {
    {"seqs", tkv_read_value, AT(seqs), .required = true, .max = TKV_SEQ_MAX},
    {"pos", tkv_read_value, AT(pos), .max = TKV_SEQ_MAX},
    {"tokens", tkv_read_value, AT(tokens), .min = 1, .max = UINT32_MAX},
    {"layers", tkv_read_layers, AT(layers)},
    {"dtype", tkv_read_dtype, AT(dtype)},
    {"data", tkv_read_value, AT(data)},
    {0},
};
enum { SEQS, POS, TOKENS };

#define DATA_AT(member) .at = offsetof(struct raw_data, member)
static const struct tkv_field data_fields[] = {
    {"data.base64", tkv_read_value, DATA_AT(base64)},
    {"data.values", tkv_read_value, DATA_AT(values)},
    {"data.region", tkv_read_maybe, DATA_AT(region), .max = TKV_SEQ_MAX},
    {"data.offset", tkv_read_maybe, DATA_AT(offset), .max = TKV_SEQ_MAX},
    {0},
};
enum { BASE64 };

/* tokens: absent, one integer for all, or an array of m. */
static enum tkv_status read_tokens(struct tkv_reader *reader, const cJSON *value,
                                   struct tkv_seq_append *append)
{
    size_t n;
    uint64_t one = 1, *each = NULL;
    enum tkv_status st = TKV_OK;
    if (cJSON_IsArray(value))
        st = tkv_read_numbers(reader, &fields[TOKENS], value, append->m, &n, &each);
    else if (value != NULL)
        st = tkv_read_u64(reader, &fields[TOKENS], value, &one);
    if (st != TKV_OK) return st;
    append->tokens = tkv_arena_take(reader->arena, append->m, sizeof *append->tokens);
    if (append->tokens == NULL) return tkv_error_set(reader->error, TKV_ENOMEM, "out of memory");
    for (size_t i = 0; i < append->m; i++)
        append->tokens[i] = (uint32_t)(each != NULL ? each[i] : one);
    return TKV_OK;
}

static enum tkv_status read_items(struct tkv_reader *reader, const struct raw_append *raw,
                                  struct tkv_seq_append *append)
{
    size_t n;
    enum tkv_status st =
        tkv_read_numbers(reader, &fields[SEQS], raw->seqs, 0, &append->m, &append->seqs);
    if (st == TKV_OK && raw->pos != NULL)
        st = tkv_read_numbers(reader, &fields[POS], raw->pos, append->m, &n, &append->pos);
    return st == TKV_OK ? read_tokens(reader, raw->tokens, append) : st;
}

static enum tkv_status read_base64(struct tkv_reader *reader, const cJSON *value,
                                   struct tkv_seq_append *append)
{
    size_t bytes;
    enum tkv_status st = tkv_read_text(reader, &data_fields[BASE64], value, &append->base64);
    if (st != TKV_OK) return st;
    append->source = TKV_SOURCE_BASE64;
    if (tkv_base64_size(append->base64, &bytes) == TKV_OK) return TKV_OK;
    return tkv_refuse(reader, "data.base64", "base64 with its padding", value);
}

static enum tkv_status read_values(struct tkv_reader *reader, const cJSON *value,
                                   struct tkv_seq_append *append)
{
    char text[TKV_SHORT_BYTES];
    size_t n = 0;
    const cJSON *entry;
    if (!cJSON_IsArray(value) || value->child == NULL)
        return tkv_refuse(reader, "data.values", "an array of numbers", value);
    cJSON_ArrayForEach(entry, value)
    {
        if (!cJSON_IsNumber(entry) || !isfinite(entry->valuedouble))
            return tkv_error_param(reader->error, "data.values",
                                   "data.values[%zu] must be a number that a double holds, not %s",
                                   n, tkv_describe(entry, text));
        n++;
    }
    append->source = TKV_SOURCE_VALUES;
    append->values = value;
    append->n_values = n;
    return TKV_OK;
}

static enum tkv_status read_data(struct tkv_reader *reader, const cJSON *value,
                                 struct tkv_seq_append *append)
{
    struct raw_data raw = {0};
    if (!cJSON_IsObject(value)) return tkv_refuse(reader, "data", "an object", value);
    enum tkv_status st = tkv_read_fields(reader, value, "data.", data_fields, &raw);
    if (st != TKV_OK) return st;
    if ((raw.base64 != NULL) + (raw.values != NULL) + raw.region.given != 1)
        return tkv_error_param(reader->error, "data",
                               "data must have exactly one of base64, values and region");
    if (raw.offset.given && !raw.region.given)
        return tkv_error_param(reader->error, "data.offset", "data.offset goes with data.region");
    if (raw.base64 != NULL) return read_base64(reader, raw.base64, append);
    if (raw.values != NULL) return read_values(reader, raw.values, append);
    append->source = TKV_SOURCE_REGION;
    append->region = raw.region.value;
    append->offset = raw.offset.value;
    return TKV_OK;
}

enum tkv_status tkv_decode_append(struct tkv_reader *reader, const cJSON *params,
                                  struct tkv_request *request)
{
    struct tkv_seq_append *append = &request->params.seq_append;
    struct raw_append raw = {0};
    enum tkv_status st = tkv_read_fields(reader, params, "", fields, &raw);
    if (st == TKV_OK) st = read_items(reader, &raw, append);
    if (st != TKV_OK) return st;
    append->layers = raw.layers;
    append->dtype = raw.dtype;
    append->source = TKV_SOURCE_PAYLOAD;
    if (raw.data == NULL && request->payload_bytes == 0)
        return tkv_error_param(reader->error, "payload", "seq.append needs a payload or data");
    if (raw.data != NULL && request->payload_bytes > 0)
        return tkv_error_param(reader->error, "data",
                               "seq.append takes a payload or data, not both");
    return raw.data != NULL ? read_data(reader, raw.data, append) : TKV_OK;
}

/* A double as a float that rounds on to f16 and bf16 as the double itself would: cut off towards
 * zero, and the last bit set where anything was cut ("round to odd"; Boldo and Melquiond, 2008).
 * Rounding to the nearest float first would round twice. */
static float to_odd(double value)
{
    float cut = (float)value;
    uint32_t bits;
    if (fabs((double)cut) > fabs(value)) cut = nextafterf(cut, 0.0f);
    if ((double)cut == value) return cut;
    memcpy(&bits, &cut, sizeof bits);
    bits |= 1;
    memcpy(&cut, &bits, sizeof bits);
    return cut;
}

void tkv_values_read(const struct tkv_seq_append *append, enum tkv_dtype dtype, void *dst)
{
    unsigned char *to = dst;
    const size_t size = tkv_dtype_size(dtype);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, (const cJSON *)append->values)
    {
        float value = dtype == TKV_F32 ? (float)entry->valuedouble : to_odd(entry->valuedouble);
        tkv_convert(to, dtype, &value, TKV_F32, 1);
        to += size;
    }
}
