/* cpu.h - the CPU backend's own handle. Private to kernels/cpu/. Work is done before the call
 * returns; "queued" work is finished work here. */
#ifndef TKV_KERNELS_CPU_CPU_H
#define TKV_KERNELS_CPU_CPU_H

#include "kernels/backend.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/row_sum.h"
#include "kernels/cpu/slabs.h"

struct tkv_cpu_device {
    struct tkv_device base; /* first: the handle is cast */
    bool refused;           /* a guard refused an item since the last sync */
    const struct tkv_converters *convert;
    struct tkv_pool pool;
    struct tkv_slabs slabs;                /* cache memory */
    struct tkv_row_keys keys;              /* of the geometry that was last summed */
    size_t first_plane[TKV_ITEMS_MAX + 1]; /* of the batch at work, see append_batched.c */
};

static inline struct tkv_cpu_device *tkv_cpu(struct tkv_device *dev)
{
    return (struct tkv_cpu_device *)dev;
}

/* memory.c */
enum tkv_status tkv_cpu_memory_alloc(struct tkv_device *dev, size_t mapped, struct tkv_memory *out);
void tkv_cpu_memory_free(struct tkv_device *dev, struct tkv_memory *mem);
enum tkv_status tkv_cpu_memory_export(struct tkv_device *dev, struct tkv_memory *mem, int *fd);
enum tkv_status tkv_cpu_scratch_alloc(struct tkv_device *dev, size_t bytes, void **out);
void tkv_cpu_scratch_free(struct tkv_device *dev, void *ptr);

/* checksum.c */
enum tkv_status tkv_cpu_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_checksum_range *range, uint64_t *out,
                                  size_t stride);

/* append_one.c, append_batched.c, faults.c */
enum tkv_status tkv_cpu_append_one(struct tkv_device *dev, const struct tkv_geometry *geom,
                                   const struct tkv_append_item *item, uint32_t first, uint32_t n);
enum tkv_status tkv_cpu_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                       const struct tkv_append_item *items, uint32_t n);
enum tkv_status tkv_cpu_append_faulty(struct tkv_device *dev, const struct tkv_fault_job *job);

#endif
