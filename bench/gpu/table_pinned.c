/* Rows in pinned host memory: read by the kernel itself over the link, or copied to the device
 * first. The floor is the copy over the link alone. */
#include <math.h>
#include <stdio.h>

#include "bench/gpu/job.h"

static const uint32_t sequences[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};

enum { DIRECT, DIRECT_SUMS, UPLOAD, UPLOAD_SUMS, LINK, WAYS };

static void upload(struct job *j, uint32_t step, bool summed)
{
    cudaError_t err = cudaMemcpyAsync(j->scratch, job_rows(j, step), j->set_bytes,
                                      cudaMemcpyHostToDevice, j->run->stream);
    bench_cuda(err, "upload");
    job_aim(j, step, j->scratch, summed);
    bench_check(tkv_append_batched(j->run->dev, &j->geom, j->items, j->shape.m), "append");
}

static void step_upload(void *self, uint32_t step)
{
    upload(self, step, false);
}

static void step_upload_sums(void *self, uint32_t step)
{
    upload(self, step, true);
}

static void print_times(const struct job *j, const double *us)
{
    double direct = us[DIRECT_SUMS], uploaded = us[UPLOAD_SUMS];
    for (int i = 0; i < WAYS; i++)
        bench_put(us[i], 7, 1);
    bench_put((double)j->set_bytes / us[LINK] / 1e3, 7, 1);
    printf(" %7s", direct <= uploaded ? "direct" : "upload");
    bench_put(us[LINK] / fmin(us[DIRECT], us[UPLOAD]), 7, 3);
    bench_put(us[LINK] / fmin(direct, uploaded), 7, 3);
}

static void measure_row(const struct run *r, uint32_t m, void *pinned)
{
    const struct shape shape = {m, 32, 1, 8, 128, TKV_F16, false, 0};
    struct job job;
    double us[WAYS];
    job_open(&job, r, &shape, pinned);
    struct way ways[WAYS] = {[DIRECT] = job_batched(&job),
                             [DIRECT_SUMS] = job_summed(&job),
                             [UPLOAD] = {step_upload, &job, BACK_TO_BACK, 1},
                             [UPLOAD_SUMS] = {step_upload_sums, &job, BACK_TO_BACK, 1},
                             [LINK] = job_copy(&job)};
    job_expect(&job);
    for (int i = DIRECT; i <= UPLOAD_SUMS; i++)
        job_verify(&job, &ways[i], i == DIRECT_SUMS || i == UPLOAD_SUMS, "append of pinned rows");
    job_verify_copy(&job, &ways[LINK]);
    printf("%4u %6.2f", m, (double)job.set_bytes / MIB);
    bench_measure(r, ways, WAYS, us);
    print_times(&job, us);
    printf(" |");
    for (int i = 0; i < WAYS; i++)
        ways[i].timing = ONE_BY_ONE;
    bench_measure(r, ways, WAYS, us);
    print_times(&job, us);
    bench_end_row();
    job_close(&job);
}

void table_pinned(const struct run *r)
{
    static const char *const names[] = {"direct", "+sums",  "upload", "+sums", "link",
                                        "GB/s",   "better", "share",  "+sums"};
    enum { COLUMNS = sizeof names / sizeof names[0] };
    void *pinned;
    bench_check(tkv_staging_alloc(TKV_BACKEND_CUDA, PINNED_BYTES, &pinned), "pinned memory");
    printf(
        "\n3. Rows in pinned host memory, 32 layers, 8 heads x 128, f16; microseconds a step."
        " direct: the kernel\n"
        "reads them; upload: one copy to the device, then the kernel; link: that copy alone, with"
        " its GB/s.\n"
        "truekvd uploads from batch.upload_bytes on (8 MiB).\n"
        "share: link / better of both, without and with checksums (better: with). Target: >= 0.95"
        " from M 32\n"
        "on. Left: back to back; right: each step waited for.\n"
        "   M    MiB");
    bench_head(names, COLUMNS, 7);
    printf(" |");
    bench_head(names, COLUMNS, 7);
    bench_end_row();
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++)
        measure_row(r, sequences[i], pinned);
    tkv_staging_free(TKV_BACKEND_CUDA, pinned, PINNED_BYTES);
}
