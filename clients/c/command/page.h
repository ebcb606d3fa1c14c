/* page.h - a report of debug.verify as one page of HTML that needs nothing beside it: no script, no
 * fetch, pictures drawn inside. For a browser, a ticket or paper. One thread. */
#ifndef TRUEKV_COMMAND_PAGE_H
#define TRUEKV_COMMAND_PAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "clients/c/command/findings.h"

struct page {
    const cJSON *result; /* debug.verify's; NULL: the daemon keeps no report */
    const char *json;    /* the daemon's answer, as it came */
    const char *kept;    /* where a kept report is from, a sentence; "": it is a new one */
    const char *note;    /* a sentence on planted faults, or "" */
    const char *made;    /* when and of which daemon */
};

/* false: no memory. Whether `to` took it all, ferror() says. */
bool page_write(FILE *to, const struct page *page);

/* ---- page_map.c */

/* A group's heatmap as pictures, with their legend. false: there is none, and nothing is written.
 */
bool page_map(FILE *to, const struct findings *f, const struct group *g);

/* ---- page_style.c */
extern const char page_style[];

#endif
