#include "clients/c/json_out.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void tkc_json_init(struct tkc_json *j, struct tkv_buffer *out)
{
    *j = (struct tkc_json){.out = out};
}

static void before_value(struct tkc_json *j)
{
    if (j->comma) tkv_buffer_append(j->out, ",", 1);
    j->comma = true;
}

void tkc_json_open(struct tkc_json *j, char bracket)
{
    before_value(j);
    tkv_buffer_append(j->out, &bracket, 1);
    j->comma = false;
}

void tkc_json_close(struct tkc_json *j, char bracket)
{
    tkv_buffer_append(j->out, &bracket, 1);
    j->comma = true;
}

void tkc_json_name(struct tkc_json *j, const char *name)
{
    tkc_json_string(j, name);
    tkv_buffer_append(j->out, ":", 1);
    j->comma = false;
}

void tkc_json_uint(struct tkc_json *j, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    before_value(j);
    do {
        digits[sizeof digits - ++n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    tkv_buffer_append(j->out, digits + sizeof digits - n, n);
}

void tkc_json_double(struct tkc_json *j, double value)
{
    assert(isfinite(value));
    before_value(j);
    tkv_buffer_printf(j->out, "%.17g", value);
}

/* One byte that cannot stand as it is inside a string. */
static void put_escaped(struct tkv_buffer *out, unsigned char c)
{
    if (c == '"' || c == '\\')
        tkv_buffer_printf(out, "\\%c", c);
    else
        tkv_buffer_printf(out, "\\u%04x", c);
}

void tkc_json_string(struct tkc_json *j, const char *text)
{
    const char *from = text;
    before_value(j);
    tkv_buffer_append(j->out, "\"", 1);
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        tkv_buffer_append(j->out, from, (size_t)(p - from));
        put_escaped(j->out, c);
        from = p + 1;
    }
    tkv_buffer_puts(j->out, from);
    tkv_buffer_append(j->out, "\"", 1);
}

void tkc_json_text(struct tkc_json *j, const char *text)
{
    before_value(j);
    for (;;) {
        size_t n = strcspn(text, "\r\n");
        tkv_buffer_append(j->out, text, n);
        if (text[n] == '\0') return;
        tkv_buffer_append(j->out, " ", 1);
        text += n + 1;
    }
}

void tkc_json_put_true(struct tkc_json *j, const char *name)
{
    tkc_json_name(j, name);
    tkc_json_text(j, "true");
}

void tkc_json_put_uint(struct tkc_json *j, const char *name, uint64_t value)
{
    tkc_json_name(j, name);
    tkc_json_uint(j, value);
}

void tkc_json_put_string(struct tkc_json *j, const char *name, const char *text)
{
    tkc_json_name(j, name);
    tkc_json_string(j, text);
}

void tkc_json_put_list(struct tkc_json *j, const char *name, const uint64_t *values, size_t n)
{
    tkc_json_name(j, name);
    tkc_json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        tkc_json_uint(j, values[i]);
    tkc_json_close(j, ']');
}
