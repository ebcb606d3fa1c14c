/* Cache memory is private and anonymous, so that a sequence costs no descriptor and no mapping of
 * its own (slabs.h). Once somebody asks for its descriptor it moves into a memfd at the same
 * address, and stays there until it is freed: given to other processes, and kept by a descriptor
 * store over a restart. The memfd is sealed against a change of size, so that a reader's mapping
 * never faults. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    struct tkv_slab *slab = NULL;
    void *ptr;
    if (mapped > INT64_MAX) return TKV_ENOMEM;
    if (mapped <= TKV_PIECE_MAX) {
        enum tkv_status st = tkv_slabs_take(&tkv_cpu(dev)->slabs, mapped, &slab, &ptr);
        if (st != TKV_OK) return st;
    } else {
        ptr = tkv_anonymous_map(mapped);
        if (ptr == NULL) return status_of_errno(errno);
    }
    *out = (struct tkv_memory){
        .ptr = ptr, .bytes = mapped, .fd = -1, .handle = (uint64_t)(uintptr_t)slab};
    return TKV_OK;
}

void tkv_cpu_memory_free(struct tkv_device *dev, struct tkv_memory *mem)
{
    struct tkv_slab *slab = (struct tkv_slab *)(uintptr_t)mem->handle;
    bool shared = mem->fd >= 0;
    if (shared) close(mem->fd);
    if (slab != NULL) {
        tkv_slabs_give(&tkv_cpu(dev)->slabs, slab, mem->ptr, shared);
    } else {
        tkv_anonymous_unmap(mem->ptr, mem->bytes);
    }
}

static enum tkv_status write_all(int fd, const char *from, size_t bytes, size_t at)
{
    while (bytes > 0) {
        ssize_t n = pwrite(fd, from, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return status_of_errno(errno);
        from += n;
        at += (size_t)n;
        bytes -= (size_t)n;
    }
    return TKV_OK;
}

static bool is_zero(const char *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Pages that are zero, most of a young cache, are left out: the file is zero, too. */
static enum tkv_status write_content(int fd, const struct tkv_memory *mem)
{
    const char *bytes = mem->ptr;
    enum tkv_status st = TKV_OK;
    for (size_t at = 0, end; at < mem->bytes && st == TKV_OK; at = end) {
        end = at + PAGE;
        if (is_zero(bytes + at)) continue;
        while (end < mem->bytes && !is_zero(bytes + end))
            end += PAGE;
        st = write_all(fd, bytes + at, end - at, at);
    }
    return st;
}

/* Moves the memory into a file, at the same address. On failure it is what it was. */
static enum tkv_status share(struct tkv_memory *mem)
{
    int fd = memfd_create("truekv-cache", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return status_of_errno(errno);
    enum tkv_status st = TKV_OK;
    if (ftruncate(fd, (off_t)mem->bytes) != 0) {
        st = status_of_errno(errno);
        goto fail;
    }
    st = write_content(fd, mem);
    if (st != TKV_OK) goto fail;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
        mmap(mem->ptr, mem->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
            MAP_FAILED) {
        st = status_of_errno(errno);
        goto fail;
    }
    mem->fd = fd;
    return TKV_OK;
fail:
    close(fd);
    return st;
}

/* Readers get a description of their own that cannot be written to or mapped for writing. */
enum tkv_status tkv_cpu_memory_export(struct tkv_device *dev, struct tkv_memory *mem, int *fd)
{
    char path[64];
    (void)dev;
    enum tkv_status st = mem->fd >= 0 ? TKV_OK : share(mem);
    if (st != TKV_OK) return st;
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
