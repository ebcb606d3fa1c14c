/* findings.h - the divergences of a report, gathered into what one would say of them.
 *
 * A divergence is one (sequence, batch, layer, K|V). Those of one sequence that tell the same story
 * become one finding, K and V together where they agree; findings that differ in nothing but their
 * sequence become one group, which is one sentence. One thread; pure. */
#ifndef TRUEKV_COMMAND_FINDINGS_H
#define TRUEKV_COMMAND_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/c/command/json_in.h"

enum { HAS_K = 1, HAS_V = 2 };

struct divergence {
    uint64_t seq, batch;
    uint32_t layer;
    int kv;              /* HAS_K or HAS_V */
    bool live;           /* against the live cache; else between the two re-runs */
    const char *kind;    /* as on the wire; borrowed */
    double max_abs_diff; /* NAN: not finite, or not said */
    uint64_t mismatched_bytes;
    struct {
        uint64_t kv_head, kv_pos, dim;
        double per_item, other; /* NAN: not finite */
    } worst;
    int64_t source_seq, offset, bits, detail_layer; /* NOT_SAID */
    const char *at_live; /* where the re-runs differ, the live cache: "differs", "right", "freed",
                            "truncated" */
    const char *layout, *text;      /* NULL: not said, as at_live; borrowed */
    bool ambiguous;                 /* several sequences brought the same bytes */
    const cJSON *source_seqs, *map; /* as they came, NULL: not said; borrowed */
};
#define NOT_SAID INT64_MIN

/* Divergences [from, from + n), then as many for V where kv is both. */
struct finding {
    size_t from, n;
    int kv;
    bool twin; /* live: the re-runs differ from each other in these places, too */
};

/* Findings [from, from + n), of one sequence each. */
struct group {
    size_t from, n;
};

struct findings {
    struct divergence *divergences;
    struct finding *findings;
    struct group *groups; /* by their first batch */
    size_t n_divergences, n_findings, n_groups;
};

/* Reads result.divergences, which must outlive *out. false: no memory. */
bool findings_take(struct findings *out, const cJSON *result);
void findings_close(struct findings *f);

/* How many divergences a finding has, K and V. */
static inline size_t finding_size(const struct finding *finding)
{
    return finding->kv == (HAS_K | HAS_V) ? 2 * finding->n : finding->n;
}

/* The sequences that brought the same bytes, by numbers_text(); false: it is not said which. */
bool sources_text(const struct divergence *d, char *text, size_t size);

/* The first divergence of a finding or a group. */
const struct divergence *finding_first(const struct findings *f, const struct finding *finding);
const struct divergence *group_first(const struct findings *f, const struct group *group);

/* Numbers such as "0-30", "1, 3 and 7" or "1, 2, 3 and 17 more"; values is sorted in place. */
const char *numbers_text(uint64_t *values, size_t n, char *text, size_t size);

/* The same for a column of a table: "1,3,7" or "1,2,3,+17". */
const char *numbers_cell(uint64_t *values, size_t n, char *text, size_t size);

#endif
