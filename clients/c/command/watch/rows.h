/* rows.h - what "truekv stats --watch" prints for each interval: a row of fixed columns, or one
 * object of JSON. One thread. */
#ifndef TRUEKV_COMMAND_WATCH_ROWS_H
#define TRUEKV_COMMAND_WATCH_ROWS_H

#include "clients/c/command/out.h"
#include "clients/c/command/watch/sample.h"

/* Two lines, 79 columns at most, as are the rows. */
void rows_head(struct out *o, const struct sample *now);
void rows_put(struct out *o, const struct sample *before, const struct sample *now);

/* One line. A number that is not known is left out. */
void rows_json(FILE *to, const struct sample *before, const struct sample *now);

/* {"event":name,"message":...}; message NULL: there is none. */
void rows_json_event(FILE *to, const char *name, const char *message);

#endif
