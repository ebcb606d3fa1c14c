/* Launches captured as graphs, replayed, given new parameters, or launched again by other means. */
#include <cudaTypedefs.h>
#include <string.h>

#include "bench/gpu/measure.h"

/* The steps [first, first + n) of a way as a chain of nodes. */
static cudaGraph_t capture(const struct run *r, const struct way *of, uint32_t first, uint32_t n)
{
    cudaGraph_t graph;
    bench_sync(r);
    bench_cuda(cudaStreamBeginCapture(r->stream, cudaStreamCaptureModeThreadLocal), "capture");
    for (uint32_t i = 0; i < n; i++)
        of->step(of->self, (first + i) % CYCLE);
    bench_cuda(cudaStreamEndCapture(r->stream, &graph), "end of capture");
    return graph;
}

static cudaGraphExec_t instantiate(const struct run *r, cudaGraph_t graph)
{
    cudaGraphExec_t exec;
    bench_cuda(cudaGraphInstantiate(&exec, graph, 0), "graph");
    bench_cuda(cudaGraphUpload(exec, r->stream), "graph upload");
    return exec;
}

static void step_replay(void *self, uint32_t step)
{
    struct replay *g = self;
    bench_cuda(cudaGraphLaunch(g->exec[step % g->n], g->run->stream), "graph launch");
}

struct way bench_replay_open(struct replay *g, const struct run *r, const struct way *of,
                             uint32_t n, uint32_t each)
{
    g->run = r;
    g->n = n;
    of->step(of->self, 0); /* loads the kernel: not to be done during a capture */
    for (uint32_t i = 0; i < n; i++) {
        cudaGraph_t graph = capture(r, of, i * each, each);
        g->exec[i] = instantiate(r, graph);
        bench_cuda(cudaGraphDestroy(graph), "graph");
    }
    bench_sync(r);
    struct way way = {step_replay, g, BACK_TO_BACK, each};
    return way;
}

void bench_replay_close(struct replay *g)
{
    bench_sync(g->run);
    for (uint32_t i = 0; i < g->n; i++)
        bench_cuda(cudaGraphExecDestroy(g->exec[i]), "graph");
}

/* --- the same launch by other means ------------------------------------------------------------
 */

static cudaError_t launch_plain(struct relaunch *l, uint32_t step)
{
    const struct cudaKernelNodeParams *p = &l->params[step];
    return cudaLaunchKernel(p->func, p->gridDim, p->blockDim, p->kernelParams, p->sharedMemBytes,
                            l->run->stream);
}

void bench_relaunch_open(struct relaunch *l, const struct run *r, const struct way *of)
{
    memset(l, 0, sizeof *l);
    l->run = r;
    l->known = true;
    of->step(of->self, 0);
    for (uint32_t i = 0; i < CYCLE; i++) {
        size_t n = 1;
        l->graphs[i] = capture(r, of, i, 1);
        bench_cuda(cudaGraphGetNodes(l->graphs[i], &l->nodes[i], &n), "graph nodes");
        if (n != 1) bench_die("a step of more than one launch cannot be launched again");
        if (cudaGraphKernelNodeGetParams(l->nodes[i], &l->params[i]) != cudaSuccess) {
            l->known = false;
            (void)cudaGetLastError(); /* else the next launch would find it */
        }
    }
    for (uint32_t i = 0; i < RING_MAX; i++)
        l->exec[i] = instantiate(r, l->graphs[i]);
    bench_sync(r);
    /* What a graph says of its kernel may be no symbol to a runtime: those ways are absent then. */
    l->launchable = l->known && launch_plain(l, 0) == cudaSuccess;
    if (!l->known || cudaGetFuncBySymbol(&l->function, l->params[0].func) != cudaSuccess)
        l->function = NULL;
    (void)cudaGetLastError();
    bench_sync(r);
}

void bench_relaunch_close(struct relaunch *l)
{
    bench_sync(l->run);
    for (uint32_t i = 0; i < RING_MAX; i++)
        bench_cuda(cudaGraphExecDestroy(l->exec[i]), "graph");
    for (uint32_t i = 0; i < CYCLE; i++)
        bench_cuda(cudaGraphDestroy(l->graphs[i]), "graph");
}

static void step_plain(void *self, uint32_t step)
{
    bench_cuda(launch_plain(self, step), "launch");
}

/* Where a kernel neither triggers nor waits, its successor starts when all its blocks have ended,
 * without waiting until what they wrote is seen by all: fine between steps of an append, which do
 * not read each other's rows. */
static void step_programmatic(void *self, uint32_t step)
{
    struct relaunch *l = self;
    const struct cudaKernelNodeParams *p = &l->params[step];
    cudaLaunchAttribute attribute = {.id = cudaLaunchAttributeProgrammaticStreamSerialization};
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {.gridDim = p->gridDim,
                                 .blockDim = p->blockDim,
                                 .dynamicSmemBytes = p->sharedMemBytes,
                                 .stream = l->run->stream,
                                 .attrs = &attribute,
                                 .numAttrs = 1};
    bench_cuda(cudaLaunchKernelExC(&config, p->func, p->kernelParams), "programmatic launch");
}

static PFN_cuLaunchKernel_v4000 driver_launch;

static void step_driver(void *self, uint32_t step)
{
    struct relaunch *l = self;
    const struct cudaKernelNodeParams *p = &l->params[step];
    CUresult result = driver_launch((CUfunction)l->function, p->gridDim.x, p->gridDim.y,
                                    p->gridDim.z, p->blockDim.x, p->blockDim.y, p->blockDim.z,
                                    p->sharedMemBytes, l->run->stream, p->kernelParams, NULL);
    bench_cuda((cudaError_t)result, "driver launch"); /* the numbers are the same */
}

static void update_and_launch(struct relaunch *l, uint32_t slot, uint32_t step)
{
    bench_cuda(cudaGraphExecKernelNodeSetParams(l->exec[slot], l->nodes[slot], &l->params[step]),
               "new parameters");
    bench_cuda(cudaGraphLaunch(l->exec[slot], l->run->stream), "graph launch");
}

static void step_updated(void *self, uint32_t step)
{
    update_and_launch(self, 0, step);
}

static void step_updated_ring(void *self, uint32_t step)
{
    struct relaunch *l = self;
    l->turn = (l->turn + 1) % RING_MAX;
    update_and_launch(l, l->turn, step);
}

static struct way way_of(struct relaunch *l, void (*step)(void *self, uint32_t step), bool there)
{
    struct way way = {there ? step : NULL, l, BACK_TO_BACK, 1};
    return way;
}

struct way bench_way_plain(struct relaunch *l)
{
    return way_of(l, step_plain, l->launchable);
}

struct way bench_way_programmatic(struct relaunch *l)
{
    return way_of(l, step_programmatic, l->launchable);
}

struct way bench_way_driver(struct relaunch *l)
{
    enum cudaDriverEntryPointQueryResult found;
    void *entry = NULL;
    if (driver_launch == NULL &&
        cudaGetDriverEntryPointByVersion("cuLaunchKernel", &entry, 4000, cudaEnableDefault,
                                         &found) == cudaSuccess &&
        found == cudaDriverEntryPointSuccess)
        memcpy(&driver_launch, &entry, sizeof driver_launch);
    return way_of(l, step_driver, l->function != NULL && driver_launch != NULL);
}

struct way bench_way_updated(struct relaunch *l)
{
    return way_of(l, step_updated, l->known);
}

struct way bench_way_updated_ring(struct relaunch *l)
{
    return way_of(l, step_updated_ring, l->known);
}
