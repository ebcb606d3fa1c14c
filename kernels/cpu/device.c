/* The host as a device: every call does its work at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpus.h"
#include "kernels/cpu/cpu.h"

/* The text behind "key" and its colon in a /proc file; false where there is none. */
static bool proc_value(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, key, strlen(key)) != 0) continue;
        const char *value = colon + 1 + strspn(colon + 1, " \t");
        snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
        found = true;
    }
    (void)fclose(file);
    return found;
}

static enum tkv_status cpu_info(struct tkv_device *dev, struct tkv_device_info *out)
{
    char kib[64];
    struct tkv_device_info info = {.backend = dev->backend, .ordinal = dev->ordinal};
    if (!proc_value("/proc/cpuinfo", "model name", info.name, sizeof info.name))
        snprintf(info.name, sizeof info.name, "CPU");
    if (proc_value("/proc/meminfo", "MemTotal", kib, sizeof kib))
        info.memory_total = strtoull(kib, NULL, 10) * 1024;
    if (proc_value("/proc/meminfo", "MemAvailable", kib, sizeof kib))
        info.memory_used = info.memory_total - strtoull(kib, NULL, 10) * 1024;
    *out = info;
    return TKV_OK;
}

static enum tkv_status cpu_sync(struct tkv_device *dev)
{
    struct tkv_cpu_device *cpu = tkv_cpu(dev);
    bool refused = cpu->refused;
    cpu->refused = false;
    return refused ? TKV_EINTERNAL : TKV_OK;
}

/* All work is done when its call returns, so that there is nothing to mark or wait for. */
static enum tkv_status cpu_mark(struct tkv_device *dev)
{
    (void)dev;
    return TKV_OK;
}

static enum tkv_status cpu_fill(struct tkv_device *dev, void *dst, int byte, size_t bytes)
{
    (void)dev;
    memset(dst, byte, bytes);
    return TKV_OK;
}

static enum tkv_status cpu_copy(struct tkv_device *dev, void *dst, const void *src, size_t bytes)
{
    (void)dev;
    memcpy(dst, src, bytes);
    return TKV_OK;
}

static enum tkv_status cpu_copy_rows(struct tkv_device *dev, void *dst, size_t dst_pitch,
                                     const void *src, size_t src_pitch, size_t width, size_t rows)
{
    (void)dev;
    for (size_t i = 0; i < rows; i++)
        memcpy((char *)dst + i * dst_pitch, (const char *)src + i * src_pitch, width);
    return TKV_OK;
}

static enum tkv_status cpu_gather(struct tkv_device *dev, const struct tkv_rows *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)cpu_copy_rows(dev, all[i].dst, all[i].dst_pitch, all[i].src, all[i].src_pitch,
                            all[i].width, all[i].rows);
    return TKV_OK;
}

static enum tkv_status cpu_compare_planes(struct tkv_device *dev, const void *a, const void *b,
                                          size_t plane_bytes, size_t n_planes, uint64_t *mismatched)
{
    (void)dev;
    for (size_t i = 0; i < n_planes; i++) {
        const unsigned char *x = (const unsigned char *)a + i * plane_bytes;
        const unsigned char *y = (const unsigned char *)b + i * plane_bytes;
        mismatched[i] = 0;
        if (memcmp(x, y, plane_bytes) == 0) continue; /* nearly always */
        for (size_t k = 0; k < plane_bytes; k++)
            mismatched[i] += x[k] != y[k];
    }
    return TKV_OK;
}

static void cpu_close(struct tkv_device *dev)
{
    struct tkv_cpu_device *cpu = tkv_cpu(dev);
    tkv_pool_close(&cpu->pool);
    tkv_row_keys_close(&cpu->keys);
    tkv_slabs_close(&cpu->slabs);
    free(cpu);
}

enum tkv_status tkv_cpu_open(struct tkv_device **out)
{
    static const struct tkv_device_ops ops = {
        .close = cpu_close,
        .info = cpu_info,
        .sync = cpu_sync,
        .mark = cpu_mark,
        .reach_mark = cpu_mark,
        .memory_alloc = tkv_cpu_memory_alloc,
        .memory_free = tkv_cpu_memory_free,
        .memory_export = tkv_cpu_memory_export,
        .scratch_alloc = tkv_cpu_scratch_alloc,
        .scratch_free = tkv_cpu_scratch_free,
        .fill = cpu_fill,
        .copy = cpu_copy,
        .copy_rows = cpu_copy_rows,
        .gather = cpu_gather,
        .append_one = tkv_cpu_append_one,
        .append_batched = tkv_cpu_append_batched,
        .append_faulty = tkv_cpu_append_faulty,
        .checksums = tkv_cpu_checksums,
        .compare_planes = cpu_compare_planes,
    };
    struct tkv_cpu_device *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL) return TKV_ENOMEM;
    cpu->base = (struct tkv_device){
        .ops = &ops, .backend = TKV_BACKEND_CPU, .granularity = (size_t)sysconf(_SC_PAGESIZE)};
    cpu->convert = tkv_converters_best();
    tkv_slabs_init(&cpu->slabs, cpu->base.granularity);
    tkv_pool_init(&cpu->pool, tkv_cpus() - 1);
    *out = &cpu->base;
    return TKV_OK;
}
