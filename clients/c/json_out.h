/* json_out.h - a small writer of JSON text for requests. One thread at a time.
 * Commas are its own business: write names and values in order. Errors stick in the buffer. */
#ifndef TRUEKV_JSON_OUT_H
#define TRUEKV_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct tkc_json {
    struct tkv_buffer *out; /* borrowed */
    bool comma;             /* a value stands before this place */
};

void tkc_json_init(struct tkc_json *j, struct tkv_buffer *out);
void tkc_json_open(struct tkc_json *j, char bracket);  /* '{' or '[' */
void tkc_json_close(struct tkc_json *j, char bracket); /* '}' or ']' */
void tkc_json_name(struct tkc_json *j, const char *name);
void tkc_json_uint(struct tkc_json *j, uint64_t value);
void tkc_json_double(struct tkc_json *j, double value); /* finite; reads back as the same number */
void tkc_json_string(struct tkc_json *j, const char *text); /* escaped as needed */

/* JSON text as it is, but for newlines (white space there), which would end the line. */
void tkc_json_text(struct tkc_json *j, const char *text);

/* name and value in one; the _list writes n numbers in brackets. */
void tkc_json_put_true(struct tkc_json *j, const char *name);
void tkc_json_put_uint(struct tkc_json *j, const char *name, uint64_t value);
void tkc_json_put_string(struct tkc_json *j, const char *name, const char *text);
void tkc_json_put_list(struct tkc_json *j, const char *name, const uint64_t *values, size_t n);

#endif
