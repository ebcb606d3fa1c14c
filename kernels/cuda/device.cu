/* One GPU: opening, errors, waiting, tables in flight. */
#include "kernels/cuda/device.cuh"

#include <cuda_runtime.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include "base/log.h"
}

enum tkv_status tkv_cuda_status(struct tkv_cuda_device *cuda, cudaError_t err, const char *what)
{
    if (err == cudaSuccess) return TKV_OK;
    (void)cudaGetLastError(); /* clears what can be cleared */
    if (err == cudaErrorMemoryAllocation) return TKV_ENOMEM;

    /* A sticky error is the one that every later call returns, too. */
    cudaError_t probe = cudaStreamQuery(cuda->stream);
    bool lost = probe != cudaSuccess && probe != cudaErrorNotReady;
    (void)cudaGetLastError();
    tkv_log(TKV_LOG_ERROR, "cuda_error", "call=%s error=%s lost=%d", what, cudaGetErrorName(err),
            lost);
    return lost ? TKV_EDEVICE : TKV_EINTERNAL;
}

enum tkv_status tkv_cuda_launched(struct tkv_cuda_device *cuda, const char *what)
{
    return tkv_cuda_status(cuda, cudaGetLastError(), what);
}

enum tkv_status tkv_cuda_enter(struct tkv_cuda_device *cuda)
{
    return tkv_cuda_status(cuda, cudaSetDevice(cuda->base.ordinal), "cudaSetDevice");
}

enum tkv_status tkv_cuda_table_take(struct tkv_cuda_device *cuda, struct tkv_cuda_table **out)
{
    struct tkv_cuda_table *table = &cuda->tables[cuda->next_table];
    enum tkv_status st =
        tkv_cuda_status(cuda, cudaEventSynchronize(table->done), "cudaEventSynchronize");
    if (st != TKV_OK) return st;
    cuda->next_table = (cuda->next_table + 1) % TKV_CUDA_TABLES;
    *out = table;
    return TKV_OK;
}

enum tkv_status tkv_cuda_table_send(struct tkv_cuda_device *cuda, struct tkv_cuda_table *table,
                                    size_t bytes)
{
    cudaError_t err =
        cudaMemcpyAsync(table->device, table->host, bytes, cudaMemcpyHostToDevice, cuda->stream);
    return tkv_cuda_status(cuda, err, "cudaMemcpyAsync");
}

enum tkv_status tkv_cuda_table_busy(struct tkv_cuda_device *cuda, struct tkv_cuda_table *table)
{
    return tkv_cuda_status(cuda, cudaEventRecord(table->done, cuda->stream), "cudaEventRecord");
}

static enum tkv_status cuda_sync(struct tkv_device *dev)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    st = tkv_cuda_status(cuda, cudaStreamSynchronize(cuda->stream), "cudaStreamSynchronize");
    if (st != TKV_OK) return st;
    volatile uint32_t *refused = cuda->refused;
    if (*refused == 0) return TKV_OK;
    *refused = 0;
    return TKV_EINTERNAL;
}

static enum tkv_status cuda_mark(struct tkv_device *dev)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    return tkv_cuda_status(cuda, cudaEventRecord(cuda->mark, cuda->stream), "cudaEventRecord");
}

static enum tkv_status cuda_reach_mark(struct tkv_device *dev)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    return tkv_cuda_status(cuda, cudaEventSynchronize(cuda->mark), "cudaEventSynchronize");
}

static enum tkv_status cuda_info(struct tkv_device *dev, struct tkv_device_info *out)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    size_t available, total;
    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) return st;
    st = tkv_cuda_status(cuda, cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
    if (st != TKV_OK) return st;
    struct tkv_device_info info = {};
    info.backend = dev->backend;
    info.ordinal = dev->ordinal;
    memcpy(info.name, cuda->name, sizeof info.name);
    info.memory_total = total;
    info.memory_used = total - available;
    *out = info;
    return TKV_OK;
}

