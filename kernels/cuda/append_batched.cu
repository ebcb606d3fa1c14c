/* The batched path on the GPU: one launch for all rows of all items.
 *
 * A unit is what one item brings for one (layer, K|V, token): a row of every head. Planes of a
 * cache follow each other without a gap, so that unit u of an item is token u % tokens of plane
 * u / tokens, counted from its first layer. One warp carries a unit: its lanes take packs of 8
 * elements, ROUNDS of them at a time, all loads under way before the first is used. A prefill of
 * 4096 tokens beside 64 single tokens simply has more blocks. Which warp does what depends on the
 * batch; what is done to a row depends on its own item alone, so that the bytes are those of
 * append_one_kernel.
 *
 * Because a unit is just what a checksum is over, its warp adds that up on the way, from the source
 * packs in its registers: no atomics, no second read.
 *
 * Items reach the kernel as its parameter, copied by the launch itself, as far as they fit. What
 * serving brings has a kernel of its own: items of the cache's dtype, aligned for 16 bytes, alike
 * in tokens, layers and capacity, so that 20 bytes say all about one (on an H100 a launch with 29
 * KB of parameters takes twice as long as one with 4 KB, and filling them in takes longer still).
 * Any other batch goes through the general kernel, and a table where there are more than 512 items.
 */
#include <string.h>

#include "kernels/checksum.h"
#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/device.cuh"

enum { THREADS = 128, WARPS = THREADS / 32, ROUNDS = 4, PACK = 8, PACK_WORDS = PACK / 2 };
enum { ALIKE_MAX = 1536 }; /* items that fit the kernel's parameters, 20 bytes each */

struct batch_item {
    void *cache;
    const void *rows;
    uint64_t *sums;
    uint32_t pos, tokens, capacity;
    uint32_t layer_begin, layer_end;
    uint32_t first_block; /* of the grid */
    uint8_t rows_dtype;
    uint8_t wide; /* packs may be moved by 16 bytes */
};
static_assert(sizeof(struct batch_item) * TKV_ITEMS_MAX <= TKV_CUDA_TABLE_BYTES, "fits a table");

