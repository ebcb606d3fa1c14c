#include "clients/c/command/stats.h"

#include <stdio.h>
#include <string.h>

#include "base/sizes.h"
#include "clients/c/command/table.h"

enum { NAME_BYTES = 128, DEPTH_MAX = 8 };

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool is_size(const char *name)
{
    return ends_with(name, "bytes") || ends_with(name, "bytes_in") ||
           ends_with(name, "bytes_out") || ends_with(name, "bytes_total");
}

/* What a number means, for people; "" where the number says it. */
static void explain(const char *name, double value, char *text, size_t size)
{
    text[0] = '\0';
    if (is_size(name) && value >= 1024 && value < 9.2e18)
        tkv_format_size((uint64_t)value, text, (unsigned)size);
    if (ends_with(name, "_us") && value >= 1000) out_duration(value / 1e6, text, size);
    if (ends_with(name, "_ms") && value >= 1000) out_duration(value / 1e3, text, size);
    if ((ends_with(name, "_s") || ends_with(name, "_seconds")) && value >= 120)
        out_duration(value, text, size);
}

static void put_number(struct table *t, const char *name, double value)
{
    char text[64];
    table_cell(t, "%s", name);
    if (value >= 0 && value < 9e15 && value == floor(value))
        table_cell(t, "%s", out_count((uint64_t)value, text, sizeof text));
    else
        table_cell(t, "%.6g", value);
    explain(name, value, text, sizeof text);
    table_cell(t, "%s", text);
}

static void put_value(struct table *t, const char *name, const cJSON *value)
{
    if (cJSON_IsNumber(value)) {
        put_number(t, name, value->valuedouble);
        return;
    }
    char *text = cJSON_PrintUnformatted(value);
    table_cell(t, "%s", name);
    table_cell(t, "%s", text != NULL ? text : "?");
    table_cell(t, "%s", "");
    cJSON_free(text);
}

/* All of an object's members, with the names of inner objects before theirs. */
static void put_members(struct table *t, const char *prefix, const cJSON *object, int depth)
{
    const cJSON *item;
    char name[NAME_BYTES];
    cJSON_ArrayForEach(item, object)
    {
        snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", item->string);
        if (cJSON_IsObject(item) && depth < DEPTH_MAX)
            put_members(t, name, item, depth + 1);
        else
            put_value(t, name, item);
    }
}

static void begin_group(struct out *o, struct table *t, const char *name, size_t len, bool *first)
{
    static const char *const heads[] = {"", ">", ""};
    char title[NAME_BYTES];
    if (!*first) fputc('\n', o->to);
    *first = false;
    snprintf(title, sizeof title, "%.*s", (int)len, name);
    if (len > 0) out_put(o, BOLD, "%s\n", out_clean(title));
    table_init(t, heads, 3);
}

static void end_group(struct out *o, struct table *t, size_t len)
{
    table_print(t, o, len > 0 ? 2 : 0);
    table_close(t);
}

static size_t prefix_of(const cJSON *item)
{
    return strcspn(item->string, "._");
}

static bool same_prefix(const cJSON *a, const cJSON *b)
{
    size_t n = prefix_of(a);
    return b != NULL && !cJSON_IsObject(b) && prefix_of(b) == n && a->string[n] != '\0' &&
           b->string[n] != '\0' && strncmp(a->string, b->string, n) == 0;
}

/* Flat members from `item` on that share their prefix, or have neighbours of no group. Returns the
 * first that was not taken. */
static const cJSON *put_flat(struct out *o, const cJSON *item, bool *first)
{
    struct table t;
    bool group = same_prefix(item, item->next);
    size_t len = group ? prefix_of(item) : 0;
    const cJSON *head = item;
    begin_group(o, &t, item->string, len, first);
    for (; item != NULL && !cJSON_IsObject(item); item = item->next) {
        if (group ? !same_prefix(head, item) : same_prefix(item, item->next)) break;
        put_value(&t, item->string + (group ? len + 1 : 0), item);
    }
    end_group(o, &t, len);
    return item;
}

void stats_print(struct out *o, const cJSON *result)
{
    bool first = true;
    const cJSON *item = result != NULL ? result->child : NULL;
    while (item != NULL) {
        struct table t;
        if (!cJSON_IsObject(item)) {
            item = put_flat(o, item, &first);
            continue;
        }
        begin_group(o, &t, item->string, strlen(item->string), &first);
        put_members(&t, "", item, 0);
        end_group(o, &t, 1);
        item = item->next;
    }
}
