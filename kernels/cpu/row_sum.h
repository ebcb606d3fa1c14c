/* row_sum.h - one head's part of a checksum: sum over words of key * word (kernels/checksum.h), by
 * the widest instructions that the machine has. */
#ifndef TKV_KERNELS_CPU_ROW_SUM_H
#define TKV_KERNELS_CPU_ROW_SUM_H

#include "kernels/checksum.h"

/* row: n elements of 16 bits, any alignment; keys: one a word, (n + 1) / 2. Any thread. */
typedef uint64_t (*tkv_row_sum_fn)(const void *row, const uint32_t *keys, size_t n);

/* Plain C, for every machine. */
uint64_t tkv_row_sum_plain(const void *row, const uint32_t *keys, size_t n);

/* AVX2; NULL where the machine has it not. */
tkv_row_sum_fn tkv_row_sum_avx2(void);

/* The keys of one geometry: [n_kv_heads][words]. Zeroed at start; one thread fills it, any reads. */
struct tkv_row_keys {
    uint32_t heads, head_dim;
    uint32_t *keys;
    tkv_row_sum_fn sum; /* the fastest that this machine runs */
};

/* Makes it that of geom; cheap where it is already. TKV_ENOMEM leaves it empty. */
enum tkv_status tkv_row_keys_set(struct tkv_row_keys *k, const struct tkv_geometry *geom);
void tkv_row_keys_close(struct tkv_row_keys *k);

static inline uint64_t tkv_row_sum(const struct tkv_row_keys *k, uint32_t head, const void *row)
{
    size_t words = (k->head_dim + (size_t)1) / 2;
    return k->sum(row, k->keys + head * words, k->head_dim);
}

#endif
