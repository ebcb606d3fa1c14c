#include "proto/answer.h"

#include "base/dtype.h"

/* The parts that every answer has are written as text; member is ,"result": or ,"error": . */
static void put_start(struct tkv_buffer *out, const char *id, size_t id_len, const char *member)
{
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";
    tkv_buffer_append(out, head, sizeof head - 1);
    tkv_buffer_append(out, id, id_len);
    tkv_buffer_puts(out, member);
}

void tkv_answer_begin(struct tkv_json *j, struct tkv_buffer *out, const char *id, size_t id_len)
{
    put_start(out, id, id_len, ",\"result\":");
    tkv_json_init(j, out);
}

void tkv_answer_end(struct tkv_json *j, uint64_t payload_bytes)
{
    if (payload_bytes > 0) tkv_json_put_uint(j, "payload", payload_bytes);
    tkv_json_close(j, '}');
}

/* --- errors ----------------------------------------------------------------------------------- */

static void put_numbers(struct tkv_json *j, const struct tkv_error *error)
{
#define X(field)                                            \
    if ((error->numbers & 1u << TKV_ERROR_AT_##field) != 0) \
        tkv_json_put_uint(j, #field, error->field);
    TKV_ERROR_NUMBERS(X)
#undef X
}

static void put_item_error(struct tkv_json *j, const struct tkv_item_error *item)
{
    struct tkv_error error = item->error;
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "index", item->index);
    tkv_json_put_uint(j, "seq", error.seq);
    error.numbers &= ~(1u << TKV_ERROR_AT_seq);
    tkv_json_put_string(j, "reason", tkv_status_reason(error.status));
    put_numbers(j, &error);
    tkv_json_put_string(j, "message", error.message);
    tkv_json_close(j, '}');
}

static void put_error_data(struct tkv_json *j, const struct tkv_error *error,
                           const struct tkv_item_error *items, size_t n_items)
{
    tkv_json_open(j, '{');
    tkv_json_put_string(j, "reason", tkv_status_reason(error->status));
    if (error->method[0] != '\0') tkv_json_put_string(j, "method", error->method);
    if (error->param[0] != '\0') tkv_json_put_string(j, "param", error->param);
    put_numbers(j, error);
    if (n_items > 0) {
        tkv_json_name(j, "items");
        tkv_json_open(j, '[');
        for (size_t i = 0; i < n_items; i++)
            put_item_error(j, &items[i]);
        tkv_json_close(j, ']');
    }
    tkv_json_close(j, '}');
}

void tkv_answer_error(struct tkv_buffer *out, const char *id, size_t id_len,
                      const struct tkv_error *error, const struct tkv_item_error *items,
                      size_t n_items)
{
    struct tkv_json j;
    put_start(out, id, id_len, ",\"error\":");
    tkv_json_init(&j, out);
    tkv_json_open(&j, '{');
    tkv_json_name(&j, "code");
    tkv_json_int(&j, tkv_status_code(error->status));
    tkv_json_put_string(&j, "message", error->message);
    tkv_json_name(&j, "data");
    put_error_data(&j, error, items, n_items);
    tkv_json_close(&j, '}');
    tkv_json_close(&j, '}');
}

/* --- server.* --------------------------------------------------------------------------------- */

static void put_model(struct tkv_json *j, const struct tkv_model_info *model)
{
    tkv_json_open(j, '{');
    tkv_json_put_string(j, "name", model->name);
    tkv_json_put_uint(j, "n_layers", model->n_layers);
    tkv_json_put_uint(j, "n_kv_heads", model->n_kv_heads);
    tkv_json_put_uint(j, "head_dim", model->head_dim);
    tkv_json_put_string(j, "dtype", tkv_dtype_word(model->dtype));
    tkv_json_put_uint(j, "capacity", model->capacity);
    tkv_json_close(j, '}');
}

static void put_device(struct tkv_json *j, const struct tkv_server_info *info)
{
    tkv_json_open(j, '{');
    tkv_json_name(j, "ordinal");
    tkv_json_int(j, info->device.ordinal);
    tkv_json_put_string(j, "name", info->device.name);
    tkv_json_put_uint(j, "memory_total", info->device.memory_total);
    tkv_json_put_uint(j, "memory_used", info->device.memory_used);
    tkv_json_close(j, '}');
}

static void put_limits(struct tkv_json *j, const struct tkv_server_info *info)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "max_header_bytes", info->limits.max_header_bytes);
    tkv_json_put_uint(j, "max_payload_bytes", info->limits.max_payload_bytes);
    tkv_json_put_uint(j, "max_connections", info->limits.max_connections);
    tkv_json_put_uint(j, "max_sequences", info->limits.max_sequences);
    tkv_json_put_uint(j, "memory_budget_bytes", info->limits.memory_budget_bytes);
    tkv_json_close(j, '}');
}

