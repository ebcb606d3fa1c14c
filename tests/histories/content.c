#include "tests/histories/content.h"

#include <string.h>
#include <xxhash.h>

uint64_t h_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t h_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((h_random(state) >> 32) % n);
}

uint64_t h_mix(uint64_t a, uint64_t b)
{
    const uint64_t both[2] = {a, b};
    return XXH3_64bits(both, sizeof both) | 1;
}

size_t h_elements(uint32_t layers, uint32_t tokens)
{
    return (size_t)layers * H_KV * H_HEADS * tokens * H_DIM;
}

/* One head's row: four elements out of one hash. */
static void row_of(uint64_t tag, uint32_t layer, uint32_t kv, uint32_t head, uint32_t token,
                   int16_t out[H_DIM])
{
    uint64_t bits = h_mix(tag, (((uint64_t)layer * H_KV + kv) * H_HEADS + head) << 32 | token);
    for (int d = 0; d < H_DIM; d++)
        out[d] = (int16_t)((int)(bits >> 16 * d >> 4 & 0x7ff) - 1024);
}

void h_rows(uint64_t tag, uint32_t layer_begin, uint32_t layers, uint32_t tokens, int16_t *out)
{
    for (uint32_t plane = 0; plane < layers * H_KV * H_HEADS; plane++) {
        for (uint32_t t = 0; t < tokens; t++, out += H_DIM)
            row_of(tag, layer_begin + plane / H_HEADS / H_KV, plane / H_HEADS % H_KV,
                   plane % H_HEADS, t, out);
    }
}

uint16_t h_half(int value)
{
    unsigned sign = value < 0 ? 0x8000u : 0, magnitude = (unsigned)(value < 0 ? -value : value);
    if (magnitude == 0) return 0;
    unsigned top = 31u - (unsigned)__builtin_clz(magnitude); /* 2^top <= magnitude */
    unsigned fraction = (magnitude << 10 >> top) & 0x3ffu;
    return (uint16_t)(sign | (top + 15) << 10 | fraction);
}

static uint64_t hash_cell(const uint16_t cell[H_HEADS * H_DIM])
{
    return XXH3_64bits(cell, (size_t)H_HEADS * H_DIM * sizeof *cell) | 1;
}

uint64_t h_cell(uint64_t tag, uint32_t layer, uint32_t kv, uint32_t token)
{
    uint16_t cell[H_HEADS * H_DIM];
    for (uint32_t head = 0; head < H_HEADS; head++) {
        int16_t row[H_DIM];
        row_of(tag, layer, kv, head, token, row);
        for (uint32_t d = 0; d < H_DIM; d++)
            cell[head * H_DIM + d] = h_half(row[d]);
    }
    return hash_cell(cell);
}

void h_cells_of(const uint8_t *rows, uint32_t layers, uint32_t tokens, uint64_t *cells)
{
    const size_t row = H_DIM * sizeof(uint16_t);
    for (uint32_t plane = 0; plane < layers * H_KV; plane++) {
        for (uint32_t t = 0; t < tokens; t++) {
            uint16_t cell[H_HEADS * H_DIM];
            for (uint32_t h = 0; h < H_HEADS; h++)
                memcpy(cell + (size_t)h * H_DIM,
                       rows + (((size_t)plane * H_HEADS + h) * tokens + t) * row, row);
            *cells++ = hash_cell(cell);
        }
    }
}
