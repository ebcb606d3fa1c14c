#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

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

/* --- events that repeat ----------------------------------------------------------------------- */

enum { EVENTS_MAX = 128, SECOND_MS = 1000 };

/* One event's lines of this second. Process-wide, as the stream is. */
static struct {
    pthread_mutex_t lock;
    struct {
        const char *event;
        uint64_t since_ms;
        unsigned written, suppressed;
    } of[EVENTS_MAX];
} repeats = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The place of an event; where there are too many, they share the last one. */
static size_t place_of(const char *event)
{
    size_t i = 0;
    while (i < EVENTS_MAX - 1 && repeats.of[i].event != NULL &&
           strcmp(repeats.of[i].event, event) != 0)
        i++;
    repeats.of[i].event = event;
    return i;
}

/* Whether a line of the event may be written; *missing: how many were not, since the last one. */
static bool may_repeat(const char *event, unsigned *missing)
{
    uint64_t now = tkv_now_ms();
    pthread_mutex_lock(&repeats.lock);
    size_t i = place_of(event);
    if (now - repeats.of[i].since_ms >= SECOND_MS) {
        repeats.of[i].since_ms = now;
        repeats.of[i].written = 0;
    }
    bool may = repeats.of[i].written < TKV_LOG_BURST;
    *missing = may ? repeats.of[i].suppressed : 0;
    repeats.of[i].suppressed = may ? 0 : repeats.of[i].suppressed + 1;
    repeats.of[i].written += may;
    pthread_mutex_unlock(&repeats.lock);
    return may;
}

/* --- lines ------------------------------------------------------------------------------------ */

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

/* Neither a full disk nor a pipe that nobody reads may stop serving: a line that would have to wait
 * is lost. */
static void put_line(const char *line, size_t n)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) return;
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}

void tkv_log(enum tkv_log_level level, const char *event, const char *fmt, ...)
{
    assert((unsigned)level < TKV_LOG_LEVEL_COUNT);
    unsigned missing = 0;
    if ((int)level > atomic_load(&level_now)) return;
    if (level != TKV_LOG_DEBUG && !may_repeat(event, &missing)) return;
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
    if (missing > 0)
        used = advance(used, snprintf(line + used, size - used, " suppressed=%u", missing), size);
    line[used++] = '\n';
    put_line(line, used);
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
