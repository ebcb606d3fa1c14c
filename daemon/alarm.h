/* alarm.h - one wake-up of the loop at a time given in microseconds: libuv's own timers know
 * milliseconds. Loop thread only. */
#ifndef TKV_DAEMON_ALARM_H
#define TKV_DAEMON_ALARM_H

#include <stdint.h>
#include <uv.h>

#include "base/status.h"

struct tkv_alarm {
    uv_poll_t poll; /* first; data is the caller's */
    int fd;         /* timerfd */
    uint64_t at_us; /* UINT64_MAX: not set */
    void (*ring)(struct tkv_alarm *alarm);
};

/* ring is called in the loop once the time has come. TKV_EINTERNAL. */
enum tkv_status tkv_alarm_init(struct tkv_alarm *alarm, uv_loop_t *loop,
                               void (*ring)(struct tkv_alarm *alarm));

/* Rings at at_us, as tkv_now_us(), once; at once where that is past. UINT64_MAX: not. */
void tkv_alarm_set(struct tkv_alarm *alarm, uint64_t at_us);

/* The struct is free again when the loop has turned. */
void tkv_alarm_close(struct tkv_alarm *alarm);

#endif
