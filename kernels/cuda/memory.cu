/* Cache memory through the driver's virtual memory API, scratch, and copies of every mix.
 *
 * A cache is one physical allocation behind a shareable handle (cuMemCreate), mapped at an address
 * of its own: it can be given to another process, and outlive this one. */
#include <cuda_runtime.h>
#include <fcntl.h>
#include <string.h>

#include "kernels/cuda/device.cuh"

static CUmemAllocationProp cache_properties(const struct tkv_cuda_device *cuda)
{
    CUmemAllocationProp prop = {};
    prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    prop.location.id = cuda->base.ordinal;
    prop.requestedHandleTypes =
        cuda->exportable ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : CU_MEM_HANDLE_TYPE_NONE;
    return prop;
}

/* Maps an allocation for reading and writing by the GPU. */
static CUresult map(const struct tkv_cuda_device *cuda, CUmemGenericAllocationHandle handle,
                    size_t bytes, CUdeviceptr *out)
{
    const struct tkv_cuda_driver *driver = &cuda->driver;
    CUmemAccessDesc access = {};
    CUdeviceptr ptr;
    access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    access.location.id = cuda->base.ordinal;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;

    CUresult result = driver->cuMemAddressReserve(&ptr, bytes, 0, 0, 0);
    if (result != CUDA_SUCCESS) return result;
    result = driver->cuMemMap(ptr, bytes, 0, handle, 0);
    if (result == CUDA_SUCCESS) {
        result = driver->cuMemSetAccess(ptr, bytes, &access, 1);
        if (result == CUDA_SUCCESS) {
            *out = ptr;
            return result;
        }
        (void)driver->cuMemUnmap(ptr, bytes);
    }
    (void)driver->cuMemAddressFree(ptr, bytes);
    return result;
}

static void unmap(const struct tkv_cuda_device *cuda, CUdeviceptr ptr, size_t bytes)
{
    (void)cuda->driver.cuMemUnmap(ptr, bytes);
    (void)cuda->driver.cuMemAddressFree(ptr, bytes);
}

static cudaError_t zero(const struct tkv_cuda_device *cuda, void *ptr, size_t bytes)
{
    cudaError_t err = cudaMemsetAsync(ptr, 0, bytes, cuda->stream);
    return err != cudaSuccess ? err : cudaStreamSynchronize(cuda->stream);
}

enum tkv_status tkv_cuda_memory_alloc(struct tkv_device *dev, size_t mapped, struct tkv_memory *out)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    CUmemAllocationProp prop = cache_properties(cuda);
    CUmemGenericAllocationHandle handle;
    CUdeviceptr ptr;
    struct tkv_memory mem = {};

    if (mapped > cuda->memory_total) return TKV_ENOMEM; /* the driver may call it invalid */
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    CUresult result = cuda->driver.cuMemCreate(&handle, mapped, &prop, 0);
    if (result != CUDA_SUCCESS) return tkv_cuda_status(cuda, (cudaError_t)result, "cuMemCreate");
    result = map(cuda, handle, mapped, &ptr);
    if (result != CUDA_SUCCESS) {
        st = tkv_cuda_status(cuda, (cudaError_t)result, "cuMemMap");
        goto fail_create;
    }
    st = tkv_cuda_status(cuda, zero(cuda, (void *)ptr, mapped), "cudaMemsetAsync");
    if (st != TKV_OK) goto fail_map;
    mem.ptr = (void *)ptr;
    mem.bytes = mapped;
    mem.fd = -1;
    mem.handle = handle;
    *out = mem;
    return TKV_OK;
fail_map:
    unmap(cuda, ptr, mapped);
fail_create:
    (void)cuda->driver.cuMemRelease(handle);
    return st;
}

void tkv_cuda_memory_free(struct tkv_device *dev, struct tkv_memory *mem)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    (void)cudaSetDevice(dev->ordinal);
    (void)cudaStreamSynchronize(cuda->stream); /* nothing queued may still write there */
    unmap(cuda, (CUdeviceptr)mem->ptr, mem->bytes);
    (void)cuda->driver.cuMemRelease(mem->handle);
    (void)cudaGetLastError();
}

