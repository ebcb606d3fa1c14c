/* What knowing that caches are right costs: journal and checksums on every decode step, appends
 * beside a running verification, and a verification itself, against the time that its bytes take.
 * What is compared is measured by turns in one run.
 *
 *   bench_verify [--backend auto|cuda|cpu] [--tiny]
 *
 * A step is m 64 items of 32 layers of 8 heads x 128, f16: 8 MiB, one at a time, from its last byte
 * in the block (pinned, on a GPU) to the answer; "and the copy" counts the copy from a client's
 * buffer into the block, too, which is slower where a journal holds the blocks that the caches of
 * the CPU still know. Every verification must report ok. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/steps.h"

struct plan {
    enum tkv_backend backend;
    struct steps_shape shape;
    int rounds, steps_a_round;
    size_t verified_bytes;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct sample {
    double *us;
    size_t n, room;
};

/* Without and with what is measured; the steps alone, and with the copy. */
struct samples {
    struct sample without, with, without_copied, with_copied;
};

static void take_one(struct sample *s, double us)
{
    if (s->n == s->room) {
        s->room = s->room > 0 ? 2 * s->room : 1024;
        s->us = realloc(s->us, s->room * sizeof *s->us);
        if (s->us == NULL) exit(1);
    }
    s->us[s->n++] = us;
}

static void take(struct samples *all, bool with, struct step_times t)
{
    take_one(with ? &all->with : &all->without, t.step);
    take_one(with ? &all->with_copied : &all->without_copied, t.whole);
}

static double percentile(struct sample *s, double part)
{
    qsort(s->us, s->n, sizeof *s->us, by_value);
    return s->us[(size_t)((double)(s->n - 1) * part)];
}

static void print_pair(const char *name, struct sample *without, struct sample *with)
{
    double a = percentile(without, 0.5), b = percentile(with, 0.5);
    double c = percentile(without, 0.99), d = percentile(with, 0.99);
    printf("%-34s %6zu %9.1f %9.1f %6.3f %9.1f %9.1f %6.3f\n", name, with->n, a, b, b / a, c, d,
           d / c);
    fflush(stdout);
}

static void print_samples(const char *name, struct samples *all)
{
    print_pair(name, &all->without, &all->with);
    print_pair("  and the copy", &all->without_copied, &all->with_copied);
    free(all->without.us);
    free(all->with.us);
    free(all->without_copied.us);
    free(all->with_copied.us);
}

static void must_be_ok(const struct tkv_verify_report *report)
{
    if (report->ok && report->items_checked > 0) return;
    fprintf(stderr, "bench_verify: the verification is not ok\n");
    exit(1);
}

/* --- journal and checksums on every step ------------------------------------------------------ */

static void run_steps(struct steps *s, int n, struct samples *out, bool with)
{
    for (int i = 0; i < n; i++) {
        struct step_times t = steps_append(s);
        if (out != NULL) take(out, with, t);
    }
}

/* Every page of every cache once, and as many blocks as the journal holds. */
static void warm_up(const struct plan *p, struct steps *s)
{
    size_t n = p->shape.journal_bytes / steps_bytes(s) + 2;
    run_steps(s, (int)(n > p->shape.capacity ? n : p->shape.capacity), NULL, false);
}

/* Two cores by turns, one of which records and sums. */
static void bench_recording(const struct plan *p, bool journal, bool checksums, const char *name)
{
    struct steps_shape plain = p->shape, recording = p->shape;
    struct samples all = {0};
    plain.journal_bytes = 0;
    plain.checksums = false;
    recording.journal_bytes = journal ? p->shape.journal_bytes : 0;
    recording.checksums = checksums;
    struct steps *a = steps_open(p->backend, &plain), *b = steps_open(p->backend, &recording);
    warm_up(p, a);
    warm_up(p, b);
    for (int i = 0; i < p->rounds; i++) {
        run_steps(a, p->steps_a_round, &all, false);
        run_steps(b, p->steps_a_round, &all, true);
    }
    print_samples(name, &all);
    steps_close(b);
    steps_close(a);
}

/* --- appends beside a verification ------------------------------------------------------------ */

/* One round of steps while verifications run. */
static void run_beside(const struct plan *p, struct steps *s, struct samples *out)
{
    steps_verify_begin(s);
    for (int k = 0; k < p->steps_a_round; k++) {
        struct step_times t = steps_append(s);
        if (out != NULL) take(out, true, t);
        if (!steps_verifying(s)) steps_verify_begin(s);
    }
    must_be_ok(steps_verify(s));
}

/* The first round under a verification makes the pool of blocks grow by a journal's worth, once in
 * a daemon's life; it counts as warming up. */
static void bench_beside(const struct plan *p)
{
    struct samples all = {0};
    struct steps *s = steps_open(p->backend, &p->shape);
    warm_up(p, s);
    run_beside(p, s, NULL);
    for (int i = 0; i < p->rounds; i++) {
        run_steps(s, p->steps_a_round, &all, false);
        run_beside(p, s, &all);
    }
    print_samples("verify runs all the while", &all);
    steps_close(s);
}

/* --- one verification ------------------------------------------------------------------------- */