/* Undoes as much as was opened. After a lost context every call fails; nothing can be done. */
static void cuda_close(struct tkv_device *dev)
{
    struct tkv_cuda_device *cuda = tkv_cuda(dev);
    (void)cudaSetDevice(dev->ordinal);
    if (cuda->stream != NULL) (void)cudaStreamSynchronize(cuda->stream);
    for (int i = 0; i < TKV_CUDA_TABLES; i++) {
        struct tkv_cuda_table *table = &cuda->tables[i];
        if (table->done != NULL) (void)cudaEventDestroy(table->done);
        (void)cudaFree(table->device);
        (void)cudaFreeHost(table->host);
    }
    (void)cudaFreeHost(cuda->counts_host);
    (void)cudaFree(cuda->counts);
    (void)cudaFreeHost(cuda->refused);
    if (cuda->mark != NULL) (void)cudaEventDestroy(cuda->mark);
    if (cuda->stream != NULL) (void)cudaStreamDestroy(cuda->stream);
    (void)cudaGetLastError();
    free(cuda);
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool load(const char *symbol, unsigned version, void **out)
{
    cudaDriverEntryPointQueryResult found;
    cudaError_t err =
        cudaGetDriverEntryPointByVersion(symbol, out, version, cudaEnableDefault, &found);
    return err == cudaSuccess && found == cudaDriverEntryPointSuccess;
}

static bool load_driver(struct tkv_cuda_driver *driver)
{
    bool ok = load("cuDeviceGetAttribute", 2000, (void **)&driver->cuDeviceGetAttribute);
#define X(name) ok = ok && load(#name, 10020, (void **)&driver->name);
    TKV_CUDA_DRIVER(X)
#undef X
    return ok;
}

/* NULL, or what keeps GPU `ordinal` from being used. */
static const char *missing_device(int ordinal)
{
    int version = 0, count = 0;
    if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0)
        return "no NVIDIA driver is installed";
    cudaError_t err = cudaGetDeviceCount(&count);
    if (err == cudaErrorInsufficientDriver)
        return "the NVIDIA driver is older than this build's CUDA runtime";
    if (err == cudaErrorNoDevice || (err == cudaSuccess && count == 0)) return "no GPU is visible";
    if (err != cudaSuccess) return cudaGetErrorString(err);
    if (ordinal < 0 || ordinal >= count) return "there is no GPU of that ordinal";
    return NULL;
}

static int attribute(int ordinal, cudaDeviceAttr which)
{
    int value = 0;
    return cudaDeviceGetAttribute(&value, which, ordinal) == cudaSuccess ? value : 0;
}

static int driver_attribute(const struct tkv_cuda_device *cuda, CUdevice_attribute which)
{
    int value = 0; /* the runtime's ordinal is the driver's device */
    CUresult result = cuda->driver.cuDeviceGetAttribute(&value, which, cuda->base.ordinal);
    return result == CUDA_SUCCESS ? value : 0;
}

/* Whether the kernels that the GPU picks from this build know of programmatic launches. */
static bool waits_for_turn(int capability)
{
    static const int built[] = {__CUDA_ARCH_LIST__}; /* 900 for 9.0 */
    bool found = false;
    for (size_t i = 0; i < sizeof built / sizeof built[0]; i++)
        found = found || (built[i] >= 900 && built[i] <= capability * 10);
    return found;
}

/* NULL, or what the GPU or its driver lacks. Fills what is known of the device. */
static const char *missing_feature(struct tkv_cuda_device *cuda)
{
    int ordinal = cuda->base.ordinal;
    int capability = attribute(ordinal, cudaDevAttrComputeCapabilityMajor) * 10 +
                     attribute(ordinal, cudaDevAttrComputeCapabilityMinor);
    if (capability < 75) return "the GPU's compute capability is below 7.5";
    if (!load_driver(&cuda->driver)) return "the driver lacks the virtual memory API";
    if (!driver_attribute(cuda, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED))
        return "the GPU lacks virtual memory management";
    cuda->exportable =
        driver_attribute(cuda, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED);
    cuda->programmatic = waits_for_turn(capability);
    cuda->multiprocessors = attribute(ordinal, cudaDevAttrMultiProcessorCount);
    cuda->pitch_max = (size_t)attribute(ordinal, cudaDevAttrMaxPitch);
    return NULL;
}

static cudaError_t open_tables(struct tkv_cuda_device *cuda)
{
    cudaError_t err = cudaSuccess;
    for (int i = 0; i < TKV_CUDA_TABLES && err == cudaSuccess; i++) {
        struct tkv_cuda_table *table = &cuda->tables[i];
        err = cudaHostAlloc(&table->host, TKV_CUDA_TABLE_BYTES, cudaHostAllocDefault);
        if (err == cudaSuccess) err = cudaMalloc(&table->device, TKV_CUDA_TABLE_BYTES);
        if (err == cudaSuccess)
            err = cudaEventCreateWithFlags(&table->done, cudaEventDisableTiming);
    }
    return err;
}

