/* report_map.h - a group's heatmap for a terminal: layers down, K/V heads across, K beside V where
 * there is room, and a strip of positions under it. One thread. */
#ifndef TRUEKV_COMMAND_REPORT_MAP_H
#define TRUEKV_COMMAND_REPORT_MAP_H

#include "clients/c/command/findings.h"
#include "clients/c/command/out.h"

/* false: the daemon sent no map, and nothing was printed. */
bool report_map(struct out *o, const struct findings *f, const struct group *g);

#endif
