#include "daemon/notify.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void tkv_notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void tkv_notify_stopping(const char *status)
{
    sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

/* Type=notify-reload wants to know when the reload began, on the clock of its own that it has. */
void tkv_notify_reloading(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
               (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void tkv_notify_reloaded(void)
{
    sd_notify(0, "READY=1");
}

void tkv_notify_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

void tkv_notify_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

uint64_t tkv_notify_watchdog_us(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? us : 0;
}

int tkv_notify_inherited(int *first)
{
    *first = SD_LISTEN_FDS_START;
    return sd_listen_fds(1);
}
