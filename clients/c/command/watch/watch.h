/* watch.h - a daemon looked at again and again: "truekv stats --watch"; "truekv top" is cmd_top().
 */
#ifndef TRUEKV_COMMAND_WATCH_WATCH_H
#define TRUEKV_COMMAND_WATCH_WATCH_H

#include "clients/c/command/command.h"

enum exit_code watch_stats(struct app *app);

/* --interval and --count. count UINT64_MAX: without end. false: it has been said what is wrong. */
bool watch_options(struct app *app, uint64_t *interval_ns, uint64_t *count);

/* The tick after now of those at start, start + interval, ...: those that were missed are left out.
 */
uint64_t watch_next(uint64_t tick_ns, uint64_t interval_ns, uint64_t now_ns);

#endif
