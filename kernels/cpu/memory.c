/* Cache memory is a memfd: zeroed by the kernel, given to other processes as a descriptor, and kept
 * by a descriptor store over a restart. It is sealed against a change of size, so that a reader's
 * mapping never faults. Small pages on purpose: a head-major cache is written in short runs far
 * apart, and huge pages would commit (and zero) a whole cache for its first token. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "kernels/cpu/cpu.h"

enum { PAGE = 4096, HUGE_PAGE = 2 * 1024 * 1024, LINE = 64 };

/* Descriptors are a resource like memory: both run out, and neither is the device's death. */
static enum tkv_status status_of_errno(int err)
{
    switch (err) {
    case ENOMEM:
    case ENOSPC:
    case EFBIG:
    case EMFILE:
    case ENFILE: return TKV_ENOMEM;
    default: return TKV_EINTERNAL;
    }
}

enum tkv_status tkv_cpu_memory_alloc(struct tkv_device *dev, size_t mapped, struct tkv_memory *out)
{
    (void)dev;
    if (mapped > INT64_MAX) return TKV_ENOMEM;
    int fd = memfd_create("truekv-cache", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return status_of_errno(errno);
    enum tkv_status st = TKV_OK;
    if (ftruncate(fd, (off_t)mapped) != 0) {
        st = status_of_errno(errno);
        goto fail;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
        st = status_of_errno(errno);
        goto fail;
    }
    void *ptr = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ptr == MAP_FAILED) {
        st = status_of_errno(errno);
        goto fail;
    }
    *out = (struct tkv_memory){.ptr = ptr, .bytes = mapped, .fd = fd};
    return TKV_OK;
fail:
    close(fd);
    return st;
}

void tkv_cpu_memory_free(struct tkv_device *dev, struct tkv_memory *mem)
{
    (void)dev;
    munmap(mem->ptr, mem->bytes);
    close(mem->fd);
}

/* Readers get a description of their own that cannot be written to or mapped for writing. */
enum tkv_status tkv_cpu_memory_export(struct tkv_device *dev, const struct tkv_memory *mem, int *fd)
{
    char path[64];
    (void)dev;
    snprintf(path, sizeof path, "/proc/self/fd/%d", mem->fd);
    int copy = open(path, O_RDONLY | O_CLOEXEC);
    if (copy < 0) return status_of_errno(errno);
    *fd = copy;
    return TKV_OK;
}

static enum tkv_status alloc_aligned(size_t alignment, size_t bytes, void **out)
{
    void *ptr;
    if (posix_memalign(&ptr, alignment, bytes) != 0) return TKV_ENOMEM;
    *out = ptr;
    return TKV_OK;
}

enum tkv_status tkv_cpu_scratch_alloc(struct tkv_device *dev, size_t bytes, void **out)
{
    (void)dev;
    return alloc_aligned(LINE, bytes, out);
}

void tkv_cpu_scratch_free(struct tkv_device *dev, void *ptr)
{
    (void)dev;
    free(ptr);
}

/* Staging is filled front to back and reused for ever: huge pages pay where it is large. */
enum tkv_status tkv_cpu_staging_alloc(size_t bytes, void **out)
{
    enum tkv_status st = alloc_aligned(bytes >= HUGE_PAGE ? HUGE_PAGE : PAGE, bytes, out);
    if (st == TKV_OK && bytes >= HUGE_PAGE) {
        (void)madvise(*out, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* only a wish */
    }
    return st;
}

void tkv_cpu_staging_free(void *ptr, size_t bytes)
{
    (void)bytes;
    free(ptr);
}
