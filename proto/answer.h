/* answer.h - typed results and errors into lines of JSON.
 * Each function writes one whole answer object without its newline, so that answers of a batch
 * array can be joined. id is the request's id text. One thread at a time; errors stick in the
 * buffer. */
#ifndef TKV_PROTO_ANSWER_H
#define TKV_PROTO_ANSWER_H

#include "proto/json.h"
#include "proto/request.h"
#include "proto/result.h"

/* Begins {"jsonrpc":"2.0","id":ID,"result": ; the caller writes one value, then calls end. */
void tkv_answer_begin(struct tkv_json *j, struct tkv_buffer *out, const char *id, size_t id_len);

/* Ends the object; payload_bytes > 0 adds the member "payload". */
void tkv_answer_end(struct tkv_json *j, uint64_t payload_bytes);

/* A whole error answer; items (n_items, may be 0) become error.data.items. */
void tkv_answer_error(struct tkv_buffer *out, const char *id, size_t id_len,
                      const struct tkv_error *error, const struct tkv_item_error *items,
                      size_t n_items);

/* The value of "result" for each method; used between begin and end. */
void tkv_put_server_info(struct tkv_json *j, const struct tkv_server_info *info);
void tkv_put_created(struct tkv_json *j, const struct tkv_created *created);
void tkv_put_appended(struct tkv_json *j, const uint64_t *lens, size_t m, uint64_t batch);
void tkv_put_truncated(struct tkv_json *j, uint64_t seq, uint64_t len);
void tkv_put_freed(struct tkv_json *j, uint64_t freed);
void tkv_put_info(struct tkv_json *j, const struct tkv_seq_state *state);
void tkv_put_list(struct tkv_json *j, const struct tkv_seq_state *states, size_t n,
                  const struct tkv_maybe *cursor);
/* data NULL: the bytes travel as payload. */
void tkv_put_read(struct tkv_json *j, const struct tkv_read_shape *shape, const void *data,
                  size_t bytes);
void tkv_put_verify(struct tkv_json *j, const struct tkv_verify_report *report);
void tkv_put_last(struct tkv_json *j, const struct tkv_last_report *last);
void tkv_put_scrub(struct tkv_json *j, const struct tkv_scrub_report *report);
void tkv_put_selftest(struct tkv_json *j, const struct tkv_selftest_report *report);
void tkv_put_armed(struct tkv_json *j, const char *const *faults, size_t n);
void tkv_put_empty(struct tkv_json *j); /* {} */

#endif
