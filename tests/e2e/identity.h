/* identity.h - connecting as another user, where the test runs as root. */
#ifndef TKV_TESTS_E2E_IDENTITY_H
#define TKV_TESTS_E2E_IDENTITY_H

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/wire.h"

enum { FX_STRANGER = 65534, FX_OTHER = 65533 /* users that own nothing here */ };

/* Whether the test can be somebody else; says so where it cannot. */
static inline bool may_change_user(const char *test)
{
    if (geteuid() == 0) return true;
    fprintf(stderr, "%s: skipped: only root can connect as another user\n", test);
    return false;
}

/* Lets other users reach the daemon's socket, as far as its own mode does. */
static inline void open_folder(const struct daemon *d)
{
    ck_assert_int_eq(chmod(d->dir, 0755), 0);
}

/* The kernel notes who connects, at that moment. A descriptor, or -1. */
static inline int connect_as(const struct daemon *d, uid_t uid)
{
    ck_assert_int_eq(setegid(uid), 0);
    ck_assert_int_eq(seteuid(uid), 0);
    int fd = wire_connect(d->socket);
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(setegid(0), 0);
    return fd;
}

static inline void open_as(struct wire *w, const struct daemon *d, uid_t uid)
{
    memset(w, 0, sizeof *w);
    w->fd = connect_as(d, uid);
    ck_assert_msg(w->fd >= 0, "user %u cannot connect", (unsigned)uid);
}

/* The daemon says why, with id null, and closes. */
static inline void expect_turned_away(struct wire *w, const char *reason)
{
    cJSON *answer = wire_answer(w);
    json_expect(answer, "id", "null");
    json_expect(answer, "error.data.reason", reason);
    cJSON_Delete(answer);
    ck_assert_ptr_null(wire_line(w));
}

/* server.stats' number of connections closed as `why`. */
static inline double closed_as(struct wire *w, const char *why)
{
    char path[64];
    snprintf(path, sizeof path, "result.closed.%s", why);
    cJSON *stats = wire_call(w, "server.stats", NULL);
    double n = json_number(stats, path);
    cJSON_Delete(stats);
    return n;
}

#endif
