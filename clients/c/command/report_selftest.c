#include <inttypes.h>
#include <string.h>

#include "clients/c/command/report.h"
#include "clients/c/command/table.h"

static bool is_identical(const cJSON *item)
{
    return json_number(item, "mismatched_bytes") == 0;
}

static size_t count_divergent(const cJSON *items)
{
    const cJSON *item;
    size_t n = 0;
    cJSON_ArrayForEach(item, items) n += !is_identical(item);
    return n;
}

static void put_number(struct table *t, double value)
{
    if (isfinite(value))
        table_cell(t, "%.5g", value);
    else
        table_cell(t, "nan/inf");
}

/* What differs, and where; empty cells for a plane that is right. */
static void put_difference(struct table *t, const cJSON *item)
{
    const cJSON *worst = cJSON_GetObjectItemCaseSensitive(item, "worst");
    char text[32];
    table_cell(t, "%s", out_count(json_count(item, "mismatched_bytes"), text, sizeof text));
    put_number(t, json_number(item, "max_abs_diff"));
    if (is_identical(item)) {
        for (int i = 0; i < 3; i++)
            table_cell(t, "%s", "");
        return;
    }
    table_cell(t, "h%" PRIu64 " p%" PRIu64 " d%" PRIu64, json_count(worst, "kv_head"),
               json_count(worst, "kv_pos"), json_count(worst, "dim"));
    put_number(t, json_number(worst, "per_item"));
    put_number(t, json_number(worst, "batched"));
}

/* One count where both are equal. */
static void put_nonzero(struct table *t, const cJSON *nonzero)
{
    uint64_t per_item = json_count(nonzero, "per_item"), batched = json_count(nonzero, "batched");
    char a[32], b[32];
    out_count(per_item, a, sizeof a);
    out_count(batched, b, sizeof b);
    if (per_item == batched)
        table_cell(t, "%s", a);
    else
        table_cell(t, "%s / %s", a, b);
}

static void put_row(struct table *t, const cJSON *item)
{
    const cJSON *nonzero = cJSON_GetObjectItemCaseSensitive(item, "nonzero");
    const char *kv = json_text(item, "kv");
    table_cell(t, "%" PRIu64, json_count(item, "item"));
    table_cell(t, "%s", kv != NULL && strcmp(kv, "v") == 0 ? "V" : "K");
    table_cell(t, "%s", is_identical(item) ? "identical" : "DIFFERS");
    put_nonzero(t, nonzero);
    put_difference(t, item);
}

void report_selftest(struct out *o, const cJSON *result)
{
    static const char *const heads[] = {">ITEM",    "K|V",        "RESULT",
                                        ">NONZERO", ">BYTES OFF", ">MAX DIFF",
                                        "WORST AT", ">PER-ITEM",  ">BATCHED"};
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(result, "items"), *item;
    bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "ok"));
    int n = cJSON_IsArray(items) ? cJSON_GetArraySize(items) : 0;
    struct table t;
    char planes[48];
    out_plural((uint64_t)n, "plane", "planes", planes, sizeof planes);
    if (ok)
        out_para(o, 0, 0, GOOD,
                 "OK:", "batched and per-item appends are the same to the byte, in all %s.",
                 planes);
    else
        out_para(o, 0, 0, BAD, "FAILED:",
                 "batched and per-item appends differ in %zu of %s: the batched kernel of this "
                 "build, on this device, is wrong.",
                 count_divergent(items), planes);
    table_init(&t, heads, sizeof heads / sizeof heads[0]);
    cJSON_ArrayForEach(item, items) put_row(&t, item);
    fputc('\n', o->to);
    table_print(&t, o, 0);
    table_close(&t);
    if (!ok)
        out_para(o, 0, 0, DIM, "",
                 "h: K/V head, p: position, d: dimension; nonzero: per-item / batched where they "
                 "differ.");
}
