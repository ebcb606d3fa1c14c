/* The batched path on the GPU: one launch for all rows of all items; see batch.cuh.
 *
 * Items reach the kernel as its parameter, copied by the launch itself, as far as they fit. What
 * serving brings has a kernel of its own (append_alike.cu). Any other batch goes through the one
 * here, and a table where there are more than 512 items. */
#include "kernels/cuda/batch.cuh"

static_assert(sizeof(struct tkv_batch_item) * TKV_ITEMS_MAX <= TKV_CUDA_TABLE_BYTES,
              "fits a table");

/* Kernel parameters: at most 32,764 bytes. */
template <int N> struct batch_inline {
    struct tkv_batch_head head;
    struct tkv_batch_item items[N];
};
static_assert(sizeof(struct batch_inline<512>) <= 32764, "fits the parameter space");

struct batch_table {
    struct tkv_batch_head head;
    const struct tkv_batch_item *items;
};

/* --- device ----------------------------------------------------------------------------------- */

template <class Type, bool Summed>
__device__ static uint64_t move_any(const struct tkv_unit_shape &s, const struct tkv_unit &u,
                                    bool wide)
{
    return wide ? tkv_move_unit<Type, Summed>(s, u) : tkv_move_unit<tkv_narrow<Type>, Summed>(s, u);
}

/* As each item has it. */
struct moved_mixed {
    template <bool Summed>
    __device__ static uint64_t move(const struct tkv_batch_head &b, const struct tkv_batch_item &it,
                                    const struct tkv_unit &u)
    {
        const struct tkv_unit_shape &s = b.shape;
        if (it.rows_dtype == b.geom.dtype) return move_any<tkv_same_type, Summed>(s, u, it.wide);
        if (b.geom.dtype == TKV_F16) {
            if (it.rows_dtype == TKV_F32)
                return move_any<tkv_converted<tkv_as_f32, tkv_as_f16>, Summed>(s, u, it.wide);
            return move_any<tkv_converted<tkv_as_bf16, tkv_as_f16>, Summed>(s, u, it.wide);
        }
        if (it.rows_dtype == TKV_F32)
            return move_any<tkv_converted<tkv_as_f32, tkv_as_bf16>, Summed>(s, u, it.wide);
        return move_any<tkv_converted<tkv_as_f16, tkv_as_bf16>, Summed>(s, u, it.wide);
    }
    __device__ static size_t size(const struct tkv_batch_item &it)
    {
        return it.rows_dtype == TKV_F32 ? sizeof(uint32_t) : sizeof(uint16_t);
    }
};

