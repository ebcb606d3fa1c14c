/* decode.h - params of every method into struct tkv_request. One thread at a time. */
#ifndef TKV_PROTO_DECODE_H
#define TKV_PROTO_DECODE_H

#include "proto/reader.h"

/* The method called word; false where there is none. */
bool tkv_method_from_word(const char *word, enum tkv_method *out);

/* Fills request->params as request->method asks for; request->payload_bytes is set. params is an
 * object, or NULL where it was absent. Not TKV_OK: *reader->error says why. */
enum tkv_status tkv_decode_params(struct tkv_reader *reader, const cJSON *params, bool in_batch,
                                  struct tkv_request *request);

/* The params of seq.append; its own file, as it is as long as all the others. */
enum tkv_status tkv_decode_append(struct tkv_reader *reader, const cJSON *params,
                                  struct tkv_request *request);

#endif
