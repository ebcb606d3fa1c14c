/* request.h - a line of JSON into typed requests.
 *
 * A line is one request or a JSON-RPC batch array of them. Each member is decoded whole, or carries
 * the error that its answer will be. Any thread; nothing here does I/O. */
#ifndef TKV_PROTO_REQUEST_H
#define TKV_PROTO_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/params.h"

/* One member of a line. status TKV_OK: method and its params are valid. Otherwise error says why,
 * and id is what could be read of it ("null" where nothing). */
struct tkv_request {
    struct tkv_error error; /* error.status is the member's status */
    enum tkv_method method;
    bool notification; /* no id: no answer, not even an error */
    const char *id;    /* JSON text as it was sent; not NUL-terminated */
    size_t id_len;
    uint64_t payload_bytes; /* the member "payload"; 0: none */
    union {
        struct tkv_auth auth;
        struct tkv_seq_create seq_create;
        struct tkv_seq_append seq_append;
        struct tkv_seq_truncate seq_truncate;
        struct tkv_seq_free seq_free;
        struct tkv_seq_info seq_info;
        struct tkv_seq_list seq_list;
        struct tkv_seq_read seq_read;
        struct tkv_debug_verify debug_verify;
        struct tkv_debug_scrub debug_scrub;
        struct tkv_debug_selftest debug_selftest;
        struct tkv_debug_inject debug_inject;
        struct tkv_admin_level admin_level;
        int none, any;
    } params;
};

/* A whole line. Requests borrow from it: keep it until all of them have been answered. */
struct tkv_message {
    bool is_batch; /* answers go into one array, in one line */
    size_t n;
    struct tkv_request *requests; /* n >= 1; a broken line is one request with its error */
    uint64_t payload_bytes; /* raw bytes that follow the line, also where a request is broken */
    bool lost;  /* "payload" cannot be read, or stands in a line that is not JSON: nobody
                   can tell where the next message begins */
    void *impl; /* memory, the parser's own */
};

/* Decodes a line (copied; the caller may reuse it at once). NULL: out of memory, and nobody knows
 * what follows the line. */
struct tkv_message *tkv_message_parse(const char *line, size_t len);
void tkv_message_free(struct tkv_message *msg);

/* Bytes that the base64 text of an append decodes to; TKV_EINVAL where it is not base64. */
enum tkv_status tkv_base64_size(const char *text, size_t *out);

/* Decodes base64 text; dst has the room tkv_base64_size() asked for. */
void tkv_base64_read(const char *text, void *dst);

/* Writes the n_values numbers of an append as dtype (round to nearest even) to dst. */
void tkv_values_read(const struct tkv_seq_append *append, enum tkv_dtype dtype, void *dst);

#endif
