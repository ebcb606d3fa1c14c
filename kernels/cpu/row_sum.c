#include "kernels/cpu/row_sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum { GROUP_ELEMENTS = 2 * TKV_KEY_GROUP, GROUP_BYTES = 4 * TKV_KEY_GROUP, LINE = 64 };

/* Where the key of word w stands. */
static size_t key_place(size_t w)
{
    size_t in = w % TKV_KEY_GROUP;
    return w - in + in / 2 + in % 2 * (TKV_KEY_GROUP / 2);
}

uint64_t tkv_row_sum_plain(const void *row, const uint64_t *keys, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i + 2 <= n; i += 2) {
        uint32_t word;
        memcpy(&word, (const char *)row + 2 * i, sizeof word);
        sum += word * keys[key_place(i / 2)];
    }
    if (n % 2 == 1) {
        uint16_t last;
        memcpy(&last, (const char *)row + 2 * (n - 1), sizeof last);
        sum += last * keys[key_place(n / 2)];
    }
    return sum;
}

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2   __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f")))

/* What is left of a row behind its whole groups, as a whole one. */
static const void *padded(const char *at, size_t elements, uint32_t *room)
{
    memset(room, 0, TKV_KEY_GROUP * sizeof *room);
    memcpy(room, at, 2 * elements);
    return room;
}

/* Two vectors a group; even words by one multiplication, odd ones by another. */
AVX2 static inline void add_group_avx2(__m256i *even, __m256i *odd, const void *group,
                                       const uint64_t *keys)
{
    for (int half = 0; half < 2; half++) {
        const __m256i *key = (const __m256i *)keys + half;
        __m256i words = _mm256_loadu_si256((const __m256i *)group + half);
        __m256i high = _mm256_srli_epi64(words, 32);
        *even = _mm256_add_epi64(*even, _mm256_mul_epu32(words, _mm256_loadu_si256(key)));
        *odd = _mm256_add_epi64(*odd, _mm256_mul_epu32(high, _mm256_loadu_si256(key + 2)));
    }
}

AVX2 static uint64_t sum_avx2(const void *row, const uint64_t *keys, size_t n)
{
    __m256i even = _mm256_setzero_si256(), odd = even;
    const char *at = row;
    uint32_t room[TKV_KEY_GROUP];
    for (; n >= GROUP_ELEMENTS; n -= GROUP_ELEMENTS) {
        add_group_avx2(&even, &odd, at, keys);
        at += GROUP_BYTES;
        keys += TKV_KEY_GROUP;
    }
    if (n > 0) add_group_avx2(&even, &odd, padded(at, n, room), keys);
    even = _mm256_add_epi64(even, odd);
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
    return (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
}

/* One load of the words for both multiplications: loads are what this is bound by. */
AVX512 static inline void add_words_avx512(__m512i *sum, const void *group, __m512i even,
                                           __m512i odd)
{
    __m512i words = _mm512_loadu_si512(group);
    __asm__("" : "+v"(words));
    __m512i low = _mm512_mul_epu32(words, even);
    __m512i high = _mm512_mul_epu32(_mm512_srli_epi64(words, 32), odd);
    *sum = _mm512_add_epi64(*sum, _mm512_add_epi64(low, high));
}

/* By halves: GCC's own reduction adds signed numbers, which must not wrap. */
AVX512 static inline uint64_t lanes_avx512(__m512i sum)
{
    __m256i four = _mm256_add_epi64(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
    __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}

AVX512 static uint64_t sum_avx512(const void *row, const uint64_t *keys, size_t n)
{
    __m512i sum = _mm512_setzero_si512();
    const char *at = row;
    uint32_t room[TKV_KEY_GROUP];
    for (; n >= GROUP_ELEMENTS; n -= GROUP_ELEMENTS) {
        add_words_avx512(&sum, at, _mm512_loadu_si512(keys), _mm512_loadu_si512(keys + 8));
        at += GROUP_BYTES;
        keys += TKV_KEY_GROUP;
    }
    if (n > 0)
        add_words_avx512(&sum, padded(at, n, room), _mm512_loadu_si512(keys),
                         _mm512_loadu_si512(keys + 8));
    return lanes_avx512(sum);
}

/* Four rows by the same keys, loaded once. */
AVX512 static void sum_four_avx512(const void *rows, size_t step, const uint64_t *keys, size_t n,
                                   uint64_t *out)
{
    __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                       _mm512_setzero_si512()};
    const char *at = rows;
    for (; n >= GROUP_ELEMENTS; n -= GROUP_ELEMENTS) {
        __m512i even = _mm512_loadu_si512(keys), odd = _mm512_loadu_si512(keys + 8);
        add_words_avx512(&sums[0], at, even, odd);
        add_words_avx512(&sums[1], at + step, even, odd);
        add_words_avx512(&sums[2], at + 2 * step, even, odd);
        add_words_avx512(&sums[3], at + 3 * step, even, odd);
        at += GROUP_BYTES;
        keys += TKV_KEY_GROUP;
    }
    for (int i = 0; i < 4; i++)
        out[i] = lanes_avx512(sums[i]);
}

tkv_row_sum_four_fn tkv_row_sum_four(void)
{
    return __builtin_cpu_supports("avx512f") ? sum_four_avx512 : NULL;
}

tkv_row_sum_fn tkv_row_sum_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? sum_avx2 : NULL;
}

