#include "clients/c/command/bench/live.h"

#include <string.h>
#include <unistd.h>

#include "base/sizes.h"

enum { LINE_BYTES = 256 };

void live_init(struct live *l, const struct out *err, const struct bench_plan *plan,
               uint64_t now_ns)
{
    int fd = fileno(err->to);
    l->to = err->to;
    l->terminal = fd >= 0 && isatty(fd) == 1;
    l->width = err->width;
    l->interval_ns = (uint64_t)plan->interval_ms * 1000000;
    l->begun_ns = l->last_ns = now_ns;
    l->next_ns = now_ns + l->interval_ns;
    l->request_bytes = plan->request_bytes;
    l->shown = 0;
    histogram_clear(&l->recent);
}

static void say(const struct live *l, const char *phase, uint64_t overloaded, double seconds,
                double spent, char *text)
{
    char count[32], size[32] = "", p50[32], p99[32], max[32], refused[64] = "";
    double rate = (double)l->recent.n / seconds;
    out_count((uint64_t)rate, count, sizeof count);
    if (l->request_bytes > 0) {
        size_t n = strlen(tkv_format_size((uint64_t)(rate * (double)l->request_bytes), size, 24));
        snprintf(size + n, sizeof size - n, "/s  ");
    }
    if (overloaded > 0) out_plural(overloaded, "refusal", "refusals", refused, sizeof refused);
    snprintf(text, LINE_BYTES, "%6.1f s  %9s req/s  %sp50 %s  p99 %s  max %s  %s%s", spent, count,
             size, out_duration((double)histogram_at(&l->recent, 0.5) / 1e9, p50, 32),
             out_duration((double)histogram_at(&l->recent, 0.99) / 1e9, p99, 32),
             out_duration((double)l->recent.max_ns / 1e9, max, 32), refused, phase);
    for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
        text[n - 1] = '\0';
}

static void show(struct live *l, char *text)
{
    if (!l->terminal) {
        fprintf(l->to, "%s\n", text);
        return;
    }
    size_t n = strlen(text);
    if (n >= l->width) text[n = l->width - 1] = '\0'; /* a line that wraps is not written over */
    fprintf(l->to, "\r%s%*s", text, (int)(l->shown > n ? l->shown - n : 0), "");
    l->shown = n;
    (void)fflush(l->to);
}

void live_tick(struct live *l, const char *phase, uint64_t overloaded, uint64_t now_ns)
{
    char text[LINE_BYTES];
    if (now_ns < l->next_ns) return;
    say(l, phase, overloaded, (double)(now_ns - l->last_ns) / 1e9,
        (double)(now_ns - l->begun_ns) / 1e9, text);
    show(l, text);
    histogram_clear(&l->recent);
    l->last_ns = now_ns;
    l->next_ns = now_ns + l->interval_ns;
}

void live_end(struct live *l)
{
    if (l->shown > 0) fprintf(l->to, "\r%*s\r", (int)l->shown, "");
    l->shown = 0;
    (void)fflush(l->to);
}
