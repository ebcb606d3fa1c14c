#include <inttypes.h>
#include <string.h>

#include "base/sizes.h"
#include "clients/c/command/damages.h"
#include "clients/c/command/kinds.h"
#include "clients/c/command/report.h"
#include "clients/c/command/table.h"

enum { TEXT_BYTES = 256, ROWS_SHOWN = 24 };

/* ---- The verdict --------------------------------------------------------------------------- */

/* What an OK of a scrub is worth. */
static const char as_loaded[] =
    "Checksums are of the rows as the launch loaded them: a kernel that loads wrong rows sums "
    "wrong rows. Serve only when \"truekv verify\" and \"truekv scrub\" are both OK.";

static void put_fine(struct out *o, const cJSON *result)
{
    char sums[48], seqs[48], bytes[32], took[32], time[40] = "";
    uint64_t n = json_count(result, "checksums_checked");
    double seconds = json_number(result, "duration_us") / 1e6;
    if (isfinite(seconds))
        snprintf(time, sizeof time, " in %s", out_duration(seconds, took, sizeof took));
    out_para(
        o, 0, 0, GOOD, "OK:", "%s of %s %s the live caches (%s read%s).",
        out_plural(n, "checksum", "checksums", sums, sizeof sums),
        out_plural(json_count(result, "seqs_checked"), "sequence", "sequences", seqs, sizeof seqs),
        n == 1 ? "fits" : "fit",
        tkv_format_size(json_count(result, "bytes_read"), bytes, sizeof bytes), time);
    out_para(o, 0, 0, PLAIN, "", "%s", as_loaded);
}

/* Returns whether there is damage. */
static bool put_verdict(struct out *o, const cJSON *result)
{
    char damaged[32], sums[48], seqs[48];
    uint64_t n = json_count(result, "damaged_tokens");
    bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "ok")) && n == 0;
    if (!ok)
        out_para(o, 0, 0, BAD, "DAMAGED:",
                 "%s of %s (of %s) %s: there, live caches hold other bytes than the launch loaded.",
                 out_count(n, damaged, sizeof damaged),
                 out_plural(json_count(result, "checksums_checked"), "checksum", "checksums", sums,
                            sizeof sums),
                 out_plural(json_count(result, "seqs_checked"), "sequence", "sequences", seqs,
                            sizeof seqs),
                 n == 1 ? "does not fit" : "do not fit");
    else if (json_count(result, "checksums_checked") == 0)
        out_para(o, 0, 0, WARN, "NOTHING CHECKED:",
                 "no live sequence has a token to check, so this says nothing about the caches.");
    else
        put_fine(o, result);
    return !ok;
}

/* ---- Where --------------------------------------------------------------------------------- */

static const char *kv_cell(int kv)
{
    if (kv == (HAS_K | HAS_V)) return "K+V";
    return kv == HAS_K ? "K" : "V";
}

/* The sum of rows that are all zeros is the seed, whatever the model. */
static const char *found_cell(const char *found)
{
    return strcmp(found, "9e3779b97f4a7c15") == 0 ? "never written (zeros)" : found;
}

static void put_patch(struct table *t, const struct damages *d, const struct patch *p)
{
    char layers[TEXT_BYTES], positions[TEXT_BYTES];
    const struct damage *first = &d->at[p->from];
    damages_layers(d, p, layers, sizeof layers);
    damages_positions(d, p, positions, sizeof positions);
    table_cell(t, "%" PRIu64, first->seq);
    table_cell(t, "%s", layers);
    table_cell(t, "%s", kv_cell(p->kv));
    table_cell(t, "%s", positions);
    table_cell(t, "%zu", p->planes * p->n * (p->kv == (HAS_K | HAS_V) ? 2 : 1));
    table_cell(t, "%s", first->expected);
    table_cell(t, "%s", found_cell(first->found));
}

static void put_patches(struct out *o, const struct damages *d, uint64_t damaged)
{
    static const char *const heads[] = {">SEQ",    "LAYERS",         "K|V",        "POSITIONS",
                                        ">PLACES", "FIRST EXPECTED", "FIRST FOUND"};
    struct table t;
    char count[32];
    table_init(&t, heads, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < d->n_patches && i < ROWS_SHOWN; i++)
        put_patch(&t, d, &d->patches[i]);
    out_put(o, BOLD, "\nWhere\n");
    table_print(&t, o, 0);
    table_close(&t);
    out_para(
        o, 0, 0, DIM, "",
        "A place is one token's K or V of one layer, over all heads; the checksums are those of "
        "the first place.");
    if (d->n_patches > ROWS_SHOWN)
        out_para(o, 0, 0, DIM, "", "and %zu more lines: --json prints each place.",
                 d->n_patches - ROWS_SHOWN);
    if (damaged > d->n)
        out_para(o, 0, 0, WARN, "Note:",
                 "listing the first %zu of %s damaged places. Fewer --seqs may show the others.",
                 d->n, out_count(damaged, count, sizeof count));
}

/* ---- What to do ---------------------------------------------------------------------------- */

static void put_advice(struct out *o, const struct damages *d)
{
    char seqs[TEXT_BYTES];
    damages_sequences(d, seqs, sizeof seqs);
    bool one = strpbrk(seqs, " -,") == NULL;
    out_put(o, BOLD, "\nWhat it means, and what to do next\n");
    out_para(
        o, 2, 4, WARN, "first:",
        "do not serve from sequence%s %s: save this report (truekv --json scrub > FILE) and "
        "\"truekv verify --html FILE\", whose evidence leaves with every free; then free %s and "
        "prefill %s again.",
        one ? "" : "s", seqs, one ? "it" : "them", one ? "it" : "them");
    out_para(o, 2, 4, PLAIN, "",
             "Checksums are of the rows as the launch loaded them. What stands there was written "
             "wrongly, or changed afterwards: bad memory, or a stray write of another kernel.");
    out_para(
        o, 4, 4, PLAIN, "",
        "Next: \"truekv verify\" re-runs the appends that are still recorded, and says whether "
        "it was the kernel; where it finds nothing, read the device's ECC counters "
        "(nvidia-smi -q -d ECC).");
}

void report_scrub(struct out *o, const cJSON *result)
{
    struct damages d;
    bool damaged = put_verdict(o, result);
    if (!damages_take(&d, result)) {
        out_put(o, BAD, "no memory for the report\n");
        return;
    }
    if (damaged && d.n > 0) {
        put_patches(o, &d, json_count(result, "damaged_tokens"));
        put_advice(o, &d);
    }
    report_skipped(o, result, "sequences that were not checked, or not in full", scrub_skip_means);
    damages_close(&d);
}
