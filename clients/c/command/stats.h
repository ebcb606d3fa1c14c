/* stats.h - any object of numbers, flat or nested, as aligned groups. */
#ifndef TRUEKV_COMMAND_STATS_H
#define TRUEKV_COMMAND_STATS_H

#include "clients/c/command/json_in.h"
#include "clients/c/command/out.h"

/* Groups are the outermost objects, or what stands before the first '.' or '_' of a flat name that
 * others share. Sizes and durations are told by their names' ends. */
void stats_print(struct out *o, const cJSON *result);

#endif
