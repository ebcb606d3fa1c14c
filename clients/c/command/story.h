/* story.h - a report of debug.verify in sentences: what was found, who is to blame, what to do. The
 * terminal's report and the page are made of the same ones. One thread; pure. */
#ifndef TRUEKV_COMMAND_STORY_H
#define TRUEKV_COMMAND_STORY_H

#include "clients/c/command/findings.h"

enum { TEXT_BYTES = 256, SENTENCE_BYTES = 1024 };

struct totals {
    uint64_t items, batches, bytes, divergent_items, first_batch, last_batch;
    uint64_t oldest, newest, left; /* batches in the journal; older ones that have left it */
    double seconds;                /* NAN: not said */
    bool ok, has_journal;
};
struct totals story_totals(const cJSON *result);

enum verdict { VERDICT_OK, VERDICT_NOTHING, VERDICT_FOUND };

/* "OK:", or another lead where older batches have left the journal; and what follows it. */
const char *story_lead(enum verdict verdict, const struct totals *t, char *text, size_t size);
enum verdict story_verdict(const struct totals *t, const struct findings *f, char *text,
                           size_t size);

/* How far the check reaches; "" where the daemon does not say it. */
void story_reach(const struct totals *t, char *text, size_t size);

/* What there is to say of a group; each a sentence, but for the lead ("batch 812:"). */
struct story {
    char lead[TEXT_BYTES + 16];
    char what[SENTENCE_BYTES];
    const char *fault;
    char ambiguous[SENTENCE_BYTES]; /* "": it is not */
    const char *quote; /* the daemon's own sentence, without its end; NULL: it says no more */
};
void story_of_group(const struct findings *f, const struct group *g, struct story *out);

/* Its sequences, such as "9-11"; whether such a text names one number. */
void story_sequences(const struct findings *f, const struct group *g, char *text, size_t size);
bool story_is_one(const char *text);

/* Whether a group says of the live cache what has been said of the kernel. */
bool story_is_told(const struct findings *f, const struct group *g);

/* What to do before anything else; saved: the report is on a page already. */
void story_first(const struct findings *f, bool saved, char *text, size_t size);

/* Whether an earlier group is of group i's kind, so that the kind has been explained. */
bool story_is_explained(const struct findings *f, size_t i);

/* That the daemon lists fewer items than differ; "" where it lists them all. For the top. */
void story_unlisted(const struct totals *t, const struct findings *f, char *text, size_t size);

/* A finding as a row of a table: sequence, batches, layers, K|V, kind, largest difference, bytes,
 * and where that difference is, with both values. */
enum { ROW_CELLS = 10, ROW_CELL_BYTES = 128 };
struct story_row {
    char cells[ROW_CELLS][ROW_CELL_BYTES];
};
extern const char *const story_heads[2][ROW_CELLS]; /* [live]; as table_init() takes them */
void story_row(const struct findings *f, const struct finding *finding, struct story_row *out);

#endif
