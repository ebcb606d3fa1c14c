/* The broken variants on the GPU: rows go where fault_rows.h says. Plain, and never reached unless
 * a fault was armed. */
#include <string.h>

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/fault_rows.h"

struct faulty_args {
    struct tkv_geometry geom;
    const struct tkv_append_item *items;
    uint32_t n;
    enum tkv_fault fault;
    uint32_t *refused;
};
static_assert(sizeof(struct tkv_append_item) * TKV_ITEMS_MAX <= TKV_CUDA_TABLE_BYTES,
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
__global__ static void append_faulty_kernel(struct faulty_args a)
{
    const struct tkv_geometry *g = &a.geom;
    uint32_t i = blockIdx.y;
    const struct tkv_append_item *to = &a.items[i];
    if (!tkv_fault_item_ok(g, to)) {
        if (blockIdx.x == 0 && threadIdx.x == 0) *a.refused = 1;
        return;
    }
    size_t rows = tkv_fault_row_count(a.fault, g, a.items, a.n, i);
    for (size_t r = blockIdx.x; r < rows; r += gridDim.x) {
        struct tkv_fault_row row;
        if (!tkv_fault_map(a.fault, g, a.items, a.n, i, r, &row)) continue;
        const struct tkv_append_item *by = &a.items[row.src_item];
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

/* One thread; the last item's first written element. */
__global__ static void flip_bit_kernel(uint16_t *element)
{
    *element ^= 1u << TKV_FAULT_FLIPPED_BIT;
}

static enum tkv_status append_and_flip(struct tkv_cuda_device *cuda,
                                       const struct tkv_geometry *geom,
                                       const struct tkv_append_item *items, uint32_t n)
{
    const struct tkv_append_item *last = &items[n - 1];
    enum tkv_status st = tkv_cuda_append_batched(&cuda->base, geom, items, n);
    if (st != TKV_OK || !tkv_fault_item_ok(geom, last)) return st;
    if (tkv_fault_row_count(TKV_FAULT_BIT_FLIP, geom, last, 1, 0) == 0) return TKV_OK;
    size_t at = tkv_plane_offset(geom, last->capacity, last->layer_begin, TKV_K) +
                tkv_row_offset(geom, last->capacity, 0, last->pos);
    flip_bit_kernel<<<1, 1, 0, cuda->stream>>>((uint16_t *)last->cache + at);
    return tkv_cuda_launched(cuda, "flip_bit_kernel");
}

enum tkv_status tkv_cuda_append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                                       const struct tkv_append_item *items, uint32_t n,
                                       enum tkv_fault fault)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    struct tkv_cuda_table *table;
    enum tkv_status st = tkv_cuda_enter(cuda), busy;
    if (st != TKV_OK) return st;
    if (fault == TKV_FAULT_BIT_FLIP) return append_and_flip(cuda, geom, items, n);

    st = tkv_cuda_table_take(cuda, &table);
    if (st != TKV_OK) return st;
    memcpy(table->host, items, n * sizeof items[0]);
    st = tkv_cuda_table_send(cuda, table, n * sizeof items[0]);
    if (st == TKV_OK) {
        struct faulty_args args = {*geom, (const struct tkv_append_item *)table->device, n, fault,
                                   cuda->refused};
        append_faulty_kernel<<<dim3(128, n), 128, 0, cuda->stream>>>(args);
        st = tkv_cuda_launched(cuda, "append_faulty_kernel");
    }
    busy = tkv_cuda_table_busy(cuda, table);
    return st != TKV_OK ? st : busy;
}