tkv_row_sum_fn tkv_row_sum_avx512(void)
{
    return __builtin_cpu_supports("avx512f") ? sum_avx512 : NULL;
}

#else

tkv_row_sum_fn tkv_row_sum_avx2(void)
{
    return NULL;
}

tkv_row_sum_fn tkv_row_sum_avx512(void)
{
    return NULL;
}

tkv_row_sum_four_fn tkv_row_sum_four(void)
{
    return NULL;
}

#endif

static tkv_row_sum_fn best(void)
{
    if (tkv_row_sum_avx512() != NULL) return tkv_row_sum_avx512();
    return tkv_row_sum_avx2() != NULL ? tkv_row_sum_avx2() : tkv_row_sum_plain;
}

static void fill_keys(struct tkv_row_keys *k)
{
    size_t words = (k->head_dim + (size_t)1) / 2;
    for (uint32_t head = 0; head < k->heads; head++) {
        for (uint32_t w = 0; w < words; w++)
            k->keys[head * k->row_keys + key_place(w)] = tkv_checksum_key(head, w);
    }
}

enum tkv_status tkv_row_keys_set(struct tkv_row_keys *k, const struct tkv_geometry *geom)
{
    if (k->keys != NULL && k->heads == geom->n_kv_heads && k->head_dim == geom->head_dim)
        return TKV_OK;
    size_t groups = (geom->head_dim + (size_t)GROUP_ELEMENTS - 1) / GROUP_ELEMENTS, all;
    tkv_row_keys_close(k);
    if (!tkv_mul(groups * TKV_KEY_GROUP, geom->n_kv_heads, &all)) return TKV_ENOMEM;
    k->keys = aligned_alloc(LINE, all * sizeof *k->keys); /* a group is whole cache lines */
    if (k->keys == NULL) return TKV_ENOMEM;
    memset(k->keys, 0, all * sizeof *k->keys);
    k->heads = geom->n_kv_heads;
    k->head_dim = geom->head_dim;
    k->row_keys = groups * TKV_KEY_GROUP;
    k->sum = best();
    k->sum_four = tkv_row_sum_four();
    fill_keys(k);
    return TKV_OK;
}

void tkv_row_keys_close(struct tkv_row_keys *k)
{
    free(k->keys);
    *k = (struct tkv_row_keys){0};
}

static bool is_one_row(const struct tkv_row_keys *k, size_t step)
{
    return step == k->head_dim * sizeof(uint16_t) && k->head_dim % GROUP_ELEMENTS == 0;
}

void tkv_token_sums(const struct tkv_row_keys *k, const void *rows, size_t step, size_t planes,
                    uint64_t *out)
{
    size_t n = (size_t)k->heads * k->head_dim, i = 0, plane_step = k->heads * step;
    const char *at = rows;
    for (; k->sum_four != NULL && is_one_row(k, step) && i + 4 <= planes; i += 4) {
        k->sum_four(at + i * plane_step, plane_step, k->keys, n, out + i);
        for (size_t p = i; p < i + 4; p++)
            out[p] += TKV_CHECKSUM_SEED;
    }
    for (; i < planes; i++)
        out[i] = tkv_token_sum(k, at + i * plane_step, step);
}

uint64_t tkv_token_sum(const struct tkv_row_keys *k, const void *rows, size_t step)
{
    uint64_t sum = TKV_CHECKSUM_SEED;
    if (is_one_row(k, step))
        return sum + k->sum(rows, k->keys, (size_t)k->heads * k->head_dim); /* one long row */
    for (uint32_t head = 0; head < k->heads; head++)
        sum += k->sum((const char *)rows + head * step, k->keys + head * k->row_keys, k->head_dim);
    return sum;
}
