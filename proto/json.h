/* json.h - a writer of JSON text. One thread at a time.
 * Commas are its own business: write names and values in order. Errors stick in the buffer. */
#ifndef TKV_PROTO_JSON_H
#define TKV_PROTO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct tkv_json {
    struct tkv_buffer *out; /* borrowed */
    bool comma;             /* a value stands before this place */
};

void tkv_json_init(struct tkv_json *j, struct tkv_buffer *out);
void tkv_json_open(struct tkv_json *j, char bracket);            /* '{' or '[' */
void tkv_json_open_member(struct tkv_json *j, const char *name); /* an object */
void tkv_json_close(struct tkv_json *j, char bracket);           /* '}' or ']' */
void tkv_json_name(struct tkv_json *j, const char *name); /* a constant that needs no escapes */
void tkv_json_uint(struct tkv_json *j, uint64_t value);
void tkv_json_uints(struct tkv_json *j, const uint64_t *values, size_t n); /* an array */
void tkv_json_int(struct tkv_json *j, int64_t value);
void tkv_json_double(struct tkv_json *j, double value); /* shortest; null if not finite */
void tkv_json_bool(struct tkv_json *j, bool value);
void tkv_json_null(struct tkv_json *j);
void tkv_json_string(struct tkv_json *j, const char *text);          /* UTF-8, escaped as needed */
void tkv_json_raw(struct tkv_json *j, const char *text, size_t len); /* JSON text as it is */
void tkv_json_base64(struct tkv_json *j, const void *bytes, size_t n);

/* name and value in one. */
void tkv_json_put_uint(struct tkv_json *j, const char *name, uint64_t value);
void tkv_json_put_bool(struct tkv_json *j, const char *name, bool value);
void tkv_json_put_string(struct tkv_json *j, const char *name, const char *text);
void tkv_json_put_double(struct tkv_json *j, const char *name, double value);

#endif
