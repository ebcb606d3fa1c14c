#include "proto/base64.h"

#include <string.h>

#include "base/checked.h"
#include "proto/request.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { NOT_BASE64 = 0xff };

/* 6 bits of a character, or NOT_BASE64. */
static uint32_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z') return (uint32_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0' + 52);
    if (c == '+') return 62;
    return c == '/' ? 63 : NOT_BASE64;
}

void tkv_base64_write(struct tkv_buffer *out, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    size_t chars;
    if (!tkv_mul(n / 3 + (n % 3 != 0), 4, &chars)) chars = SIZE_MAX;
    char *to = tkv_buffer_reserve(out, chars);
    if (to == NULL) return;
    for (; n >= 3; n -= 3, p += 3) {
        uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        *to++ = alphabet[bits >> 6 & 63];
        *to++ = alphabet[bits & 63];
    }
    if (n > 0) {
        uint32_t bits = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        *to++ = n == 2 ? alphabet[bits >> 6 & 63] : '=';
        *to++ = '=';
    }
    out->len += chars;
}

enum tkv_status tkv_base64_size(const char *text, size_t *out)
{
    size_t n = strlen(text), padding = 0, digits;
    if (n % 4 != 0) return TKV_EINVAL;
    while (padding < 2 && padding < n && text[n - 1 - padding] == '=')
        padding++;
    digits = n - padding;
    for (size_t i = 0; i < digits; i++) {
        if (value_of(text[i]) == NOT_BASE64) return TKV_EINVAL;
    }
    /* Bits that stand for no byte are 0: bytes have one text only. */
    uint32_t unused = padding == 0 ? 0 : padding == 1 ? 3 : 15;
    if (padding > 0 && (value_of(text[digits - 1]) & unused) != 0) return TKV_EINVAL;
    *out = n / 4 * 3 - padding;
    return TKV_OK;
}

void tkv_base64_read(const char *text, void *dst)
{
    uint8_t *to = dst;
    uint32_t bits = 0, held = 0;
    for (; *text != '\0' && *text != '='; text++) {
        bits = bits << 6 | value_of(*text);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        *to++ = (uint8_t)(bits >> held);
    }
}