void tkv_put_server_info(struct tkv_json *j, const struct tkv_server_info *info)
{
    tkv_json_open(j, '{');
    tkv_json_put_string(j, "name", "truekv");
    tkv_json_put_string(j, "version", info->version);
    tkv_json_put_uint(j, "protocol", 1);
    tkv_json_put_string(j, "backend", info->backend);
    tkv_json_name(j, "devices");
    tkv_json_open(j, '[');
    put_device(j, info);
    tkv_json_close(j, ']');
    tkv_json_name(j, "models");
    tkv_json_open(j, '[');
    for (size_t i = 0; i < info->n_models; i++)
        put_model(j, &info->models[i]);
    tkv_json_close(j, ']');
    tkv_json_name(j, "limits");
    put_limits(j, info);
    tkv_json_put_double(j, "uptime_s", info->uptime_s);
    tkv_json_put_bool(j, "healthy", info->unhealthy == NULL);
    if (info->unhealthy != NULL) tkv_json_put_string(j, "unhealthy_because", info->unhealthy);
    tkv_json_close(j, '}');
}

/* --- seq.* ------------------------------------------------------------------------------------ */

void tkv_put_created(struct tkv_json *j, const struct tkv_created *created)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "seq", created->seq);
    tkv_json_put_string(j, "model", created->model);
    tkv_json_put_uint(j, "capacity", created->capacity);
    tkv_json_put_uint(j, "len", 0);
    tkv_json_put_uint(j, "bytes", created->bytes);
    tkv_json_name(j, "device");
    tkv_json_int(j, created->device);
    tkv_json_close(j, '}');
}

void tkv_put_appended(struct tkv_json *j, const uint64_t *lens, size_t m, uint64_t batch)
{
    tkv_json_open(j, '{');
    tkv_json_name(j, "lens");
    tkv_json_uints(j, lens, m);
    tkv_json_put_uint(j, "batch", batch);
    tkv_json_close(j, '}');
}

void tkv_put_truncated(struct tkv_json *j, uint64_t seq, uint64_t len)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "seq", seq);
    tkv_json_put_uint(j, "len", len);
    tkv_json_close(j, '}');
}

void tkv_put_freed(struct tkv_json *j, uint64_t freed)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "freed", freed);
    tkv_json_close(j, '}');
}

void tkv_put_info(struct tkv_json *j, const struct tkv_seq_state *state)
{
    tkv_json_open(j, '{');
    tkv_json_put_uint(j, "seq", state->seq);
    tkv_json_put_string(j, "model", state->model);
    tkv_json_name(j, "label");
    if (state->label != NULL)
        tkv_json_string(j, state->label);
    else
        tkv_json_null(j);
    tkv_json_put_uint(j, "capacity", state->capacity);
    tkv_json_put_uint(j, "len", state->len);
    if (state->layer_lens != NULL) {
        tkv_json_name(j, "layer_lens");
        tkv_json_open(j, '[');
        for (uint32_t i = 0; i < state->n_layers; i++)
            tkv_json_uint(j, state->layer_lens[i]);
        tkv_json_close(j, ']');
    }
    tkv_json_put_uint(j, "bytes", state->bytes);
    tkv_json_name(j, "device");
    tkv_json_int(j, state->device);
    tkv_json_put_uint(j, "idle_ms", state->idle_ms);
    tkv_json_put_uint(j, "appends", state->appends);
    tkv_json_close(j, '}');
}

void tkv_put_list(struct tkv_json *j, const struct tkv_seq_state *states, size_t n,
                  const struct tkv_maybe *cursor)
{
    tkv_json_open(j, '{');
    tkv_json_name(j, "seqs");
    tkv_json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        tkv_put_info(j, &states[i]);
    tkv_json_close(j, ']');
    if (cursor->given) tkv_json_put_uint(j, "cursor", cursor->value);
    tkv_json_close(j, '}');
}

void tkv_put_read(struct tkv_json *j, const struct tkv_read_shape *shape, const void *data,
                  size_t bytes)
{
    const uint32_t axes[] = {shape->layers, 2, shape->n_kv_heads, shape->tokens, shape->head_dim};
    tkv_json_open(j, '{');
    tkv_json_name(j, "shape");
    tkv_json_open(j, '[');
    for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++)
        tkv_json_uint(j, axes[i]);
    tkv_json_close(j, ']');
    tkv_json_put_string(j, "dtype", tkv_dtype_word(shape->dtype));
    if (data != NULL) {
        tkv_json_name(j, "data");
        tkv_json_open(j, '{');
        tkv_json_name(j, "base64");
        tkv_json_base64(j, data, bytes);
        tkv_json_close(j, '}');
    }
    tkv_json_close(j, '}');
}

void tkv_put_empty(struct tkv_json *j)
{
    tkv_json_open(j, '{');
    tkv_json_close(j, '}');
}
