/* text.h - UTF-8 and the escapes of JSON strings. Any thread; allocates nothing. */
#ifndef TKV_PROTO_TEXT_H
#define TKV_PROTO_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character at p (1 to 4), of which n bytes are there; 0 where it is none:
 * overlong forms, surrogates, code points above U+10FFFF and cut characters are none. */
size_t tkv_utf8_length(const char *p, size_t n);

/* n, less the bytes of a character that text[0, n) cuts off in its middle. */
size_t tkv_utf8_whole(const char *text, size_t n);

/* The value of 4 hexadecimal digits at p, or -1; p needs as many readable bytes as end leaves. */
int32_t tkv_hex4(const char *p, const char *end);

/* The next code point of a JSON string that the gate has passed; *p moves behind it. A surrogate
 * pair of escapes is one code point. */
uint32_t tkv_string_next(const char **p);

/* The string's closing quote; p stands behind the opening one, the gate has passed the text. */
const char *tkv_string_end(const char *p);

/* Writes text in double quotes to out (size >= 16 bytes), control characters as '?', and cut to
 * whole characters with "..." where it does not fit. Returns out. */
const char *tkv_text_short(const char *text, char *out, size_t size);

#endif
