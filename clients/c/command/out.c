#include "clients/c/command/out.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_MAX = 100, WIDTH_MIN = 40, PARAGRAPH_BYTES = 4096 };

static const char *const codes[] = {
    [PLAIN] = "",          [BOLD] = "\033[1m",   [DIM] = "\033[2m",
    [GOOD] = "\033[1;32m", [BAD] = "\033[1;31m", [WARN] = "\033[33m",
};

/* The first of the variables that decide the locale, as setlocale() takes them. */
static const char *locale_name(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') return value;
    }
    return "C";
}

static bool is_dumb(void)
{
    const char *term = getenv("TERM");
    return term != NULL && strcmp(term, "dumb") == 0;
}

void out_init(struct out *o, FILE *to)
{
    struct winsize size;
    const char *locale = locale_name();
    const char *no_color = getenv("NO_COLOR");
    int fd = fileno(to);
    bool terminal = fd >= 0 && isatty(fd) == 1;
    o->to = to;
    o->color = terminal && !is_dumb() && (no_color == NULL || no_color[0] == '\0');
    o->unicode = !(terminal && is_dumb()) &&
                 (strcasestr(locale, "UTF-8") != NULL || strcasestr(locale, "UTF8") != NULL);
    o->width = WIDTH_MAX;
    if (terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) o->width = size.ws_col;
    if (o->width > WIDTH_MAX) o->width = WIDTH_MAX;
    if (o->width < WIDTH_MIN) o->width = WIDTH_MIN;
}

static void put_styled(struct out *o, enum style style, const char *text)
{
    bool styled = o->color && style != PLAIN && text[0] != '\0';
    fprintf(o->to, "%s%s%s", styled ? codes[style] : "", text, styled ? "\033[0m" : "");
}

void out_put(struct out *o, enum style style, const char *fmt, ...)
{
    char text[PARAGRAPH_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_styled(o, style, text);
}

/* Bytes at p of a character that moves the cursor, or the text around it (controls, marks of the
 * direction of writing); 0: it is none. */
static size_t unwelcome(const unsigned char *p)
{
    if (p[0] < 0x20 || p[0] == 0x7f) return 1;
    if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) return 2; /* C1 */
    if (p[0] != 0xe2 || (p[1] != 0x80 && p[1] != 0x81)) return 0;
    bool marks = p[1] == 0x80 ? (p[2] >= 0x8e && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae)
                              : p[2] >= 0xa6 && p[2] <= 0xa9;
    return marks ? 3 : 0; /* U+200E, 200F, 2028 to 202E, 2066 to 2069 */
}

char *out_clean(char *text)
{
    char *to = text;
    for (const char *p = text; *p != '\0'; to++) {
        size_t n = unwelcome((const unsigned char *)p);
        *to = n > 0 ? '?' : *p;
        p += n > 0 ? n : 1;
    }
    *to = '\0';
    return text;
}

unsigned out_columns(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Writes the words of text, `column` columns being taken. */
static void put_words(struct out *o, char *text, unsigned column, unsigned hang)
{
    bool first = true;
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        unsigned n = out_columns(word);
        if (!first && column + 1 + n > o->width) {
            fprintf(o->to, "\n%*s", (int)hang, "");
            column = hang;
        } else if (!first) {
            fputc(' ', o->to);
            column++;
        }
        fputs(word, o->to);
        column += n;
        first = false;
    }
    fputc('\n', o->to);
}

void out_para(struct out *o, unsigned indent, unsigned hang, enum style style, const char *lead,
              const char *fmt, ...)
{
    char text[PARAGRAPH_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(o->to, "%*s", (int)indent, "");
    put_styled(o, style, lead);
    if (lead[0] != '\0') fputc(' ', o->to);
    put_words(o, out_clean(text), indent + out_columns(lead) + (lead[0] != '\0'), hang);
}

const char *out_duration(double seconds, char *text, size_t size)
{
    if (seconds <= 0)
        snprintf(text, size, "0 s");
    else if (seconds < 1e-3)
        snprintf(text, size, "%.0f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(text, size, "%.3g ms", seconds * 1e3);
    else if (seconds < 120)
        snprintf(text, size, "%.3g s", seconds);
    else if (seconds < 7200)
        snprintf(text, size, "%.0f min", seconds / 60);
    else if (seconds < 172800)
        snprintf(text, size, "%.0f h", seconds / 3600);
    else
        snprintf(text, size, "%.0f days", seconds / 86400);
    return text;
}

const char *out_count(uint64_t n, char *text, size_t size)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t used = 0;
    for (int i = 0; i < len && used + 2 < size; i++) {
        if (i > 0 && (len - i) % 3 == 0 && len > 4) text[used++] = ' ';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

const char *out_plural(uint64_t n, const char *one, const char *many, char *text, size_t size)
{
    char count[32];
    snprintf(text, size, "%s %s", out_count(n, count, sizeof count), n == 1 ? one : many);
    return text;
}
