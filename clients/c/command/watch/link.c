#include "clients/c/command/watch/link.h"

#include <assert.h>

#include "clients/c/command/token.h"

enum { CONNECT_TIMEOUT_MS = 1000 };

void link_init(struct link *l, struct app *app)
{
    *l = (struct link){.app = app, .up = true};
}

bool link_passes(const struct truekv_error *e)
{
    switch (e->status) {
    case TRUEKV_ECONNECT:
    case TRUEKV_ELOST:
    case TRUEKV_ETIMEOUT:
    case TRUEKV_EDRAINING:
    case TRUEKV_EOVERLOADED: return true;
    default: return false;
    }
}

static void hang_up(struct link *l, const struct truekv_error *e)
{
    snprintf(l->why, sizeof l->why, "%s", e->message);
    truekv_close(l->app->kv);
    l->app->kv = NULL;
    l->up = false;
}

bool link_lose(struct link *l, const struct truekv_error *e, uint64_t now_ns)
{
    bool news = !l->lost;
    assert(l->up);
    hang_up(l, e);
    l->lost = true;
    if (news) l->lost_ns = now_ns;
    return news;
}

bool link_make(struct link *l)
{
    struct truekv_error why;
    assert(!l->up && l->lost);
    (void)token_read(l->app, why.message,
                     sizeof why.message); /* renewed, perhaps; else as it was */
    l->up = app_open(l->app, CONNECT_TIMEOUT_MS, &why);
    if (!l->up) hang_up(l, &why);
    return l->up;
}

bool link_heard(struct link *l, uint64_t now_ns)
{
    if (!l->lost) return false;
    l->lost = false;
    l->back_ns = now_ns;
    l->away_ns = now_ns - l->lost_ns;
    return true;
}
