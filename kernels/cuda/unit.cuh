/* unit.cuh - how one warp moves one unit of a batch (batch.cuh): a row of every head,
 * from where a client's rows lie into a cache. Private to append_batched.cu and append_alike.cu.
 *
 * Lanes take packs of 8 elements, 32 packs a round, ROUNDS of them at a time, all loads under way
 * before the first is used. Small units are bound by the instructions around their bytes, not by
 * the bytes: so nothing is divided within the loop, and what stays the same is not computed twice.
 * A lane's part of the unit's checksum is added up on the way, from the packs in its registers. */
#ifndef TKV_KERNELS_CUDA_UNIT_CUH
#define TKV_KERNELS_CUDA_UNIT_CUH

#include "kernels/checksum.h"
#include "kernels/cuda/convert.cuh"
#include "kernels/layout.h"

enum { TKV_ROUNDS = 4, TKV_PACK = 8, TKV_PACK_WORDS = TKV_PACK / 2 };

/* Eight elements of the cache's dtype, two to a word. */
struct tkv_pack {
    uint32_t words[TKV_PACK_WORDS];
};

/* What is the same for all units of a launch. */
struct tkv_unit_shape {
    uint32_t n_heads, head_dim;
    uint32_t row_packs;               /* packs in a row, the last one perhaps cut */
    uint32_t step_heads, step_column; /* 32 packs further: so many rows, and packs */
};

static inline struct tkv_unit_shape tkv_unit_shape(const struct tkv_geometry *g)
{
    uint32_t row_packs = (g->head_dim - 1) / TKV_PACK + 1;
    return {g->n_kv_heads, g->head_dim, row_packs, 32 / row_packs, 32 % row_packs};
}

/* One warp's unit: head 0's rows, and bytes from one head's row to the next one's. */
struct tkv_unit {
    const char *src;
    char *dst;
    size_t src_step, dst_step;
};

/* --- packs ------------------------------------------------------------------------------------
 *
 * Each type has load(), by what is then turned into the cache's dtype by convert(), so that a warp
 * has all its loads under way before it waits for the first; n is how many elements the row has
 * left. */

__device__ static void tkv_store_wide(char *at, const struct tkv_pack &p)
{
    *(uint4 *)at = {p.words[0], p.words[1], p.words[2], p.words[3]};
}

/* A pack as it is, bit by bit. */
struct tkv_same_type {
    enum { SIZE = sizeof(uint16_t) };
    typedef struct tkv_pack loaded;
    __device__ static uint32_t element(const char *at)
    {
        return *(const uint16_t *)at;
    }
    __device__ static loaded load(const char *at, uint32_t n)
    {
        uint4 x = *(const uint4 *)at;
        return {{x.x, x.y, x.z, x.w}};
    }
    __device__ static struct tkv_pack convert(const loaded &in)
    {
        return in;
    }
    __device__ static void store(char *at, uint32_t n, const struct tkv_pack &p)
    {
        tkv_store_wide(at, p);
    }
};

/* A pack of another type, converted: by the GPU's own instructions, two elements at a time, but
 * where a NaN is among them. */
template <class Src, class Dst> struct tkv_converted {
    enum { SIZE = sizeof(typename Src::bits), WORDS = TKV_PACK * SIZE / sizeof(uint32_t) };
    struct alignas(16) loaded {
        uint32_t words[WORDS];
    };
    __device__ static uint32_t element(const char *at)
    {
        return tkv_conversion<Src, Dst>::apply(*(const typename Src::bits *)at);
    }
    __device__ static loaded load(const char *at, uint32_t n)
    {
        return *(const loaded *)at;
    }
    __device__ static struct tkv_pack convert(const loaded &in)
    {
        struct tkv_pack out;
        bool nan = false;
#pragma unroll
        for (int w = 0; w < TKV_PACK_WORDS; w++) {
            float2 two = Src::values(in.words, w);
            nan = nan | (two.x != two.x) | (two.y != two.y);
            out.words[w] = Dst::pair(two);
        }
        if (nan) out = one_by_one(in);
        return out;
    }
    __device__ static struct tkv_pack one_by_one(const loaded &in)
    {
        struct tkv_pack out;
#pragma unroll
        for (int w = 0; w < TKV_PACK_WORDS; w++) {
            uint32_t low = tkv_conversion<Src, Dst>::apply(Src::element(in.words, 2 * w));
            uint32_t high = tkv_conversion<Src, Dst>::apply(Src::element(in.words, 2 * w + 1));
            out.words[w] = low | high << 16;
        }
        return out;
    }
    __device__ static void store(char *at, uint32_t n, const struct tkv_pack &p)
    {
        tkv_store_wide(at, p);
    }
};

/* Element by element, for rows that are not aligned or end within a pack: elements past the row are
 * 0, and are not stored. */
