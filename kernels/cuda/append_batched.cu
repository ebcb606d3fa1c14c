/* The batched path on the GPU: one launch for all rows of all items.
 *
 * A run is what one item brings for one (layer, K|V, head): its tokens lie side by side in the
 * block and in the cache. Planes of a cache follow each other without a gap, so run r of an item is
 * head r of one tall plane that starts at the item's first layer; and all runs of an item lie side
 * by side in its block. So an item is a linear read, and a write that jumps at every run.
 *
 * An item is cut into packs (as many elements, up to 8, as its pointers' alignment and head_dim
 * allow to move at once), packs into chunks of CHUNK, and every chunk is one block's work: a
 * prefill of 4096 tokens beside 64 single tokens simply has more blocks. Which block does what
 * depends on the batch; what is done to a row depends on its own item alone, so that the bytes are
 * those of append_one_kernel.
 *
 * Items reach the kernel as its parameter (copied by the launch itself) up to 512 of them, and
 * through a table of their own beyond. */
#include <string.h>

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/device.cuh"

enum { THREADS = 128, PACKS_PER_THREAD = 2, CHUNK = THREADS * PACKS_PER_THREAD };

struct batch_item {
    void *cache;
    const void *rows;
    uint32_t pos, tokens, capacity;
    uint32_t layer_begin, layer_end;
    uint32_t first_block; /* of the grid */
    uint8_t rows_dtype;
    uint8_t pack; /* elements */
};
static_assert(sizeof(struct batch_item) * TKV_ITEMS_MAX <= TKV_CUDA_TABLE_BYTES, "fits a table");

struct batch_head {
    struct tkv_geometry geom;
    uint32_t n;
    uint32_t blocks_each; /* where all items have as many blocks; else 0 */
    uint32_t *refused;
};

/* Kernel parameters: at most 32,764 bytes. */
template <int N> struct batch_inline {
    struct batch_head head;
    struct batch_item items[N];
};
static_assert(sizeof(struct batch_inline<512>) <= 32764, "fits the parameter space");

struct batch_table {
    struct batch_head head;
    const struct batch_item *items;
};

__host__ __device__ static bool guard(const struct tkv_geometry &g, const struct batch_item &it)
{
    bool pointers = it.cache != NULL && it.rows != NULL;
    bool positions = it.pos <= it.capacity && it.tokens <= it.capacity - it.pos;
    bool layers = it.layer_begin <= it.layer_end && it.layer_end <= g.n_layers;
    return pointers && positions && layers && it.rows_dtype < TKV_DTYPE_COUNT;
}

__host__ __device__ static size_t packs_of(const struct tkv_geometry &g,
                                           const struct batch_item &it)
{
    return tkv_plane_offset(&g, it.tokens, it.layer_end - it.layer_begin, 0) / it.pack;
}

/* --- device ----------------------------------------------------------------------------------- */

template <class Bits, int N> struct alignas(sizeof(Bits) * N < 16 ? sizeof(Bits) * N : 16) pack {
    Bits x[N];
};

/* 64-bit division is a long subroutine, and nearly all quotients here fit 32 bits. */
__device__ static size_t divide(size_t a, size_t b)
{
    if (((a | b) >> 32) == 0) return (uint32_t)a / (uint32_t)b;
    return a / b;
}

/* The loads of a thread are all under way before the first is used. */
template <class Src, class Dst, int N>
__device__ static void write_chunk(const struct tkv_geometry &g, const struct batch_item &it,
                                   size_t chunk)
{
    typedef pack<typename Src::bits, N> src_pack;
    typedef pack<typename Dst::bits, N> dst_pack;
    const src_pack *src = (const src_pack *)it.rows;
    dst_pack *dst = (dst_pack *)it.cache;
    size_t total = packs_of(g, it), run_packs = (size_t)it.tokens * g.head_dim / N;
    size_t first_run = (size_t)it.layer_begin * TKV_KV * g.n_kv_heads;
    size_t first = chunk * CHUNK + threadIdx.x;
    src_pack in[PACKS_PER_THREAD];

#pragma unroll
    for (int k = 0; k < PACKS_PER_THREAD; k++) {
        size_t p = first + k * THREADS;
        if (p < total) in[k] = src[p];
    }
#pragma unroll
    for (int k = 0; k < PACKS_PER_THREAD; k++) {
        size_t p = first + k * THREADS;
        if (p >= total) break;
        size_t run = divide(p, run_packs);
        size_t at = tkv_row_offset(&g, it.capacity, first_run + run, it.pos) / N;
        dst_pack out;
#pragma unroll
        for (int e = 0; e < N; e++)
            out.x[e] = tkv_conversion<Src, Dst>::apply(in[k].x[e]);
        dst[at + (p - run * run_packs)] = out;
    }
}

template <class Src, class Dst>
__device__ static void convert_chunk(const struct tkv_geometry &g, const struct batch_item &it,
                                     size_t chunk)
{
    if (it.pack == 8) {
        write_chunk<Src, Dst, 8>(g, it, chunk);
    } else {
        write_chunk<Src, Dst, 1>(g, it, chunk);
    }
}

/* Equal types: 16 bits are 16 bits. */
__device__ static void copy_chunk(const struct tkv_geometry &g, const struct batch_item &it,
                                  size_t chunk)
{
    typedef tkv_as_bf16 any;
    switch (it.pack) {
    case 8: write_chunk<any, any, 8>(g, it, chunk); break;
    case 4: write_chunk<any, any, 4>(g, it, chunk); break;
    case 2: write_chunk<any, any, 2>(g, it, chunk); break;
    default: write_chunk<any, any, 1>(g, it, chunk);
    }
}

