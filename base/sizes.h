/* sizes.h - byte sizes as people write them: "64M", "40G", "4096". Any thread. */
#ifndef TKV_BASE_SIZES_H
#define TKV_BASE_SIZES_H

#include <stdint.h>

#include "base/status.h"

/* Parses digits and an optional suffix K, M, G or T (powers of 1024; "KiB", "MiB" ... too).
 * TKV_EINVAL: not of that form; TKV_ERANGE: does not fit 63 bits. *out is written on success. */
enum tkv_status tkv_parse_size(const char *text, uint64_t *out);

/* Writes a size for people, such as "1.5 GiB", into out (size bytes). Returns out. */
const char *tkv_format_size(uint64_t bytes, char *out, unsigned size);

#endif
