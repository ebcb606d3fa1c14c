#include "clients/c/command/report_map.h"

#include <stdlib.h>
#include <string.h>

#include "clients/c/command/heatmap.h"

/* A line: INDENT, the label, two blanks, the cells. */
enum { MAP_WIDTH = 80, INDENT = 4, LABEL_MAX = 9, GAP = 3, WIDE_CELLS_MAX = 16, LEGEND_WIDTH = 80 };

static const char *const shades[2][HEAT_LEVELS + 1] = {
    {".", ":", "+", "%", "#"},
    {"\u00b7", "\u2591", "\u2592", "\u2593", "\u2588"},
};
static const enum style styles[HEAT_LEVELS + 1] = {DIM, WARN, WARN, BAD, BAD};

/* How a map is laid out. */
struct layout {
    unsigned label; /* columns */
    unsigned cell;  /* columns of one cell */
    bool side_by_side;
};

static unsigned room_of(const struct out *o)
{
    unsigned width = o->width < MAP_WIDTH ? o->width : MAP_WIDTH;
    return width - INDENT - LABEL_MAX - 2;
}

static struct layout layout_of(const struct heatmap *map, unsigned room)
{
    char text[48];
    struct layout l = {.cell = 1};
    unsigned n = (unsigned)map->heads.cells, planes = map->kv == (HAS_K | HAS_V) ? 2 : 1;
    for (size_t row = 0; row < map->layers.cells; row++) {
        unsigned label = out_columns(heat_places(&map->layers, row, text, sizeof text));
        if (label > l.label) l.label = label;
    }
    if (n <= WIDE_CELLS_MAX && 2 * n * planes + GAP <= room) l.cell = 2;
    l.side_by_side = planes == 2 && n * l.cell * 2 + GAP <= room;
    return l;
}

/* Cells of one level go out together: one pair of colour codes for all of them. */
static void put_cells(struct out *o, const uint64_t *cells, size_t n, uint64_t most, unsigned width)
{
    char text[HEAT_CELLS_MAX * 2 * 4];
    for (size_t i = 0; i < n;) {
        unsigned level = heat_level(cells[i], most);
        size_t used = 0;
        for (; i < n && heat_level(cells[i], most) == level; i++) {
            for (unsigned k = 0; k < width; k++)
                used += (size_t)sprintf(text + used, "%s", shades[o->unicode][level]);
        }
        out_put(o, styles[level], "%s", text);
    }
}

static void put_row(struct out *o, const struct heatmap *map, const struct layout *l, int kv,
                    size_t row)
{
    char label[48];
    heat_places(&map->layers, row, label, sizeof label);
    fprintf(o->to, "%*s", INDENT, "");
    out_put(o, DIM, "%*s", (int)l->label, label);
    fprintf(o->to, "  ");
    for (int plane = 0; plane < 2; plane++) {
        if ((kv >> plane & 1) == 0) continue;
        if (plane == 1 && (kv & HAS_K) != 0) fprintf(o->to, "%*s", GAP, "");
        put_cells(o, map->planes[plane][row], map->heads.cells, map->most, l->cell);
    }
    fputc('\n', o->to);
}

/* The numbers of heads above a plane's cells, as many as fit; `to` is where the next plane begins.
 */
static void put_numbers(struct out *o, const struct heatmap *map, const struct layout *l,
                        unsigned to)
{
    char text[48];
    unsigned n = (unsigned)map->heads.cells, every = 1, column = 0;
    unsigned widest = out_columns(heat_first(&map->heads, n - 1, text, sizeof text));
    while (every * l->cell <= widest && every < n)
        every *= 2;
    for (unsigned i = 0; i < n; i += every) {
        heat_first(&map->heads, i, text, sizeof text);
        if (i > 0 && i * l->cell + out_columns(text) > n * l->cell) break;
        out_put(o, DIM, "%*s%s", (int)(i * l->cell - column), "", text);
        column = i * l->cell + out_columns(text);
    }
    if (to > column) fprintf(o->to, "%*s", (int)(to - column), "");
}

static void put_ruler(struct out *o, const struct heatmap *map, const struct layout *l, int kv)
{
    bool both = kv == (HAS_K | HAS_V);
    fprintf(o->to, "%*s", (int)(INDENT + l->label + 2), "");
    put_numbers(o, map, l, both ? (unsigned)map->heads.cells * l->cell + GAP : 0);
    if (both) put_numbers(o, map, l, 0);
    fputc('\n', o->to);
}

