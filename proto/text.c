#include "proto/text.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

size_t tkv_utf8_length(const char *p, size_t n)
{
    /* The second byte's range rules out overlong forms, surrogates and what is above U+10FFFF. */
    const unsigned char *c = (const unsigned char *)p;
    unsigned char low = 0x80, high = 0xbf;
    size_t length;
    if (n == 0) return 0;
    if (c[0] < 0x80) return 1;
    if (c[0] >= 0xc2 && c[0] <= 0xdf) {
        length = 2;
    } else if (c[0] >= 0xe0 && c[0] <= 0xef) {
        length = 3;
        if (c[0] == 0xe0) low = 0xa0;
        if (c[0] == 0xed) high = 0x9f;
    } else if (c[0] >= 0xf0 && c[0] <= 0xf4) {
        length = 4;
        if (c[0] == 0xf0) low = 0x90;
        if (c[0] == 0xf4) high = 0x8f;
    } else {
        return 0;
    }
    if (n < length || c[1] < low || c[1] > high) return 0;
    for (size_t i = 2; i < length; i++) {
        if ((c[i] & 0xc0) != 0x80) return 0;
    }
    return length;
}

size_t tkv_utf8_whole(const char *text, size_t n)
{
    size_t start = n;
    while (start > 0 && n - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || (unsigned char)text[start - 1] < 0xc0)
        return n; /* ends in ASCII, or rubbish */
    return tkv_utf8_length(text + start - 1, n - start + 1) > 0 ? n : start - 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int32_t tkv_hex4(const char *p, const char *end)
{
    int32_t value = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The escape behind a backslash at *p. */
static uint32_t next_escape(const char **p)
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    char c = *(*p)++;
    if (c != 'u') {
        const char *letter = strchr(letters, c);
        return letter != NULL ? (uint32_t)values[letter - letters] : (uint32_t)(unsigned char)c;
    }
    uint32_t unit = (uint32_t)tkv_hex4(*p, *p + 4);
    *p += 4;
    if (unit < 0xd800 || unit > 0xdbff) return unit;
    uint32_t low = (uint32_t)tkv_hex4(*p + 2, *p + 6); /* the gate has seen to it */
    *p += 6;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

uint32_t tkv_string_next(const char **p)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned char c = (unsigned char)**p;
    if (c == '\\') {
        (*p)++;
        return next_escape(p);
    }
    size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t value = c & mask[length];
    for (size_t i = 1; i < length; i++)
        value = value << 6 | ((unsigned char)(*p)[i] & 0x3f);
    *p += length;
    return value;
}

const char *tkv_string_end(const char *p)
{
    while (*p != '"')
        p += *p == '\\' ? 2 : 1;
    return p;
}

const char *tkv_text_short(const char *text, char *out, size_t size)
{
    assert(size >= 16);
    size_t length = strlen(text), room = size - 6, n = 0; /* quotes, dots and NUL */
    bool cut = length > room;
    if (cut) length = tkv_utf8_whole(text, room);
    out[n++] = '"';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        out[n++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    memcpy(out + n, cut ? "...\"" : "\"", cut ? 5 : 2);
    return out;
}
