#include "proto/arena.h"

#include <stdlib.h>

#include "base/checked.h"

struct tkv_arena_block {
    struct tkv_arena_block *next;
    _Alignas(max_align_t) unsigned char bytes[];
};

void tkv_arena_init(struct tkv_arena *arena)
{
    arena->blocks = NULL;
    arena->used = 0;
    arena->failed = false;
}

void tkv_arena_close(struct tkv_arena *arena)
{
    while (arena->blocks != NULL) {
        struct tkv_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    tkv_arena_init(arena);
}

static void *take_block(struct tkv_arena *arena, size_t bytes)
{
    size_t total;
    struct tkv_arena_block *block = NULL;
    if (tkv_add(sizeof *block, bytes, &total)) block = malloc(total);
    if (block == NULL) {
        arena->failed = true;
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

void *tkv_arena_take(struct tkv_arena *arena, size_t n, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    size_t bytes, rounded;
    if (!tkv_mul(n, size, &bytes) || !tkv_add(bytes, align - 1, &rounded)) {
        arena->failed = true;
        return NULL;
    }
    rounded -= rounded % align;
    if (rounded > sizeof arena->first - arena->used) return take_block(arena, bytes);
    void *at = arena->first + arena->used;
    arena->used += rounded;
    return at;
}
