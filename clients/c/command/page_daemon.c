#include <inttypes.h>

#include "clients/c/command/html.h"
#include "clients/c/command/out.h"
#include "clients/c/command/page.h"

enum { VALUE_BYTES = 1024 };

static void put_fact(FILE *to, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0') return;
    fprintf(to, "<tr>");
    html_element(to, "th", NULL, "%s", name);
    html_element(to, "td", NULL, "%s", value);
    fprintf(to, "</tr>\n");
}

/* "cuda on NVIDIA H100". */
static void put_device(FILE *to, const cJSON *info)
{
    const cJSON *devices = cJSON_GetObjectItemCaseSensitive(info, "devices");
    const char *backend = json_text(info, "backend");
    const char *name = json_text(cJSON_GetArrayItem(devices, 0), "name");
    char text[VALUE_BYTES];
    if (backend == NULL) return;
    snprintf(text, sizeof text, "%s%s%s", backend, name != NULL ? " on " : "",
             name != NULL ? name : "");
    put_fact(to, "backend", text);
}

static void put_models(FILE *to, const cJSON *info)
{
    const cJSON *models = cJSON_GetObjectItemCaseSensitive(info, "models"), *m;
    char text[VALUE_BYTES];
    cJSON_ArrayForEach(m, models)
    {
        const char *name = json_text(m, "name"), *dtype = json_text(m, "dtype");
        snprintf(text, sizeof text,
                 "%.256s: %" PRIu64 " layers, %" PRIu64 " K/V heads of %" PRIu64
                 " %.16s, room for %" PRIu64 " tokens",
                 name != NULL ? name : "?", json_count(m, "n_layers"), json_count(m, "n_kv_heads"),
                 json_count(m, "head_dim"), dtype != NULL ? dtype : "?", json_count(m, "capacity"));
        put_fact(to, "model", text);
    }
}

static void put_health(FILE *to, const cJSON *info)
{
    const cJSON *healthy = cJSON_GetObjectItemCaseSensitive(info, "healthy");
    const char *because = json_text(info, "unhealthy_because");
    char text[VALUE_BYTES];
    if (!cJSON_IsBool(healthy)) return;
    snprintf(text, sizeof text, "NO%s%.900s", because != NULL ? ": " : "",
             because != NULL ? because : "");
    put_fact(to, "healthy", cJSON_IsTrue(healthy) ? "yes" : text);
}

/* The numbers of one group of server.stats, as they are called there. */
static void put_group(FILE *to, const cJSON *stats, const char *name)
{
    const cJSON *group = cJSON_GetObjectItemCaseSensitive(stats, name), *item;
    char text[VALUE_BYTES], count[32];
    size_t used = 0;
    text[0] = '\0';
    cJSON_ArrayForEach(item, group)
    {
        if (item->string == NULL || !cJSON_IsNumber(item)) continue;
        int n =
            snprintf(text + used, sizeof text - used, "%s%s %s", used > 0 ? ", " : "", item->string,
                     out_count(json_count(group, item->string), count, sizeof count));
        if (n < 0 || (size_t)n >= sizeof text - used) break;
        used += (size_t)n;
    }
    put_fact(to, name, text);
}

void page_daemon(FILE *to, const struct page *page)
{
    char up[32];
    double uptime = json_number(page->info, "uptime_s");
    fprintf(to, "<div class=\"wide\"><table class=\"daemon\">\n");
    put_fact(to, "asked on", page->host);
    put_fact(to, "at", page->when);
    put_fact(to, "daemon", page->address);
    put_fact(to, "version", json_text(page->info, "version"));
    put_device(to, page->info);
    put_fact(to, "up for", isfinite(uptime) ? out_duration(uptime, up, sizeof up) : "");
    put_health(to, page->info);
    put_models(to, page->info);
    put_group(to, page->stats, "journal");
    put_group(to, page->stats, "shadow");
    fprintf(to, "</table></div>\n");
}

uint64_t page_layers(const cJSON *info)
{
    const cJSON *models = cJSON_GetObjectItemCaseSensitive(info, "models"), *m;
    uint64_t layers = 0;
    cJSON_ArrayForEach(m, models)
    {
        uint64_t n = json_count(m, "n_layers");
        if (layers != 0 && n != layers) return 0;
        layers = n;
    }
    return layers;
}
