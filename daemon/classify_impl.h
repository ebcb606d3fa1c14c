/* classify_impl.h - what classify.c (evidence) hands to classify_text.c (sentences). */
#ifndef TKV_DAEMON_CLASSIFY_IMPL_H
#define TKV_DAEMON_CLASSIFY_IMPL_H

#include "daemon/classify.h"

/* What the rows of a plane say. */
struct tkv_reading {
    uint64_t diverging;              /* rows */
    uint64_t others[TKV_KIND_COUNT]; /* rows that the finding's kind does not explain, by kind */
    uint32_t could_be; /* bits 1 << kind: other kinds that explain all that its kind explains */
    bool could_be_unwritten; /* the source is the pattern of fresh scratch memory */
    bool whose; /* more values than one of what the kind says (sequence, offset, ...) fit */
};

/* The sentence for people, into out->detail.text; all else of *out is filled. */
void tkv_classify_say(const struct tkv_suspect *s, const struct tkv_reading *reading,
                      struct tkv_divergence *out);

#endif
