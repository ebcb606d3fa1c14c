#include "daemon/config_text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum tkv_status read_failed(const char *path, char *message, size_t size)
{
    snprintf(message, size, "%s: cannot be read: %s", path, strerror(errno));
    return TKV_EINVAL;
}

static enum tkv_status read_all(const char *path, struct tkv_buffer *raw, char *message,
                                size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return read_failed(path, message, size);
    enum tkv_status st = TKV_OK;
    for (;;) {
        char *to = tkv_buffer_reserve(raw, BUFSIZ);
        if (to == NULL) break;
        size_t n = fread(to, 1, BUFSIZ, file);
        raw->len += n;
        if (n < BUFSIZ) break;
    }
    if (ferror(file)) st = read_failed(path, message, size);
    fclose(file);
    if (tkv_buffer_status(raw) == TKV_ETOOLARGE) {
        snprintf(message, size, "%s: longer than %d bytes: not a configuration file", path,
                 TKV_CONFIG_FILE_MAX);
        return TKV_EINVAL;
    }
    return st != TKV_OK ? st : tkv_buffer_status(raw);
}

/* Behind the comment that starts at p, or p where none does. */
static const char *skip_comment(const char *p)
{
    if (p[0] == '#' || (p[0] == '/' && p[1] == '/')) return p + strcspn(p, "\n");
    if (p[0] != '/' || p[1] != '*') return p;
    const char *end = strstr(p + 2, "*/");
    return end != NULL ? end + 2 : p + strlen(p);
}

/* Behind the string that starts at p with its quote. */
static const char *skip_string(const char *p)
{
    for (p++; *p != '\0' && *p != '"'; p++) {
        if (*p == '\\' && p[1] != '\0') p++;
    }
    return *p == '"' ? p + 1 : p;
}

static const char *skip_word(const char *p)
{
    while (isalnum((unsigned char)*p) || *p == '_' || *p == '-' || *p == '*' || *p == '.')
        p++;
    return p;
}

/* Whether [p, end) is an integer, without an L, that an int cannot hold. */
static bool is_cut(const char *p, const char *end)
{
    bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    for (const char *q = hex ? p + 2 : p; q < end; q++) {
        if (hex ? !isxdigit((unsigned char)*q) : !isdigit((unsigned char)*q)) return false;
    }
    errno = 0;
    unsigned long long value = strtoull(p, NULL, hex ? 16 : 10);
    return errno == ERANGE || value > INT_MAX;
}

/* The next token that starts at p, copied to out. Returns its end. */
static const char *copy_token(const char *p, struct tkv_buffer *out)
{
    const char *end = skip_comment(p);
    bool cut = false;
    if (end == p && *p == '"') end = skip_string(p);
    if (end == p && isalnum((unsigned char)*p)) {
        end = skip_word(p);
        cut = isdigit((unsigned char)*p) && is_cut(p, end);
    }
    if (end == p) end = p + 1;
    tkv_buffer_append(out, p, (size_t)(end - p));
    if (cut) tkv_buffer_puts(out, "L");
    return end;
}

static unsigned line_of(const char *text, const char *at)
{
    unsigned line = 1;
    for (const char *p = text; p < at; p++)
        line += *p == '\n';
    return line;
}

static enum tkv_status guard(const char *path, const char *text, struct tkv_buffer *out,
                             char *message, size_t size)
{
    for (const char *p = text; *p != '\0'; p = copy_token(p, out)) {
        if (*p != '@') continue;
        snprintf(message, size, "%s:%u: @include is not supported; write all settings in one file",
                 path, line_of(text, p));
        return TKV_EINVAL;
    }
    tkv_buffer_append(out, "", 1);
    return tkv_buffer_status(out);
}

enum tkv_status tkv_config_text_read(const char *path, struct tkv_buffer *out, char *message,
                                     size_t size)
{
    struct tkv_buffer raw;
    tkv_buffer_init(&raw, TKV_CONFIG_FILE_MAX);
    enum tkv_status st = read_all(path, &raw, message, size);
    if (st == TKV_OK) tkv_buffer_append(&raw, "", 1);
    if (st == TKV_OK) st = tkv_buffer_status(&raw);
    if (st != TKV_OK) goto done;
    const char *text = (const char *)raw.data, *nul = memchr(text, '\0', raw.len);
    if (nul != text + raw.len - 1) {
        snprintf(message, size, "%s:%u: holds a NUL byte: not a configuration file", path,
                 line_of(text, nul));
        st = TKV_EINVAL;
    } else {
        st = guard(path, text, out, message, size);
    }
done:
    tkv_buffer_close(&raw);
    return st;
}