/* Bytes a second of copying `bytes` in chunks; from staging (pinned) or from device memory. */
static double copy_rate(struct tkv_device *dev, bool staging, size_t bytes)
{
    const size_t chunk = 64 << 20;
    enum tkv_backend backend = tkv_device_backend(dev);
    void *from = NULL, *to = NULL;
    uint64_t best = UINT64_MAX;
    enum tkv_status st =
        staging ? tkv_staging_alloc(backend, chunk, &from) : tkv_scratch_alloc(dev, chunk, &from);
    if (st == TKV_OK) st = tkv_scratch_alloc(dev, chunk, &to);
    if (staging && st == TKV_OK) memset(from, 1, chunk);
    for (int round = 0; round < 5 && st == TKV_OK; round++) {
        uint64_t begin = tkv_now_ns();
        for (size_t done = 0; done < bytes && st == TKV_OK; done += chunk)
            st = tkv_device_copy(dev, to, from, chunk);
        if (st == TKV_OK) st = tkv_device_sync(dev);
        uint64_t ns = tkv_now_ns() - begin;
        best = ns < best ? ns : best;
    }
    if (st != TKV_OK) exit(1);
    tkv_scratch_free(dev, to);
    if (staging)
        tkv_staging_free(backend, from, chunk);
    else
        tkv_scratch_free(dev, from);
    size_t copied = (bytes + chunk - 1) / chunk * chunk;
    return (double)copied / ((double)best / 1e9);
}

static void bench_whole(const struct plan *p)
{
    struct steps_shape shape = p->shape;
    struct tkv_device *dev;
    struct tkv_device_info before, after;
    shape.journal_bytes = p->verified_bytes + p->verified_bytes / 4;
    if (tkv_device_open(&dev, p->backend, 0, NULL) != TKV_OK) exit(1);
    double link = copy_rate(dev, true, p->verified_bytes);
    double memory = copy_rate(dev, false, p->verified_bytes);
    struct steps *s = steps_open(p->backend, &shape);
    size_t rows = 0;
    for (; rows < p->verified_bytes; rows += steps_bytes(s))
        (void)steps_append(s);
    if (tkv_device_info(dev, &before) != TKV_OK) exit(1);
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        const struct tkv_verify_report *report = steps_verify(s);
        must_be_ok(report);
        best = report->duration_us < best ? report->duration_us : best;
    }
    if (tkv_device_info(dev, &after) != TKV_OK) exit(1);
    double ms = (double)best / 1e3, thrice = 3e3 * (double)rows;
    printf("\nverify of %.2f GiB of appended rows: %.1f ms\n", (double)rows / (1 << 30), ms);
    printf(
        "  reading them three times from where they are recorded: %.1f ms at %.1f GB/s, %.2f x\n",
        thrice / link, link / 1e9, ms * link / thrice);
    printf("  reading them three times in device memory: %.2f ms at %.1f GB/s, %.1f x\n",
           thrice / memory, memory / 1e9, ms * memory / thrice);
    if (p->backend == TKV_BACKEND_CUDA)
        printf("  device memory taken by it: %.1f MiB of scratch_bytes %.1f MiB\n",
               (double)(after.memory_used - before.memory_used) / (1 << 20),
               (double)shape.scratch_bytes / (1 << 20));
    steps_close(s);
    tkv_device_close(dev);
}

/* --- command line ----------------------------------------------------------------------------- */

static bool parse(int argc, char **argv, enum tkv_backend *backend, bool *tiny)
{
    static const struct option options[] = {
        {"backend", required_argument, NULL, 'b'}, {"tiny", no_argument, NULL, 't'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't') {
            *tiny = true;
            continue;
        }
        if (c != 'b') return false;
        for (*backend = TKV_BACKEND_AUTO; strcmp(optarg, tkv_backend_word(*backend)) != 0;
             *backend = (enum tkv_backend)(*backend + 1)) {
            if (*backend == TKV_BACKEND_CPU) return false;
        }
    }
    return optind == argc;
}

static struct plan plan_for(enum tkv_backend backend, bool tiny)
{
    struct plan p = {
        backend, {64, 32, 8, 128, 64, 256 << 20, 256 << 20, true}, 10, 200, (size_t)1 << 30};
    if (backend == TKV_BACKEND_CPU) {
        p.shape.capacity = 16; /* fits small machines: 128 MiB of caches */
        p.steps_a_round = 40;
        p.verified_bytes = 256 << 20;
    }
    if (backend == TKV_BACKEND_CUDA) p.shape.capacity = 160;
    if (!tiny) return p;
    p.shape = (struct steps_shape){4, 2, 2, 64, 8, 1 << 20, 8 << 20, true};
    p.rounds = 2;
    p.steps_a_round = 20;
    p.verified_bytes = 64 << 10;
    return p;
}

int main(int argc, char **argv)
{
    enum tkv_backend backend = TKV_BACKEND_AUTO;
    struct tkv_device *dev = NULL;
    struct tkv_device_info info;
    bool tiny = false;
    if (!parse(argc, argv, &backend, &tiny)) {
        fprintf(stderr, "usage: bench_verify [--backend auto|cuda|cpu] [--tiny]\n");
        return 2;
    }
    if (tkv_device_open(&dev, backend, 0, NULL) != TKV_OK ||
        tkv_device_info(dev, &info) != TKV_OK) {
        fprintf(stderr, "bench_verify: no such device\n");
        return 1;
    }
    tkv_device_close(dev);
    struct plan p = plan_for(info.backend, tiny);
    printf("decode steps of %u sequences, %u layers x %u heads x %u, f16, on %s (%s); us\n",
           p.shape.m, p.shape.layers, p.shape.n_kv_heads, p.shape.head_dim,
           tkv_backend_word(info.backend), info.name);
    printf("%-34s %6s %9s %9s %6s %9s %9s %6s\n", "", "steps", "p50", "with", "ratio", "p99",
           "with", "ratio");
    bench_recording(&p, true, false, "journal");
    bench_recording(&p, false, true, "checksums");
    bench_recording(&p, true, true, "journal and checksums");
    bench_beside(&p);
    bench_whole(&p);
    return 0;
}
