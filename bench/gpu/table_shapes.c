/* Other types, head sizes, prefill, ragged batches and long caches: as shares of what a copy of the
 * same bytes reaches, and a large one. */
#include <stdio.h>

#include "bench/gpu/job.h"

static const struct row {
    const char *name;
    struct shape shape;
    double target; /* of the bandwidth of a copy of the same bytes */
} rows[] = {
    {"decode", {64, 32, 1, 8, 128, TKV_F16, false, 0}, 0.90},
    {"decode", {64, 32, 1, 8, 128, TKV_BF16, false, 0}, 0.90},
    {"decode", {64, 32, 1, 8, 128, TKV_F32, false, 0}, 0.90},
    {"decode", {256, 32, 1, 8, 128, TKV_F16, false, 0}, 0.90},
    {"decode", {256, 32, 1, 8, 128, TKV_BF16, false, 0}, 0.90},
    {"decode", {256, 32, 1, 8, 128, TKV_F32, false, 0}, 0.90},
    {"long caches", {64, 32, 1, 8, 128, TKV_F16, false, 2048}, 0.90},
    {"long caches", {256, 32, 1, 8, 128, TKV_F16, false, 512}, 0.90},
    {"head size", {64, 32, 1, 16, 64, TKV_F16, false, 0}, 0.90},
    {"head size", {64, 32, 1, 13, 80, TKV_F16, false, 0}, 0.90},
    {"head size", {64, 32, 1, 11, 96, TKV_F16, false, 0}, 0.90},
    {"head size", {64, 32, 1, 9, 112, TKV_F16, false, 0}, 0.90},
    {"head size", {64, 32, 1, 5, 192, TKV_F16, false, 0}, 0.90},
    {"head size", {64, 32, 1, 4, 256, TKV_F16, false, 0}, 0.90},
    {"head size", {64, 32, 1, 2, 576, TKV_F16, false, 0}, 0.90},
    {"head size", {256, 32, 1, 13, 80, TKV_F16, false, 0}, 0.90},
    {"head size", {256, 32, 1, 2, 576, TKV_F16, false, 0}, 0.90},
    {"prefill", {1, 32, 512, 8, 128, TKV_F16, false, 0}, 0.92},
    {"prefill", {4, 32, 512, 8, 128, TKV_F16, false, 0}, 0.92},
    {"prefill", {4, 32, 512, 8, 128, TKV_BF16, false, 0}, 0.92},
    {"prefill", {4, 32, 512, 8, 128, TKV_F32, false, 0}, 0.92},
    {"prefill", {4, 32, 512, 13, 80, TKV_F16, false, 0}, 0.92},
    {"ragged", {8, 32, 64, 8, 128, TKV_F16, true, 0}, 0.90},
    {"ragged", {64, 32, 64, 8, 128, TKV_F16, true, 0}, 0.90},
    {"ragged", {64, 32, 64, 8, 128, TKV_F32, true, 0}, 0.90},
};

enum { OURS, SUMS, COPY, LARGE, WAYS };

static void print_row(const struct job *j, const struct row *row, const double *us)
{
    const struct shape *s = &row->shape;
    double large = bench_large_gbps(us[LARGE]), gbps[WAYS];
    for (int i = 0; i < LARGE; i++)
        gbps[i] = (double)j->moved / us[i] / 1e3;
    printf("%-11s %4u %3u %s%-4u %5u %4u %5s %8.2f", row->name, s->m, s->layers,
           s->ragged ? "1-" : "  ", s->tokens, s->heads, s->dim, tkv_dtype_word(s->rows_dtype),
           (double)j->moved / 2 / MIB);
    for (int i = 0; i < LARGE; i++)
        bench_put(us[i], 7, 2);
    for (int i = 0; i < LARGE; i++)
        bench_put(gbps[i], 7, 0);
    bench_put(large, 7, 0);
    bench_put(us[COPY] / us[OURS], 7, 3);
    bench_put(us[COPY] / us[SUMS], 7, 3);
    bench_put(gbps[OURS] / large, 7, 3);
    bench_put(gbps[SUMS] / large, 7, 3);
    bench_put(row->target, 7, 2);
    printf(" %s", us[COPY] / us[OURS] >= row->target ? "ok" : "below");
    bench_end_row();
}

static void measure_row(const struct run *r, const struct row *row)
{
    struct job job;
    job_open(&job, r, &row->shape, NULL);
    struct way ways[WAYS] = {[OURS] = job_batched(&job),
                             [SUMS] = job_summed(&job),
                             [COPY] = job_copy(&job),
                             [LARGE] = {bench_step_large, (void *)r, BACK_TO_BACK, 1}};
    double us[WAYS];
    job_expect(&job);
    job_verify(&job, &ways[OURS], false, row->name);
    job_verify(&job, &ways[SUMS], true, row->name);
    job_verify_copy(&job, &ways[COPY]);
    bench_measure(r, ways, WAYS, us);
    print_row(&job, row, us);
    job_close(&job);
}

void table_shapes(const struct run *r)
{
    static const char *const names[] = {"ours",   "sums",    "copy",    "ours",
                                        "sums",   "copy",    "large",   "o/same",
                                        "s/same", "o/large", "s/large", "target"};
    printf("\n2. Types, head sizes, prefill, ragged batches, caches f16: microseconds a step, then"
           " GB/s read and\n"
           "written. /same: share of the bandwidth of one copy of the same bytes; /large: of a copy"
           " of %d MiB,\n"
           "which no small copy reaches, either. Target: of o/same.\n"
           "what           M   L tokens heads  dim  type      MiB",
           LARGE_BYTES / MIB);
    bench_head(names, sizeof names / sizeof names[0], 7);
    bench_end_row();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        measure_row(r, &rows[i]);
}
