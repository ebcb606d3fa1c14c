#include "proto/json.h"

#include <assert.h>
#include <string.h>

#include "proto/base64.h"
#include "proto/number.h"
#include "proto/text.h"

void tkv_json_init(struct tkv_json *j, struct tkv_buffer *out)
{
    j->out = out;
    j->comma = false;
}

/* One character: most of what is written besides names and numbers. */
static void put_char(struct tkv_buffer *out, char c)
{
    if (out->status == TKV_OK && out->len < out->cap && out->len < out->max)
        out->data[out->len++] = (uint8_t)c;
    else
        tkv_buffer_append(out, &c, 1);
}

/* A value or name starts here. */
static void start(struct tkv_json *j)
{
    if (j->comma) put_char(j->out, ',');
    j->comma = true;
}

void tkv_json_open(struct tkv_json *j, char bracket)
{
    assert(bracket == '{' || bracket == '[');
    start(j);
    put_char(j->out, bracket);
    j->comma = false;
}

void tkv_json_open_member(struct tkv_json *j, const char *name)
{
    tkv_json_name(j, name);
    tkv_json_open(j, '{');
}

void tkv_json_close(struct tkv_json *j, char bracket)
{
    assert(bracket == '}' || bracket == ']');
    put_char(j->out, bracket);
    j->comma = true;
}

void tkv_json_name(struct tkv_json *j, const char *name)
{
    start(j);
    put_char(j->out, '"');
    tkv_buffer_puts(j->out, name);
    put_char(j->out, '"');
    put_char(j->out, ':');
    j->comma = false;
}

void tkv_json_raw(struct tkv_json *j, const char *text, size_t len)
{
    start(j);
    tkv_buffer_append(j->out, text, len);
}

void tkv_json_uint(struct tkv_json *j, uint64_t value)
{
    char text[TKV_NUMBER_CHARS];
    tkv_json_raw(j, text, tkv_format_uint(value, text));
}

void tkv_json_uints(struct tkv_json *j, const uint64_t *values, size_t n)
{
    char *to = NULL;
    tkv_json_open(j, '[');
    if (n > 0) to = tkv_buffer_reserve(j->out, n * TKV_NUMBER_CHARS);
    for (size_t i = 0; i < n && to != NULL; i++) {
        size_t chars = tkv_format_uint(values[i], to);
        to[chars] = ',';
        to += chars + 1;
        j->out->len += chars + 1;
    }
    if (to != NULL) j->out->len--; /* no comma behind the last */
    tkv_json_close(j, ']');
}

void tkv_json_int(struct tkv_json *j, int64_t value)
{
    char text[TKV_NUMBER_CHARS + 1];
    text[0] = '-';
    size_t n = tkv_format_uint(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, text + 1);
    tkv_json_raw(j, value < 0 ? text : text + 1, value < 0 ? n + 1 : n);
}

void tkv_json_double(struct tkv_json *j, double value)
{
    char text[TKV_NUMBER_CHARS];
    tkv_json_raw(j, text, tkv_format_double(value, text));
}

void tkv_json_bool(struct tkv_json *j, bool value)
{
    tkv_json_raw(j, value ? "true" : "false", value ? 4 : 5);
}

void tkv_json_null(struct tkv_json *j)
{
    tkv_json_raw(j, "null", 4);
}

/* The escape of one ASCII character that may not stand in a string as it is. */
static void put_escape(struct tkv_buffer *out, char c)
{
    static const char letters[] = "bfnrt\"\\", values[] = "\b\f\n\r\t\"\\",
                      hex[] = "0123456789abcdef";
    const char *at = strchr(values, c);
    if (at != NULL && c != '\0') {
        char text[] = {'\\', letters[at - values]};
        tkv_buffer_append(out, text, sizeof text);
    } else {
        char text[] = {'\\', 'u', '0', '0', hex[(c >> 4) & 15], hex[c & 15]};
        tkv_buffer_append(out, text, sizeof text);
    }
}

/* How many bytes of text may stand in a string as they are. */
static size_t plain_length(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) break;
        size_t length = c < 0x80 ? 1 : tkv_utf8_length(text + i, n - i);
        if (length == 0) break;
        i += length;
    }
    return i;
}

void tkv_json_string(struct tkv_json *j, const char *text)
{
    size_t n = strlen(text);
    start(j);
    put_char(j->out, '"');
    for (;;) {
        size_t plain = plain_length(text, n);
        tkv_buffer_append(j->out, text, plain);
        text += plain;
        n -= plain;
        if (n == 0) break;
        if ((unsigned char)*text < 0x80)
            put_escape(j->out, *text);
        else
            tkv_buffer_puts(j->out, "\xef\xbf\xbd"); /* U+FFFD for what is not UTF-8 */
        text++;
        n--;
    }
    put_char(j->out, '"');
}

void tkv_json_base64(struct tkv_json *j, const void *bytes, size_t n)
{
    start(j);
    put_char(j->out, '"');
    tkv_base64_write(j->out, bytes, n);
    put_char(j->out, '"');
}

void tkv_json_put_uint(struct tkv_json *j, const char *name, uint64_t value)
{
    tkv_json_name(j, name);
    tkv_json_uint(j, value);
}

void tkv_json_put_bool(struct tkv_json *j, const char *name, bool value)
{
    tkv_json_name(j, name);
    tkv_json_bool(j, value);
}

void tkv_json_put_string(struct tkv_json *j, const char *name, const char *text)
{
    tkv_json_name(j, name);
    tkv_json_string(j, text);
}

void tkv_json_put_double(struct tkv_json *j, const char *name, double value)
{
    tkv_json_name(j, name);
    tkv_json_double(j, value);
}
