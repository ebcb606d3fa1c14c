#include "daemon/config.h"

#include <inttypes.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sizes.h"
#include "daemon/address.h"
#include "daemon/config_text.h"
#include "daemon/settings.h"

enum { KEY_MAX = 128, VALUE_MAX = 64, NAME_MAX_BYTES = 256 };

/* One file on its way into a config. */
struct loader {
    struct tkv_config *config;
    const char *path;
    char *message;
    size_t size;
};

void tkv_config_init(struct tkv_config *config)
{
    memset(config, 0, sizeof *config);
    for (const struct tkv_setting *s = tkv_settings; s->key != NULL; s++) {
        if (s->kind < TKV_SETTING_TEXT) tkv_setting_set(s, config, s->fallback);
    }
}

void tkv_config_clear_listen(struct tkv_config *config)
{
    for (size_t i = 0; i < config->n_listen; i++)
        free(config->listen[i]);
    config->n_listen = 0;
}

void tkv_config_close(struct tkv_config *config)
{
    tkv_config_clear_listen(config);
    for (size_t i = 0; i < config->n_models; i++)
        free((char *)config->models[i].name);
    config->n_models = 0;
    for (const struct tkv_setting *s = tkv_settings; s->key != NULL; s++) {
        if (s->kind != TKV_SETTING_TEXT) continue;
        free((char *)tkv_setting_text(s, config));
        tkv_setting_set_text(s, config, NULL);
    }
}

enum tkv_status tkv_config_add_listen(struct tkv_config *config, const char *address, char *message,
                                      size_t size)
{
    struct tkv_address parsed;
    if (tkv_address_parse(&parsed, address, message, size) != TKV_OK) return TKV_EINVAL;
    for (size_t i = 0; i < config->n_listen; i++) {
        if (strcmp(config->listen[i], address) != 0) continue;
        snprintf(message, size, "\"%s\" stands twice; name each address once", address);
        return TKV_EINVAL;
    }
    if (config->n_listen == TKV_LISTEN_MAX) {
        snprintf(message, size, "more than %d addresses; leave some out", TKV_LISTEN_MAX);
        return TKV_EINVAL;
    }
    char *copy = strdup(address);
    if (copy == NULL) return TKV_ENOMEM;
    config->listen[config->n_listen++] = copy;
    return TKV_OK;
}

/* Writes "FILE:LINE: key: " and what is wrong with the setting; what would be right stands in fmt.
 */
static enum tkv_status __attribute__((format(printf, 4, 5)))
fail(struct loader *l, const config_setting_t *at, const char *key, const char *fmt, ...)
{
    unsigned line = config_setting_source_line(at);
    int n = snprintf(l->message, l->size, "%s:%u: %s: ", l->path, line > 0 ? line : 1, key);
    size_t used = n > 0 ? (size_t)n : 0;
    va_list args;
    va_start(args, fmt);
    if (used < l->size) vsnprintf(l->message + used, l->size - used, fmt, args);
    va_end(args);
    return TKV_EINVAL;
}

static enum tkv_status fail_unknown(struct loader *l, const config_setting_t *at, const char *key,
                                    const struct tkv_setting *table)
{
    const char *nearest = tkv_settings_nearest(table, key);
    if (nearest != NULL)
        return fail(l, at, key, "there is no such setting; did you mean \"%s\"?", nearest);
    return fail(l, at, key, "there is no such setting; truekvd --help lists them all");
}

static enum tkv_status fail_range(struct loader *l, const config_setting_t *at, const char *key,
                                  const struct tkv_setting *s, const char *value)
{
    char min[VALUE_MAX], max[VALUE_MAX];
    return fail(l, at, key, "%s is out of range; %s to %s would be right", value,
                tkv_setting_format(s, s->min, min, sizeof min),
                tkv_setting_format(s, s->max, max, sizeof max));
}

static enum tkv_status take_number(struct loader *l, const config_setting_t *at, const char *key,
                                   const struct tkv_setting *s, void *base)
{
    char text[VALUE_MAX];
    long long value = config_setting_get_int64(at); /* takes both widths */
    if (value < 0 || (uint64_t)value < s->min || (uint64_t)value > s->max) {
        snprintf(text, sizeof text, "%lld", value);
        return fail_range(l, at, key, s, text);
    }
    tkv_setting_set(s, base, (uint64_t)value);
    return TKV_OK;
}

