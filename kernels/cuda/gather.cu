/* Rows of many places at once: one launch for up to GATHER_MAX of them. */
#include "kernels/cuda/device.cuh"

enum { THREADS = 256, GATHER_MAX = 64 };

struct gather_args {
    struct tkv_rows all[GATHER_MAX];
    bool wide; /* everything is a multiple of 16 bytes */
};

template <class Unit> __device__ static void copy_units(const struct tkv_rows &r)
{
    size_t width = r.width / sizeof(Unit), n = width * r.rows;
    size_t step = (size_t)gridDim.x * THREADS;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += step) {
        size_t row = i / width, at = (i - row * width) * sizeof(Unit);
        *(Unit *)((char *)r.dst + row * r.dst_pitch + at) =
            *(const Unit *)((const char *)r.src + row * r.src_pitch + at);
    }
}

/* Grid: y is the place, x strides over its rows. */
__global__ static void gather_kernel(const __grid_constant__ struct gather_args a)
{
    if (a.wide) {
        copy_units<uint4>(a.all[blockIdx.y]);
    } else {
        copy_units<unsigned char>(a.all[blockIdx.y]);
    }
}

static bool is_wide(const struct tkv_rows *r)
{
    uintptr_t all = (uintptr_t)r->dst | (uintptr_t)r->src | r->dst_pitch | r->src_pitch | r->width;
    return all % sizeof(uint4) == 0;
}

static enum tkv_status gather_some(struct tkv_cuda_device *cuda, const struct tkv_rows *all,
                                   unsigned n)
{
    struct gather_args args = {};
    size_t most = 0, blocks, enough = 4 * (size_t)cuda->multiprocessors;
    args.wide = true;
    for (unsigned i = 0; i < n; i++) {
        args.all[i] = all[i];
        args.wide = args.wide && is_wide(&all[i]);
        if (all[i].width * all[i].rows > most) most = all[i].width * all[i].rows;
    }
    if (most == 0) return TKV_OK;
    blocks = (most / (args.wide ? sizeof(uint4) : 1) - 1) / THREADS + 1;
    if (blocks > enough) blocks = enough;
    gather_kernel<<<dim3((unsigned)blocks, n), THREADS, 0, cuda->stream>>>(args);
    return tkv_cuda_launched(cuda, "gather_kernel");
}

enum tkv_status tkv_cuda_gather(struct tkv_device *dev, const struct tkv_rows *all, size_t n)
{
    const size_t most = GATHER_MAX;
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    for (size_t done = 0; done < n && st == TKV_OK; done += most)
        st = gather_some(cuda, all + done, (unsigned)(n - done < most ? n - done : most));
    return st;
}
