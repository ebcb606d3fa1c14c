/* staging.h - blocks of host memory that the device reads: payloads on their way in, rows that the
 * journal keeps, bytes on their way out.
 *
 * A payload is read from the socket straight into its block, the kernel reads it there, and the
 * journal keeps that same block: recording a batch copies nothing. Blocks are counted references;
 * freed ones are kept by size for the next payload of that size, because pinning memory is slow.
 * Loop thread only. */
#ifndef TKV_DAEMON_STAGING_H
#define TKV_DAEMON_STAGING_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/device.h"

struct tkv_staging_pool; /* opaque: tkv_staging_pool_open() .. tkv_staging_pool_close() */

struct tkv_staging {
    uint8_t *ptr;
    size_t bytes; /* asked for */
    size_t room;  /* allocated: the size class */
    uint32_t refs;
    struct tkv_staging_pool *pool;
    struct tkv_staging *next; /* in its free list */
};

/* max_bytes >= 1: what blocks in use may take together (parked ones, see below, not counted),
 * rounded up, by an eighth at most, to what one block of so many bytes takes: it fits alone.
 * cached_bytes: what freed blocks may take before they go back to the system. TKV_ENOMEM. */
enum tkv_status tkv_staging_pool_open(struct tkv_staging_pool **out, enum tkv_backend backend,
                                      size_t max_bytes, size_t cached_bytes);
void tkv_staging_pool_close(struct tkv_staging_pool *pool); /* all blocks have been released */

/* A block of bytes >= 1 with one reference. TKV_EOVERLOADED: past max_bytes; TKV_ENOMEM. */
enum tkv_status tkv_staging_take(struct tkv_staging_pool *pool, size_t bytes,
                                 struct tkv_staging **out);
void tkv_staging_ref(struct tkv_staging *block);
void tkv_staging_unref(struct tkv_staging *block); /* NULL is fine */

/* Moves a block out of (park) or back into (unpark) the account of blocks in use: the journal has a
 * budget of its own. */
void tkv_staging_park(struct tkv_staging *block);
void tkv_staging_unpark(struct tkv_staging *block);

/* Bytes in use, parked ones not counted. */
size_t tkv_staging_used(const struct tkv_staging_pool *pool);

#endif
