#include "daemon/alarm.h"

#include <assert.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void on_expired(uv_poll_t *poll, int status, int events)
{
    struct tkv_alarm *alarm = (struct tkv_alarm *)poll;
    uint64_t times;
    ssize_t n = read(alarm->fd, &times, sizeof times);
    if (n != (ssize_t)sizeof times) return; /* it was set anew meanwhile */
    alarm->at_us = UINT64_MAX;
    alarm->ring(alarm);
}

enum tkv_status tkv_alarm_init(struct tkv_alarm *alarm, uv_loop_t *loop,
                               void (*ring)(struct tkv_alarm *alarm))
{
    alarm->ring = ring;
    alarm->at_us = UINT64_MAX;
    alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (alarm->fd < 0) return TKV_EINTERNAL;
    if (uv_poll_init(loop, &alarm->poll, alarm->fd) != 0) {
        close(alarm->fd);
        return TKV_EINTERNAL;
    }
    int rc = uv_poll_start(&alarm->poll, UV_READABLE, on_expired);
    assert(rc == 0);
    (void)rc;
    return TKV_OK;
}

void tkv_alarm_set(struct tkv_alarm *alarm, uint64_t at_us)
{
    struct itimerspec spec = {0}; /* zeros disarm */
    if (at_us == alarm->at_us) return;
    alarm->at_us = at_us;
    if (at_us != UINT64_MAX) {
        if (at_us == 0) at_us = 1;
        spec.it_value.tv_sec = (time_t)(at_us / 1000000);
        spec.it_value.tv_nsec = (long)(at_us % 1000000) * 1000;
    }
    timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    close(((struct tkv_alarm *)handle)->fd);
}

void tkv_alarm_close(struct tkv_alarm *alarm)
{
    uv_close((uv_handle_t *)&alarm->poll, on_closed);
}