enum tkv_status tkv_cuda_memory_export(struct tkv_device *dev, struct tkv_memory *mem, int *fd)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    int exported = -1;
    if (!cuda->exportable) return TKV_ENOTSUP;
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    CUresult result = cuda->driver.cuMemExportToShareableHandle(
        &exported, mem->handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
    st = tkv_cuda_status(cuda, (cudaError_t)result, "cuMemExportToShareableHandle");
    if (st != TKV_OK) return st;
    (void)fcntl(exported, F_SETFD, FD_CLOEXEC);
    *fd = exported;
    return TKV_OK;
}

enum tkv_status tkv_cuda_scratch_alloc(struct tkv_device *dev, size_t bytes, void **out)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    void *ptr;
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    st = tkv_cuda_status(cuda, cudaMalloc(&ptr, bytes), "cudaMalloc");
    if (st == TKV_OK) *out = ptr;
    return st;
}

void tkv_cuda_scratch_free(struct tkv_device *dev, void *ptr)
{
    (void)cudaSetDevice(dev->ordinal);
    (void)cudaFree(ptr); /* waits for what is queued */
    (void)cudaGetLastError();
}

/* --- moving bytes ----------------------------------------------------------------------------- */

static enum tkv_status memory_type(struct tkv_cuda_device *cuda, const void *ptr,
                                   cudaMemoryType *out)
{
    cudaPointerAttributes attributes = {};
    cudaError_t err = cudaPointerGetAttributes(&attributes, ptr);
    *out = attributes.type;
    return tkv_cuda_status(cuda, err, "cudaPointerGetAttributes");
}

/* Plain host memory may go as soon as the call returns: waits where either side is such. */
static enum tkv_status settle_copy(struct tkv_cuda_device *cuda, const void *dst, const void *src)
{
    cudaMemoryType to, from;
    enum tkv_status st = memory_type(cuda, dst, &to);
    if (st == TKV_OK) st = memory_type(cuda, src, &from);
    if (st != TKV_OK) return st;
    if (to != cudaMemoryTypeUnregistered && from != cudaMemoryTypeUnregistered) return TKV_OK;
    return tkv_cuda_status(cuda, cudaStreamSynchronize(cuda->stream), "cudaStreamSynchronize");
}

enum tkv_status tkv_cuda_fill(struct tkv_device *dev, void *dst, int byte, size_t bytes)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    cudaMemoryType type;
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st == TKV_OK) st = memory_type(cuda, dst, &type);
    if (st != TKV_OK) return st;
    if (type == cudaMemoryTypeDevice || type == cudaMemoryTypeManaged) {
        cudaError_t err = cudaMemsetAsync(dst, byte, bytes, cuda->stream);
        return tkv_cuda_status(cuda, err, "cudaMemsetAsync");
    }
    st = tkv_cuda_status(cuda, cudaStreamSynchronize(cuda->stream), "cudaStreamSynchronize");
    if (st == TKV_OK) memset(dst, byte, bytes);
    return st;
}

enum tkv_status tkv_cuda_copy(struct tkv_device *dev, void *dst, const void *src, size_t bytes)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    cudaError_t err = cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, cuda->stream);
    st = tkv_cuda_status(cuda, err, "cudaMemcpyAsync");
    return st == TKV_OK ? settle_copy(cuda, dst, src) : st;
}

enum tkv_status tkv_cuda_copy_rows(struct tkv_device *dev, void *dst, size_t dst_pitch,
                                   const void *src, size_t src_pitch, size_t width, size_t rows)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    cudaError_t err = cudaSuccess;
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    if (rows > 1 && dst_pitch <= cuda->pitch_max && src_pitch <= cuda->pitch_max) {
        err = cudaMemcpy2DAsync(dst, dst_pitch, src, src_pitch, width, rows, cudaMemcpyDefault,
                                cuda->stream);
    } else { /* one row, or rows further apart than the copy engine can count */
        for (size_t i = 0; i < rows && err == cudaSuccess; i++) {
            err = cudaMemcpyAsync((char *)dst + i * dst_pitch, (const char *)src + i * src_pitch,
                                  width, cudaMemcpyDefault, cuda->stream);
        }
    }
    st = tkv_cuda_status(cuda, err, "cudaMemcpy2DAsync");
    return st == TKV_OK ? settle_copy(cuda, dst, src) : st;
}
