/* heatmap.h - where the findings of a group differ: bytes by layer and K/V head, one plane for K
 * and one for V, and bytes by position. Made of the divergences' maps, sequences and batches added
 * up. One thread; pure. */
#ifndef TRUEKV_COMMAND_HEATMAP_H
#define TRUEKV_COMMAND_HEATMAP_H

#include "clients/c/command/findings.h"

enum { HEAT_CELLS_MAX = 64, HEAT_LEVELS = 4 };

/* Cell i stands for places first + i * per_cell .., the last of them being `last`. */
struct heat_axis {
    uint64_t first, last, per_cell;
    size_t cells; /* at most HEAT_CELLS_MAX */
};

struct heatmap {
    struct heat_axis layers, heads, positions;
    int kv;                                             /* HAS_K, HAS_V: the planes there are */
    uint64_t planes[2][HEAT_CELLS_MAX][HEAT_CELLS_MAX]; /* [K, V][layer][head] */
    uint64_t strip[HEAT_CELLS_MAX];                     /* [position] */
    uint64_t most, strip_most;                          /* in one cell of planes, of strip */
};

/* How large the map may get; cells stand for more where it would be larger. */
struct heat_limits {
    size_t columns, strip; /* from 1 to HEAT_CELLS_MAX */
    bool from_layer_0;     /* else from the first layer that differs */
    uint64_t n_layers;     /* of the model: all of them are shown; 0: up to the last that differs */
};

/* false: the daemon sent no maps with these divergences. */
bool heatmap_take(struct heatmap *out, const struct findings *f, const struct group *g,
                  const struct heat_limits *limits);

/* 0: nothing differs; else 1 to HEAT_LEVELS, by how much of the most it is. */
unsigned heat_level(uint64_t bytes, uint64_t most);

/* What cell i stands for: "7" or "8-11". */
const char *heat_places(const struct heat_axis *axis, size_t i, char *text, size_t size);

/* The first place of cell i alone. */
const char *heat_first(const struct heat_axis *axis, size_t i, char *text, size_t size);

/* All of an axis: "layers 0-30", "layer 3", "K/V heads 0-127 (2 a cell)". */
const char *heat_axis_text(const struct heat_axis *axis, const char *one, char *text, size_t size);

#endif
