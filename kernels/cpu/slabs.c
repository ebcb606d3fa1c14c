#include "kernels/cpu/slabs.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

/* A piece that nobody has. replaced: what was mapped in its place could not be undone yet. */
struct piece {
    uint16_t index;
    bool replaced;
};

struct tkv_slab {
    struct tkv_slab *next, *prev;
    char *base;
    size_t piece_bytes;
    uint32_t n_pieces, n_free;
    struct piece free[]; /* a stack */
};

/* --- anonymous memory ------------------------------------------------------------------------- */

/* As large as it is asked for, and committed page by page, as it is written. Small pages on
 * purpose: a head-major cache is written in short runs far apart, and huge pages would commit (and
 * zero) a whole cache for its first token. Mappings that lie side by side with the same advice are
 * one to the system. */
static void *map_at(void *at, size_t bytes)
{
    int flags = at != NULL ? FLAGS | MAP_FIXED : FLAGS;
    void *ptr = mmap(at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (ptr == MAP_FAILED) return NULL;
    (void)madvise(ptr, bytes, MADV_NOHUGEPAGE); /* a system without huge pages says no */
    return ptr;
}

void *tkv_anonymous_map(size_t bytes)
{
    return map_at(NULL, bytes);
}

/* Zero again, and its pages are the system's. Locked pages stay where they are. */
static void empty(void *ptr, size_t bytes)
{
    if (madvise(ptr, bytes, MADV_DONTNEED) != 0) memset(ptr, 0, bytes);
}

/* A hole takes one mapping more, of which there may be none: then only the addresses are lost. */
void tkv_anonymous_unmap(void *ptr, size_t bytes)
{
    if (munmap(ptr, bytes) != 0) empty(ptr, bytes);
}

/* --- slabs ------------------------------------------------------------------------------------ */

static void push(struct tkv_slab **list, struct tkv_slab *slab)
{
    slab->prev = NULL;
    slab->next = *list;
    if (*list != NULL) (*list)->prev = slab;
    *list = slab;
}

static void unlink_from(struct tkv_slab **list, struct tkv_slab *slab)
{
    if (slab->prev != NULL) slab->prev->next = slab->next;
    if (slab->next != NULL) slab->next->prev = slab->prev;
    if (*list == slab) *list = slab->next;
}

static struct tkv_slab *slab_open(size_t piece_bytes)
{
    const uint32_t n = (uint32_t)(TKV_SLAB_BYTES / piece_bytes);
    struct tkv_slab *slab = malloc(sizeof *slab + n * sizeof slab->free[0]);
    if (slab == NULL) return NULL;
    *slab = (struct tkv_slab){.piece_bytes = piece_bytes, .n_pieces = n, .n_free = n};
    slab->base = tkv_anonymous_map(n * piece_bytes);
    if (slab->base == NULL) {
        free(slab);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) /* the lowest is on top */
        slab->free[i] = (struct piece){.index = (uint16_t)(n - 1 - i)};
    return slab;
}

static void slab_close(struct tkv_slab *slab)
{
    tkv_anonymous_unmap(slab->base, slab->n_pieces * slab->piece_bytes);
    free(slab);
}

void tkv_slabs_init(struct tkv_slabs *slabs, size_t granularity)
{
    assert(granularity >= 4096 && (granularity & (granularity - 1)) == 0);
    *slabs = (struct tkv_slabs){.granularity = granularity};
}

void tkv_slabs_close(struct tkv_slabs *slabs)
{
    for (size_t i = 0; i < TKV_PIECE_CLASSES; i++) {
        struct tkv_slab **const lists[] = {&slabs->classes[i].open, &slabs->classes[i].full};
        for (size_t k = 0; k < 2; k++) {
            struct tkv_slab *next;
            for (struct tkv_slab *slab = *lists[k]; slab != NULL; slab = next) {
                next = slab->next;
                slab_close(slab);
            }
            *lists[k] = NULL;
        }
    }
}

static struct tkv_slab_class *class_of(struct tkv_slabs *slabs, size_t bytes)
{
    assert(bytes > 0 && bytes <= TKV_PIECE_MAX && bytes % slabs->granularity == 0);
    return &slabs->classes[bytes / slabs->granularity - 1];
}

enum tkv_status tkv_slabs_take(struct tkv_slabs *slabs, size_t bytes, struct tkv_slab **slab,
                               void **ptr)
{
    struct tkv_slab_class *class = class_of(slabs, bytes);
    struct tkv_slab *from = class->open;
    if (from == NULL) {
        from = slab_open(bytes);
        if (from == NULL) return TKV_ENOMEM;
        push(&class->open, from);
    }
    const struct piece *piece = &from->free[from->n_free - 1];
    char *at = from->base + piece->index * bytes;
    if (piece->replaced && map_at(at, bytes) == NULL) return TKV_ENOMEM;
    if (--from->n_free == 0) {
        unlink_from(&class->open, from);
        push(&class->full, from);
    }
    *slab = from;
    *ptr = at;
    return TKV_OK;
}

/* The last open slab of a size stays, empty or not: a sequence that comes and goes alone would map
 * one each time. */
void tkv_slabs_give(struct tkv_slabs *slabs, struct tkv_slab *slab, void *ptr, bool replaced)
{
    struct tkv_slab_class *class = class_of(slabs, slab->piece_bytes);
    size_t index = (size_t)((char *)ptr - slab->base) / slab->piece_bytes;
    assert(index < slab->n_pieces && slab->n_free < slab->n_pieces);
    if (replaced) {
        replaced = map_at(ptr, slab->piece_bytes) == NULL;
    } else {
        empty(ptr, slab->piece_bytes);
    }
    if (slab->n_free == 0) {
        unlink_from(&class->full, slab);
        push(&class->open, slab);
    }
    slab->free[slab->n_free++] = (struct piece){(uint16_t)index, replaced};
    if (slab->n_free == slab->n_pieces && (slab->next != NULL || slab->prev != NULL)) {
        unlink_from(&class->open, slab);
        slab_close(slab);
    }
}
