/* Appends on a GPU beside their floors: what one launch for all layers costs, next to a contiguous
 * copy of the same bytes, to an empty launch, and to the classic ways, all measured in the same run
 * by turns, bytes verified before anything is timed. See job.h for where rows and caches lie. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bench/gpu/kernels.h"
#include "bench/gpu/measure.h"

static const char usage[] =
    "usage: bench_gpu [--quick] [--only TABLES]\n"
    "  --quick        short rounds, few of them\n"
    "  --only TABLES  of these letters: a append, s shapes, p pinned, c classic, l launch\n"
    "The first GPU is used; CUDA_VISIBLE_DEVICES picks another.\n";

static const struct table {
    char letter;
    void (*print)(const struct run *r);
} tables[] = {{'a', table_append},
              {'s', table_shapes},
              {'p', table_pinned},
              {'c', table_classic},
              {'l', table_launch}};
enum { TABLES = sizeof tables / sizeof tables[0] };

struct options {
    bool quick, help;
    const char *only;
};

static bool parse(int argc, char **argv, struct options *out)
{
    static const struct option known[] = {{"quick", no_argument, NULL, 'q'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    *out = (struct options){.only = "aspcl"};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'q': out->quick = true; break;
        case 'h': out->help = true; break;
        case 'o': out->only = optarg; break;
        default: return false;
        }
    }
    return optind == argc && strspn(out->only, "aspcl") == strlen(out->only);
}

static void open_run(struct run *r, const struct options *options)
{
    const char *why = NULL;
    enum tkv_status st = tkv_device_open(&r->dev, TKV_BACKEND_CUDA, 0, &why);
    if (why != NULL) bench_die(why);
    bench_check(st, "open");
    r->stream = bench_stream(r->dev);
    r->quick = options->quick;
    r->rounds = r->quick ? 3 : ROUNDS_MAX;
    r->round_us = r->quick ? 1500 : 6000;
    bench_cuda(cudaEventCreate(&r->start), "event");
    bench_cuda(cudaEventCreate(&r->stop), "event");
    for (int i = 0; i < 2; i++) {
        bench_check(tkv_scratch_alloc(r->dev, LARGE_BYTES, &r->large[i]), "device memory");
        bench_check(tkv_device_fill(r->dev, r->large[i], 1, LARGE_BYTES), "fill");
    }
}

static void close_run(struct run *r)
{
    for (int i = 0; i < 2; i++)
        tkv_scratch_free(r->dev, r->large[i]);
    bench_cuda(cudaEventDestroy(r->stop), "event");
    bench_cuda(cudaEventDestroy(r->start), "event");
    tkv_device_close(r->dev);
}

static void print_head(const struct run *r)
{
    struct tkv_device_info info;
    struct way large = {bench_step_large, (void *)r, BACK_TO_BACK, 1};
    int driver = 0, runtime = 0;
    double us;
    bench_check(tkv_device_info(r->dev, &info), "info");
    bench_cuda(cudaDriverGetVersion(&driver), "driver version");
    bench_cuda(cudaRuntimeGetVersion(&runtime), "runtime version");
    bench_measure(r, &large, 1, &us);
    printf("%s; CUDA of the driver %d.%d, of this build %d.%d; a copy of %d MiB: %.0f GB/s read and"
           " written\n"
           "medians of %d rounds by turns, about %.1f ms each; sources rotate through 128 MiB (at"
           " most %d sets,\nso that steps below 1 MiB may find their rows in L2), positions through"
           " up to %d\n",
           info.name, driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10,
           LARGE_BYTES / MIB, bench_large_gbps(us), r->rounds, r->round_us / 1e3, CYCLE, CYCLE);
}

int main(int argc, char **argv)
{
    struct options options;
    struct run run;
    uint64_t start = tkv_now_ns();
    if (!parse(argc, argv, &options)) {
        fputs(usage, stderr);
        return 2;
    }
    if (options.help) {
        fputs(usage, stdout);
        return 0;
    }
    open_run(&run, &options);
    print_head(&run);
    for (int i = 0; i < TABLES; i++) {
        if (strchr(options.only, tables[i].letter) != NULL) tables[i].print(&run);
    }
    close_run(&run);
    printf("\n%.1f s in all\n", (double)(tkv_now_ns() - start) / 1e9);
    return 0;
}
