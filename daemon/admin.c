#include "daemon/admin.h"

#include <stdio.h>

#include "daemon/notify.h"
#include "daemon/server.h"

enum { MESSAGE_MAX = 512, KEYS_CHARS = 1024 };

/* "a,b,c", in out. Returns out. */
static const char *join(const char *const *keys, size_t n, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && used < size; i++) {
        int written = snprintf(out + used, size - used, "%s%s", i > 0 ? "," : "", keys[i]);
        used += written > 0 ? (size_t)written : 0;
    }
    return out;
}

static void tell(const struct tkv_reload *report)
{
    char changed[KEYS_CHARS], waiting[KEYS_CHARS];
    tkv_log(TKV_LOG_INFO, "reloaded", "changed=\"%s\" needs_restart=\"%s\"",
            join(report->changed, report->n_changed, changed, sizeof changed),
            join(report->waiting, report->n_waiting, waiting, sizeof waiting));
}

enum tkv_status tkv_admin_reload(struct tkv_server *server, const struct tkv_request *request,
                                 struct tkv_error *error)
{
    struct tkv_admin *admin = &server->admin;
    struct tkv_reload report;
    char message[MESSAGE_MAX] = "there is no configuration file", quoted[MESSAGE_MAX + 64];
    enum tkv_status st = TKV_ENOTSUP;
    tkv_notify_reloading();
    if (admin->reload != NULL) st = admin->reload(admin->arg, &report, message, sizeof message);
    tkv_notify_reloaded();
    if (st == TKV_OK) {
        admin->reloaded = report;
        tell(&report);
        return TKV_OK;
    }
    tkv_log(TKV_LOG_ERROR, "reload_failed", "what=%s",
            tkv_log_quote(message, quoted, sizeof quoted));
    if (st == TKV_EINVAL) return tkv_error_param(error, "config", "nothing changed: %s", message);
    return tkv_error_set(error, st, "nothing changed: %s", message);
}

enum tkv_status tkv_admin_drain(struct tkv_server *server, const struct tkv_request *request,
                                struct tkv_error *error)
{
    tkv_server_drain(server, "admin.drain");
    return TKV_OK;
}

enum tkv_status tkv_admin_log_level(struct tkv_server *server, const struct tkv_request *request,
                                    struct tkv_error *error)
{
    enum tkv_log_level level = TKV_LOG_INFO;
    (void)tkv_log_level_from_word(request->params.admin_level.level, &level); /* decode.c has */
    server->admin.level_was = tkv_log_level();
    tkv_log(TKV_LOG_INFO, "log_level", "level=%s was=%s", tkv_log_level_word(level),
            tkv_log_level_word(server->admin.level_was));
    tkv_log_set_level(level);
    return TKV_OK;
}
