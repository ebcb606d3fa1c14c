/* core_life.c - how a core comes and goes: its parts, in order. */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpus.h"
#include "daemon/core_impl.h"

/* nine tenths of what is free, where the configuration does not say */
static uint64_t budget_unset(const struct tkv_core *core)
{
    return (core->device.memory_total - core->device.memory_used) / 10 * 9;
}

/* A budget below what caches take already stops new ones, and takes nothing from anybody. */
void tkv_core_reconfigured(struct tkv_core *core)
{
    uint64_t budget = core->config->memory_budget;
    core->budget = budget > 0 ? budget : core->budget_unset;
    tkv_stat_set(&core->stats.memory_budget_bytes, core->budget);
}

/* A handle of its own for the checker, so that it never waits for the engine's queue. */
static enum tkv_status open_checker(struct tkv_core *core, void (*wake)(void *arg), void *arg)
{
    struct tkv_device *dev;
    enum tkv_status st = tkv_device_open(&dev, core->device.backend, core->device.ordinal, NULL);
    if (st != TKV_OK) return st;
    st = tkv_engine_open(&core->checker, dev, (struct tkv_engine_manner){.background = true}, wake,
                         arg);
    if (st != TKV_OK) tkv_device_close(dev);
    return st;
}

static enum tkv_status open_parts(struct tkv_core *core, struct tkv_device *dev)
{
    const struct tkv_config *cfg = core->config;
    enum tkv_status st = tkv_device_info(dev, &core->device);
    if (st != TKV_OK) return st;
    if (!tkv_memory_mapped(dev, 1, &core->granularity)) return TKV_EINTERNAL;
    /* A verification under load holds a journal's worth of blocks beside the journal itself; they
     * are kept for the next one, since allocating pinned memory takes milliseconds. */
    st = tkv_staging_pool_open(&core->pool, core->device.backend, cfg->limits_staging_bytes,
                               cfg->limits_staging_bytes / 4 + cfg->journal_bytes);
    if (st != TKV_OK) return st;
    st = tkv_sequences_open(&core->sequences, cfg->limits_max_sequences);
    if (st != TKV_OK) return st;
    tkv_leases_init(&core->leases);
    tkv_journal_init(&core->journal, cfg->journal_bytes);
    tkv_shadow_init(core);
    tkv_scrub_init(core);
    core->budget_unset = budget_unset(core);
    tkv_core_reconfigured(core);
    return TKV_OK;
}

/* Spinning takes a CPU from somebody: only where a GPU does the work and there are CPUs to spare.
 */
static uint32_t spin_us(const struct tkv_core *core)
{
    const unsigned enough = 4;
    bool worth = core->device.backend == TKV_BACKEND_CUDA && tkv_cpus() >= enough;
    return worth ? core->config->batch_spin_us : 0;
}

/* On a CPU the loop may write a batch by itself, where the engine is idle. A small one it always
 * does: two hand-overs between threads take longer (some 10 us each, against 13 us for 128 KiB).
 * With two CPUs for it and its clients, it does larger ones, too: there is no third for a thread
 * that would read on meanwhile (a stream of 128 KiB, 16 in flight: 0.9 of the CPU time). */
static size_t here_bytes(const struct tkv_core *core)
{
    const size_t small = 256 << 10, large = 2 << 20;
    const unsigned few = 2;
    if (core->device.backend != TKV_BACKEND_CPU) return 0;
    return tkv_cpus() <= few ? large : small;
}

enum tkv_status tkv_core_open(struct tkv_core **out, const struct tkv_config *config,
                              struct tkv_device *dev, void (*wake)(void *arg), void *arg)
{
    enum tkv_status st = TKV_ENOMEM;
    struct tkv_core *core = calloc(1, sizeof *core);
    if (core == NULL) goto fail_dev;
    core->config = config;
    core->accounts.config = config;
    st = open_parts(core, dev);
    if (st != TKV_OK) goto fail_parts;
    st = open_checker(core, wake, arg);
    if (st != TKV_OK) goto fail_parts;
    core->spin_us = spin_us(core);
    core->here_bytes = here_bytes(core);
    if (core->device.backend == TKV_BACKEND_CUDA)
        tkv_upload_open(&core->upload, core->config->batch_upload_bytes);
    st = tkv_engine_open(&core->engine, dev, (struct tkv_engine_manner){.spin_us = core->spin_us},
                         wake, arg);
    if (st != TKV_OK) goto fail_checker;
    *out = core;
    return TKV_OK;
fail_checker:
    tkv_engine_close(core->checker);
fail_parts:
    tkv_sequences_close(core->sequences);
    tkv_staging_pool_close(core->pool);
    free(core);
fail_dev:
    tkv_device_close(dev);
    return st;
}

static bool something_runs(const struct tkv_core *core)
{
    return core->caches_leaving > 0 || core->under_way > 0 || core->checker_busy ||
           tkv_scrub_busy(core);
}

static void wait_for_all(struct tkv_core *core)
{
    while (something_runs(core)) {
        tkv_core_poll(core);
        struct timespec pause = {.tv_nsec = 200000};
        if (something_runs(core)) nanosleep(&pause, NULL);
    }
}

/* The engine's last job: it has memory of the device to give back. */
struct last_job {
    struct tkv_job job; /* first */
    struct tkv_upload *upload;
};

static enum tkv_status run_last(struct tkv_job *job, struct tkv_device *dev)
{
    tkv_upload_close(((struct last_job *)job)->upload, dev);
    return TKV_OK;
}

static void finish_last(struct tkv_job *job)
{
}

static void close_engine(struct tkv_core *core)
{
    struct last_job last = {{.run = run_last, .finish = finish_last}, &core->upload};
    tkv_engine_submit(core->engine, &last.job);
    tkv_engine_close(core->engine); /* when that has run */
}

void tkv_core_close(struct tkv_core *core)
{
    struct tkv_sequence *seq;
    if (core == NULL) return;
    assert(core->waiting_names == 0 && core->gathering.head == NULL);
    atomic_store(&core->stopping, true);
    tkv_shadow_close(core);
    for (size_t slot = 0; (seq = tkv_sequences_next(core->sequences, &slot)) != NULL;)
        tkv_core_free_sequence(core, seq);
    wait_for_all(core);
    tkv_shadow_close(core);
    close_engine(core);
    tkv_engine_close(core->checker);
    tkv_scrub_close(core);
    tkv_journal_close(&core->journal);
    tkv_leases_close(&core->leases);
    tkv_sequences_close(core->sequences);
    tkv_staging_pool_close(core->pool);
    free(core);
}