template <class Type> struct tkv_narrow {
    enum { SIZE = Type::SIZE };
    typedef struct tkv_pack loaded;
    __device__ static loaded load(const char *at, uint32_t n)
    {
        struct tkv_pack out = {};
#pragma unroll
        for (uint32_t e = 0; e < TKV_PACK; e++) {
            if (e < n) out.words[e / 2] |= Type::element(at + e * SIZE) << e % 2 * 16;
        }
        return out;
    }
    __device__ static struct tkv_pack convert(const loaded &in)
    {
        return in;
    }
    __device__ static void store(char *at, uint32_t n, const struct tkv_pack &p)
    {
#pragma unroll
        for (uint32_t e = 0; e < TKV_PACK; e++) {
            if (e < n) ((uint16_t *)at)[e] = (uint16_t)(p.words[e / 2] >> e % 2 * 16);
        }
    }
};

/* --- units ------------------------------------------------------------------------------------ */

/* A lane's way over the packs of one side of a unit. */
struct tkv_walk {
    size_t at; /* bytes from the unit's first */
    uint32_t head, column;
};

/* How it goes on: by `step` bytes, and by `wrap` more where that leaves the row. */
struct tkv_pace {
    size_t step, wrap;
};

__device__ static struct tkv_pace tkv_pace_of(const struct tkv_unit_shape &s, size_t row_step,
                                              uint32_t pack_bytes)
{
    return {s.step_heads * row_step + s.step_column * pack_bytes,
            row_step - (size_t)s.row_packs * pack_bytes};
}

__device__ static void tkv_advance(struct tkv_walk &w, const struct tkv_unit_shape &s,
                                   const struct tkv_pace &pace)
{
    w.at += pace.step;
    w.head += s.step_heads;
    w.column += s.step_column;
    if (w.column < s.row_packs) return;
    w.at += pace.wrap;
    w.head++;
    w.column -= s.row_packs;
}

/* Factors of the words of one column of packs; computed anew only where the column changes. */
struct tkv_factors {
    uint32_t column, words[TKV_PACK_WORDS];
};

__device__ static void tkv_factors_of(struct tkv_factors &f, uint32_t column)
{
    if (f.column == column) return;
    f.column = column;
#pragma unroll
    for (uint32_t i = 0; i < TKV_PACK_WORDS; i++)
        f.words[i] = tkv_checksum_factor(column * TKV_PACK_WORDS + i);
}

__device__ static uint64_t tkv_add_pack(uint64_t sum, const struct tkv_pack &p, uint32_t head,
                                        const struct tkv_factors &f)
{
    uint32_t factor = tkv_checksum_head(head);
#pragma unroll
    for (uint32_t i = 0; i < TKV_PACK_WORDS; i++)
        sum += (uint64_t)p.words[i] * (factor * f.words[i]);
    return sum;
}

/* Moves a unit; this lane's part of its checksum, where that is wanted. */
template <class Type, bool Summed>
__device__ static uint64_t tkv_move_unit(const struct tkv_unit_shape &s, const struct tkv_unit &u)
{
    const uint32_t src_pack = TKV_PACK * Type::SIZE, dst_pack = TKV_PACK * sizeof(uint16_t);
    const struct tkv_pace src_pace = tkv_pace_of(s, u.src_step, src_pack);
    const struct tkv_pace dst_pace = tkv_pace_of(s, u.dst_step, dst_pack);
    uint32_t lane = threadIdx.x % 32, packs = s.n_heads * s.row_packs;
    uint32_t head = lane / s.row_packs, column = lane - head * s.row_packs;
    struct tkv_walk from = {head * u.src_step + column * src_pack, head, column};
    struct tkv_walk to = {head * u.dst_step + column * dst_pack, head, column};
    struct tkv_factors factors = {UINT32_MAX};
    uint64_t sum = 0;
    for (uint32_t first = lane; first < packs; first += 32 * TKV_ROUNDS) {
        typename Type::loaded in[TKV_ROUNDS];
#pragma unroll
        for (int k = 0; k < TKV_ROUNDS; k++) {
            if (first + 32 * k < packs)
                in[k] = Type::load(u.src + from.at, s.head_dim - from.column * TKV_PACK);
            tkv_advance(from, s, src_pace);
        }
#pragma unroll
        for (int k = 0; k < TKV_ROUNDS; k++) {
            if (first + 32 * k >= packs) break;
            struct tkv_pack out = Type::convert(in[k]);
            Type::store(u.dst + to.at, s.head_dim - to.column * TKV_PACK, out);
            if (Summed) {
                tkv_factors_of(factors, to.column);
                sum = tkv_add_pack(sum, out, to.head, factors);
            }
            tkv_advance(to, s, dst_pace);
        }
    }
    return sum;
}

/* The sum of all lanes' numbers, in every lane. */
__device__ static uint64_t tkv_warp_sum(uint64_t x)
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

#endif
