/* The public face of a device: picks the backend, checks arguments, injects faults for tests, and
 * latches a lost context. What is done lies in cpu/ and cuda/. */
#include "kernels/device.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/checked.h"
#include "kernels/backend.h"

static atomic_uint fail_countdown;
static _Atomic(enum tkv_status) fail_status;

void tkv_device_fail_nth(unsigned n, enum tkv_status st)
{
    atomic_store(&fail_status, st);
    atomic_store(&fail_countdown, n);
}

static enum tkv_status injected_failure(void)
{
    unsigned left = atomic_load(&fail_countdown);
    do {
        if (left == 0) return TKV_OK;
    } while (!atomic_compare_exchange_weak(&fail_countdown, &left, left - 1));
    return left == 1 ? atomic_load(&fail_status) : TKV_OK;
}

enum tkv_status tkv_device_settle(struct tkv_device *dev, enum tkv_status st)
{
    if (st == TKV_EDEVICE && dev != NULL) dev->lost = true;
    return st;
}

enum tkv_status tkv_device_ready(struct tkv_device *dev)
{
    if (dev != NULL && dev->lost) return TKV_EDEVICE;
    return tkv_device_settle(dev, injected_failure());
}

static enum tkv_status open_cuda(struct tkv_device **out, int ordinal, const char **why)
{
#ifdef TKV_HAVE_CUDA
    return tkv_cuda_open(out, ordinal, why);
#else
    (void)out;
    (void)ordinal;
    *why = "this build has no CUDA support";
    return TKV_ENOTSUP;
#endif
}

enum tkv_status tkv_device_open(struct tkv_device **out, enum tkv_backend backend, int ordinal,
                                const char **why)
{
    const char *missing = NULL;
    enum tkv_status st = tkv_device_ready(NULL);
    if (st != TKV_OK) return st;
    if (backend != TKV_BACKEND_CPU) {
        st = open_cuda(out, ordinal, &missing);
        if (why != NULL) *why = missing;
        /* A GPU that is there and fails is not worked around: the operator must know. */
        if (st != TKV_ENOTSUP || backend == TKV_BACKEND_CUDA) return st;
    }
    return tkv_cpu_open(out);
}

void tkv_device_close(struct tkv_device *dev)
{
    if (dev == NULL) return;
    tkv_scratch_free(dev, dev->kept);
    dev->ops->close(dev);
}

enum tkv_backend tkv_device_backend(const struct tkv_device *dev)
{
    return dev->backend;
}

const char *tkv_backend_word(enum tkv_backend backend)
{
    static const char *const words[] = {"auto", "cuda", "cpu"};
    assert((unsigned)backend < sizeof words / sizeof words[0]);
    return words[backend];
}

enum tkv_status tkv_device_info(struct tkv_device *dev, struct tkv_device_info *out)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    return tkv_device_settle(dev, dev->ops->info(dev, out));
}

enum tkv_status tkv_device_sync(struct tkv_device *dev)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    return tkv_device_settle(dev, dev->ops->sync(dev));
}

enum tkv_status tkv_device_mark(struct tkv_device *dev)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    return tkv_device_settle(dev, dev->ops->mark(dev));
}

enum tkv_status tkv_device_reach_mark(struct tkv_device *dev)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    return tkv_device_settle(dev, dev->ops->reach_mark(dev));
}

bool tkv_memory_mapped(struct tkv_device *dev, size_t bytes, size_t *out)
{
    size_t padded;
    if (!tkv_add(bytes, dev->granularity - 1, &padded)) return false;
    *out = padded & ~(dev->granularity - 1);
    return true;
}

enum tkv_status tkv_memory_alloc(struct tkv_device *dev, size_t bytes, struct tkv_memory *out)
{
    size_t mapped;
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    if (bytes == 0) return TKV_EINVAL;
    if (!tkv_memory_mapped(dev, bytes, &mapped)) return TKV_ENOMEM;
    return tkv_device_settle(dev, dev->ops->memory_alloc(dev, mapped, out));
}

