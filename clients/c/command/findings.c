#include "clients/c/command/findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIVERGENCES_MAX = 1 << 14, SOURCES_MAX = 4096 };

/* ---- Reading ------------------------------------------------------------------------------- */

static int64_t signed_or_not_said(const cJSON *object, const char *name)
{
    double value = json_number(object, name);
    return value > -9e15 && value < 9e15 ? (int64_t)value : NOT_SAID;
}

static void read_divergence(const cJSON *object, struct divergence *d)
{
    const cJSON *worst = cJSON_GetObjectItemCaseSensitive(object, "worst");
    const cJSON *detail = cJSON_GetObjectItemCaseSensitive(object, "detail");
    const char *kv = json_text(object, "kv"), *between = json_text(object, "between");
    const char *kind = json_text(object, "kind");
    d->seq = json_count(object, "seq");
    d->batch = json_count(object, "batch");
    d->layer = (uint32_t)json_count(object, "layer");
    d->kv = kv != NULL && strcmp(kv, "v") == 0 ? HAS_V : HAS_K;
    d->live = between != NULL && strcmp(between, "per_item/live") == 0;
    d->kind = kind != NULL ? kind : "unknown";
    d->max_abs_diff = json_number(object, "max_abs_diff");
    d->mismatched_bytes = json_count(object, "mismatched_bytes");
    d->worst.kv_head = json_count(worst, "kv_head");
    d->worst.kv_pos = json_count(worst, "kv_pos");
    d->worst.dim = json_count(worst, "dim");
    d->worst.per_item = json_number(worst, "per_item");
    d->worst.other = json_number(worst, "other");
    d->source_seq = signed_or_not_said(detail, "source_seq");
    d->offset = signed_or_not_said(detail, "offset");
    d->bits = signed_or_not_said(detail, "bits");
    d->detail_layer = signed_or_not_said(detail, "layer");
    d->at_live = json_text(detail, "live");
    d->layout = json_text(detail, "layout");
    d->text = json_text(detail, "text");
    d->ambiguous = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(detail, "ambiguous"));
    d->source_seqs = cJSON_GetObjectItemCaseSensitive(detail, "source_seqs");
    d->map = cJSON_GetObjectItemCaseSensitive(object, "map");
}

/* ---- Order --------------------------------------------------------------------------------- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

static double number_or_less(const cJSON *item)
{
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static int compare_lists(const cJSON *a, const cJSON *b)
{
    const cJSON *x = a != NULL ? a->child : NULL, *y = b != NULL ? b->child : NULL;
    for (; x != NULL && y != NULL; x = x->next, y = y->next) {
        double p = number_or_less(x), q = number_or_less(y);
        if (p != q) return p > q ? 1 : -1;
    }
    return (x != NULL) - (y != NULL);
}

/* What makes two divergences the same story: kind, between whom, and how. */
static int compare_story(const struct divergence *a, const struct divergence *b)
{
    int c = (int)a->live - (int)b->live;
    if (c == 0) c = strcmp(a->kind, b->kind);
    if (c == 0) c = (a->source_seq > b->source_seq) - (a->source_seq < b->source_seq);
    if (c == 0) c = (a->offset > b->offset) - (a->offset < b->offset);
    if (c == 0) c = compare_text(a->at_live, b->at_live);
    if (c == 0) c = (int)a->ambiguous - (int)b->ambiguous;
    if (c == 0) c = compare_lists(a->source_seqs, b->source_seqs);
    return c != 0 ? c : compare_text(a->layout, b->layout);
}

static int compare_place(const struct divergence *a, const struct divergence *b)
{
    int c = compare_u64(a->batch, b->batch);
    return c != 0 ? c : compare_u64(a->layer, b->layer);
}

static int compare_divergences(const void *x, const void *y)
{
    const struct divergence *a = x, *b = y;
    int c = compare_story(a, b);
    if (c == 0) c = compare_u64(a->seq, b->seq);
    if (c == 0) c = a->kv - b->kv;
    return c != 0 ? c : compare_place(a, b);
}

/* ---- Findings ------------------------------------------------------------------------------ */

const struct divergence *finding_first(const struct findings *f, const struct finding *finding)
{
    return &f->divergences[finding->from];
}

static bool same_places(const struct findings *f, size_t a, size_t b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (compare_place(&f->divergences[a + i], &f->divergences[b + i]) != 0) return false;
    }
    return true;
}

/* How many divergences from `from` on are of its story, sequence and plane. */
static size_t run_length(const struct findings *f, size_t from)
{
    const struct divergence *first = &f->divergences[from];
    size_t n = 1;
    while (from + n < f->n_divergences) {
        const struct divergence *d = &f->divergences[from + n];
        if (compare_story(d, first) != 0 || d->seq != first->seq || d->kv != first->kv) break;
        n++;
    }
    return n;
}

/* Whether the re-runs differ from each other where a live divergence is. */
static bool has_twin(const struct findings *f, const struct divergence *live)
{
    for (size_t i = 0; i < f->n_divergences && !f->divergences[i].live; i++) {
        const struct divergence *d = &f->divergences[i];
        if (d->seq == live->seq && d->kv == live->kv && compare_place(d, live) == 0) return true;
    }
    return false;
}

static void collect_findings(struct findings *f)
{
    for (size_t from = 0; from < f->n_divergences;) {
        struct finding *last = f->n_findings > 0 ? &f->findings[f->n_findings - 1] : NULL;
        const struct divergence *d = &f->divergences[from];
        size_t n = run_length(f, from);
        bool pair = last != NULL && last->kv == HAS_K && d->kv == HAS_V && last->n == n &&
                    last->from + n == from && compare_story(finding_first(f, last), d) == 0 &&
                    finding_first(f, last)->seq == d->seq && same_places(f, last->from, from, n);
        if (pair)
            last->kv |= HAS_V;
        else
            f->findings[f->n_findings++] =
                (struct finding){from, n, d->kv, d->live && has_twin(f, d)};
        from += n;
    }
}

