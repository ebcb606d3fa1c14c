/* content.h - what appends write: rows that follow from a tag, so that whoever reads a place can
 * tell which append wrote it. Every element is a whole number from -1024 to 1023, which f16 and f32
 * both hold, so that the source's dtype changes nothing. */
#ifndef TKV_TESTS_HISTORIES_CONTENT_H
#define TKV_TESTS_HISTORIES_CONTENT_H

#include <stddef.h>
#include <stdint.h>

/* The model of all histories; f16. */
enum { H_LAYERS = 3, H_KV = 2, H_HEADS = 2, H_DIM = 4, H_CAPACITY_MAX = 24 };
#define H_MODEL                                                                    \
    "{ name = \"m\"; n_layers = 3; n_kv_heads = 2; head_dim = 4; dtype = \"f16\";" \
    " capacity = 24; }"

/* xorshift64* (S. Vigna): a state is seeded by anything but 0. */
uint64_t h_random(uint64_t *state);
uint32_t h_below(uint64_t *state, uint32_t n);

/* A hash of two numbers, never 0. */
uint64_t h_mix(uint64_t a, uint64_t b);

/* Elements of one item: [layers][2][heads][tokens][dim]. */
size_t h_elements(uint32_t layers, uint32_t tokens);

/* Those of the item with this tag, whose layers begin at layer_begin. */
void h_rows(uint64_t tag, uint32_t layer_begin, uint32_t layers, uint32_t tokens, int16_t *out);

/* A whole number of -2048..2047 as an f16. */
uint16_t h_half(int value);

/* A place's bytes as one number: the hash of its rows, of all heads. 0 stands for no place. */
uint64_t h_cell(uint64_t tag, uint32_t layer, uint32_t kv, uint32_t token);

/* The same of bytes that were read: f16 [layers][2][heads][tokens][dim]; cells: [layers][2][tokens]
 */
void h_cells_of(const uint8_t *rows, uint32_t layers, uint32_t tokens, uint64_t *cells);

#endif