void tkv_memory_free(struct tkv_device *dev, struct tkv_memory *mem)
{
    if (mem->ptr == NULL) return;
    dev->ops->memory_free(dev, mem);
    *mem = (struct tkv_memory){.fd = -1};
}

enum tkv_status tkv_memory_export(struct tkv_device *dev, struct tkv_memory *mem, int *fd)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    return tkv_device_settle(dev, dev->ops->memory_export(dev, mem, fd));
}

enum tkv_status tkv_scratch_alloc(struct tkv_device *dev, size_t bytes, void **out)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    return tkv_device_settle(dev, dev->ops->scratch_alloc(dev, bytes == 0 ? 1 : bytes, out));
}

void tkv_scratch_free(struct tkv_device *dev, void *ptr)
{
    if (ptr != NULL) dev->ops->scratch_free(dev, ptr);
}

enum tkv_status tkv_scratch_kept(struct tkv_device *dev, size_t bytes, void **out)
{
    if (dev->kept == NULL || dev->kept_bytes < bytes) {
        void *fresh;
        tkv_scratch_free(dev, dev->kept);
        dev->kept = NULL;
        enum tkv_status st = tkv_scratch_alloc(dev, bytes, &fresh);
        if (st != TKV_OK) return st;
        dev->kept = fresh;
        dev->kept_bytes = bytes;
    }
    *out = dev->kept;
    return TKV_OK;
}

enum tkv_status tkv_staging_alloc(enum tkv_backend backend, size_t bytes, void **out)
{
    enum tkv_status st = tkv_device_ready(NULL);
    if (st != TKV_OK) return st;
    if (backend == TKV_BACKEND_CPU) return tkv_cpu_staging_alloc(bytes == 0 ? 1 : bytes, out);
#ifdef TKV_HAVE_CUDA
    if (backend == TKV_BACKEND_CUDA) return tkv_cuda_staging_alloc(bytes == 0 ? 1 : bytes, out);
#endif
    return TKV_ENOTSUP;
}

void tkv_staging_free(enum tkv_backend backend, void *ptr, size_t bytes)
{
    if (ptr == NULL) return;
#ifdef TKV_HAVE_CUDA
    if (backend == TKV_BACKEND_CUDA) {
        tkv_cuda_staging_free(ptr);
        return;
    }
#endif
    tkv_cpu_staging_free(ptr, bytes);
}

enum tkv_status tkv_device_fill(struct tkv_device *dev, void *dst, int byte, size_t bytes)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK || bytes == 0) return st;
    return tkv_device_settle(dev, dev->ops->fill(dev, dst, byte, bytes));
}

enum tkv_status tkv_device_copy(struct tkv_device *dev, void *dst, const void *src, size_t bytes)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK || bytes == 0) return st;
    return tkv_device_settle(dev, dev->ops->copy(dev, dst, src, bytes));
}

enum tkv_status tkv_device_gather(struct tkv_device *dev, const struct tkv_rows *all, size_t n)
{
    enum tkv_status st = tkv_device_ready(dev);
    for (size_t i = 0; i < n && st == TKV_OK; i++) {
        const struct tkv_rows *r = &all[i];
        if (r->rows > 1 && (r->width > r->dst_pitch || r->width > r->src_pitch)) st = TKV_EINVAL;
    }
    if (st != TKV_OK || n == 0) return st;
    return tkv_device_settle(dev, dev->ops->gather(dev, all, n));
}

enum tkv_status tkv_device_copy_rows(struct tkv_device *dev, void *dst, size_t dst_pitch,
                                     const void *src, size_t src_pitch, size_t width, size_t rows)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK || width == 0 || rows == 0) return st;
    if (rows > 1 && (width > dst_pitch || width > src_pitch)) return TKV_EINVAL;
    st = dev->ops->copy_rows(dev, dst, dst_pitch, src, src_pitch, width, rows);
    return tkv_device_settle(dev, st);
}
