/* convert.h - the batched path's conversions: whole runs at once, by the widest instructions that
 * the machine has. Any thread.
 *
 * Bit-equal with base/dtype.h on every machine and device, NaN included: a conversion keeps the
 * sign and the payload bits that fit and sets the quiet bit, so that a NaN never becomes inf. */
#ifndef TKV_KERNELS_CPU_CONVERT_H
#define TKV_KERNELS_CPU_CONVERT_H

#include <stddef.h>

#include "base/dtype.h"

/* n elements from src to dst, not overlapping, no alignment asked for. */
typedef void (*tkv_convert_fn)(void *dst, const void *src, size_t n);

struct tkv_converters {
    const char *name;
    tkv_convert_fn f32_to_f16, f32_to_bf16, f16_to_bf16, bf16_to_f16;
};

/* Plain C, for every machine. */
const struct tkv_converters *tkv_converters_plain(void);

/* F16C and AVX2; NULL where the machine has not both. */
const struct tkv_converters *tkv_converters_avx2(void);

/* The fastest that this machine runs. */
const struct tkv_converters *tkv_converters_best(void);

/* From src to dst, different types, dst a cache dtype. */
tkv_convert_fn tkv_converter(const struct tkv_converters *set, enum tkv_dtype dst,
                             enum tkv_dtype src);

#endif
