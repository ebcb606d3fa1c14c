#include "kernels/cpu/row_sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

uint64_t tkv_row_sum_plain(const void *row, const uint32_t *keys, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i + 2 <= n; i += 2) {
        uint32_t word;
        memcpy(&word, (const char *)row + 2 * i, sizeof word);
        sum += (uint64_t)word * keys[i / 2];
    }
    if (n % 2 == 1) {
        uint16_t last;
        memcpy(&last, (const char *)row + 2 * (n - 1), sizeof last);
        sum += (uint64_t)last * keys[n / 2];
    }
    return sum;
}

#if defined(__x86_64__)

#include <immintrin.h>

enum { LANES = 16 }; /* elements in a vector */

/* The even words of a vector by one multiplication, the odd ones by another. */
__attribute__((target("avx2"))) static uint64_t sum_avx2(const void *row, const uint32_t *keys,
                                                         size_t n)
{
    __m256i even = _mm256_setzero_si256(), odd = even;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256i words = _mm256_loadu_si256((const __m256i *)((const char *)row + 2 * i));
        __m256i key = _mm256_loadu_si256((const __m256i *)(keys + i / 2));
        even = _mm256_add_epi64(even, _mm256_mul_epu32(words, key));
        odd = _mm256_add_epi64(
            odd, _mm256_mul_epu32(_mm256_srli_epi64(words, 32), _mm256_srli_epi64(key, 32)));
    }
    even = _mm256_add_epi64(even, odd);
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
    uint64_t sum = (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
    return i == n ? sum : sum + tkv_row_sum_plain((const char *)row + 2 * i, keys + i / 2, n - i);
}

tkv_row_sum_fn tkv_row_sum_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? sum_avx2 : NULL;
}

#else

tkv_row_sum_fn tkv_row_sum_avx2(void)
{
    return NULL;
}

#endif

enum tkv_status tkv_row_keys_set(struct tkv_row_keys *k, const struct tkv_geometry *geom)
{
    if (k->keys != NULL && k->heads == geom->n_kv_heads && k->head_dim == geom->head_dim)
        return TKV_OK;
    size_t words = (geom->head_dim + (size_t)1) / 2, bytes;
    tkv_row_keys_close(k);
    if (!tkv_mul(words * sizeof *k->keys, geom->n_kv_heads, &bytes)) return TKV_ENOMEM;
    k->keys = malloc(bytes);
    if (k->keys == NULL) return TKV_ENOMEM;
    k->heads = geom->n_kv_heads;
    k->head_dim = geom->head_dim;
    k->sum = tkv_row_sum_avx2() != NULL ? tkv_row_sum_avx2() : tkv_row_sum_plain;
    for (uint32_t head = 0; head < k->heads; head++) {
        for (uint32_t w = 0; w < words; w++)
            k->keys[head * words + w] = tkv_checksum_key(head, w);
    }
    return TKV_OK;
}

void tkv_row_keys_close(struct tkv_row_keys *k)
{
    free(k->keys);
    *k = (struct tkv_row_keys){0};
}