static enum tkv_status take_size(struct loader *l, const config_setting_t *at, const char *key,
                                 const struct tkv_setting *s, void *base)
{
    const char *text = config_setting_get_string(at);
    uint64_t value = 0;
    enum tkv_status st = tkv_parse_size(text, &value);
    if (st == TKV_EINVAL)
        return fail(l, at, key, "\"%.40s\" is not a size; such as \"64M\" or \"40G\" is", text);
    if (st == TKV_ERANGE || value < s->min || value > s->max)
        return fail_range(l, at, key, s, text);
    tkv_setting_set(s, base, value);
    return TKV_OK;
}

static enum tkv_status take_word(struct loader *l, const config_setting_t *at, const char *key,
                                 const struct tkv_setting *s, void *base)
{
    const char *text = config_setting_get_string(at);
    int place = tkv_words_find(s->words, text);
    if (place < 0) return fail(l, at, key, "\"%.40s\" is none of %s", text, s->words);
    tkv_setting_set(s, base, (uint64_t)place);
    return TKV_OK;
}

/* What names may hold, so that logs, metrics and JSON show them as they are. */
static bool is_name(const char *text)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "._-:/@+[]";
    size_t n = strlen(text);
    return n > 0 && n <= NAME_MAX_BYTES && strspn(text, fine) == n;
}

static enum tkv_status take_text(struct loader *l, const config_setting_t *at, const char *key,
                                 const struct tkv_setting *s, void *base)
{
    const char *text = config_setting_get_string(at);
    if (text[0] == '\0' && base == l->config) return TKV_OK; /* none, but a model has a name */
    if (!is_name(text))
        return fail(l, at, key, "\"%.40s\" is no name; 1 to %d letters, digits and ._-:/@+[] are",
                    text, NAME_MAX_BYTES);
    char *copy = strdup(text);
    if (copy == NULL) return TKV_ENOMEM;
    tkv_setting_set_text(s, base, copy);
    return TKV_OK;
}

static enum tkv_status take_part(struct loader *l, const config_setting_t *at, const char *key,
                                 const struct tkv_setting *s, void *base)
{
    char text[VALUE_MAX];
    bool whole = config_setting_type(at) != CONFIG_TYPE_FLOAT;
    double value = whole ? (double)config_setting_get_int64(at) : config_setting_get_float(at);
    if (!(value >= 0 && value <= 1)) {
        snprintf(text, sizeof text, "%.9g", value);
        return fail_range(l, at, key, s, text);
    }
    uint64_t part = (uint64_t)(value * TKV_WHOLE + 0.5);
    tkv_setting_set(s, base, value > 0 && part == 0 ? 1 : part); /* little is not nothing */
    return TKV_OK;
}

static enum tkv_status take_mode(struct loader *l, const config_setting_t *at, const char *key,
                                 const struct tkv_setting *s, void *base)
{
    const char *text = config_setting_get_string(at);
    size_t n = strspn(text, "01234567");
    if (n == 0 || n > 4 || text[n] != '\0' || strtoul(text, NULL, 8) > s->max)
        return fail(l, at, key, "\"%.40s\" is no mode; three octal digits such as \"0660\" are",
                    text);
    tkv_setting_set(s, base, strtoul(text, NULL, 8));
    return TKV_OK;
}

/* Any setting but a list, into the struct at base. */
static enum tkv_status take_value(struct loader *l, const config_setting_t *at, const char *key,
                                  const struct tkv_setting *s, void *base)
{
    static const char *const wanted[] = {
        [TKV_SETTING_COUNT] = "a whole number",
        [TKV_SETTING_SIZE] = "a size such as \"64M\"",
        [TKV_SETTING_FLAG] = "true or false",
        [TKV_SETTING_WORD] = "a word in quotes",
        [TKV_SETTING_TEXT] = "text in quotes",
        [TKV_SETTING_PART] = "a number from 0.0 to 1.0",
        [TKV_SETTING_MODE] = "octal digits in quotes, such as \"0660\"",
    };
    int type = config_setting_type(at);
    bool number = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
    bool string = type == CONFIG_TYPE_STRING;
    if (number && (s->kind == TKV_SETTING_COUNT || s->kind == TKV_SETTING_SIZE))
        return take_number(l, at, key, s, base);
    if ((number || type == CONFIG_TYPE_FLOAT) && s->kind == TKV_SETTING_PART)
        return take_part(l, at, key, s, base);
    if (string && s->kind == TKV_SETTING_SIZE) return take_size(l, at, key, s, base);
    if (string && s->kind == TKV_SETTING_MODE) return take_mode(l, at, key, s, base);
    if (string && s->kind == TKV_SETTING_WORD) return take_word(l, at, key, s, base);
    if (string && s->kind == TKV_SETTING_TEXT) return take_text(l, at, key, s, base);
    if (type != CONFIG_TYPE_BOOL || s->kind != TKV_SETTING_FLAG)
        return fail(l, at, key, "has the wrong type; it must be %s", wanted[s->kind]);
    tkv_setting_set(s, base, config_setting_get_bool(at) != 0);
    return TKV_OK;
}