/* The item that a block works for: the last one whose first block is not behind it. */
template <class Batch> __device__ static uint32_t item_of_block(const Batch &b)
{
    if (b.head.blocks_each != 0) return blockIdx.x / b.head.blocks_each;
    uint32_t low = 0, high = b.head.n;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (b.items[middle].first_block <= blockIdx.x) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Grid: the items' units one after the other, TKV_WARPS to a block. An item that the guard refuses
 * has one block. */
template <class Batch, class Moved>
__global__ static void __launch_bounds__(TKV_THREADS, TKV_BLOCKS_MIN)
    append_batched_kernel(const __grid_constant__ Batch b)
{
    tkv_batch_wait();
    const struct tkv_batch_item &it = b.items[item_of_block(b)];
    if (!tkv_batch_guard(b.head.geom, it)) {
        if (threadIdx.x == 0) *b.head.refused = 1;
        return;
    }
    uint64_t n = (uint64_t)(blockIdx.x - it.first_block) * TKV_WARPS + threadIdx.x / 32;
    if (n >= tkv_batch_units(it)) return;
    tkv_batch_carry<Moved, true>(b.head, it, it.rows, it.cache, it.sums, it.pos, (uint32_t)n);
}

/* --- host ------------------------------------------------------------------------------------- */

static bool aligned(const void *ptr)
{
    return (uintptr_t)ptr % 16 == 0;
}

struct tkv_batch_item tkv_batch_describe(const struct tkv_geometry *g,
                                         const struct tkv_append_item *it)
{
    struct tkv_batch_item out = {};
    out.cache = it->cache;
    out.rows = it->rows;
    out.sums = it->sums;
    out.pos = it->pos;
    out.tokens = it->tokens;
    out.capacity = it->capacity;
    out.layer_begin = it->layer_begin;
    out.layer_end = it->layer_end;
    out.rows_dtype = (unsigned)it->rows_dtype < TKV_DTYPE_COUNT ? (uint8_t)it->rows_dtype
                                                                : (uint8_t)TKV_DTYPE_COUNT;
    out.wide = g->head_dim % TKV_PACK == 0 && aligned(it->cache) && aligned(it->rows);
    return out;
}

enum tkv_status tkv_batch_launch(struct tkv_cuda_device *cuda, const void *kernel, dim3 grid,
                                 const void *batch)
{
    cudaLaunchAttribute attribute = {};
    cudaLaunchConfig_t config = {};
    void *args[] = {(void *)batch};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.gridDim = grid;
    config.blockDim = dim3(TKV_THREADS);
    config.stream = cuda->stream;
    config.attrs = &attribute;
    config.numAttrs = cuda->programmatic ? 1 : 0;
    return tkv_cuda_status(cuda, cudaLaunchKernelExC(&config, kernel, args), "append_batched");
}

/* What a plan comes to. */
struct grid {
    uint32_t blocks; /* 0: too many for a grid */
    bool same;       /* all rows are of the cache's type, and aligned */
};

/* Fills out[0 .. n-1] and the head. */
static struct grid plan(struct tkv_batch_head *head, struct tkv_batch_item *out,
                        const struct tkv_append_item *items)
{
    uint64_t total = 0, each = 0;
    bool uniform = true, same = true;
    for (uint32_t i = 0; i < head->n; i++) {
        out[i] = tkv_batch_describe(&head->geom, &items[i]);
        out[i].first_block = (uint32_t)total;
        uint64_t units = tkv_batch_guard(head->geom, out[i]) ? tkv_batch_units(out[i]) : 0;
        uint64_t blocks = units == 0 ? 1 : (units - 1) / TKV_WARPS + 1;
        if (i == 0) each = blocks;
        uniform = uniform && blocks == each;
        same = same && out[i].wide && out[i].rows_dtype == head->geom.dtype;
        total += blocks;
        if (total > INT32_MAX || units > UINT32_MAX) return {0, false};
    }
    head->blocks_each = uniform ? (uint32_t)each : 0;
    return {(uint32_t)total, same};
}

template <class Batch>
static enum tkv_status launch(struct tkv_cuda_device *cuda, const Batch &batch, struct grid grid)
{
    const void *same = (const void *)append_batched_kernel<Batch, tkv_moved<tkv_same_type>>;
    const void *mixed = (const void *)append_batched_kernel<Batch, moved_mixed>;
    if (grid.blocks == 0) return TKV_EINVAL;
    return tkv_batch_launch(cuda, grid.same ? same : mixed, dim3(grid.blocks), &batch);
}

template <int N>
static enum tkv_status launch_inline(struct tkv_cuda_device *cuda,
                                     const struct tkv_batch_head *head,
                                     const struct tkv_append_item *items)
{
    struct batch_inline<N> batch;
    batch.head = *head;
    struct grid grid = plan(&batch.head, batch.items, items);
    return launch(cuda, batch, grid);
}

static enum tkv_status launch_table(struct tkv_cuda_device *cuda, const struct tkv_batch_head *head,
                                    const struct tkv_append_item *items)
{
    struct tkv_cuda_table *table;
    struct batch_table batch;
    enum tkv_status st = tkv_cuda_table_take(cuda, &table), busy;
    if (st != TKV_OK) return st;
    batch.head = *head;
    batch.items = (const struct tkv_batch_item *)table->device;
    struct grid grid = plan(&batch.head, (struct tkv_batch_item *)table->host, items);
    st = tkv_cuda_table_send(cuda, table, head->n * sizeof batch.items[0]);
    if (st == TKV_OK) st = launch(cuda, batch, grid);
    busy = tkv_cuda_table_busy(cuda, table);
    return st != TKV_OK ? st : busy;
}

enum tkv_status tkv_cuda_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                        const struct tkv_append_item *items, uint32_t n)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    struct tkv_batch_head head = {*geom, tkv_unit_shape(geom), n, 0, cuda->refused};
    bool alike;
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    st = tkv_batch_alike(cuda, &head, items, &alike);
    if (alike) return st;
    if (n <= 64) return launch_inline<64>(cuda, &head, items);
    if (n <= 512) return launch_inline<512>(cuda, &head, items);
    return launch_table(cuda, &head, items);
}
