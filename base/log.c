#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static const struct {
    const char *word;
    int priority;
} levels[TKV_LOG_LEVEL_COUNT] = {
#define X(name, word, priority) {word, priority},
    TKV_LOG_LEVELS(X)
#undef X
};

/* The level is the one process-wide setting of a process-wide stream. */
static atomic_int level_now = TKV_LOG_INFO;

void tkv_log_set_level(enum tkv_log_level level)
{
    atomic_store(&level_now, (int)level);
}

enum tkv_log_level tkv_log_level(void)
{
    return (enum tkv_log_level)atomic_load(&level_now);
}

const char *tkv_log_level_word(enum tkv_log_level level)
{
    return levels[level].word;
}

bool tkv_log_level_from_word(const char *word, enum tkv_log_level *out)
{
    for (int i = 0; i < TKV_LOG_LEVEL_COUNT; i++) {
        if (strcmp(word, levels[i].word) != 0) continue;
        *out = (enum tkv_log_level)i;
        return true;
    }
    return false;
}

/* journald reads "<6>" and stamps the time itself; a terminal gets both in words. */
static int put_prefix(char *line, size_t size, enum tkv_log_level level)
{
    if (getenv("JOURNAL_STREAM") != NULL)
        return snprintf(line, size, "<%d>", levels[level].priority);
    struct timespec ts;
    struct tm tm;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    return snprintf(line, size, "%s.%03ldZ %-7s ", stamp, ts.tv_nsec / 1000000, levels[level].word);
}

static size_t advance(size_t used, int n, size_t size)
{
    if (n < 0) return used;
    return used + (size_t)n < size ? used + (size_t)n : size - 1;
}

void tkv_log(enum tkv_log_level level, const char *event, const char *fmt, ...)
{
    assert((unsigned)level < TKV_LOG_LEVEL_COUNT);
    if ((int)level > atomic_load(&level_now)) return;
    char line[LINE_MAX_BYTES];
    size_t size = sizeof line - 1; /* the newline always fits */
    int saved = errno;
    size_t used = advance(0, put_prefix(line, size, level), size);
    used = advance(used, snprintf(line + used, size - used, "%s", event), size);
    if (fmt[0] != '\0') {
        va_list args;
        va_start(args, fmt);
        if (used + 1 < size) line[used++] = ' ';
        used = advance(used, vsnprintf(line + used, size - used, fmt, args), size);
        va_end(args);
    }
    line[used++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, used); /* a full disk must not stop serving */
    (void)ignored;
    errno = saved;
}

const char *tkv_log_quote(const char *text, char *out, unsigned size)
{
    unsigned n = 0;
    assert(size >= 8);
    out[n++] = '"';
    for (const char *p = text; *p != '\0' && n + 6 < size; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            n += (unsigned)snprintf(out + n, size - n, "\\x%02x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}
