/* backend.h - what a device must be able to do. Private to kernels/: the public calls check their
 * arguments, pass through tkv_device_ready() and tkv_device_settle(), and land in this table. */
#ifndef TKV_KERNELS_BACKEND_H
#define TKV_KERNELS_BACKEND_H

#include "kernels/checksum.h"
#include "kernels/device.h"
#include "kernels/faults.h"
#include "kernels/kv_append.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tkv_fault_job; /* fault_rows_impl.h */

/* Meaning, owner and errors are those of the public call of the same name. A call that finds the
 * context lost returns TKV_EDEVICE; the latch is set by tkv_device_settle(). */
struct tkv_device_ops {
    void (*close)(struct tkv_device *dev);
    enum tkv_status (*info)(struct tkv_device *dev, struct tkv_device_info *out);
    enum tkv_status (*sync)(struct tkv_device *dev);
    enum tkv_status (*mark)(struct tkv_device *dev);
    enum tkv_status (*reach_mark)(struct tkv_device *dev);

    enum tkv_status (*memory_alloc)(struct tkv_device *dev, size_t mapped, struct tkv_memory *out);
    void (*memory_free)(struct tkv_device *dev, struct tkv_memory *mem);
    enum tkv_status (*memory_export)(struct tkv_device *dev, struct tkv_memory *mem, int *fd);
    enum tkv_status (*scratch_alloc)(struct tkv_device *dev, size_t bytes, void **out);
    void (*scratch_free)(struct tkv_device *dev, void *ptr);

    enum tkv_status (*fill)(struct tkv_device *dev, void *dst, int byte, size_t bytes);
    enum tkv_status (*copy)(struct tkv_device *dev, void *dst, const void *src, size_t bytes);
    enum tkv_status (*copy_rows)(struct tkv_device *dev, void *dst, size_t dst_pitch,
                                 const void *src, size_t src_pitch, size_t width, size_t rows);
    enum tkv_status (*gather)(struct tkv_device *dev, const struct tkv_rows *all, size_t n);

    /* Planes (layer * 2 + kv) [first, first + n) of the cache, n >= 1. */
    enum tkv_status (*append_one)(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_append_item *item, uint32_t first, uint32_t n);
    enum tkv_status (*append_batched)(struct tkv_device *dev, const struct tkv_geometry *geom,
                                      const struct tkv_append_item *items, uint32_t n);
    enum tkv_status (*append_faulty)(struct tkv_device *dev, const struct tkv_fault_job *job);
    enum tkv_status (*checksums)(struct tkv_device *dev, const struct tkv_geometry *geom,
                                 const struct tkv_checksum_range *range, uint64_t *out,
                                 size_t stride);
    enum tkv_status (*compare_planes)(struct tkv_device *dev, const void *a, const void *b,
                                      size_t plane_bytes, size_t n_planes, uint64_t *mismatched);
};

/* The head of every backend's own handle. */
struct tkv_device {
    const struct tkv_device_ops *ops;
    enum tkv_backend backend; /* CPU or CUDA */
    int ordinal;
    size_t granularity; /* of cache memory, bytes; a power of two */
    void *kept;         /* tkv_scratch_kept() */
    size_t kept_bytes;
    bool lost; /* latched: every call but the frees returns TKV_EDEVICE */
};

/* TKV_EDEVICE where the handle is lost, or what tkv_device_fail_nth() has in store. dev may be
 * NULL for calls without a handle. */
enum tkv_status tkv_device_ready(struct tkv_device *dev);

/* Passes st on; latches the handle at TKV_EDEVICE. */
enum tkv_status tkv_device_settle(struct tkv_device *dev, enum tkv_status st);

/* All counts >= 1, and a cache dtype. */
bool tkv_geometry_valid(const struct tkv_geometry *geom);

enum tkv_status tkv_cpu_open(struct tkv_device **out);
enum tkv_status tkv_cpu_staging_alloc(size_t bytes, void **out);
void tkv_cpu_staging_free(void *ptr, size_t bytes);

#ifdef TKV_HAVE_CUDA
/* TKV_ENOTSUP: *why (never NULL here) says what is missing. */
enum tkv_status tkv_cuda_open(struct tkv_device **out, int ordinal, const char **why);
enum tkv_status tkv_cuda_staging_alloc(size_t bytes, void **out);
void tkv_cuda_staging_free(void *ptr);
#endif

#ifdef __cplusplus
}
#endif

#endif
