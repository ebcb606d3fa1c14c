#include "clients/c/command/heatmap.h"

#include <inttypes.h>
#include <stdio.h>

/* Larger numbers than any cache has; they keep sums of what came from outside within bounds. */
static const uint64_t PLACE_MAX = UINT64_C(1) << 53;
static const uint64_t PER_CELL_MAX = UINT64_C(1) << 32;
static const uint64_t BYTES_MAX = UINT64_C(1) << 48;
enum { CELLS_READ_MAX = 1 << 14 };

/* One list of a map: bytes by cell. */
struct cells {
    const cJSON *list;
    uint64_t first, per_cell, count;
};

static uint64_t at_most(uint64_t value, uint64_t max)
{
    return value < max ? value : max;
}

static struct cells cells_of(const cJSON *map, const char *name, const char *first,
                             const char *per_cell)
{
    struct cells c = {.list = cJSON_GetObjectItemCaseSensitive(map, name)};
    if (!cJSON_IsArray(c.list)) return (struct cells){0};
    c.count = at_most((uint64_t)cJSON_GetArraySize(c.list), CELLS_READ_MAX);
    c.first = first != NULL ? at_most(json_count(map, first), PLACE_MAX) : 0;
    c.per_cell = at_most(json_count(map, per_cell), PER_CELL_MAX);
    if (c.per_cell == 0) c.per_cell = 1;
    return c;
}

static struct cells heads_of(const struct divergence *d)
{
    return cells_of(d->map, "heads", NULL, "heads_per_cell");
}

static struct cells positions_of(const struct divergence *d)
{
    return cells_of(d->map, "positions", "pos", "positions_per_cell");
}

static uint64_t bytes_of(const cJSON *item)
{
    double bytes = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (!(bytes > 0)) return 0;
    return bytes < (double)BYTES_MAX ? (uint64_t)bytes : BYTES_MAX;
}

/* ---- Axes ---------------------------------------------------------------------------------- */

static void cover(struct heat_axis *axis, uint64_t first, uint64_t count, uint64_t per_cell)
{
    uint64_t last = first + count * per_cell - 1;
    if (count == 0) return;
    if (axis->per_cell == 0) *axis = (struct heat_axis){first, last, per_cell, 0};
    if (first < axis->first) axis->first = first;
    if (last > axis->last) axis->last = last;
    if (per_cell > axis->per_cell) axis->per_cell = per_cell;
}

/* Merges cells until there are few enough. */
static void divide(struct heat_axis *axis, size_t cells_max)
{
    if (axis->per_cell == 0) return;
    uint64_t n = axis->last - axis->first + 1, least = (n + cells_max - 1) / cells_max;
    if (least > axis->per_cell) axis->per_cell = least;
    axis->cells = (size_t)((n + axis->per_cell - 1) / axis->per_cell);
}

static size_t cell_at(const struct heat_axis *axis, uint64_t place)
{
    return (size_t)((place - axis->first) / axis->per_cell);
}

const char *heat_places(const struct heat_axis *axis, size_t i, char *text, size_t size)
{
    uint64_t first = axis->first + i * axis->per_cell;
    uint64_t last = at_most(first + axis->per_cell - 1, axis->last);
    if (first == last)
        snprintf(text, size, "%" PRIu64, first);
    else
        snprintf(text, size, "%" PRIu64 "-%" PRIu64, first, last);
    return text;
}

const char *heat_first(const struct heat_axis *axis, size_t i, char *text, size_t size)
{
    snprintf(text, size, "%" PRIu64, axis->first + i * axis->per_cell);
    return text;
}

const char *heat_axis_text(const struct heat_axis *axis, const char *one, char *text, size_t size)
{
    const char *s = axis->first == axis->last ? "" : "s";
    char per_cell[48] = "", places[64];
    struct heat_axis whole = *axis;
    whole.per_cell = axis->last - axis->first + 1;
    if (axis->per_cell > 1 && axis->cells > 1)
        snprintf(per_cell, sizeof per_cell, " (%" PRIu64 " a cell)", axis->per_cell);
    snprintf(text, size, "%s%s %s%s", one, s, heat_places(&whole, 0, places, sizeof places),
             per_cell);
    return text;
}

/* ---- The map ------------------------------------------------------------------------------- */

static void add_heads(struct heatmap *map, const struct divergence *d)
{
    struct cells c = heads_of(d);
    if (c.count == 0) return; /* its layer need not be on the map */
    const cJSON *item = c.list->child;
    uint64_t(*plane)[HEAT_CELLS_MAX] = map->planes[d->kv == HAS_V];
    uint64_t *row = plane[cell_at(&map->layers, d->layer)];
    for (uint64_t i = 0; i < c.count && item != NULL; i++, item = item->next) {
        uint64_t *cell = &row[cell_at(&map->heads, i * c.per_cell)];
        *cell += bytes_of(item);
        if (*cell > map->most) map->most = *cell;
    }
}

static void add_positions(struct heatmap *map, const struct divergence *d)
{
    struct cells c = positions_of(d);
    const cJSON *item = c.count > 0 ? c.list->child : NULL;
    for (uint64_t i = 0; i < c.count && item != NULL; i++, item = item->next) {
        uint64_t *cell = &map->strip[cell_at(&map->positions, c.first + i * c.per_cell)];
        *cell += bytes_of(item);
        if (*cell > map->strip_most) map->strip_most = *cell;
    }
}

static void add(struct heatmap *map, const struct divergence *d)
{
    add_heads(map, d);
    add_positions(map, d);
}

static void cover_all(struct heatmap *map, const struct divergence *d)
{
    struct cells heads = heads_of(d), positions = positions_of(d);
    if (heads.count > 0) cover(&map->layers, d->layer, 1, 1);
    cover(&map->heads, heads.first, heads.count, heads.per_cell);
    cover(&map->positions, positions.first, positions.count, positions.per_cell);
}

static void for_each(struct heatmap *map, const struct findings *f, const struct group *g,
                     void (*visit)(struct heatmap *map, const struct divergence *d))
{
    for (size_t i = 0; i < g->n; i++) {
        const struct finding *finding = &f->findings[g->from + i];
        for (size_t k = 0; k < finding_size(finding); k++)
            visit(map, &finding_first(f, finding)[k]);
    }
}

bool heatmap_take(struct heatmap *out, const struct findings *f, const struct group *g,
                  const struct heat_limits *limits)
{
    *out = (struct heatmap){.kv = f->findings[g->from].kv};
    for_each(out, f, g, cover_all);
    if (out->heads.per_cell == 0) return false;
    if (limits->from_layer_0) cover(&out->layers, 0, 1, 1);
    cover(&out->layers, 0, at_most(limits->n_layers, PER_CELL_MAX), 1);
    divide(&out->layers, HEAT_CELLS_MAX);
    divide(&out->heads, limits->columns);
    divide(&out->positions, limits->strip);
    for_each(out, f, g, add);
    return out->most > 0;
}

unsigned heat_level(uint64_t bytes, uint64_t most)
{
    if (bytes == 0 || most == 0) return 0;
    double share = (double)bytes / (double)most;
    for (unsigned level = 1; level < HEAT_LEVELS; level++) {
        if (share <= (double)level / HEAT_LEVELS) return level;
    }
    return HEAT_LEVELS;
}
