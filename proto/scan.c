#include "proto/scan.h"

#include "proto/text.h"

const char *tkv_skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* Behind a number or a word: they end where a value may end. */
static const char *skip_plain(const char *p, const char *end)
{
    while (p < end && *p != ',' && *p != ']' && *p != '}' && *p != ' ' && *p != '\t' &&
           *p != '\n' && *p != '\r')
        p++;
    return p;
}

const char *tkv_skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    do {
        if (*p == '"') {
            p = tkv_string_end(p + 1) + 1;
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            depth--;
            p++;
        } else if (depth > 0) {
            p++; /* commas, colons, numbers, words and space: nothing in them nests */
        } else {
            p = skip_plain(p, end);
        }
    } while (depth > 0);
    return p;
}
