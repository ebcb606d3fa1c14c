/* notify.h - what systemd is told and what it hands over. Without systemd every call does nothing.
 * Loop thread, start-up. */
#ifndef TKV_DAEMON_NOTIFY_H
#define TKV_DAEMON_NOTIFY_H

#include <stdint.h>

/* READY=1 with a line for `systemctl status`. */
void tkv_notify_ready(const char *status);
/* STOPPING=1. */
void tkv_notify_stopping(const char *status);
/* RELOADING=1, and READY=1 again, around a reload. */
void tkv_notify_reloading(void);
void tkv_notify_reloaded(void);
/* A new line for `systemctl status`. */
void tkv_notify_status(const char *status);
/* WATCHDOG=1: loop and engine make progress. */
void tkv_notify_alive(void);

/* Microseconds within which tkv_notify_alive() must be called again; 0: nobody watches. */
uint64_t tkv_notify_watchdog_us(void);

/* Listening sockets that a socket unit opened for us: the number, and *first descriptor. Negative:
 * an errno, negated. */
int tkv_notify_inherited(int *first);

#endif
