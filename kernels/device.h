/* device.h - one device behind one header: its memory, its queue of work, its health.
 * A device is the host's CPU or one CUDA GPU. A handle belongs to one thread at a time, but for
 * tkv_staging_*(), which any thread may call. Several handles may be open on one GPU: they share
 * its memory, and each has a queue (stream) of its own.
 *
 * Work is queued in order and not waited for, unless a call says that it waits. A sticky error (an
 * illegal address and its kin) makes this and every later call return TKV_EDEVICE: the context is
 * lost and the process must exit. Out of memory (TKV_ENOMEM) is not sticky. */
#ifndef TKV_KERNELS_DEVICE_H
#define TKV_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tkv_device; /* opaque: tkv_device_open() .. tkv_device_close() */

enum tkv_backend { TKV_BACKEND_AUTO, TKV_BACKEND_CUDA, TKV_BACKEND_CPU };

struct tkv_device_info {
    enum tkv_backend backend; /* never AUTO */
    int ordinal;
    char name[128];
    size_t memory_total, memory_used; /* bytes; the GPU's, or the host's */
};

/* Opens a device. AUTO: the GPU `ordinal` where there is a driver and a device, else the CPU.
 * TKV_ENOTSUP: CUDA was asked for and is not to be had; why (static text, may be NULL to not ask)
 * says what is missing. TKV_ENOMEM, TKV_EDEVICE. *out is written on success only. */
enum tkv_status tkv_device_open(struct tkv_device **out, enum tkv_backend backend, int ordinal,
                                const char **why);
void tkv_device_close(struct tkv_device *dev); /* NULL is fine; waits for queued work */

enum tkv_backend tkv_device_backend(const struct tkv_device *dev);
const char *tkv_backend_word(enum tkv_backend backend); /* "cuda", "cpu", "auto" */

/* Fills *out; memory_used is read now. */
enum tkv_status tkv_device_info(struct tkv_device *dev, struct tkv_device_info *out);

/* Waits for all queued work of this handle. TKV_EINTERNAL: a kernel guard refused an item since the
 * last call (null cache, pos + tokens > capacity, ...); the word is cleared, nothing is lost. */
enum tkv_status tkv_device_sync(struct tkv_device *dev);

/* Sets the handle's one mark behind the work queued so far; reach waits for that work alone, so
 * that the host's clock tells two stages of queued work apart. Without a mark it does not wait. */
enum tkv_status tkv_device_mark(struct tkv_device *dev);
enum tkv_status tkv_device_reach_mark(struct tkv_device *dev);

/* --- cache memory: zeroed, and with a descriptor for other processes where they ask for one --- */

struct tkv_memory {
    void *ptr;       /* device address */
    size_t bytes;    /* mapped bytes, >= what was asked for (CUDA: granularity of 2 MiB) */
    int fd;          /* CPU: the memfd, once exported. Else, and on CUDA, -1 */
    uint64_t handle; /* the backend's own */
};

/* Fresh memory, all bytes zero when the call returns; takes no descriptor. TKV_ENOMEM and
 * TKV_EINVAL (0 bytes) leave *out alone. Free: through the same handle, before it is closed; queued
 * work is waited for; *mem is emptied. */
enum tkv_status tkv_memory_alloc(struct tkv_device *dev, size_t bytes, struct tkv_memory *out);
void tkv_memory_free(struct tkv_device *dev, struct tkv_memory *mem);

/* Mapped bytes that an allocation of `bytes` takes; false on overflow. */
bool tkv_memory_mapped(struct tkv_device *dev, size_t bytes, size_t *out);

/* A new descriptor of the memory, for another process (caller closes it): on the CPU a memfd, for
 * reading only and sealed in size; on CUDA a shareable handle of the driver's virtual memory API
 * (TKV_ENOTSUP where the driver has none). On the CPU the first call moves the memory into the
 * memfd, at the same address: nobody else may touch it meanwhile, and mem->fd is open from then on.
 * TKV_ENOMEM, for descriptors that ran out, too: the bytes are what they were. */
enum tkv_status tkv_memory_export(struct tkv_device *dev, struct tkv_memory *mem, int *fd);

/* --- scratch: plain device memory, content unspecified ---------------------------------------- */
enum tkv_status tkv_scratch_alloc(struct tkv_device *dev, size_t bytes, void **out);
void tkv_scratch_free(struct tkv_device *dev, void *ptr);

/* Scratch of the handle's own, at least `bytes`, kept for the next call: allocating on a GPU holds
 * up all that runs there. Gone with a call that asks for more, and with the handle. */
enum tkv_status tkv_scratch_kept(struct tkv_device *dev, size_t bytes, void **out);

/* --- staging: host memory that the device reads (CUDA: pinned and mapped, same address) ------- */
enum tkv_status tkv_staging_alloc(enum tkv_backend backend, size_t bytes, void **out);
void tkv_staging_free(enum tkv_backend backend, void *ptr, size_t bytes);

/* --- moving bytes; any mix of cache, scratch, staging and (waits then) plain host memory ------ */
enum tkv_status tkv_device_fill(struct tkv_device *dev, void *dst, int byte, size_t bytes);
enum tkv_status tkv_device_copy(struct tkv_device *dev, void *dst, const void *src, size_t bytes);

/* `rows` rows of `width` bytes, pitches in bytes: how tokens of every head are gathered at once.
 * TKV_EINVAL: more than one row, and a pitch below width. */
enum tkv_status tkv_device_copy_rows(struct tkv_device *dev, void *dst, size_t dst_pitch,
                                     const void *src, size_t src_pitch, size_t width, size_t rows);

/* tkv_device_copy_rows() for each of n, in as few launches as may be. Device and staging memory
 * only; the array is copied before return. */
struct tkv_rows {
    void *dst;
    const void *src;
    size_t dst_pitch, src_pitch, width, rows;
};
enum tkv_status tkv_device_gather(struct tkv_device *dev, const struct tkv_rows *all, size_t n);

/* --- for tests: the n-th device call from now on (1 = the next), by any thread, fails with st (and
 * TKV_EDEVICE latches its handle, as a real one does); 0 disarms ------------------------------- */
void tkv_device_fail_nth(unsigned n, enum tkv_status st);

#ifdef __cplusplus
}
#endif

#endif
