/* damages.h - the damages of a scrub's report, gathered into patches. A damage is one place: one
 * token's K or V of one layer, over all heads. Places of one sequence that make a block (the same
 * positions in several layers, of K, V or both) become one patch. One thread; pure. */
#ifndef TRUEKV_COMMAND_DAMAGES_H
#define TRUEKV_COMMAND_DAMAGES_H

#include "clients/c/command/findings.h"

struct damage {
    uint64_t seq, layer, pos;
    int kv;                       /* HAS_K or HAS_V */
    const char *expected, *found; /* checksums; borrowed */
};

/* `planes` runs of n damages each, from `from` on, the runs of one patch one after the other. */
struct patch {
    size_t from, n, planes;
    int kv;
};

struct damages {
    struct damage *at;
    struct patch *patches;
    size_t n, n_patches;
};

/* Reads result.damages, which must outlive *out. false: no memory. */
bool damages_take(struct damages *out, const cJSON *result);
void damages_close(struct damages *d);

/* The layers and positions of a patch by numbers_cell(); all sequences by numbers_text(). */
void damages_layers(const struct damages *d, const struct patch *p, char *text, size_t size);
void damages_positions(const struct damages *d, const struct patch *p, char *text, size_t size);
void damages_sequences(const struct damages *d, char *text, size_t size);

#endif
