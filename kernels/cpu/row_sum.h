/* row_sum.h - a source's part of a checksum: sum over heads and words of key * word
 * (kernels/checksum.h), by the widest instructions that the machine has. */
#ifndef TKV_KERNELS_CPU_ROW_SUM_H
#define TKV_KERNELS_CPU_ROW_SUM_H

#include "kernels/checksum.h"

/* Keys of rows are in groups of this many words; within a group even words' come first, because one
 * vector multiplication takes every other word: 0 2 4 .. 14 1 3 5 .. 15. */
enum { TKV_KEY_GROUP = 16 };

/* row: n elements of 16 bits, any alignment; keys: of its words, in groups as above. Any thread. */
typedef uint64_t (*tkv_row_sum_fn)(const void *row, const uint64_t *keys, size_t n);

/* Plain C, for every machine. */
uint64_t tkv_row_sum_plain(const void *row, const uint64_t *keys, size_t n);

/* By wider instructions; NULL where the machine has them not. They read keys to the end of the
 * row's last group. */
tkv_row_sum_fn tkv_row_sum_avx2(void);
tkv_row_sum_fn tkv_row_sum_avx512(void);

/* Four rows of n elements (whole groups), `step` bytes apart, by the same keys; NULL where that is
 * not faster than one by one. */
typedef void (*tkv_row_sum_four_fn)(const void *rows, size_t step, const uint64_t *keys, size_t n,
                                    uint64_t *out);
tkv_row_sum_four_fn tkv_row_sum_four(void);

/* The keys of one geometry. Zeroed at start; one thread fills it, any reads. */
struct tkv_row_keys {
    uint32_t heads, head_dim;
    size_t row_keys;    /* of one head: its words, up to a whole group */
    uint64_t *keys;     /* [heads][row_keys] */
    tkv_row_sum_fn sum; /* the fastest that this machine runs */
    tkv_row_sum_four_fn sum_four;
};

/* Makes it that of geom; cheap where it is already. TKV_ENOMEM leaves it empty. */
enum tkv_status tkv_row_keys_set(struct tkv_row_keys *k, const struct tkv_geometry *geom);
void tkv_row_keys_close(struct tkv_row_keys *k);

/* A token's checksum, seed included: head h's row begins at rows + h * step (bytes). */
uint64_t tkv_token_sum(const struct tkv_row_keys *k, const void *rows, size_t step);

/* Those of one token in `planes` planes that follow each other, each n_kv_heads * step bytes. */
void tkv_token_sums(const struct tkv_row_keys *k, const void *rows, size_t step, size_t planes,
                    uint64_t *out);

#endif
