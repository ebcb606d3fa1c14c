#include <stdlib.h>

#include "clients/c/command/heatmap.h"
#include "clients/c/command/html.h"
#include "clients/c/command/out.h"
#include "clients/c/command/page.h"

/* In pixels. A label is 10 high, 6 a character. */
enum { TOP = 34, LABEL = 54, LABEL_STEP = 12, CHARACTER = 6, STRIP_HEIGHT = 18, PLACES_BYTES = 64 };

/* Few cells may be large, many must be small. */
static unsigned cell_size(size_t n)
{
    if (n <= 8) return 22;
    return n <= 16 ? 18 : n <= 32 ? 13 : 9;
}

/* Every how many cells of that size a label of that many pixels fits. */
static size_t label_every(unsigned size, unsigned label)
{
    size_t every = 1;
    while (every * size < label)
        every *= 2;
    return every;
}

static void put_open(FILE *to, unsigned width, unsigned height, const char *label)
{
    fprintf(to, "<svg width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\" role=\"img\" aria-label=\"",
            width, height, width, height);
    html_text(to, label);
    fprintf(to, "\">\n");
}

static void put_cell(FILE *to, unsigned x, unsigned y, unsigned width, unsigned height,
                     unsigned level)
{
    fprintf(to, "<rect class=\"h%u\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\"", level, x, y,
            width - 1, height - 1);
}

static void put_row(FILE *to, const struct heatmap *map, int plane, size_t row, unsigned width,
                    unsigned height)
{
    char layers[PLACES_BYTES], heads[PLACES_BYTES], bytes[32];
    unsigned y = TOP + (unsigned)row * height;
    heat_places(&map->layers, row, layers, sizeof layers);
    if (row % label_every(height, LABEL_STEP) == 0)
        fprintf(to, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">%s</text>\n", LABEL - 6,
                y + height / 2 + 3, layers);
    for (size_t i = 0; i < map->heads.cells; i++) {
        uint64_t n = map->planes[plane][row][i];
        put_cell(to, LABEL + (unsigned)i * width, y, width, height, heat_level(n, map->most));
        if (n == 0)
            fprintf(to, "/>\n");
        else
            fprintf(to, "><title>layer %s, %s, head %s: %s</title></rect>\n", layers,
                    plane == 0 ? "K" : "V", heat_places(&map->heads, i, heads, sizeof heads),
                    out_plural(n, "byte", "bytes", bytes, sizeof bytes));
    }
}

static void put_plane(FILE *to, const struct heatmap *map, int plane)
{
    unsigned width = cell_size(map->heads.cells), height = cell_size(map->layers.cells);
    unsigned columns = (unsigned)map->heads.cells, rows = (unsigned)map->layers.cells;
    const char *name = plane == 0 ? "K" : "V";
    char label[128], places[PLACES_BYTES];
    heat_places(&map->heads, columns - 1, places, sizeof places);
    unsigned every = (unsigned)label_every(width, CHARACTER * (out_columns(places) + 1));
    snprintf(label, sizeof label, "%s: bytes that differ, layers down, K/V heads across", name);
    put_open(to, LABEL + columns * width + 40, TOP + rows * height, label);
    fprintf(to, "<text class=\"name\" x=\"%d\" y=\"12\">%s</text>\n", LABEL, name);
    for (unsigned i = 0; i < columns; i += every)
        fprintf(to, "<text x=\"%u\" y=\"%d\">%s</text>\n", LABEL + i * width, TOP - 6,
                heat_places(&map->heads, i, places, sizeof places));
    for (unsigned row = 0; row < rows; row++)
        put_row(to, map, plane, row, width, height);
    fprintf(to, "</svg>\n");
}

static void put_strip(FILE *to, const struct heatmap *map)
{
    unsigned n = (unsigned)map->positions.cells, width = cell_size(n);
    char axis[128], places[PLACES_BYTES], bytes[32];
    if (n == 0 || map->strip_most == 0) return;
    heat_axis_text(&map->positions, n == 1 ? "All in position" : "Position", axis, sizeof axis);
    html_element(to, "p", "dim", "%s%s", axis, n == 1 ? "." : ":");
    if (n == 1) return;
    fprintf(to, "<div class=\"planes\">\n");
    put_open(to, LABEL + n * width, STRIP_HEIGHT, "bytes that differ, by position");
    for (unsigned i = 0; i < n; i++) {
        put_cell(to, LABEL + i * width, 0, width, STRIP_HEIGHT,
                 heat_level(map->strip[i], map->strip_most));
        fprintf(to, "><title>position %s: %s</title></rect>\n",
                heat_places(&map->positions, i, places, sizeof places),
                out_plural(map->strip[i], "byte", "bytes", bytes, sizeof bytes));
    }
    fprintf(to, "</svg>\n</div>\n");
}

/* What the steps stand for; of few bytes there are fewer steps. */
static void put_legend(FILE *to, const char *what, uint64_t most)
{
    char from[32], up_to[32];
    uint64_t below = 0;
    fprintf(to, "<p class=\"legend\"><span>%s:</span><span><i class=\"h0\"></i>none</span>\n",
            what);
    for (unsigned level = 1; level <= HEAT_LEVELS; level++) {
        uint64_t top = most * level / HEAT_LEVELS;
        if (top == below) continue;
        out_count(below + 1, from, sizeof from);
        out_count(top, up_to, sizeof up_to);
        fprintf(to, "<span><i class=\"h%u\"></i>%s%s%s</span>\n", level, from,
                below + 1 == top ? "" : " to ", below + 1 == top ? "" : up_to);
        below = top;
    }
    fprintf(to, "</p>\n");
}

static void put_map(FILE *to, const struct heatmap *map, const struct group *g)
{
    char layers[128], heads[128], seqs[64] = "";
    if (g->n > 1) snprintf(seqs, sizeof seqs, ", %zu sequences together", g->n);
    heat_axis_text(&map->layers, "layer", layers, sizeof layers);
    heat_axis_text(&map->heads, "K/V head", heads, sizeof heads);
    fprintf(to, "<figure>\n");
    html_element(to, "figcaption", "dim", "Where: %s%s, %s across%s.", layers,
                 map->layers.cells > 1 ? " down" : "", heads, seqs);
    fprintf(to, "<div class=\"planes\">\n");
    for (int plane = 0; plane < 2; plane++) {
        if ((map->kv >> plane & 1) != 0) put_plane(to, map, plane);
    }
    fprintf(to, "</div>\n");
    put_legend(to, "Bytes that differ, a cell", map->most);
    put_strip(to, map);
    if (map->positions.cells > 1 && map->strip_most > 0)
        put_legend(to, "Bytes that differ, by position", map->strip_most);
    fprintf(to, "</figure>\n");
}

bool page_map(FILE *to, const struct findings *f, const struct group *g, uint64_t n_layers)
{
    const struct heat_limits limits = {HEAT_CELLS_MAX, HEAT_CELLS_MAX, true, n_layers};
    struct heatmap *map = malloc(sizeof *map);
    if (map == NULL) return false;
    bool taken = heatmap_take(map, f, g, &limits);
    if (taken) put_map(to, map, g);
    free(map);
    return taken;
}
