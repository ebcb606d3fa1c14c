/* quick.h - the line that serving sends over and over, read in one pass.
 *
 * A plain seq.append from a payload: no escapes, no data, digits only, nothing that is doubtful.
 * Whatever is not plainly right is left alone, so that the ordinary way (gate, cJSON, decode) is
 * the only one that knows errors and odd spellings; what is taken reads as it would have there. Any
 * thread. */
#ifndef TKV_PROTO_QUICK_H
#define TKV_PROTO_QUICK_H

#include "proto/arena.h"
#include "proto/request.h"

enum { TKV_QUICK_ITEMS_MAX = 512 }; /* a longer seqs goes the ordinary way */

/* True: the line is taken and *request filled; its id and arrays are the arena's (which knows where
 * there was no memory). False: nothing has been changed. request is as init_request() left it. */
bool tkv_quick_append(const char *line, size_t len, struct tkv_request *request,
                      struct tkv_arena *arena);

/* tkv_message_parse() that takes no line the quick way: what tests compare it with. */
struct tkv_message *tkv_message_parse_ordinary(const char *line, size_t len);

#endif
