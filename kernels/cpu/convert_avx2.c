/* Conversions by F16C and AVX2, eight elements at a time. VCVTPS2PH and VCVTPH2PS do what the
 * reference does: round to nearest even, subnormals right, NaN quiet with its top payload bits. */
#include "kernels/cpu/convert.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,f16c")))

enum { LANES = 8 };

/* Eight floats to bf16, in the lower half of each 32-bit lane. */
TARGET static __m256i bfloats_of(__m256 x)
{
    __m256i bits = _mm256_castps_si256(x), top = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
    __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, nan);
}

/* Eight 32-bit lanes that fit 16 bits, packed. */
TARGET static __m128i pack(__m256i lanes)
{
    __m256i packed = _mm256_packus_epi32(lanes, lanes);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

TARGET static __m128i halves_of(__m256 x)
{
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
}

TARGET static void eight_f32_to_f16(void *dst, const void *src)
{
    _mm_storeu_si128(dst, halves_of(_mm256_loadu_ps(src)));
}

TARGET static void eight_f32_to_bf16(void *dst, const void *src)
{
    _mm_storeu_si128(dst, pack(bfloats_of(_mm256_loadu_ps(src))));
}

TARGET static void eight_f16_to_bf16(void *dst, const void *src)
{
    _mm_storeu_si128(dst, pack(bfloats_of(_mm256_cvtph_ps(_mm_loadu_si128(src)))));
}

TARGET static void eight_bf16_to_f16(void *dst, const void *src)
{
    __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(src)), 16);
    _mm_storeu_si128(dst, halves_of(_mm256_castsi256_ps(wide)));
}

/* n elements by eights; a rest goes through a padded copy, so that nothing is read or written
 * past the end. `eight` is a constant in each caller and inlined. */
TARGET static inline __attribute__((always_inline)) void by_eights(
    void *dst, const void *src, size_t n, size_t src_size, void (*eight)(void *, const void *))
{
    char *to = dst;
    const char *from = src;
    for (; n >= LANES; n -= LANES) {
        eight(to, from);
        to += LANES * sizeof(uint16_t);
        from += LANES * src_size;
    }
    if (n > 0) {
        char in[LANES * sizeof(float)] = {0}, out[LANES * sizeof(uint16_t)];
        memcpy(in, from, n * src_size);
        eight(out, in);
        memcpy(to, out, n * sizeof(uint16_t));
    }
}

TARGET static void f32_to_f16(void *dst, const void *src, size_t n)
{
    by_eights(dst, src, n, sizeof(float), eight_f32_to_f16);
}

TARGET static void f32_to_bf16(void *dst, const void *src, size_t n)
{
    by_eights(dst, src, n, sizeof(float), eight_f32_to_bf16);
}

TARGET static void f16_to_bf16(void *dst, const void *src, size_t n)
{
    by_eights(dst, src, n, sizeof(uint16_t), eight_f16_to_bf16);
}

TARGET static void bf16_to_f16(void *dst, const void *src, size_t n)
{
    by_eights(dst, src, n, sizeof(uint16_t), eight_bf16_to_f16);
}

/* Not every compiler's __builtin_cpu_supports() knows "f16c"; where there is AVX2, the system saves
 * the registers that F16C needs. */
static bool machine_has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

const struct tkv_converters *tkv_converters_avx2(void)
{
    static const struct tkv_converters avx2 = {"avx2+f16c", f32_to_f16, f32_to_bf16, f16_to_bf16,
                                               bf16_to_f16};
    return __builtin_cpu_supports("avx2") && machine_has_f16c() ? &avx2 : NULL;
}

#else

const struct tkv_converters *tkv_converters_avx2(void)
{
    return NULL;
}

#endif
