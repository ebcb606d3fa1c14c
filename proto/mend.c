#include "proto/mend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/number.h"
#include "proto/text.h"

enum { LONG_NUMBER = 60 };

bool tkv_mend_needed(const struct tkv_gate_facts *facts)
{
    return facts->nul_escape || facts->longest_number > LONG_NUMBER;
}

static char *put(char *to, const char *text, size_t n)
{
    memcpy(to, text, n);
    return to + n;
}

/* The string that starts at *p, with its quotes. */
static char *mend_string(char *to, const char **p)
{
    const char *start = *p, *end = tkv_string_end(start + 1) + 1;
    while (start < end) {
        size_t n = *start == '\\' ? 2 : 1;
        bool is_nul = n == 2 && start[1] == 'u' && tkv_hex4(start + 2, end) == 0;
        to = is_nul ? put(to, "\\uffff", 6) : put(to, start, n);
        start += is_nul ? 6 : n;
    }
    *p = end;
    return to;
}

static char *mend_number(char *to, const char **p, const char *end)
{
    const char *start = *p;
    char text[TKV_NUMBER_CHARS];
    *p = tkv_skip_value(start, end);
    size_t n = (size_t)(*p - start);
    if (n <= LONG_NUMBER) return put(to, start, n);
    double value = tkv_number_read(start, n);
    if (isinf(value)) return put(to, value > 0 ? "1e999" : "-1e999", value > 0 ? 5 : 6);
    return put(to, text, tkv_format_double(value, text));
}

char *tkv_mend(const char *text, size_t len, size_t *out_len)
{
    char *copy = malloc(len > 0 ? len : 1), *to = copy;
    const char *p = text, *end = text + len;
    if (copy == NULL) return NULL;
    while (p < end) {
        if (*p == '"')
            to = mend_string(to, &p);
        else if (*p == '-' || (*p >= '0' && *p <= '9'))
            to = mend_number(to, &p, end);
        else
            *to++ = *p++;
    }
    *out_len = (size_t)(to - copy);
    return copy;
}
