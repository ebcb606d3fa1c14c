/* config_reload.c - a running daemon's configuration, compared with a file's. */
#include <assert.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/settings.h"

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_listen(const struct tkv_config *a, const struct tkv_config *b)
{
    if (a->n_listen != b->n_listen) return false;
    for (size_t i = 0; i < a->n_listen; i++) {
        if (strcmp(a->listen[i], b->listen[i]) != 0) return false;
    }
    return true;
}

static bool same_models(const struct tkv_config *a, const struct tkv_config *b)
{
    if (a->n_models != b->n_models) return false;
    for (size_t i = 0; i < a->n_models; i++) {
        const struct tkv_model *m = &a->models[i], *n = &b->models[i];
        if (strcmp(m->name, n->name) != 0 || m->capacity != n->capacity) return false;
        if (memcmp(&m->geom, &n->geom, sizeof m->geom) != 0) return false;
    }
    return true;
}

static bool same(const struct tkv_setting *s, const struct tkv_config *a,
                 const struct tkv_config *b)
{
    if (s->kind == TKV_SETTING_TEXT)
        return same_text(tkv_setting_text(s, a), tkv_setting_text(s, b));
    if (s->kind != TKV_SETTING_LIST) return tkv_setting_get(s, a) == tkv_setting_get(s, b);
    if (strcmp(s->key, "listen") == 0) return same_listen(a, b);
    if (strcmp(s->key, "models") == 0) return same_models(a, b);
    return tkv_access_same(s->key, a, b);
}

void tkv_reload_tell(struct tkv_reload *report, const char *key)
{
    assert(report->n_changed < TKV_RELOAD_MAX);
    report->changed[report->n_changed++] = key;
}

void tkv_config_reload(struct tkv_config *config, const struct tkv_config *fresh,
                       struct tkv_reload *report)
{
    report->n_changed = report->n_waiting = 0;
    for (const struct tkv_setting *s = tkv_settings; s->key != NULL; s++) {
        if (same(s, config, fresh)) continue;
        if (!s->live) {
            assert(report->n_waiting < TKV_RELOAD_MAX);
            report->waiting[report->n_waiting++] = s->key;
            continue;
        }
        assert(s->kind != TKV_SETTING_TEXT); /* a string would have readers */
        if (s->kind == TKV_SETTING_LIST)
            tkv_access_copy(s->key, config, fresh);
        else
            tkv_setting_set(s, config, tkv_setting_get(s, fresh));
        tkv_reload_tell(report, s->key);
    }
}
