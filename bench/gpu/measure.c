/* Rounds by turns and their medians; errors end the program; cells of tables. */
#include "bench/gpu/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

_Noreturn void bench_die(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "bench_gpu: %s\n", what);
    exit(1);
}

void bench_check(enum tkv_status st, const char *what)
{
    if (st == TKV_OK) return;
    fprintf(stderr, "bench_gpu: %s: ", what);
    bench_die(tkv_status_reason(st));
}

void bench_cuda(cudaError_t err, const char *what)
{
    if (err == cudaSuccess) return;
    fprintf(stderr, "bench_gpu: %s: ", what);
    bench_die(cudaGetErrorString(err));
}

void bench_sync(const struct run *r)
{
    bench_check(tkv_device_sync(r->dev), "sync");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Microseconds a step over this many calls. */
static double run_calls(const struct run *r, const struct way *w, uint32_t calls)
{
    uint64_t start = tkv_now_ns();
    if (w->timing == ON_DEVICE) bench_cuda(cudaEventRecord(r->start, r->stream), "event");
    for (uint32_t i = 0; i < calls; i++) {
        w->step(w->self, i % CYCLE);
        if (w->timing == ONE_BY_ONE) bench_sync(r);
    }
    if (w->timing == ON_DEVICE) bench_cuda(cudaEventRecord(r->stop, r->stream), "event");
    bench_sync(r);
    double us = (double)(tkv_now_ns() - start) / 1e3;
    if (w->timing == ON_DEVICE) {
        float ms;
        bench_cuda(cudaEventElapsedTime(&ms, r->start, r->stop), "elapsed time");
        us = (double)ms * 1e3;
    }
    return us / calls / (w->steps_each == 0 ? 1 : w->steps_each);
}

/* Calls that make a round; a cheap way is asked twice, as its first answer is mostly waiting. */
static uint32_t calls_of_round(const struct run *r, const struct way *w)
{
    uint32_t each = w->steps_each == 0 ? 1 : w->steps_each;
    (void)run_calls(r, w, 1); /* wakes what sleeps */
    double us = run_calls(r, w, 1) * each;
    if (us < 1000) us = run_calls(r, w, CYCLE) * each;
    return us < r->round_us ? (uint32_t)(r->round_us / us) : 1;
}

void bench_measure(const struct run *r, const struct way *ways, int n, double *us)
{
    double rounds[WAYS_MAX][ROUNDS_MAX];
    uint32_t calls[WAYS_MAX];
    if (n > WAYS_MAX || r->rounds > ROUNDS_MAX) bench_die("too many ways or rounds");
    for (int w = 0; w < n; w++)
        calls[w] = ways[w].step == NULL ? 0 : calls_of_round(r, &ways[w]);
    for (int i = 0; i < r->rounds; i++) {
        for (int w = 0; w < n; w++)
            rounds[w][i] = calls[w] == 0 ? (double)NAN : run_calls(r, &ways[w], calls[w]);
    }
    for (int w = 0; w < n; w++) {
        qsort(rounds[w], (size_t)r->rounds, sizeof rounds[w][0], by_value);
        us[w] = rounds[w][r->rounds / 2];
    }
}

void bench_step_large(void *self, uint32_t step)
{
    const struct run *r = self;
    cudaError_t err = cudaMemcpyAsync(r->large[step % 2], r->large[1 - step % 2], LARGE_BYTES,
                                      cudaMemcpyDeviceToDevice, r->stream);
    bench_cuda(err, "large copy");
}

double bench_large_gbps(double us)
{
    return 2.0 * LARGE_BYTES / us / 1e3;
}

void bench_head(const char *const *names, int n, int width)
{
    for (int i = 0; i < n; i++)
        printf(" %*s", width, names[i]);
}

void bench_put(double x, int width, int decimals)
{
    if (isnan(x))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, decimals, x);
}

void bench_end_row(void)
{
    printf("\n");
    fflush(stdout);
}
