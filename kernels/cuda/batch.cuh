/* batch.cuh - what the kernels of the batched path share: how a batch is described, and what a warp
 * does with its part of it. Private to append_batched.cu and append_alike.cu.
 *
 * A unit is what one item brings for one (layer, K|V, token): a row of every head. Planes of a
 * cache follow each other without a gap, so that unit u of an item is token u % tokens of plane
 * u / tokens, counted from its first layer. One warp carries a unit (unit.cuh). A prefill of 4096
 * tokens beside 64 single tokens simply has more blocks. Which warp does what depends on the batch;
 * what is done to a row depends on its own item alone, so that the bytes are those of
 * append_one_kernel.
 *
 * Because a unit is just what a checksum is over, its warp adds that up on the way: no atomics, no
 * second read. */
#ifndef TKV_KERNELS_CUDA_BATCH_CUH
#define TKV_KERNELS_CUDA_BATCH_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/unit.cuh"

/* Threads of a block, and blocks that a multiprocessor has room for at least: with the registers of
 * 8, conversions from f32 spill some, and lose 12 % in a prefill. */
enum { TKV_THREADS = 128, TKV_WARPS = TKV_THREADS / 32, TKV_BLOCKS_MIN = 6 };

struct tkv_batch_item {
    void *cache;
    const void *rows;
    uint64_t *sums;
    uint32_t pos, tokens, capacity;
    uint32_t layer_begin, layer_end;
    uint32_t first_block; /* of the grid */
    uint8_t rows_dtype;
    uint8_t wide; /* packs may be moved by 16 bytes */
};

struct tkv_batch_head {
    struct tkv_geometry geom;
    struct tkv_unit_shape shape;
    uint32_t n;
    uint32_t blocks_each; /* where all items have as many blocks; else 0 */
    uint32_t *refused;
};

__host__ __device__ static inline bool tkv_batch_guard(const struct tkv_geometry &g,
                                                       const struct tkv_batch_item &it)
{
    bool pointers = it.cache != NULL && it.rows != NULL;
    bool positions = it.pos <= it.capacity && it.tokens <= it.capacity - it.pos;
    bool layers = it.layer_begin <= it.layer_end && it.layer_end <= g.n_layers;
    return pointers && positions && layers && it.rows_dtype < TKV_DTYPE_COUNT;
}

__host__ __device__ static inline uint64_t tkv_batch_units(const struct tkv_batch_item &it)
{
    return (uint64_t)(it.layer_end - it.layer_begin) * TKV_KV * it.tokens;
}

/* --- device ----------------------------------------------------------------------------------- */

/* A launch may begin before the one in front of it has ended (tkv_batch_launch): here it waits for
 * that, and lets the next one come as near. */
__device__ static inline void tkv_batch_wait()
{
#if __CUDA_ARCH__ >= 900
    cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
#endif
}

/* How units are moved: all rows of one type, aligned for 16 bytes. */
template <class Type> struct tkv_moved {
    template <bool Summed>
    __device__ static uint64_t move(const struct tkv_batch_head &b, const struct tkv_batch_item &it,
                                    const struct tkv_unit &u)
    {
        return tkv_move_unit<Type, Summed>(b.shape, u);
    }
    __device__ static size_t size(const struct tkv_batch_item &it)
    {
        return Type::SIZE;
    }
};

/* Moves unit n of an item, and leaves its checksum where that is wanted. */
template <class Moved, bool Summed>
__device__ static void tkv_batch_carry(const struct tkv_batch_head &b,
                                       const struct tkv_batch_item &it, const void *rows,
                                       void *cache, uint64_t *sums, uint32_t pos, uint32_t n)
{
    const struct tkv_geometry &g = b.geom;
    uint32_t plane = it.tokens == 1 ? n : n / it.tokens;
    uint32_t token = n - plane * it.tokens;
    size_t first_plane = (size_t)it.layer_begin * TKV_KV + plane, position = (size_t)pos + token;
    size_t src = tkv_row_offset(&g, it.tokens, (size_t)plane * g.n_kv_heads, token);
    size_t dst = tkv_row_offset(&g, it.capacity, first_plane * g.n_kv_heads, position);
    struct tkv_unit u;
    u.src = (const char *)rows + src * Moved::size(it);
    u.dst = (char *)cache + dst * sizeof(uint16_t);
    u.src_step = tkv_row_offset(&g, it.tokens, 1, 0) * Moved::size(it);
    u.dst_step = tkv_row_offset(&g, it.capacity, 1, 0) * sizeof(uint16_t);
    uint64_t sum = Moved::template move<Summed>(b, it, u);
    if (!Summed || sums == NULL) return;
    sum = TKV_CHECKSUM_SEED + tkv_warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[tkv_sum_offset(&g, position, 0, first_plane)] = sum;
}

/* --- host ------------------------------------------------------------------------------------- */

/* Rows start at multiples of head_dim from the block's and the cache's first byte. */
struct tkv_batch_item tkv_batch_describe(const struct tkv_geometry *g,
                                         const struct tkv_append_item *it);

/* Queues a kernel of that one parameter. From compute capability 9.0 on, the GPU makes it ready
 * while the one before it still runs (CUDA programming guide, programmatic dependent launch). */
enum tkv_status tkv_batch_launch(struct tkv_cuda_device *cuda, const void *kernel, dim3 grid,
                                 const void *batch);

/* A batch of items that are alike (append_alike.cu), where it is one: else *alike is false, and
 * nothing was queued. */
enum tkv_status tkv_batch_alike(struct tkv_cuda_device *cuda, struct tkv_batch_head *head,
                                const struct tkv_append_item *items, bool *alike);

#endif
