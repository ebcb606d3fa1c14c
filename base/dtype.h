/* dtype.h - element types of K/V and their conversions. Any thread. */
#ifndef TKV_BASE_DTYPE_H
#define TKV_BASE_DTYPE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, word on the wire, bytes) */
#define TKV_DTYPES(X)  \
    X(F16, "f16", 2)   \
    X(BF16, "bf16", 2) \
    X(F32, "f32", 4)

enum tkv_dtype {
#define X(name, word, bytes) TKV_##name,
    TKV_DTYPES(X)
#undef X
        TKV_DTYPE_COUNT
};

/* Bytes of an element. Inline: it is asked for each row of each append. */
static inline size_t tkv_dtype_size(enum tkv_dtype dtype)
{
    static const unsigned char sizes[] = {
#define X(name, word, bytes) bytes,
        TKV_DTYPES(X)
#undef X
    };
    assert((unsigned)dtype < TKV_DTYPE_COUNT);
    return sizes[dtype];
}

const char *tkv_dtype_word(enum tkv_dtype dtype);
bool tkv_dtype_from_word(const char *word, enum tkv_dtype *out);

/* One element, IEEE 754: to the nearest, ties to even; NaN stays NaN; overflow becomes ±inf.
 * These plain-C conversions are the reference that every faster one is compared with. */
uint16_t tkv_f32_to_f16(float value);
uint16_t tkv_f32_to_bf16(float value);
float tkv_f16_to_f32(uint16_t bits);
float tkv_bf16_to_f32(uint16_t bits);

/* n elements from src (src_dtype) to dst (dst_dtype), both host memory, not overlapping.
 * Equal types are copied bit by bit. */
void tkv_convert(void *dst, enum tkv_dtype dst_dtype, const void *src, enum tkv_dtype src_dtype,
                 size_t n);

/* Element i of an array, as f32 (exact for every dtype). */
float tkv_element(const void *array, enum tkv_dtype dtype, size_t i);

#ifdef __cplusplus
}
#endif

#endif
