/* page.h - a report of debug.verify as one page of HTML that needs nothing beside it: no script, no
 * fetch, pictures drawn inside. For a browser, a ticket or paper. One thread. */
#ifndef TRUEKV_COMMAND_PAGE_H
#define TRUEKV_COMMAND_PAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "clients/c/command/findings.h"

/* Text that is not known is "", an object NULL. All borrowed. */
struct page {
    const cJSON *result; /* debug.verify's */
    const char *json;    /* the daemon's answer, as it came */
    const char *kept;    /* where a kept report is from, a sentence; "": it is a new one */
    const char *part;    /* on what was left out as the command line asked */
    const char *planted; /* a sentence on planted faults */
    const char *earlier; /* that something else was found before */
    const char *host, *when, *address; /* of the machine that asked; UTC; of the daemon */
    const cJSON *info, *stats;         /* server.info's and server.stats' results */
};

/* false: no memory. Whether `to` took it all, ferror() says. */
bool page_write(FILE *to, const struct page *page);

/* ---- page_map.c */

/* A group's heatmap as pictures, with their legend; n_layers of the model, 0: not known. false:
 * there is none, and nothing is written. */
bool page_map(FILE *to, const struct findings *f, const struct group *g, uint64_t n_layers);

/* ---- page_daemon.c */

/* Whose report it is: a table of what is known of the daemon. */
void page_daemon(FILE *to, const struct page *page);

/* The layers of all models; 0 where they differ, or are not known. */
uint64_t page_layers(const cJSON *info);

/* ---- page_style.c */
extern const char page_style[];

#endif
