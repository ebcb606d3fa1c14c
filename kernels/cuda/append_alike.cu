/* What serving brings, with a kernel of its own: items alike in type, tokens, layers and capacity,
 * aligned for 16 bytes, so that 20 bytes say all about one. On an H100 a launch with 29 KB of
 * parameters takes twice as long as one with 4 KB, and filling them in takes longer still. */
#include "kernels/cuda/batch.cuh"

enum { ALIKE_MAX = 1536 }; /* items that fit the kernel's parameters */

/* Items that differ in where they come from, where they go, and the position. */
template <int N> struct batch_alike {
    struct tkv_batch_head head;
    struct tkv_batch_item item; /* what all have in common; sums: NULL, or those of a cache at 0 */
    void *caches[N];
    const void *rows[N];
    uint32_t pos[N];
};
static_assert(sizeof(struct batch_alike<ALIKE_MAX>) <= 32764, "fits the parameter space");

/* Grid: y is the item, x its units, TKV_WARPS to a block. */
template <int N, class Type, bool Summed>
__global__ static void __launch_bounds__(TKV_THREADS, TKV_BLOCKS_MIN)
    append_alike_kernel(const __grid_constant__ struct batch_alike<N> b)
{
    uint32_t i = blockIdx.y, pos = b.pos[i], n = blockIdx.x * TKV_WARPS + threadIdx.x / 32;
    void *cache = b.caches[i];
    const void *rows = b.rows[i];
    const struct tkv_batch_item &it = b.item;
    uint64_t *sums = (uint64_t *)((char *)cache + (uintptr_t)it.sums);
    bool ok = cache != NULL && rows != NULL && pos <= it.capacity && it.tokens <= it.capacity - pos;
    tkv_batch_wait();
    if (ok && n < tkv_batch_units(it))
        tkv_batch_carry<tkv_moved<Type>, Summed>(b.head, it, rows, cache, sums, pos, n);
    if (!ok && threadIdx.x == 0) *b.head.refused = 1;
}

/* --- host ------------------------------------------------------------------------------------- */

/* Where checksums lie, seen from the cache; 0: there are none. */
static uintptr_t sums_at(const struct tkv_append_item *it)
{
    return it->sums == NULL ? 0 : (uintptr_t)it->sums - (uintptr_t)it->cache;
}

/* 0: alike. Without branches: it is asked for each item of each step. */
static uintptr_t differ(const struct tkv_append_item *a, const struct tkv_append_item *b)
{
    uint32_t sizes = (a->tokens ^ b->tokens) | (a->capacity ^ b->capacity);
    uint32_t layers = (a->layer_begin ^ b->layer_begin) | (a->layer_end ^ b->layer_end);
    uint32_t types = (uint32_t)a->rows_dtype ^ (uint32_t)b->rows_dtype;
    return (sizes | layers | types) | (sums_at(a) ^ sums_at(b));
}

/* Blocks of each item where the batch may be one for append_alike_kernel, by its first; else 0. */
static uint32_t blocks_of(const struct tkv_geometry *g, const struct tkv_batch_item *first,
                          uint32_t n)
{
    uint64_t units = tkv_batch_guard(*g, *first) ? tkv_batch_units(*first) : 0;
    if (n > ALIKE_MAX || units == 0 || units >= INT32_MAX / n || !first->wide) return 0;
    return (uint32_t)((units - 1) / TKV_WARPS + 1);
}

/* Fills in what differs from item to item; false: they are not alike. */
template <int N> static bool fill(struct batch_alike<N> *batch, const struct tkv_append_item *items)
{
    const struct tkv_append_item first = items[0];
    uintptr_t addresses = 0, differences = 0;
    for (uint32_t i = 0; i < batch->head.n; i++) {
        const struct tkv_append_item *it = &items[i];
        differences |= differ(&first, it);
        addresses |= (uintptr_t)it->cache | (uintptr_t)it->rows;
        batch->caches[i] = it->cache;
        batch->rows[i] = it->rows;
        batch->pos[i] = it->pos;
    }
    return differences == 0 && addresses % 16 == 0;
}

template <int N, class Type>
static enum tkv_status launch(struct tkv_cuda_device *cuda, const struct tkv_batch_head *head,
                              const struct tkv_append_item *items, bool *alike)
{
    struct batch_alike<N> batch;
    const void *kernel = items[0].sums != NULL ? (const void *)append_alike_kernel<N, Type, true>
                                               : (const void *)append_alike_kernel<N, Type, false>;
    batch.head = *head;
    batch.item = tkv_batch_describe(&head->geom, &items[0]);
    batch.item.sums = (uint64_t *)sums_at(&items[0]);
    *alike = fill(&batch, items);
    if (!*alike) return TKV_OK;
    return tkv_batch_launch(cuda, kernel, dim3(head->blocks_each, head->n), &batch);
}

static enum tkv_status launch_same(struct tkv_cuda_device *cuda, const struct tkv_batch_head *head,
                                   const struct tkv_append_item *items, bool *alike)
{
    if (head->n <= 8) return launch<8, tkv_same_type>(cuda, head, items, alike);
    if (head->n <= 64) return launch<64, tkv_same_type>(cuda, head, items, alike);
    if (head->n <= 256) return launch<256, tkv_same_type>(cuda, head, items, alike);
    if (head->n <= 512) return launch<512, tkv_same_type>(cuda, head, items, alike);
    return launch<ALIKE_MAX, tkv_same_type>(cuda, head, items, alike);
}

template <class Src, class Dst>
static enum tkv_status launch_converted(struct tkv_cuda_device *cuda,
                                        const struct tkv_batch_head *head,
                                        const struct tkv_append_item *items, bool *alike)
{
    if (head->n <= 64) return launch<64, tkv_converted<Src, Dst>>(cuda, head, items, alike);
    return launch<ALIKE_MAX, tkv_converted<Src, Dst>>(cuda, head, items, alike);
}

enum tkv_status tkv_batch_alike(struct tkv_cuda_device *cuda, struct tkv_batch_head *head,
                                const struct tkv_append_item *items, bool *alike)
{
    struct tkv_batch_item first = tkv_batch_describe(&head->geom, &items[0]);
    bool f32 = first.rows_dtype == TKV_F32, to_f16 = head->geom.dtype == TKV_F16;
    *alike = false;
    head->blocks_each = blocks_of(&head->geom, &first, head->n);
    if (head->blocks_each == 0) return TKV_OK;
    if (first.rows_dtype == head->geom.dtype) return launch_same(cuda, head, items, alike);
    if (to_f16 && f32) return launch_converted<tkv_as_f32, tkv_as_f16>(cuda, head, items, alike);
    if (to_f16) return launch_converted<tkv_as_bf16, tkv_as_f16>(cuda, head, items, alike);
    if (f32) return launch_converted<tkv_as_f32, tkv_as_bf16>(cuda, head, items, alike);
    return launch_converted<tkv_as_f16, tkv_as_bf16>(cuda, head, items, alike);
}