/* The planes of kv, side by side. */
static void put_planes(struct out *o, const struct heatmap *map, const struct layout *l, int kv)
{
    int width = (int)((unsigned)map->heads.cells * l->cell) + GAP;
    fprintf(o->to, "%*s", (int)(INDENT + l->label + 2), "");
    if (kv == (HAS_K | HAS_V))
        out_put(o, DIM, "%-*sV", width, "K");
    else
        out_put(o, DIM, "%s", kv == HAS_K ? "K" : "V");
    fputc('\n', o->to);
    put_ruler(o, map, l, kv);
    for (size_t row = 0; row < map->layers.cells; row++)
        put_row(o, map, l, kv, row);
}

static void put_strip(struct out *o, const struct heatmap *map, const struct layout *l)
{
    char axis[128];
    bool one = map->positions.cells == 1;
    if (map->positions.cells == 0 || map->strip_most == 0) return;
    out_para(
        o, 2, 4, PLAIN, "", "%s%s",
        heat_axis_text(&map->positions, one ? "all in position" : "position", axis, sizeof axis),
        one ? "" : ":");
    if (one) return;
    fprintf(o->to, "%*s", (int)(INDENT + l->label + 2), "");
    put_cells(o, map->strip, map->positions.cells, map->strip_most, 1);
    fputc('\n', o->to);
}

/* In parts, each of which goes to the next line where it does not fit. */
static void put_legend(struct out *o, const struct heatmap *map)
{
    char most[32], strip[32], parts[2][64];
    const char *const *shade = shades[o->unicode];
    bool both = map->positions.cells > 1 && map->strip_most != map->most;
    unsigned width = o->width < LEGEND_WIDTH ? o->width : LEGEND_WIDTH;
    unsigned column = (unsigned)strlen("  bytes that differ: . none  ") + HEAT_LEVELS;
    snprintf(parts[0], sizeof parts[0], "up to %s a cell%s",
             out_count(map->most, most, sizeof most), both ? "," : "");
    snprintf(parts[1], sizeof parts[1], "%s by position",
             out_count(map->strip_most, strip, sizeof strip));
    out_put(o, DIM, "  bytes that differ: %s none  ", shade[0]);
    for (int level = 1; level <= HEAT_LEVELS; level++)
        out_put(o, styles[level], "%s", shade[level]);
    for (int i = 0; i < 1 + both; i++) {
        unsigned n = (unsigned)strlen(parts[i]);
        bool fits = column + 1 + n <= width;
        out_put(o, DIM, "%s%s", fits ? " " : "\n    ", parts[i]);
        column = (fits ? column + 1 : 4) + n;
    }
    fputc('\n', o->to);
}

static void put_map(struct out *o, const struct heatmap *map, const struct group *g)
{
    struct layout l = layout_of(map, room_of(o));
    char layers[128], heads[128], seqs[48] = "";
    if (g->n > 1) snprintf(seqs, sizeof seqs, ", %zu sequences together", g->n);
    out_para(o, 2, 4, PLAIN, "", "Where: %s%s, %s across%s%s:",
             heat_axis_text(&map->layers, "layer", layers, sizeof layers),
             map->layers.cells > 1 ? " down" : "",
             heat_axis_text(&map->heads, "K/V head", heads, sizeof heads),
             l.cell > 1 && map->heads.cells > 1 ? " (two columns a head)" : "", seqs);
    if (map->kv != (HAS_K | HAS_V) || l.side_by_side) {
        put_planes(o, map, &l, map->kv);
    } else {
        put_planes(o, map, &l, HAS_K);
        put_planes(o, map, &l, HAS_V);
    }
    put_strip(o, map, &l);
    put_legend(o, map);
}

bool report_map(struct out *o, const struct findings *f, const struct group *g)
{
    struct heat_limits limits = {.columns = room_of(o), .strip = room_of(o)};
    struct heatmap *map = malloc(sizeof *map);
    if (map == NULL) return false;
    if (limits.columns > HEAT_CELLS_MAX) limits.columns = limits.strip = HEAT_CELLS_MAX;
    bool taken = heatmap_take(map, f, g, &limits);
    if (taken) put_map(o, map, g);
    free(map);
    return taken;
}