/* Everything that launches need, so that they allocate nothing. */
static cudaError_t open_resources(struct tkv_cuda_device *cuda)
{
    cudaDeviceProp props;
    cudaError_t err = cudaGetDeviceProperties(&props, cuda->base.ordinal);
    if (err != cudaSuccess) return err;
    memcpy(cuda->name, props.name, sizeof cuda->name - 1);
    cuda->memory_total = props.totalGlobalMem;
    err = cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking);
    if (err != cudaSuccess) return err;
    err = cudaEventCreateWithFlags(&cuda->mark, cudaEventDisableTiming);
    if (err != cudaSuccess) return err;
    unsigned mapped = cudaHostAllocPortable | cudaHostAllocMapped;
    err = cudaHostAlloc((void **)&cuda->refused, sizeof *cuda->refused, mapped);
    if (err != cudaSuccess) return err;
    *cuda->refused = 0;
    size_t counts = TKV_CUDA_COUNTS * sizeof *cuda->counts;
    err = cudaMalloc((void **)&cuda->counts, counts);
    if (err != cudaSuccess) return err;
    err = cudaHostAlloc((void **)&cuda->counts_host, counts, cudaHostAllocDefault);
    if (err != cudaSuccess) return err;
    return open_tables(cuda);
}

static CUresult open_granularity(struct tkv_cuda_device *cuda)
{
    CUmemAllocationProp prop = {};
    prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    prop.location.id = cuda->base.ordinal;
    return cuda->driver.cuMemGetAllocationGranularity(&cuda->base.granularity, &prop,
                                                      CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
}

/* In the order of struct tkv_device_ops. */
static const struct tkv_device_ops operations = {
    cuda_close,
    cuda_info,
    cuda_sync,
    cuda_mark,
    cuda_reach_mark,
    tkv_cuda_memory_alloc,
    tkv_cuda_memory_free,
    tkv_cuda_memory_export,
    tkv_cuda_scratch_alloc,
    tkv_cuda_scratch_free,
    tkv_cuda_fill,
    tkv_cuda_copy,
    tkv_cuda_copy_rows,
    tkv_cuda_gather,
    tkv_cuda_append_one,
    tkv_cuda_append_batched,
    tkv_cuda_append_faulty,
    tkv_cuda_checksums,
    tkv_cuda_compare_planes,
};

/* The GPU opened last: staging, which has no handle, makes no context on another one. */
static int staging_ordinal;

enum tkv_status tkv_cuda_open(struct tkv_device **out, int ordinal, const char **why)
{
    *why = missing_device(ordinal);
    if (*why != NULL) return TKV_ENOTSUP;
    struct tkv_cuda_device *cuda = (struct tkv_cuda_device *)calloc(1, sizeof *cuda);
    if (cuda == NULL) return TKV_ENOMEM;
    cuda->base.ops = &operations;
    cuda->base.backend = TKV_BACKEND_CUDA;
    cuda->base.ordinal = ordinal;

    enum tkv_status st = tkv_cuda_enter(cuda);
    if (st != TKV_OK) goto fail;
    *why = missing_feature(cuda);
    if (*why != NULL) {
        st = TKV_ENOTSUP;
        goto fail;
    }
    st = tkv_cuda_status(cuda, (cudaError_t)open_granularity(cuda), "granularity");
    if (st != TKV_OK) goto fail;
    st = tkv_cuda_status(cuda, open_resources(cuda), "open");
    if (st != TKV_OK) goto fail;
    __atomic_store_n(&staging_ordinal, ordinal, __ATOMIC_RELAXED);
    *out = &cuda->base;
    return TKV_OK;
fail:
    cuda_close(&cuda->base);
    return st;
}

enum tkv_status tkv_cuda_staging_alloc(size_t bytes, void **out)
{
    void *ptr;
    cudaError_t err = cudaSetDevice(__atomic_load_n(&staging_ordinal, __ATOMIC_RELAXED));
    if (err == cudaSuccess)
        err = cudaHostAlloc(&ptr, bytes, cudaHostAllocPortable | cudaHostAllocMapped);
    if (err == cudaSuccess) {
        *out = ptr;
        return TKV_OK;
    }
    (void)cudaGetLastError();
    return err == cudaErrorMemoryAllocation ? TKV_ENOMEM : TKV_EDEVICE;
}

void tkv_cuda_staging_free(void *ptr)
{
    (void)cudaFreeHost(ptr);
    (void)cudaGetLastError();
}
