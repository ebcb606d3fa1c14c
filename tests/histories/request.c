#include "tests/histories/request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = H_CAPACITY_MAX };
#define ELEMENTS_MAX ((size_t)H_LAYERS * H_KV * H_HEADS * TOKENS_MAX * H_DIM)

static const char *const method_words[] = {
#define X(name, word) word,
    H_METHODS(X)
#undef X
};

uint64_t h_tag_of(const struct h_request *r, size_t i)
{
    return i == 0 ? r->tag : h_mix(r->tag, i);
}

static uint32_t layers_of(const struct h_request *r)
{
    return r->layer_end - r->layer_begin;
}

/* --- rows ------------------------------------------------------------------------------------- */

static void put_row(const struct h_request *r, struct tkv_buffer *out, int value, bool first)
{
    uint16_t half = h_half(value);
    float single = (float)value;
    if (r->source == H_VALUES)
        tkv_buffer_printf(out, first ? "%d" : ",%d", value);
    else if (r->source == H_PAYLOAD_F32)
        tkv_buffer_append(out, &single, sizeof single);
    else
        tkv_buffer_append(out, &half, sizeof half);
}

static void put_rows(const struct h_request *r, struct tkv_buffer *out)
{
    int16_t rows[ELEMENTS_MAX];
    for (size_t i = 0; i < r->n_seqs; i++) {
        size_t n = h_elements(layers_of(r), r->tokens[i]);
        h_rows(h_tag_of(r, i), r->layer_begin, layers_of(r), r->tokens[i], rows);
        for (size_t e = 0; e < n; e++)
            put_row(r, out, rows[e], i == 0 && e == 0);
    }
}

static size_t row_bytes(const struct h_request *r)
{
    size_t elements = 0;
    for (size_t i = 0; i < r->n_seqs; i++)
        elements += h_elements(layers_of(r), r->tokens[i]);
    return elements * (r->source == H_PAYLOAD_F32 ? sizeof(float) : sizeof(uint16_t));
}

static void put_base64(struct tkv_buffer *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        if (i + 1 < n) three |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < n) three |= bytes[i + 2];
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63], digits[three >> 6 & 63],
                        digits[three & 63]};
        if (i + 1 >= n) four[2] = '=';
        if (i + 2 >= n) four[3] = '=';
        tkv_buffer_append(out, four, sizeof four);
    }
}

static void put_data(const struct h_request *r, struct tkv_buffer *out)
{
    if (r->source == H_VALUES) {
        tkv_buffer_puts(out, ",\"data\":{\"values\":[");
        put_rows(r, out);
        tkv_buffer_puts(out, "]}");
    } else if (r->source == H_BASE64_F16) {
        struct tkv_buffer rows;
        tkv_buffer_init(&rows, SIZE_MAX);
        put_rows(r, &rows);
        tkv_buffer_puts(out, ",\"data\":{\"base64\":\"");
        put_base64(out, rows.data, rows.len);
        tkv_buffer_puts(out, "\"}");
        tkv_buffer_close(&rows);
    } else if (r->source == H_PAYLOAD_F32) {
        tkv_buffer_puts(out, ",\"dtype\":\"f32\"");
    }
}

static bool has_payload(const struct h_request *r)
{
    return r->method == H_DO_APPEND && (r->source == H_PAYLOAD_F16 || r->source == H_PAYLOAD_F32);
}

/* --- params ------------------------------------------------------------------------------------
 */

static void put_seqs(const struct h_request *r, struct tkv_buffer *out)
{
    for (size_t i = 0; i < r->n_seqs; i++)
        tkv_buffer_printf(out, "%s%" PRIu64, i == 0 ? "\"seqs\":[" : ",", r->seqs[i]);
    tkv_buffer_puts(out, "]");
}

static void put_layers(const struct h_request *r, struct tkv_buffer *out)
{
    if (!r->all_layers) tkv_buffer_printf(out, ",\"layers\":[%u,%u]", r->layer_begin, r->layer_end);
}

static void put_append(const struct h_request *r, struct tkv_buffer *out)
{
    put_seqs(r, out);
    for (size_t i = 0; i < r->n_seqs; i++)
        tkv_buffer_printf(out, "%s%u", i == 0 ? ",\"tokens\":[" : ",", r->tokens[i]);
    tkv_buffer_puts(out, "]");
    for (size_t i = 0; r->has_pos && i < r->n_seqs; i++)
        tkv_buffer_printf(out, "%s%" PRIu64, i == 0 ? ",\"pos\":[" : ",", r->pos[i]);
    if (r->has_pos) tkv_buffer_puts(out, "]");
    put_layers(r, out);
    put_data(r, out);
}

static void put_create(const struct h_request *r, struct tkv_buffer *out)
{
    tkv_buffer_printf(out, "\"capacity\":%u", r->capacity);
    if (r->has_seq) tkv_buffer_printf(out, ",\"seq\":%" PRIu64, r->seqs[0]);
    if (r->ttl_ms > 0) tkv_buffer_printf(out, ",\"ttl_ms\":%u", r->ttl_ms);
    if (r->mortal) tkv_buffer_puts(out, ",\"on_disconnect\":\"free\"");
    if (r->label[0] != '\0') tkv_buffer_printf(out, ",\"label\":\"%s\"", r->label);
}

static void put_read(const struct h_request *r, struct tkv_buffer *out)
{
    tkv_buffer_printf(out, "\"seq\":%" PRIu64 ",\"pos\":%" PRIu64, r->seqs[0], r->pos[0]);
    if (!r->to_the_end) tkv_buffer_printf(out, ",\"tokens\":%u", r->tokens[0]);
    if (r->base64) tkv_buffer_puts(out, ",\"encoding\":\"base64\"");
    put_layers(r, out);
}

static void put_params(const struct h_request *r, struct tkv_buffer *out)
{
    switch (r->method) {
    case H_DO_CREATE: put_create(r, out); break;
    case H_DO_APPEND: put_append(r, out); break;
    case H_DO_FREE: put_seqs(r, out); break;
    case H_DO_READ: put_read(r, out); break;
    case H_DO_TRUNCATE:
        tkv_buffer_printf(out, "\"seq\":%" PRIu64 ",\"len\":%" PRIu64, r->seqs[0], r->len);
        break;
    case H_DO_INFO:
    case H_DO_EXPORT: tkv_buffer_printf(out, "\"seq\":%" PRIu64, r->seqs[0]); break;
    case H_DO_LIST:
        tkv_buffer_printf(out, "\"limit\":%u", r->tokens[0]);
        if (r->cursor > 0) tkv_buffer_printf(out, ",\"cursor\":%" PRIu64, r->cursor);
        break;
    case H_DO_PING: break;
    }
}

bool h_fits_array(const struct h_request *r)
{
    return !has_payload(r) && !(r->method == H_DO_READ && !r->base64);
}

void h_write(const struct h_request *r, struct tkv_buffer *out)
{
    tkv_buffer_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64 ",\"method\":\"%s\",\"params\":{",
                      r->number, method_words[r->method]);
    put_params(r, out);
    tkv_buffer_puts(out, "}");
    if (has_payload(r)) tkv_buffer_printf(out, ",\"payload\":%zu", row_bytes(r));
    tkv_buffer_puts(out, "}");
}

void h_write_payload(const struct h_request *r, struct tkv_buffer *out)
{
    if (has_payload(r)) put_rows(r, out);
}

void h_request_close(struct h_request *r)
{
    free(r->line);
    free(r->payload);
    r->line = NULL;
    r->payload = NULL;
}
