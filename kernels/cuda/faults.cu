/* The broken variants on the GPU: rows go where fault_rows.h says. Plain, and never reached unless
 * a fault was armed. */
#include <string.h>

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/fault_rows.h"

struct faulty_args {
    struct tkv_fault_job job; /* pointers are the device's */
    uint32_t pass;
    uint32_t *refused;
};
static_assert(sizeof(struct tkv_append_item) * TKV_ITEMS_MAX <= TKV_CUDA_TABLE_BYTES,
              "fits a table");
static_assert(sizeof(struct tkv_fault_place) * TKV_ITEMS_MAX <= TKV_CUDA_TABLE_BYTES,
              "fits a table");

template <class Src, class Dst>
__device__ static void write_row(void *dst, size_t at, const void *src, size_t from, uint32_t dims)
{
    for (uint32_t d = threadIdx.x; d < dims; d += blockDim.x) {
        typename Src::bits x = ((const typename Src::bits *)src)[from + d];
        ((typename Dst::bits *)dst)[at + d] = tkv_conversion<Src, Dst>::apply(x);
    }
}

template <class Dst>
__device__ static void write_row_from(enum tkv_dtype rows_dtype, void *dst, size_t at,
                                      const void *src, size_t from, uint32_t dims)
{
    if (rows_dtype == TKV_F32) {
        write_row<tkv_as_f32, Dst>(dst, at, src, from, dims);
    } else if (rows_dtype == TKV_F16) {
        write_row<tkv_as_f16, Dst>(dst, at, src, from, dims);
    } else {
        write_row<tkv_as_bf16, Dst>(dst, at, src, from, dims);
    }
}

/* Grid: y is the item, x strides over its rows, the threads of a block over a row's elements. */
__global__ static void append_faulty_kernel(const __grid_constant__ struct faulty_args a)
{
    const struct tkv_geometry *g = &a.job.geom;
    uint32_t i = blockIdx.y;
    const struct tkv_append_item *to = &a.job.items[i];
    if (!tkv_fault_item_ok(g, to)) {
        if (blockIdx.x == 0 && threadIdx.x == 0) *a.refused = 1;
        return;
    }
    size_t rows = tkv_fault_rows(&a.job, i);
    for (size_t r = blockIdx.x; r <= rows; r += gridDim.x) {
        struct tkv_fault_row row;
        if (!tkv_fault_map(&a.job, a.pass, i, r, &row)) continue;
        const struct tkv_append_item *by = &a.job.batch[row.src_item];
        size_t at = tkv_plane_offset(g, to->capacity, row.dst_layer, row.dst_kv) +
                    tkv_row_offset(g, to->capacity, row.dst_head, row.dst_pos);
        size_t from = tkv_plane_offset(g, by->tokens, row.src_layer, row.src_kv) +
                      tkv_row_offset(g, by->tokens, row.src_head, row.src_token);
        if (g->dtype == TKV_F16) {
            write_row_from<tkv_as_f16>(by->rows_dtype, to->cache, at, by->rows, from, row.dims);
        } else {
            write_row_from<tkv_as_bf16>(by->rows_dtype, to->cache, at, by->rows, from, row.dims);
        }
    }
}

/* One thread. */
__global__ static void flip_bit_kernel(uint16_t *element, uint32_t bit)
{
    *element ^= 1u << bit;
}

static enum tkv_status flip_bits(struct tkv_cuda_device *cuda, const struct tkv_fault_job *job,
                                 uint32_t pass)
{
    enum tkv_status st = TKV_OK;
    for (uint32_t i = 0; i < job->n && st == TKV_OK; i++) {
        size_t at;
        if (!tkv_fault_flip(job, pass, i, &at)) continue;
        flip_bit_kernel<<<1, 1, 0, cuda->stream>>>((uint16_t *)job->items[i].cache + at,
                                                   TKV_FAULT_FLIPPED_BIT - (pass - 1));
        st = tkv_cuda_launched(cuda, "flip_bit_kernel");
    }
    return st;
}

/* --- what the kernel reads, each in a table of its own --------------------------------------- */

enum { ITEMS, BATCH, PLACES, TABLES };

static enum tkv_status send(struct tkv_cuda_device *cuda, const void *what, size_t bytes,
                            struct tkv_cuda_table **out)
{
    enum tkv_status st = tkv_cuda_table_take(cuda, out);
    if (st != TKV_OK) return st;
    memcpy((*out)->host, what, bytes);
    return tkv_cuda_table_send(cuda, *out, bytes);
}

/* The job as the kernel sees it. tables[] are filled as far as they were taken. */
static enum tkv_status send_job(struct tkv_cuda_device *cuda, struct tkv_fault_job *job,
                                struct tkv_cuda_table **tables)
{
    bool part = job->places != NULL;
    enum tkv_status st = send(cuda, job->items, job->n * sizeof job->items[0], &tables[ITEMS]);
    if (st == TKV_OK && part)
        st = send(cuda, job->batch, job->n_batch * sizeof job->batch[0], &tables[BATCH]);
    if (st == TKV_OK && part)
        st = send(cuda, job->places, job->n * sizeof job->places[0], &tables[PLACES]);
    if (st != TKV_OK) return st;
    job->items = (const struct tkv_append_item *)tables[ITEMS]->device;
    job->batch = (const struct tkv_append_item *)tables[part ? BATCH : ITEMS]->device;
    job->places = part ? (const struct tkv_fault_place *)tables[PLACES]->device : NULL;
    return TKV_OK;
}

static enum tkv_status run_passes(struct tkv_cuda_device *cuda, const struct tkv_fault_job *job)
{
    struct tkv_cuda_table *tables[TABLES] = {};
    struct faulty_args args = {*job, 0, cuda->refused};
    enum tkv_status st = send_job(cuda, &args.job, tables);
    for (uint32_t pass = 0; pass <= job->plan.n && st == TKV_OK; pass++) {
        args.pass = pass;
        append_faulty_kernel<<<dim3(128, job->n), 128, 0, cuda->stream>>>(args);
        st = tkv_cuda_launched(cuda, "append_faulty_kernel");
    }
    for (int t = 0; t < TABLES; t++) {
        if (tables[t] == NULL) continue;
        enum tkv_status busy = tkv_cuda_table_busy(cuda, tables[t]);
        if (st == TKV_OK) st = busy;
    }
    return st;
}

enum tkv_status tkv_cuda_append_faulty(struct tkv_device *dev, const struct tkv_fault_job *job)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st == TKV_OK)
        st = tkv_fault_writes(&job->plan)
                 ? run_passes(cuda, job)
                 : tkv_cuda_append_batched(dev, &job->geom, job->items, job->n);
    for (uint32_t pass = 1; pass <= job->plan.n && st == TKV_OK; pass++)
        st = flip_bits(cuda, job, pass);
    return st;
}
