/* request.h - a request of a client of the histories: what it asks, as it goes over the wire, and
 * what came back. */
#ifndef TKV_TESTS_HISTORIES_REQUEST_H
#define TKV_TESTS_HISTORIES_REQUEST_H

#include "base/buffer.h"
#include "tests/histories/history.h"

#define H_METHODS(X)            \
    X(CREATE, "seq.create")     \
    X(APPEND, "seq.append")     \
    X(TRUNCATE, "seq.truncate") \
    X(FREE, "seq.free")         \
    X(INFO, "seq.info")         \
    X(READ, "seq.read")         \
    X(LIST, "seq.list")         \
    X(PING, "server.ping")      \
    X(EXPORT, "seq.export")

enum h_method {
#define X(name, word) H_DO_##name,
    H_METHODS(X)
#undef X
};

/* How the rows of an append travel. */
enum h_source { H_PAYLOAD_F16, H_PAYLOAD_F32, H_BASE64_F16, H_VALUES, H_SOURCES };

/* UNSENT: not all of it went out, so that it must never happen. LOST: all of it did, nothing came
 * back. */
enum h_fate { H_UNSENT, H_LOST, H_ANSWERED };

struct h_request {
    enum h_method method;
    uint64_t number; /* of all in a run */
    uint32_t client, conn;
    uint64_t invoke, ret;
    uint64_t over; /* LOST: when the daemon surely had taken it; 0: nobody knows */
    enum h_fate fate;
    char *line; /* the answer, owned; where it came in an array, the one of the array */
    uint8_t *payload;
    size_t payload_bytes;

    size_t n_seqs;
    uint64_t seqs[H_ITEMS_MAX];
    uint32_t tokens[H_ITEMS_MAX];
    bool has_pos, all_layers;
    uint64_t pos[H_ITEMS_MAX]; /* append; read: the first */
    uint64_t tag;              /* of the first item; the others' follow from it */
    uint32_t layer_begin, layer_end;
    enum h_source source;
    bool has_seq, mortal, base64, to_the_end;
    uint32_t capacity, ttl_ms;
    char label[H_LABEL_MAX];
    uint64_t len;    /* truncate */
    uint64_t cursor; /* list; 0: the first page */
    uint32_t walk;   /* list: pages of one walk have the same number */
};

/* The tag of item i. */
uint64_t h_tag_of(const struct h_request *r, size_t i);

/* Whether it may stand in an array. */
bool h_fits_array(const struct h_request *r);

/* Appends its object, without the newline; then its payload, where it has one. */
void h_write(const struct h_request *r, struct tkv_buffer *out);
void h_write_payload(const struct h_request *r, struct tkv_buffer *out);

void h_request_close(struct h_request *r);

#endif
