/* reader.h - members of params into C structs, driven by a table for each method.
 * One thread at a time. The JSON has passed the gate: no key stands twice, numbers are exact. */
#ifndef TKV_PROTO_READER_H
#define TKV_PROTO_READER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/arena.h"
#include "proto/request.h"

struct tkv_reader {
    struct tkv_error *error; /* filled by whatever does not return TKV_OK */
    struct tkv_arena *arena;
};

struct tkv_field;

/* Reads value into *to. TKV_EINVAL, TKV_ETOOLARGE: *reader->error says why. */
typedef enum tkv_status tkv_read_fn(struct tkv_reader *reader, const struct tkv_field *field,
                                    const cJSON *value, void *to);

/* One member that an object may have. A table of them ends with a field without a name. */
struct tkv_field {
    const char *name;
    tkv_read_fn *read;
    size_t at; /* offset of its place in the struct */
    bool required;
    uint64_t min, max; /* of numbers; max of text: bytes, 0: any */
};

/* Reads the members of object into *to. Members that fields does not name are refused, missing
 * required ones too. prefix ("" or such as "data.") stands before every name in fields and is not
 * part of the member's name. */
enum tkv_status tkv_read_fields(struct tkv_reader *reader, const cJSON *object, const char *prefix,
                                const struct tkv_field *fields, void *to);

tkv_read_fn tkv_read_bool;   /* bool */
tkv_read_fn tkv_read_u32;    /* uint32_t */
tkv_read_fn tkv_read_u64;    /* uint64_t */
tkv_read_fn tkv_read_maybe;  /* struct tkv_maybe */
tkv_read_fn tkv_read_dtype;  /* struct tkv_maybe_dtype */
tkv_read_fn tkv_read_layers; /* struct tkv_layer_range */
tkv_read_fn tkv_read_text;   /* const char * */
tkv_read_fn tkv_read_value;  /* const cJSON *: looked into later */

/* An array of integers from min to max, one for each of m entries (m > 0: so many, else any number
 * from 1 on), into memory of the arena; *n says how many. */
enum tkv_status tkv_read_numbers(struct tkv_reader *reader, const struct tkv_field *field,
                                 const cJSON *value, size_t m, size_t *n, uint64_t **out);

/* True where value is an integer from min to max; *out is written then. 1.0 and 1e2 are integers.
 */
bool tkv_is_integer(const cJSON *value, uint64_t min, uint64_t max, uint64_t *out);

/* "... must be WHAT, not VALUE", for the parameter name. */
enum tkv_status tkv_refuse(struct tkv_reader *reader, const char *name, const char *what,
                           const cJSON *value);

enum { TKV_SHORT_BYTES = 48 };

/* A value for people, shortened: "7", "\"abc...\"", "an array of 3". Returns out. */
const char *tkv_describe(const cJSON *value, char out[TKV_SHORT_BYTES]);

#endif