__device__ static void append_chunk(const struct tkv_geometry &g, const struct batch_item &it,
                                    size_t chunk)
{
    if (it.rows_dtype == g.dtype) {
        copy_chunk(g, it, chunk);
    } else if (g.dtype == TKV_F16) {
        if (it.rows_dtype == TKV_F32) {
            convert_chunk<tkv_as_f32, tkv_as_f16>(g, it, chunk);
        } else {
            convert_chunk<tkv_as_bf16, tkv_as_f16>(g, it, chunk);
        }
    } else {
        if (it.rows_dtype == TKV_F32) {
            convert_chunk<tkv_as_f32, tkv_as_bf16>(g, it, chunk);
        } else {
            convert_chunk<tkv_as_f16, tkv_as_bf16>(g, it, chunk);
        }
    }
}

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

/* Grid: the items' chunks one after the other. An item that the guard refuses has one block. */
template <class Batch>
__global__ static void __launch_bounds__(THREADS)
    append_batched_kernel(const __grid_constant__ Batch b)
{
    const struct batch_item &it = b.items[item_of_block(b)];
    if (!guard(b.head.geom, it)) {
        if (threadIdx.x == 0) *b.head.refused = 1;
        return;
    }
    append_chunk(b.head.geom, it, blockIdx.x - it.first_block);
}

/* --- host ------------------------------------------------------------------------------------- */

static bool aligned(const void *ptr, size_t bytes)
{
    return (uintptr_t)ptr % bytes == 0;
}

/* The widest pack that every row of the item is aligned for: rows start at multiples of head_dim
 * from the block's and the cache's first byte. */
static uint8_t pack_of(const struct tkv_geometry *g, const struct tkv_append_item *it)
{
    size_t size = it->rows_dtype == TKV_F32 ? sizeof(uint32_t) : sizeof(uint16_t);
    for (uint32_t n = 8; n > 1; n /= 2) {
        size_t bytes = size * n < 16 ? size * n : 16;
        bool fits = g->head_dim % n == 0 && aligned(it->cache, n * sizeof(uint16_t)) &&
                    aligned(it->rows, bytes);
        if (fits && (n == 8 || it->rows_dtype == g->dtype)) return (uint8_t)n;
    }
    return 1;
}

static struct batch_item describe(const struct tkv_geometry *g, const struct tkv_append_item *it)
{
    struct batch_item out = {};
    out.cache = it->cache;
    out.rows = it->rows;
    out.pos = it->pos;
    out.tokens = it->tokens;
    out.capacity = it->capacity;
    out.layer_begin = it->layer_begin;
    out.layer_end = it->layer_end;
    out.rows_dtype = (unsigned)it->rows_dtype < TKV_DTYPE_COUNT ? (uint8_t)it->rows_dtype
                                                                : (uint8_t)TKV_DTYPE_COUNT;
    out.pack = pack_of(g, it);
    return out;
}

/* Fills out[0 .. n-1] and the head; the grid's blocks, or 0 where they are too many for a grid. */
static uint32_t plan(struct batch_head *head, struct batch_item *out,
                     const struct tkv_append_item *items)
{
    uint64_t total = 0, each = 0;
    bool uniform = true;
    for (uint32_t i = 0; i < head->n; i++) {
        out[i] = describe(&head->geom, &items[i]);
        out[i].first_block = (uint32_t)total;
        uint64_t blocks = 1;
        if (guard(head->geom, out[i])) {
            uint64_t packs = packs_of(head->geom, out[i]);
            blocks = packs == 0 ? 1 : (packs - 1) / CHUNK + 1;
        }
        if (i == 0) each = blocks;
        uniform = uniform && blocks == each;
        total += blocks;
        if (total > INT32_MAX) return 0;
    }
    head->blocks_each = uniform ? (uint32_t)each : 0;
    return (uint32_t)total;
}

template <class Batch>
static enum tkv_status launch(struct tkv_cuda_device *cuda, const Batch &batch, uint32_t blocks)
{
    append_batched_kernel<<<blocks, THREADS, 0, cuda->stream>>>(batch);
    return tkv_cuda_launched(cuda, "append_batched_kernel");
}

template <int N>
static enum tkv_status launch_inline(struct tkv_cuda_device *cuda, const struct batch_head *head,
                                     const struct tkv_append_item *items)
{
    struct batch_inline<N> batch;
    batch.head = *head;
    uint32_t blocks = plan(&batch.head, batch.items, items);
    return blocks == 0 ? TKV_EINVAL : launch(cuda, batch, blocks);
}

static enum tkv_status launch_table(struct tkv_cuda_device *cuda, const struct batch_head *head,
                                    const struct tkv_append_item *items)
{
    struct tkv_cuda_table *table;
    struct batch_table batch;
    enum tkv_status st = tkv_cuda_table_take(cuda, &table), busy;
    if (st != TKV_OK) return st;
    batch.head = *head;
    batch.items = (const struct batch_item *)table->device;
    uint32_t blocks = plan(&batch.head, (struct batch_item *)table->host, items);
    if (blocks == 0) return TKV_EINVAL;
    st = tkv_cuda_table_send(cuda, table, head->n * sizeof batch.items[0]);
    if (st == TKV_OK) st = launch(cuda, batch, blocks);
    busy = tkv_cuda_table_busy(cuda, table);
    return st != TKV_OK ? st : busy;
}

enum tkv_status tkv_cuda_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                        const struct tkv_append_item *items, uint32_t n)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    struct batch_head head = {*geom, n, 0, cuda->refused};
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    if (n <= 8) return launch_inline<8>(cuda, &head, items);
    if (n <= 64) return launch_inline<64>(cuda, &head, items);
    if (n <= 512) return launch_inline<512>(cuda, &head, items);
    return launch_table(cuda, &head, items);
}
