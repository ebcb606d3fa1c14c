/* log.h - structured logging to stderr: one line an event, key=value, levels that journald knows.
 * Any thread: a line is one write(2). A line never holds K/V data.
 *
 * An event that repeats is cut off after TKV_LOG_BURST lines a second (but for debug lines, which
 * somebody asked for); its next line says how many are missing: suppressed=N. */
#ifndef TKV_BASE_LOG_H
#define TKV_BASE_LOG_H

#include <stdbool.h>

/* X(name, word, syslog priority) */
#define TKV_LOG_LEVELS(X)    \
    X(ERROR, "error", 3)     \
    X(WARNING, "warning", 4) \
    X(INFO, "info", 6)       \
    X(DEBUG, "debug", 7)

enum tkv_log_level {
#define X(name, word, priority) TKV_LOG_##name,
    TKV_LOG_LEVELS(X)
#undef X
        TKV_LOG_LEVEL_COUNT
};

enum { TKV_LOG_BURST = 20 };

/* Lines above this level are dropped; TKV_LOG_INFO at start. */
void tkv_log_set_level(enum tkv_log_level level);

/* The level now, and a level's word. */
enum tkv_log_level tkv_log_level(void);
const char *tkv_log_level_word(enum tkv_log_level level);

/* The level called word; false where there is none. */
bool tkv_log_level_from_word(const char *word, enum tkv_log_level *out);

/* One event: a short name, then key=value pairs as fmt makes them. Quote text values with %s of
 * tkv_log_quote() where they come from outside.
 *   tkv_log(TKV_LOG_INFO, "listening", "address=%s", address); */
void tkv_log(enum tkv_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes text in double quotes to out (size bytes), control characters and quotes escaped, cut
 * where it does not fit. Returns out. */
const char *tkv_log_quote(const char *text, char *out, unsigned size);

#endif