static enum tkv_status take_listen(struct loader *l, const config_setting_t *at)
{
    char why[KEY_MAX * 2] = "";
    if (config_setting_type(at) != CONFIG_TYPE_ARRAY && config_setting_type(at) != CONFIG_TYPE_LIST)
        return fail(l, at, "listen", "has the wrong type; it must be an array: [\"%s\"]",
                    TKV_LISTEN_DEFAULT);
    for (unsigned i = 0; i < (unsigned)config_setting_length(at); i++) {
        const char *address = config_setting_get_string_elem(at, (int)i);
        if (address == NULL) return fail(l, at, "listen", "an address must be text in quotes");
        enum tkv_status st = tkv_config_add_listen(l->config, address, why, sizeof why);
        if (st == TKV_EINVAL) return fail(l, at, "listen", "%s", why);
        if (st != TKV_OK) return st;
    }
    if (config_setting_length(at) == 0)
        return fail(l, at, "listen", "is empty; name one address at least, or leave it out");
    return TKV_OK;
}

/* A list of the group auth. */
static enum tkv_status take_access(struct loader *l, const config_setting_t *at, const char *key)
{
    char why[KEY_MAX * 2] = "";
    enum tkv_status st = tkv_access_take(l->config, key, &at, why, sizeof why);
    return st == TKV_EINVAL ? fail(l, at, key, "%s", why) : st;
}

static const struct tkv_setting *find(const struct tkv_setting *table, const char *key)
{
    for (; table->key != NULL; table++) {
        if (strcmp(table->key, key) == 0) return table;
    }
    return NULL;
}

static enum tkv_status check_model(struct loader *l, const config_setting_t *group,
                                   const struct tkv_model *model, const char *prefix)
{
    char key[KEY_MAX];
    size_t bytes;
    for (const struct tkv_setting *s = tkv_model_settings; s->key != NULL; s++) {
        if (config_setting_get_member(group, s->key) != NULL) continue;
        snprintf(key, sizeof key, "%s.%s", prefix, s->key);
        return fail(l, group, key, "is missing; give the model its %s (%s)", s->key, s->meaning);
    }
    for (size_t i = 0; &l->config->models[i] != model; i++) {
        if (strcmp(l->config->models[i].name, model->name) != 0) continue;
        return fail(l, config_setting_get_member(group, "name"), prefix,
                    "a model before it is called \"%s\", too; each needs a name of its own",
                    model->name);
    }
    if (!tkv_cache_bytes(&model->geom, model->capacity, &bytes) || bytes > TKV_PIB)
        return fail(l, group, prefix, "one sequence would take more than 1024T; check its numbers");
    return TKV_OK;
}

static enum tkv_status take_model(struct loader *l, const config_setting_t *group, unsigned n)
{
    char prefix[KEY_MAX / 2], key[KEY_MAX];
    snprintf(prefix, sizeof prefix, "models[%u]", n);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP)
        return fail(l, group, prefix, "has the wrong type; it must be a group: { name = ...; }");
    struct tkv_model *model = &l->config->models[l->config->n_models++];
    for (unsigned i = 0; i < (unsigned)config_setting_length(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, i);
        const struct tkv_setting *s = find(tkv_model_settings, config_setting_name(at));
        snprintf(key, sizeof key, "%s.%.60s", prefix, config_setting_name(at));
        if (s == NULL) {
            const char *near = tkv_settings_nearest(tkv_model_settings, config_setting_name(at));
            return fail(l, at, key, "there is no such member; %s%s", near ? "did you mean " : "",
                        near ? near
                             : "a model has name, n_layers, n_kv_heads, head_dim, dtype, "
                               "capacity");
        }
        enum tkv_status st = take_value(l, at, key, s, model);
        if (st != TKV_OK) return st;
    }
    return check_model(l, group, model, prefix);
}

static enum tkv_status take_models(struct loader *l, const config_setting_t *at)
{
    enum tkv_status st = TKV_OK;
    if (config_setting_type(at) != CONFIG_TYPE_LIST)
        return fail(l, at, "models",
                    "has the wrong type; it must be a list of groups: ( { name = ...; } )");
    if (config_setting_length(at) > TKV_MODELS_MAX)
        return fail(l, at, "models", "has more than %d models; leave some out", TKV_MODELS_MAX);
    for (unsigned i = 0; st == TKV_OK && i < (unsigned)config_setting_length(at); i++)
        st = take_model(l, config_setting_get_elem(at, i), i);
    return st;
}