/* ---- Groups -------------------------------------------------------------------------------- */

const struct divergence *group_first(const struct findings *f, const struct group *group)
{
    return finding_first(f, &f->findings[group->from]);
}

static bool same_group(const struct findings *f, const struct finding *a, const struct finding *b)
{
    return a->kv == b->kv && a->n == b->n && a->twin == b->twin &&
           compare_story(finding_first(f, a), finding_first(f, b)) == 0 &&
           same_places(f, a->from, b->from, a->n);
}

/* Brings the findings of each group together, the first of them in its place. */
static void collect_groups(struct findings *f)
{
    for (size_t from = 0; from < f->n_findings;) {
        size_t end = from + 1;
        for (size_t i = end; i < f->n_findings; i++) {
            struct finding found = f->findings[i];
            if (!same_group(f, &f->findings[from], &found)) continue;
            memmove(&f->findings[end + 1], &f->findings[end], (i - end) * sizeof found);
            f->findings[end++] = found;
        }
        f->groups[f->n_groups++] = (struct group){from, end - from};
        from = end;
    }
}

/* By batch, the kernel's faults before the live cache's, then by sequence. Few: the simplest sort.
 */
static void sort_groups(struct findings *f)
{
    for (size_t i = 1; i < f->n_groups; i++) {
        struct group g = f->groups[i];
        const struct divergence *d = group_first(f, &g);
        size_t at = i;
        for (; at > 0; at--) {
            const struct divergence *before = group_first(f, &f->groups[at - 1]);
            int c = compare_u64(before->batch, d->batch);
            if (c == 0) c = (int)before->live - (int)d->live;
            if (c == 0) c = compare_u64(before->seq, d->seq);
            if (c <= 0) break;
            f->groups[at] = f->groups[at - 1];
        }
        f->groups[at] = g;
    }
}

void findings_close(struct findings *f)
{
    free(f->divergences);
    free(f->findings);
    free(f->groups);
    *f = (struct findings){0};
}

bool findings_take(struct findings *out, const cJSON *result)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "divergences"), *item;
    size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    if (n > DIVERGENCES_MAX) n = DIVERGENCES_MAX;
    *out = (struct findings){.divergences = calloc(n + 1, sizeof(struct divergence)),
                             .findings = calloc(n + 1, sizeof(struct finding)),
                             .groups = calloc(n + 1, sizeof(struct group))};
    if (out->divergences == NULL || out->findings == NULL || out->groups == NULL) {
        findings_close(out);
        return false;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (out->n_divergences == n) break;
        read_divergence(item, &out->divergences[out->n_divergences++]);
    }
    qsort(out->divergences, n, sizeof out->divergences[0], compare_divergences);
    collect_findings(out);
    collect_groups(out);
    sort_groups(out);
    return true;
}

/* ---- Numbers as text ----------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    return compare_u64(*(const uint64_t *)a, *(const uint64_t *)b);
}

/* Sorted, each once. */
static size_t sort_unique(uint64_t *values, size_t n)
{
    size_t kept = 0;
    qsort(values, n, sizeof values[0], compare_numbers);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || values[kept - 1] != values[i]) values[kept++] = values[i];
    }
    return kept;
}

/* What stands between members, before the last of them, and around those that are left out; how
 * many ranges there may be. */
struct joints {
    size_t shown_max;
    const char *between, *last, *before_more, *after_more;
};

static const char *join(const struct joints *j, uint64_t *values, size_t n, char *text, size_t size)
{
    size_t used = 0, shown = 0;
    n = sort_unique(values, n);
    text[0] = '\0';
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && values[end] == values[end - 1] + 1)
            end++;
        if (end - i == 2) end--; /* "3 and 4" rather than "3-4" */
        char part[64];
        if (shown == j->shown_max && end < n) {
            snprintf(part, sizeof part, "%s%zu%s", j->before_more, n - i, j->after_more);
            end = n;
        } else if (end - i > 1) {
            snprintf(part, sizeof part, "%" PRIu64 "-%" PRIu64, values[i], values[end - 1]);
        } else {
            snprintf(part, sizeof part, "%" PRIu64, values[i]);
        }
        const char *joint = i == 0 ? "" : end == n ? j->last : j->between;
        int wrote = snprintf(text + used, size - used, "%s%s", joint, part);
        if (wrote < 0 || (size_t)wrote >= size - used) break;
        used += (size_t)wrote;
        shown++;
        i = end;
    }
    return text;
}

const char *numbers_text(uint64_t *values, size_t n, char *text, size_t size)
{
    static const struct joints prose = {6, ", ", " and ", "", " more"};
    return join(&prose, values, n, text, size);
}

const char *numbers_cell(uint64_t *values, size_t n, char *text, size_t size)
{
    static const struct joints cell = {3, ",", ",", "+", ""};
    return join(&cell, values, n, text, size);
}

bool sources_text(const struct divergence *d, char *text, size_t size)
{
    uint64_t seqs[SOURCES_MAX];
    const cJSON *item;
    size_t n = 0;
    text[0] = '\0';
    cJSON_ArrayForEach(item, d->source_seqs)
    {
        double value = number_or_less(item);
        if (value >= 0 && value < 9.2e18 && n < SOURCES_MAX) seqs[n++] = (uint64_t)value;
    }
    numbers_text(seqs, n, text, size);
    return n > 1;
}
