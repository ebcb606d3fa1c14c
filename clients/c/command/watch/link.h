/* link.h - a connection that is made again when the daemon comes back. One thread.
 *
 * It counts as lost until an answer has come: a daemon that stands still takes connections, too. */
#ifndef TRUEKV_COMMAND_WATCH_LINK_H
#define TRUEKV_COMMAND_WATCH_LINK_H

#include "clients/c/command/command.h"

struct link {
    struct app *app;  /* borrowed; app->kv is the connection while up */
    bool up, lost;    /* there is a socket; no answer has come since the loss */
    uint64_t lost_ns; /* lost: since when */
    uint64_t back_ns; /* when it was found again; 0: it was never lost */
    uint64_t away_ns; /* how long it was lost then */
    char why[sizeof((struct truekv_error *)NULL)->message]; /* lost: why */
};

/* Takes the connection that app_connect() has made. */
void link_init(struct link *l, struct app *app);

/* Whether an error passes when one waits: the daemon stops, restarts or is busy. */
bool link_passes(const struct truekv_error *e);

/* Closes the connection because of e, which may be its own. Whether that is news. */
bool link_lose(struct link *l, const struct truekv_error *e, uint64_t now_ns);

/* Tries to connect, for a second at most; false: l->why says why not. */
bool link_make(struct link *l);

/* An answer has come. Whether that is news. */
bool link_heard(struct link *l, uint64_t now_ns);

#endif