/* Whether the table has settings inside the group called key. */
static bool is_group_of(const struct tkv_setting *table, const char *key)
{
    size_t n = strlen(key);
    for (; table->key != NULL; table++) {
        if (strncmp(table->key, key, n) == 0 && table->key[n] == '.') return true;
    }
    return false;
}

/* The members of a group (prefix "batch.") or of the file (prefix ""). */
static enum tkv_status take_members(struct loader *l, const config_setting_t *group,
                                    const char *prefix)
{
    enum tkv_status st = TKV_OK;
    for (unsigned i = 0; st == TKV_OK && i < (unsigned)config_setting_length(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, i);
        char key[KEY_MAX];
        snprintf(key, sizeof key, "%s%.60s", prefix, config_setting_name(at));
        const struct tkv_setting *s = find(tkv_settings, key);
        if (strcmp(key, "listen") == 0) {
            st = take_listen(l, at);
        } else if (strcmp(key, "models") == 0) {
            st = take_models(l, at);
        } else if (s != NULL && s->kind == TKV_SETTING_LIST) {
            st = take_access(l, at, key);
        } else if (s != NULL) {
            st = take_value(l, at, key, s, l->config);
        } else if (!is_group_of(tkv_settings, key)) {
            st = fail_unknown(l, at, key, tkv_settings);
        } else if (config_setting_type(at) != CONFIG_TYPE_GROUP) {
            st = fail(l, at, key, "has the wrong type; it must be a group: %s: { ... };", key);
        } else {
            char inner[KEY_MAX];
            snprintf(inner, sizeof inner, "%.100s.", key);
            st = take_members(l, at, inner);
        }
    }
    return st;
}

static enum tkv_status check_http(struct loader *l, const config_t *file)
{
    struct tkv_address parsed;
    char why[KEY_MAX * 2] = "";
    const char *address = l->config->http_listen;
    if (address == NULL || tkv_address_parse(&parsed, address, why, sizeof why) == TKV_OK)
        return TKV_OK;
    return fail(l, config_lookup(file, "http.listen"), "http.listen", "%s", why);
}

static enum tkv_status check_access(struct loader *l, const config_t *file)
{
    const char *key = NULL;
    char why[KEY_MAX * 2] = "";
    enum tkv_status st = tkv_access_check_file(l->config, &key, why, sizeof why);
    if (st != TKV_EINVAL) return st;
    const config_setting_t *at = config_lookup(file, key);
    return fail(l, at != NULL ? at : config_root_setting(file), key, "%s", why);
}

/* What no setting shows alone. */
static enum tkv_status check_whole(struct loader *l, const config_t *file)
{
    const struct tkv_config *c = l->config;
    const config_setting_t *root = config_root_setting(file);
    if (c->n_models == 0)
        return fail(l, root, "models",
                    "there is none; add models = ( { name = \"...\"; n_layers = ...; } );");
    if (c->limits_staging_bytes < c->limits_max_payload_bytes) {
        const config_setting_t *at = config_lookup(file, "limits.staging_bytes");
        return fail(l, at != NULL ? at : root, "limits.staging_bytes",
                    "%" PRIu64 " cannot hold one payload; limits.max_payload_bytes (%" PRIu64
                    ") or more would be right",
                    c->limits_staging_bytes, c->limits_max_payload_bytes);
    }
    enum tkv_status st = check_http(l, file);
    return st == TKV_OK ? check_access(l, file) : st;
}

enum tkv_status tkv_config_load(struct tkv_config *config, const char *path, char *message,
                                size_t size)
{
    struct loader l = {.config = config, .path = path, .message = message, .size = size};
    struct tkv_buffer text;
    config_t file;
    snprintf(message, size, "%s: out of memory", path);
    tkv_buffer_init(&text, (size_t)2 * TKV_CONFIG_FILE_MAX);
    enum tkv_status st = tkv_config_text_read(path, &text, message, size);
    if (st != TKV_OK) goto close_text;
    config_init(&file);
    if (config_read_string(&file, (const char *)text.data) != CONFIG_TRUE) {
        snprintf(message, size, "%s:%d: %s here or just before; a setting is name = value;", path,
                 config_error_line(&file), config_error_text(&file));
        st = TKV_EINVAL;
    } else {
        st = take_members(&l, config_root_setting(&file), "");
        if (st == TKV_OK) st = check_whole(&l, &file);
    }
    config_destroy(&file);
close_text:
    tkv_buffer_close(&text);
    return st;
}