struct batch_head {
    struct tkv_geometry geom;
    uint32_t n;
    uint32_t blocks_each; /* where all items have as many blocks; else 0 */
    uint32_t row_packs;   /* packs in a row, the last one perhaps cut */
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

/* Items that differ in where they come from, where they go, and the position. */
template <int N> struct batch_alike {
    struct batch_head head;
    struct batch_item item; /* what all have in common; sums: NULL, or those of a cache at 0 */
    void *caches[N];
    const void *rows[N];
    uint32_t pos[N];
};
static_assert(sizeof(struct batch_alike<ALIKE_MAX>) <= 32764, "fits the parameter space");

__host__ __device__ static bool guard(const struct tkv_geometry &g, const struct batch_item &it)
{
    bool pointers = it.cache != NULL && it.rows != NULL;
    bool positions = it.pos <= it.capacity && it.tokens <= it.capacity - it.pos;
    bool layers = it.layer_begin <= it.layer_end && it.layer_end <= g.n_layers;
    return pointers && positions && layers && it.rows_dtype < TKV_DTYPE_COUNT;
}

__host__ __device__ static uint64_t units_of(const struct batch_item &it)
{
    return (uint64_t)(it.layer_end - it.layer_begin) * TKV_KV * it.tokens;
}

/* --- device: packs ---------------------------------------------------------------------------- */

/* Eight elements of the cache's dtype, two to a word. */
struct pack {
    uint32_t words[PACK_WORDS];
};

__device__ static struct pack load16(const void *at)
{
    uint4 x = *(const uint4 *)at;
    return {{x.x, x.y, x.z, x.w}};
}

/* A pack as it is, bit by bit. */
struct same_type {
    __device__ static struct pack load(const void *row, uint32_t dim)
    {
        return load16((const uint16_t *)row + dim);
    }
    __device__ static uint32_t element(const void *row, uint32_t dim)
    {
        return ((const uint16_t *)row)[dim];
    }
};

/* A pack of another type, converted. */
template <class Src, class Dst> struct converted {
    __device__ static struct pack load(const void *row, uint32_t dim)
    {
        struct alignas(16) loaded {
            typename Src::bits x[PACK];
        } in = *(const loaded *)((const typename Src::bits *)row + dim);
        struct pack out;
#pragma unroll
        for (int w = 0; w < PACK_WORDS; w++) {
            uint32_t low = tkv_conversion<Src, Dst>::apply(in.x[2 * w]);
            uint32_t high = tkv_conversion<Src, Dst>::apply(in.x[2 * w + 1]);
            out.words[w] = low | high << 16;
        }
        return out;
    }
    __device__ static uint32_t element(const void *row, uint32_t dim)
    {
        return tkv_conversion<Src, Dst>::apply(((const typename Src::bits *)row)[dim]);
    }
};

/* Element by element, for rows that are not aligned or end within a pack: elements past the row are
 * 0, and are not stored. */
template <class Type>
__device__ static struct pack load_narrow(const void *row, uint32_t dim, uint32_t head_dim)
{
    struct pack out = {};
#pragma unroll
    for (int e = 0; e < PACK; e++) {
        if (dim + e < head_dim) out.words[e / 2] |= Type::element(row, dim + e) << e % 2 * 16;
    }
    return out;
}

__device__ static void store_narrow(uint16_t *row, uint32_t dim, uint32_t head_dim,
                                    const struct pack &p)
{
#pragma unroll
    for (int e = 0; e < PACK; e++) {
        if (dim + e < head_dim) row[dim + e] = (uint16_t)(p.words[e / 2] >> e % 2 * 16);
    }
}

/* --- device: units ---------------------------------------------------------------------------- */

/* One warp's unit: head 0's rows, and the elements from one head's row to the next one's. */
struct unit {
    const char *src;
    uint16_t *dst;
    size_t src_step, dst_step; /* bytes, elements */
};

/* Lane-wise walk over the packs of a unit: (head, column), 32 packs ahead at a time. */
struct walk {
    uint32_t head, column;
};

__device__ static void advance(struct walk &w, uint32_t row_packs)
{
    w.column += 32;
    if (row_packs == 16) { /* head_dim 128: no division */
        w.column -= 32;
        w.head += 2;
        return;
    }
    w.head += w.column / row_packs;
    w.column %= row_packs;
}

__device__ static uint64_t add_pack(uint64_t sum, const struct pack &p, const struct walk &w)
{
    uint32_t head = tkv_checksum_head(w.head);
#pragma unroll
    for (uint32_t i = 0; i < PACK_WORDS; i++)
        sum += (uint64_t)p.words[i] * (head * tkv_checksum_factor(w.column * PACK_WORDS + i));
    return sum;
}

template <class Type, bool Wide>
__device__ static struct pack load(const struct tkv_geometry &g, const struct unit &u,
                                   const struct walk &w)
{
    const void *row = u.src + w.head * u.src_step;
    return Wide ? Type::load(row, w.column * PACK)
                : load_narrow<Type>(row, w.column * PACK, g.head_dim);
}

template <bool Wide>
__device__ static void store(const struct tkv_geometry &g, const struct unit &u,
                             const struct walk &w, const struct pack &p)
{
    uint16_t *row = u.dst + w.head * u.dst_step;
    if (Wide) {
        *(uint4 *)(row + w.column * PACK) = {p.words[0], p.words[1], p.words[2], p.words[3]};
    } else {
        store_narrow(row, w.column * PACK, g.head_dim, p);
    }
}

/* Moves a unit; this lane's part of its checksum, where that is wanted. */
template <class Type, bool Wide, bool Summed>
__device__ static uint64_t move_unit(const struct batch_head &b, const struct unit &u)
{
    uint32_t lane = threadIdx.x % 32, packs = b.geom.n_kv_heads * b.row_packs;
    struct walk next = {lane / b.row_packs, lane % b.row_packs};
    uint64_t sum = 0;
    for (uint32_t first = lane; first < packs; first += 32 * ROUNDS) {
        struct walk at[ROUNDS];
        struct pack in[ROUNDS];
#pragma unroll
        for (int k = 0; k < ROUNDS; k++) {
            at[k] = next;
            if (first + 32 * k < packs) in[k] = load<Type, Wide>(b.geom, u, at[k]);
            advance(next, b.row_packs);
        }
#pragma unroll
        for (int k = 0; k < ROUNDS; k++) {
            if (first + 32 * k >= packs) break;
            store<Wide>(b.geom, u, at[k], in[k]);
            if (Summed) sum = add_pack(sum, in[k], at[k]);
        }
    }
    return sum;
}

template <class Type, bool Summed>
__device__ static uint64_t move_any(const struct batch_head &b, const struct unit &u, bool wide)
{
    return wide ? move_unit<Type, true, Summed>(b, u) : move_unit<Type, false, Summed>(b, u);
}

template <bool Summed>
__device__ static uint64_t move_typed(const struct batch_head &b, const struct batch_item &it,
                                      const struct unit &u)
{
    if (it.rows_dtype == b.geom.dtype) return move_any<same_type, Summed>(b, u, it.wide);
    if (b.geom.dtype == TKV_F16) {
        if (it.rows_dtype == TKV_F32)
            return move_any<converted<tkv_as_f32, tkv_as_f16>, Summed>(b, u, it.wide);
        return move_any<converted<tkv_as_bf16, tkv_as_f16>, Summed>(b, u, it.wide);
    }
    if (it.rows_dtype == TKV_F32)
        return move_any<converted<tkv_as_f32, tkv_as_bf16>, Summed>(b, u, it.wide);
    return move_any<converted<tkv_as_f16, tkv_as_bf16>, Summed>(b, u, it.wide);
}

/* The sum of all lanes' numbers, in every lane. */
__device__ static uint64_t warp_sum(uint64_t x)
{
#if __CUDA_ARCH__ >= 800
    /* Thirds of a number, summed over 32 lanes, fit the hardware's 32-bit reduction. */
    const uint32_t third = (1u << 22) - 1;
    uint64_t low = __reduce_add_sync(0xffffffff, (uint32_t)x & third);
    uint64_t middle = __reduce_add_sync(0xffffffff, (uint32_t)(x >> 22) & third);
    uint64_t high = __reduce_add_sync(0xffffffff, (uint32_t)(x >> 44));
    return low + (middle << 22) + (high << 44);
#else
    for (int lanes = 16; lanes > 0; lanes /= 2)
        x += __shfl_xor_sync(0xffffffff, x, lanes);
    return x;
#endif
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

/* Moves unit n of an item, and leaves its checksum where that is wanted. */
template <bool Alike, bool Summed>
__device__ static void carry(const struct batch_head &b, const struct batch_item &it,
                             const void *rows, void *cache, uint64_t *sums, uint32_t pos,
                             uint64_t n)
{
    const struct tkv_geometry &g = b.geom;
    uint32_t plane = it.tokens == 1 ? (uint32_t)n : (uint32_t)(n / it.tokens);
    uint32_t token = it.tokens == 1 ? 0 : (uint32_t)(n % it.tokens);
    size_t first_plane = (size_t)it.layer_begin * TKV_KV + plane;
    size_t size = Alike || it.rows_dtype != TKV_F32 ? sizeof(uint16_t) : sizeof(uint32_t);
    struct unit u;
    u.src = (const char *)rows +
            tkv_row_offset(&g, it.tokens, (size_t)plane * g.n_kv_heads, token) * size;
    u.dst = (uint16_t *)cache +
            tkv_row_offset(&g, it.capacity, first_plane * g.n_kv_heads, (size_t)pos + token);
    u.src_step = tkv_row_offset(&g, it.tokens, 1, 0) * size;
    u.dst_step = tkv_row_offset(&g, it.capacity, 1, 0);
    uint64_t sum = Alike ? move_unit<same_type, true, Summed>(b, u) : move_typed<Summed>(b, it, u);
    if (!Summed || sums == NULL) return;
    sum = TKV_CHECKSUM_SEED + warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[tkv_sum_offset(&g, (size_t)pos + token, 0, first_plane)] = sum;
}

/* Grid: the items' units one after the other, WARPS to a block. An item that the guard refuses has
 * one block. */
template <class Batch>
__global__ static void __launch_bounds__(THREADS)
    append_batched_kernel(const __grid_constant__ Batch b)
{
    const struct batch_item &it = b.items[item_of_block(b)];
    if (!guard(b.head.geom, it)) {
        if (threadIdx.x == 0) *b.head.refused = 1;
        return;
    }
    uint64_t n = (uint64_t)(blockIdx.x - it.first_block) * WARPS + threadIdx.x / 32;
    if (n < units_of(it)) carry<false, true>(b.head, it, it.rows, it.cache, it.sums, it.pos, n);
}

/* Grid: as above; every item has blocks_each blocks. */
template <int N, bool Summed>
__global__ static void __launch_bounds__(THREADS)
    append_alike_kernel(const __grid_constant__ struct batch_alike<N> b)
{
    uint32_t i = blockIdx.x / b.head.blocks_each, pos = b.pos[i];
    uint32_t n = (blockIdx.x - i * b.head.blocks_each) * WARPS + threadIdx.x / 32;
    void *cache = b.caches[i];
    const void *rows = b.rows[i];
    const struct batch_item &it = b.item;
    if (cache == NULL || rows == NULL || pos > it.capacity || it.tokens > it.capacity - pos) {
        if (threadIdx.x == 0) *b.head.refused = 1;
        return;
    }
    uint64_t *sums = (uint64_t *)((char *)cache + (uintptr_t)it.sums);
    if (n < units_of(it)) carry<true, Summed>(b.head, it, rows, cache, sums, pos, n);
}

/* --- host ------------------------------------------------------------------------------------- */

static bool aligned(const void *ptr)
{
    return (uintptr_t)ptr % 16 == 0;
}

/* Rows start at multiples of head_dim from the block's and the cache's first byte. */
static struct batch_item describe(const struct tkv_geometry *g, const struct tkv_append_item *it)
{
    struct batch_item out = {};
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
    out.wide = g->head_dim % PACK == 0 && aligned(it->cache) && aligned(it->rows);
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
        uint64_t units = guard(head->geom, out[i]) ? units_of(out[i]) : 0;
        uint64_t blocks = units == 0 ? 1 : (units - 1) / WARPS + 1;
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

static enum tkv_status launch_general(struct tkv_cuda_device *cuda, const struct batch_head *head,
                                      const struct tkv_append_item *items)
{
    if (head->n <= 64) return launch_inline<64>(cuda, head, items);
    if (head->n <= 512) return launch_inline<512>(cuda, head, items);
    return launch_table(cuda, head, items);
}

/* --- host: items that are alike --------------------------------------------------------------- */

/* Where checksums lie, seen from the cache; 0: there are none. */
static uintptr_t sums_at(const struct tkv_append_item *it)
{
    return it->sums == NULL ? 0 : (uintptr_t)it->sums - (uintptr_t)it->cache;
}

static bool is_alike(const struct tkv_append_item *a, const struct tkv_append_item *b)
{
    return a->tokens == b->tokens && a->capacity == b->capacity &&
           a->layer_begin == b->layer_begin && a->layer_end == b->layer_end &&
           a->rows_dtype == b->rows_dtype && sums_at(a) == sums_at(b);
}

/* Blocks of one item where the batch is one for append_alike_kernel; else 0. */
static uint32_t alike_blocks(const struct tkv_geometry *g, const struct tkv_append_item *items,
                             uint32_t n)
{
    struct batch_item first = describe(g, &items[0]);
    uintptr_t addresses = 0;
    uint64_t units = guard(*g, first) ? units_of(first) : 0;
    if (units == 0 || units >= INT32_MAX / n || first.rows_dtype != g->dtype) return 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!is_alike(&items[0], &items[i])) return 0;
        addresses |= (uintptr_t)items[i].cache | (uintptr_t)items[i].rows;
    }
    if (g->head_dim % PACK != 0 || addresses % 16 != 0) return 0;
    return (uint32_t)((units - 1) / WARPS + 1);
}

template <int N>
static enum tkv_status launch_alike(struct tkv_cuda_device *cuda, const struct batch_head *head,
                                    const struct tkv_append_item *items)
{
    struct batch_alike<N> batch;
    uint32_t blocks = head->blocks_each * head->n;
    batch.head = *head;
    batch.item = describe(&head->geom, &items[0]);
    batch.item.sums = (uint64_t *)sums_at(&items[0]);
    for (uint32_t i = 0; i < head->n; i++) {
        batch.caches[i] = items[i].cache;
        batch.rows[i] = items[i].rows;
        batch.pos[i] = items[i].pos;
    }
    if (items[0].sums != NULL)
        append_alike_kernel<N, true><<<blocks, THREADS, 0, cuda->stream>>>(batch);
    else
        append_alike_kernel<N, false><<<blocks, THREADS, 0, cuda->stream>>>(batch);
    return tkv_cuda_launched(cuda, "append_alike_kernel");
}

enum tkv_status tkv_cuda_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                        const struct tkv_append_item *items, uint32_t n)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    struct batch_head head = {*geom, n, 0, (geom->head_dim - 1) / PACK + 1, cuda->refused};
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    head.blocks_each = alike_blocks(geom, items, n);
    if (head.blocks_each == 0 || n > ALIKE_MAX) return launch_general(cuda, &head, items);
    if (n <= 8) return launch_alike<8>(cuda, &head, items);
    if (n <= 64) return launch_alike<64>(cuda, &head, items);
    if (n <= 512) return launch_alike<512>(cuda, &head, items);
    return launch_alike<ALIKE_MAX>(cuda, &head, items);
}
