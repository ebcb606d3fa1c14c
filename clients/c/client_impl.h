/* client_impl.h - what is inside a struct truekv; for the files of libtruekv alone.
 *
 * client.c   tickets: submit, wait, abandon        stream.c   bytes: send, receive, frame
 * connect.c  addresses, see connect.h               error.c    why a call failed
 * tls.c      TLS, see tls.h
 * methods.c  the protocol's methods, typed         results.c  their answers, typed */
#ifndef TRUEKV_CLIENT_IMPL_H
#define TRUEKV_CLIENT_IMPL_H

#include <cjson/cJSON.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "clients/c/connect.h"
#include "clients/c/envelope.h"
#include "clients/c/json_out.h"
#include "clients/c/tls.h"
#include "clients/c/truekv.h"

/* An answer as it came. */
struct tkc_message {
    char *line; /* owned, NUL-terminated */
    size_t len;
    struct tkc_envelope envelope;
    void *payload;              /* NULL: none, or thrown away */
    bool owned;                 /* payload is the client's memory, counted in held */
    enum truekv_status refused; /* why the payload was thrown away; TRUEKV_OK: it was not */
    size_t room;                /* where refused: how much would have fitted */
};

enum tkc_slot_state { TKC_FREE, TKC_WAITING, TKC_DONE };

/* A request in flight. Its place is id % n_slots, so that an answer finds it at once. */
struct tkc_slot {
    enum tkc_slot_state state;
    bool abandoned;
    uint64_t id;
    void *into; /* borrowed */
    size_t into_bytes;
    struct tkc_message message;
};

struct truekv {
    int fd;
    struct tkc_tls *tls;           /* owned; NULL: the socket's bytes are the protocol's */
    struct truekv_options options; /* with the defaults filled in, without names of files */

    struct tkc_slot *slots; /* options.in_flight_max of them */
    unsigned in_flight;     /* slots not free */
    unsigned abandoned;     /* of these, given up */
    uint64_t next_id;
    struct tkc_slot raw; /* truekv_raw()'s, waiting or free */

    struct tkv_buffer out;    /* the request line under way */
    struct tkv_buffer in;     /* bytes read and not yet taken */
    size_t taken;             /* bytes of `in` used up */
    size_t scanned;           /* bytes of `in` known to hold no newline */
    struct tkc_slot *filling; /* whose payload is under way; NULL: a line is */
    uint8_t *to;              /* where its next byte goes; NULL: nowhere */
    uint64_t left;            /* bytes of it still to come */
    size_t held;              /* bytes of payloads in the client's memory */

    /* Of the last call, until the next. */
    struct tkc_message current;
    struct truekv_answer answer;
    cJSON *parsed;
    void *list;
    struct truekv_error error;
    struct truekv_item_error *items;
    char *error_json;

    bool lost;
    struct truekv_error lost_why;
};

/* ---- client.c */

/* Every public call begins here: forgets what the last one left. */
void tkc_clear(struct truekv *kv);

/* Begins a request: checks that one more may fly, writes its line up to the value of params, which
 * the caller writes next. */
enum truekv_status tkc_request_begin(struct truekv *kv, struct tkc_json *j, const char *method);

/* Ends the line, sends it with the payload. r gives blocks and into alone. */
enum truekv_status tkc_request_send(struct truekv *kv, struct tkc_json *j,
                                    const struct truekv_request *r, uint64_t *ticket);

/* As tkc_request_send(), then waits; the answer is in kv->answer. */
enum truekv_status tkc_request_call(struct truekv *kv, struct tkc_json *j,
                                    const struct truekv_request *r);

/* Waits for a ticket's answer, without clearing first; the answer is in kv->answer. */
enum truekv_status tkc_wait(struct truekv *kv, uint64_t ticket);

/* Frees a message's memory; it is empty and usable again. */
void tkc_message_close(struct truekv *kv, struct tkc_message *m);

/* ---- stream.c */

/* Sends the line, then the blocks. On failure the connection is lost. */
enum truekv_status tkc_send(struct truekv *kv, const struct truekv_block *line,
                            const struct truekv_block *blocks, size_t n);

/* Waits until something has been received, and takes it. ETIMEOUT: nothing came. */
enum truekv_status tkc_receive(struct truekv *kv);

/* ---- error.c */

/* An error found by the client; the _os one adds what errno says. Returns its status. */
enum truekv_status tkc_fail(struct truekv *kv, enum truekv_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The daemon's error object. Returns its status, never TRUEKV_OK. */
enum truekv_status tkc_fail_json(struct truekv *kv, const char *text, size_t len);

/* As tkc_fail(), and the connection is lost for that reason. */
enum truekv_status tkc_lose(struct truekv *kv, enum truekv_status status, int os_error,
                            const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The connection is lost because of the daemon's error object. */
enum truekv_status tkc_lose_json(struct truekv *kv, const char *text, size_t len);

/* The last call's error is that the connection was lost. Returns its status. */
enum truekv_status tkc_fail_lost(struct truekv *kv);

/* ---- results.c: kv->answer into C; EANSWER where it is not what the protocol says */

enum truekv_status tkc_parse(struct truekv *kv);
enum truekv_status tkc_take_info(struct truekv *kv, struct truekv_info *out);
enum truekv_status tkc_take_created(struct truekv *kv, struct truekv_created *out);
enum truekv_status tkc_take_appended(struct truekv *kv, size_t m, uint64_t *lens, uint64_t *batch);
enum truekv_status tkc_take_rows(struct truekv *kv, struct truekv_rows *out);
enum truekv_status tkc_take_number(struct truekv *kv, const char *name, uint64_t *out);
enum truekv_status tkc_take_text(struct truekv *kv, const char *name, const char **out);
enum truekv_status tkc_take_seq(struct truekv *kv, struct truekv_seq *out);
enum truekv_status tkc_take_page(struct truekv *kv, struct truekv_page *out);
enum truekv_status tkc_take_verdict(struct truekv *kv, struct truekv_verdict *out);
enum truekv_status tkc_take_last(struct truekv *kv, struct truekv_last *out);
enum truekv_status tkc_take_scrub(struct truekv *kv, struct truekv_scrub *out);

#endif
