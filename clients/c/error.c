#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/client_impl.h"

static const struct {
    const char *reason;
    int code;
} statuses[TRUEKV_STATUS_COUNT] = {
#define X(name, reason, code) {reason, code},
    TRUEKV_STATUS_MAP(X)
#undef X
};

/* The numbers of error.data that have a member in struct truekv_error. */
#define ERROR_NUMBERS(X) \
    X(seq)               \
    X(expected)          \
    X(len)               \
    X(capacity)          \
    X(needed)            \
    X(available)         \
    X(retry_after_ms)    \
    X(limit)             \
    X(size)

enum {
    MESSAGE_BYTES = sizeof((struct truekv_error *)NULL)->message,
    ITEMS_MAX = 65536 /* read from one error; more are in its JSON */
};

const char *truekv_reason(enum truekv_status status)
{
    if ((unsigned)status >= TRUEKV_STATUS_COUNT) status = TRUEKV_EUNKNOWN;
    return statuses[status].reason;
}

static void reset(struct truekv_error *e)
{
    *e = (struct truekv_error){0};
#define X(field) e->field = -1;
    ERROR_NUMBERS(X)
#undef X
}

/* Text from outside: one line, cut where it does not fit. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t n = 0;
    for (; from[n] != '\0' && n + 1 < size; n++)
        to[n] = (unsigned char)from[n] < 0x20 ? ' ' : from[n];
    for (int i = 0; i < 3 && from[n] != '\0' && n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80;
         i++)
        n--; /* not in the middle of a character, where it is one */
    to[n] = '\0';
}

static void set(struct truekv_error *e, enum truekv_status status, int os_error, const char *text)
{
    reset(e);
    e->status = status;
    e->os_error = os_error;
    copy_text(e->message, sizeof e->message, text);
    copy_text(e->reason, sizeof e->reason, truekv_reason(status));
}

enum truekv_status tkc_error_set(struct truekv_error *e, enum truekv_status status, int os_error,
                                 const char *fmt, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    set(e, status, os_error, text);
    return status;
}

enum truekv_status tkc_fail(struct truekv *kv, enum truekv_status status, const char *fmt, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    set(&kv->error, status, 0, text);
    return status;
}

enum truekv_status tkc_lose(struct truekv *kv, enum truekv_status status, int os_error,
                            const char *fmt, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    if (kv->lost) return tkc_fail_lost(kv); /* the first cause is the one to tell */
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    set(&kv->lost_why, status, os_error, text);
    kv->lost = true;
    return tkc_fail_lost(kv);
}

enum truekv_status tkc_fail_lost(struct truekv *kv)
{
    kv->error = kv->lost_why;
    return kv->error.status;
}

/* The status of a reason; of its code where the reason is new. */
static enum truekv_status status_of(const char *reason, int code)
{
    for (int i = 1; i < TRUEKV_STATUS_COUNT; i++) {
        if (statuses[i].code != 0 && strcmp(statuses[i].reason, reason) == 0)
            return (enum truekv_status)i;
    }
    for (int i = 1; i < TRUEKV_STATUS_COUNT; i++) {
        if (code != 0 && statuses[i].code == code) return (enum truekv_status)i;
    }
    return TRUEKV_EUNKNOWN;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL ? text : "";
}

/* -1 where the member is absent or no number that int64_t holds exactly. */
static int64_t number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 9.2e18)) return -1;
    return (int64_t)item->valuedouble;
}

static void take_items(struct truekv *kv, const cJSON *items)
{
    int n = cJSON_IsArray(items) ? cJSON_GetArraySize(items) : 0;
    const cJSON *item;
    if (n <= 0 || n > ITEMS_MAX) return;
    free(kv->items);
    kv->items = calloc((size_t)n, sizeof kv->items[0]);
    if (kv->items == NULL) return; /* the JSON still has them */
    cJSON_ArrayForEach(item, items)
    {
        struct truekv_item_error *to = &kv->items[kv->error.n_items++];
        const char *reason = text_of(item, "reason");
        int64_t index = number_of(item, "index"), seq = number_of(item, "seq");
        to->index = index >= 0 ? (size_t)index : 0;
        to->seq = seq >= 0 ? (uint64_t)seq : 0;
        to->status = status_of(reason, 0);
        to->expected = number_of(item, "expected");
        copy_text(to->reason, sizeof to->reason, reason);
    }
    kv->error.items = kv->items;
}

static void take_error(struct truekv *kv, const cJSON *error)
{
    struct truekv_error *e = &kv->error;
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(error, "data");
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(error, "code");
    const char *reason = text_of(data, "reason");
    e->code = cJSON_IsNumber(code) ? code->valueint : 0;
    e->status = status_of(reason, e->code);
    if (reason[0] == '\0') reason = truekv_reason(e->status);
    copy_text(e->reason, sizeof e->reason, reason);
    copy_text(e->message, sizeof e->message, text_of(error, "message"));
    copy_text(e->param, sizeof e->param, text_of(data, "param"));
#define X(field) e->field = number_of(data, #field);
    ERROR_NUMBERS(X)
#undef X
    take_items(kv, cJSON_GetObjectItemCaseSensitive(data, "items"));
}

enum truekv_status tkc_fail_json(struct truekv *kv, const char *text, size_t len)
{
    cJSON *error = cJSON_ParseWithLength(text, len);
    if (!cJSON_IsObject(error)) {
        cJSON_Delete(error);
        return tkc_fail(kv, TRUEKV_EANSWER, "the answer's error is no JSON object");
    }
    reset(&kv->error);
    take_error(kv, error);
    cJSON_Delete(error);
    free(kv->error_json);
    kv->error_json = strndup(text, len);
    kv->error.json = kv->error_json;
    return kv->error.status;
}

enum truekv_status tkc_lose_json(struct truekv *kv, const char *text, size_t len)
{
    enum truekv_status status = tkc_fail_json(kv, text, len);
    if (kv->lost) return tkc_fail_lost(kv);
    kv->lost = true;
    kv->lost_why = kv->error;
    kv->lost_why.items = NULL; /* these go with the next call */
    kv->lost_why.n_items = 0;
    kv->lost_why.json = NULL;
    return status;
}
