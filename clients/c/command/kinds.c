#include "clients/c/command/kinds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* X(kind, clause, what it means, what to do next) */
#define KINDS(X)                                                                                   \
    X("missing_write", "were never written, or not in full",                                       \
      "part of the rows never reached the cache: a launch grid too small, or a length read as 0.", \
      "compare the launch's grid with items x layers x K/V x heads, and the length array's size "  \
      "with the items.")                                                                           \
    X("stray_write", "have bytes written beside the ones that belong to the append",               \
      "something was written where nothing was to be written: other positions are overwritten.",   \
      "do not trust the sequence at all; look at the bounds of each row's tail and of the last "   \
      "block.")                                                                                    \
    X("wrong_item", "hold another item's rows",                                                    \
      "an item got another item's rows: an array of pointers or offsets was shared, reused too "   \
      "early, or filled wrongly.",                                                                 \
      "append one sequence a request, with batch.max_items = 1, until it is mended; look at who "  \
      "fills that array, and whether a "                                                           \
      "launch in flight still reads it.")                                                          \
    X("wrong_position", "stand at wrong positions",                                                \
      "right rows in the wrong place: the kernel saw other lengths than were admitted.",           \
      "look at when lengths are copied and when they are advanced: before or after the launch.")   \
    X("wrong_head", "stand in the places of other heads",                                          \
      "the strides are those of another layout.",                                                  \
      "compare the kernel's strides with [n_kv_heads][capacity][head_dim].")                       \
    X("wrong_layer", "hold another layer's rows",                                                  \
      "one layer's rows went into another: the layer stride is off, or one pointer array served "  \
      "several layers.",                                                                           \
      "look at the layer stride, and at pointer arrays that are refilled while a launch still "    \
      "reads them.")                                                                               \
    X("kv_swapped", "are exchanged between K and V",                                               \
      "K went where V belongs, and V where K does.",                                               \
      "look at the order of the two pointers, and at the stride of the K|V axis.")                 \
    X("rounding", "are rounded otherwise",                                                         \
      "the same numbers, one step apart: the two paths convert differently.",                      \
      "compare the conversions (round to nearest even, no fast-math); answers hardly change.")     \
    X("bit_flip", "have flipped bits",                                                             \
      "single bits changed after a right write: bad memory, or a stray write of another kernel.",  \
      "read the device's ECC counters (nvidia-smi -q -d ECC); where they are clean, look for a "   \
      "stray write.")                                                                              \
    X("unknown", "hold bytes that no recorded append explains",                                    \
      "the bytes match nothing that was recorded.",                                                \
      "keep the daemon as it is, save \"truekv --json verify\", and start at the coordinates "     \
      "below.")

static const struct {
    const char *kind, *clause, *means, *next;
} kinds[] = {
#define X(kind, clause, means, next) {kind, clause, means, next},
    KINDS(X)
#undef X
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static int find(const char *kind)
{
    int i = 0;
    while (i < KIND_COUNT && strcmp(kinds[i].kind, kind) != 0)
        i++;
    return i;
}

static bool is(const struct divergence *d, const char *kind)
{
    return strcmp(d->kind, kind) == 0;
}

static void say_offset(int64_t offset, char *text, size_t size)
{
    int64_t n = offset < 0 ? -offset : offset;
    snprintf(text, size, "stand %" PRId64 " position%s too %s", n, n == 1 ? "" : "s",
             offset < 0 ? "early" : "far on");
}

const char *kind_clause(const struct divergence *d, char *text, size_t size)
{
    char seqs[128];
    int i = find(d->kind);
    if (is(d, "wrong_item") && d->ambiguous && sources_text(d, seqs, sizeof seqs))
        snprintf(text, size, "hold the rows of one of sequences %s", seqs);
    else if (is(d, "wrong_item") && d->ambiguous)
        snprintf(text, size, "hold another item's rows");
    else if (is(d, "wrong_item") && d->source_seq != NOT_SAID)
        snprintf(text, size, "hold sequence %" PRId64 "'s rows", d->source_seq);
    else if (is(d, "wrong_position") && d->offset != NOT_SAID && d->offset != 0)
        say_offset(d->offset, text, size);
    else if (is(d, "wrong_head") && d->layout != NULL)
        snprintf(text, size, "stand where a %s layout would put them", d->layout);
    else if (is(d, "bit_flip") && d->bits != NOT_SAID)
        snprintf(text, size, "have %" PRId64 " bit%s flipped", d->bits, d->bits == 1 ? "" : "s");
    else
        snprintf(text, size, "%s", i < KIND_COUNT ? kinds[i].clause : "differ");
    return text;
}

const char *kind_means(const char *kind)
{
    int i = find(kind);
    return i < KIND_COUNT ? kinds[i].means : "a kind that this truekv does not know yet.";
}

const char *kind_next(const char *kind)
{
    int i = find(kind);
    return i < KIND_COUNT ? kinds[i].next : "use a truekv as new as the daemon, or its manual.";
}

struct skip {
    const char *reason, *means;
};

static const char *find_skip(const struct skip *skips, size_t n, const char *reason)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(skips[i].reason, reason) == 0) return skips[i].means;
    }
    return "a reason that this truekv does not know yet";
}

const char *skip_means(const char *reason)
{
    static const struct skip skips[] = {
        {"freed", "sequences freed since: there is no live cache left to compare"},
        {"truncated", "rolled back since: the live bytes may rightly be others"},
        {"evicted", "batches, asked for by --batches, that had left the journal before"},
    };
    return find_skip(skips, sizeof skips / sizeof skips[0], reason);
}

const char *scrub_skip_means(const char *reason)
{
    static const struct skip skips[] = {
        {"freed", "they were freed before their turn came"},
        {"truncated", "they were rolled back while they were read"},
    };
    return find_skip(skips, sizeof skips / sizeof skips[0], reason);
}
