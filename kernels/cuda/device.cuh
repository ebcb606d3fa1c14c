/* device.cuh - the CUDA backend's own handle, and how its calls report errors. Private to
 * kernels/cuda/.
 *
 * Host code here is C in C++ clothes: no exceptions, no statics with constructors, no C++ runtime,
 * so that plain C programs link it. libcuda is never linked: what the runtime does not offer comes
 * through the driver table, looked up when a device is opened. */
#ifndef TKV_KERNELS_CUDA_DEVICE_CUH
#define TKV_KERNELS_CUDA_DEVICE_CUH

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include "kernels/backend.h"

/* X(function of the virtual memory API); all are there since CUDA 10.2. */
#define TKV_CUDA_DRIVER(X)          \
    X(cuMemCreate)                  \
    X(cuMemRelease)                 \
    X(cuMemAddressReserve)          \
    X(cuMemAddressFree)             \
    X(cuMemMap)                     \
    X(cuMemUnmap)                   \
    X(cuMemSetAccess)               \
    X(cuMemExportToShareableHandle) \
    X(cuMemGetAllocationGranularity)

struct tkv_cuda_driver {
#define X(name) PFN_##name##_v10020 name;
    TKV_CUDA_DRIVER(X)
#undef X
    PFN_cuDeviceGetAttribute_v2000 cuDeviceGetAttribute;
};

/* A table of items on its way to one launch. A slot is used again only after its event: a table
 * that is refilled while a launch still reads it is the classic bug. */
struct tkv_cuda_table {
    void *host, *device; /* TKV_CUDA_TABLE_BYTES each; host is pinned */
    cudaEvent_t done;    /* behind the last launch that read it */
};

enum {
    TKV_CUDA_TABLES = 8,
    TKV_CUDA_TABLE_BYTES = TKV_ITEMS_MAX * 56,
    TKV_CUDA_COUNTS = 4096 /* planes compared by one launch */
};

struct tkv_cuda_device {
    struct tkv_device base; /* first: the handle is cast */
    struct tkv_cuda_driver driver;
    bool exportable;   /* the driver can make shareable handles */
    bool programmatic; /* launches may begin before the one in front of them has ended */
    int multiprocessors;
    size_t pitch_max;    /* of a two-dimensional copy, bytes */
    size_t memory_total; /* bytes */
    char name[128];
    cudaStream_t stream;
    cudaEvent_t mark;  /* tkv_device_mark() */
    uint32_t *refused; /* pinned and mapped; a guard stores 1, sync reads and clears it */
    struct tkv_cuda_table tables[TKV_CUDA_TABLES];
    unsigned next_table;
    unsigned long long *counts, *counts_host; /* TKV_CUDA_COUNTS each; device and pinned */
};

static inline struct tkv_cuda_device *tkv_cuda(struct tkv_device *dev)
{
    return (struct tkv_cuda_device *)dev;
}

/* Status of a runtime call (or of a driver call: the numbers are the same). Out of memory is
 * TKV_ENOMEM; an error that the context survives is TKV_EINTERNAL; one that it does not is
 * TKV_EDEVICE. The last two are logged. Never leaves an error behind for the next call to find. */
enum tkv_status tkv_cuda_status(struct tkv_cuda_device *cuda, cudaError_t err, const char *what);

/* Status of the launch just made. */
enum tkv_status tkv_cuda_launched(struct tkv_cuda_device *cuda, const char *what);

/* Makes the handle's GPU the thread's current one: handles move between threads. */
enum tkv_status tkv_cuda_enter(struct tkv_cuda_device *cuda);

/* The next free slot (waits only where TKV_CUDA_TABLES launches with tables are in flight); fill
 * host, send it ahead of the launch, and mark the slot busy after the launch, failed or not. */
enum tkv_status tkv_cuda_table_take(struct tkv_cuda_device *cuda, struct tkv_cuda_table **out);
enum tkv_status tkv_cuda_table_send(struct tkv_cuda_device *cuda, struct tkv_cuda_table *table,
                                    size_t bytes);
enum tkv_status tkv_cuda_table_busy(struct tkv_cuda_device *cuda, struct tkv_cuda_table *table);

/* memory.cu, append_one.cu, append_batched.cu, faults.cu, compare.cu, gather.cu */
enum tkv_status tkv_cuda_memory_alloc(struct tkv_device *dev, size_t mapped,
                                      struct tkv_memory *out);
void tkv_cuda_memory_free(struct tkv_device *dev, struct tkv_memory *mem);
enum tkv_status tkv_cuda_memory_export(struct tkv_device *dev, struct tkv_memory *mem, int *fd);
enum tkv_status tkv_cuda_scratch_alloc(struct tkv_device *dev, size_t bytes, void **out);
void tkv_cuda_scratch_free(struct tkv_device *dev, void *ptr);
enum tkv_status tkv_cuda_fill(struct tkv_device *dev, void *dst, int byte, size_t bytes);
enum tkv_status tkv_cuda_copy(struct tkv_device *dev, void *dst, const void *src, size_t bytes);
enum tkv_status tkv_cuda_copy_rows(struct tkv_device *dev, void *dst, size_t dst_pitch,
                                   const void *src, size_t src_pitch, size_t width, size_t rows);
enum tkv_status tkv_cuda_gather(struct tkv_device *dev, const struct tkv_rows *all, size_t n);
enum tkv_status tkv_cuda_append_one(struct tkv_device *dev, const struct tkv_geometry *geom,
                                    const struct tkv_append_item *item, uint32_t first, uint32_t n);
enum tkv_status tkv_cuda_append_batched(struct tkv_device *dev, const struct tkv_geometry *geom,
                                        const struct tkv_append_item *items, uint32_t n);
enum tkv_status tkv_cuda_append_faulty(struct tkv_device *dev, const struct tkv_fault_job *job);
enum tkv_status tkv_cuda_checksums(struct tkv_device *dev, const struct tkv_geometry *geom,
                                   const struct tkv_checksum_range *range, uint64_t *out,
                                   size_t stride);
enum tkv_status tkv_cuda_compare_planes(struct tkv_device *dev, const void *a, const void *b,
                                        size_t plane_bytes, size_t n_planes, uint64_t *mismatched);

#endif
