/* arena.h - memory of one message: many small pieces, freed at once. One thread at a time.
 * A failure sticks, so that a decoder asks once at its end. */
#ifndef TKV_PROTO_ARENA_H
#define TKV_PROTO_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { TKV_ARENA_FIRST_BYTES = 512 }; /* the arrays and the id of a small request */

struct tkv_arena_block;

struct tkv_arena {
    struct tkv_arena_block *blocks; /* owned; what did not fit into first */
    size_t used;                    /* bytes of first */
    bool failed;
    _Alignas(max_align_t) unsigned char first[TKV_ARENA_FIRST_BYTES];
};

/* Makes the arena empty; allocates nothing. */
void tkv_arena_init(struct tkv_arena *arena);
void tkv_arena_close(struct tkv_arena *arena);

/* n * size bytes, aligned for anything, content unspecified; NULL (failed is set) where there are
 * none to be had. */
void *tkv_arena_take(struct tkv_arena *arena, size_t n, size_t size);

#endif
