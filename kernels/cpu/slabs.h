/* slabs.h - private anonymous memory for caches. Private to kernels/cpu/. Owner: one device; one
 * thread at a time.
 *
 * The system allows a process some 65,000 mappings, and one that loses every second page counts
 * twice. Small caches are therefore pieces of larger mappings, each cut into pieces of one size
 * [Bonwick, The Slab Allocator, 1994], and a piece that comes back keeps its place and gives only
 * its pages to the system. Nothing is written into free pieces: they are not resident, and zero. */
#ifndef TKV_KERNELS_CPU_SLABS_H
#define TKV_KERNELS_CPU_SLABS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum {
    TKV_SLAB_BYTES = 16 << 20,
    TKV_PIECE_MAX = 1 << 20, /* bytes; what is larger is a mapping of its own */
    TKV_PIECE_CLASSES = TKV_PIECE_MAX / 4096
};

struct tkv_slab; /* opaque: one mapping, and which of its pieces are free */

struct tkv_slabs {
    size_t granularity; /* every size is a multiple; a power of two >= 4096 */
    struct tkv_slab_class {
        struct tkv_slab *open, *full; /* those with room, and those without */
    } classes[TKV_PIECE_CLASSES];
};

void tkv_slabs_init(struct tkv_slabs *slabs, size_t granularity);
void tkv_slabs_close(struct tkv_slabs *slabs); /* pieces that are still out go, too */

/* A piece of `bytes`, 0 < bytes <= TKV_PIECE_MAX, all zero, and its slab. TKV_ENOMEM. */
enum tkv_status tkv_slabs_take(struct tkv_slabs *slabs, size_t bytes, struct tkv_slab **slab,
                               void **ptr);

/* Takes a piece back. replaced: something else has been mapped in its place. */
void tkv_slabs_give(struct tkv_slabs *slabs, struct tkv_slab *slab, void *ptr, bool replaced);

/* A mapping of its own, all zero; NULL with errno. */
void *tkv_anonymous_map(size_t bytes);
void tkv_anonymous_unmap(void *ptr, size_t bytes);

#endif
