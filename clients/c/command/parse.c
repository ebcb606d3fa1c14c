#include "clients/c/command/parse.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The number that text begins with; *end is where it stops. */
static bool leading_u64(const char *text, const char **end, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(value, 10u, &value)) return false;
        if (__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) return false;
    }
    *end = p;
    *out = value;
    return p > text;
}

bool parse_u64(const char *text, uint64_t *out)
{
    const char *end;
    uint64_t value;
    if (!leading_u64(text, &end, &value) || *end != '\0') return false;
    *out = value;
    return true;
}

/* Adds a member "7" or "5-9". */
static bool add_member(const char **text, struct u64_list *list)
{
    uint64_t first, last;
    if (!leading_u64(*text, text, &first)) return false;
    last = first;
    if (**text == '-' && !leading_u64(*text + 1, text, &last)) return false;
    if (last < first || last - first >= LIST_MAX - list->n) return false;
    for (uint64_t i = 0; i <= last - first; i++)
        list->at[list->n++] = first + i;
    return true;
}

bool parse_list(const char *text, struct u64_list *out)
{
    struct u64_list list = {.at = malloc(LIST_MAX * sizeof(uint64_t))};
    bool fine = list.at != NULL && add_member(&text, &list);
    while (fine && *text == ',') {
        text++;
        fine = add_member(&text, &list);
    }
    if (fine && *text == '\0') {
        *out = list;
        return true;
    }
    free(list.at);
    return false;
}

bool list_is_too_long(const char *text)
{
    uint64_t n = 0, first, last;
    do {
        if (!leading_u64(text, &text, &first)) return false;
        last = first;
        if (*text == '-' && !leading_u64(text + 1, &text, &last)) return false;
        if (last < first) return false;
        uint64_t more = last - first >= LIST_MAX ? LIST_MAX + 1 : last - first + 1;
        n = n > LIST_MAX ? n : n + more; /* past the limit it need not grow */
    } while (*text++ == ',');
    return text[-1] == '\0' && n > LIST_MAX;
}

static bool add_number(const char **text, struct f64_list *list)
{
    char *end;
    if (list->n == NUMBERS_MAX || **text == '\0' || isspace((unsigned char)**text)) return false;
    double value = strtod(*text, &end);
    if (end == *text || !isfinite(value)) return false;
    list->at[list->n++] = value;
    *text = end;
    return true;
}

bool parse_numbers(const char *text, struct f64_list *out)
{
    struct f64_list list = {.at = malloc(NUMBERS_MAX * sizeof(double))};
    bool fine = list.at != NULL && add_number(&text, &list);
    while (fine && *text == ',') {
        text++;
        fine = add_number(&text, &list);
    }
    if (fine && *text == '\0') {
        *out = list;
        return true;
    }
    free(list.at);
    return false;
}

bool parse_layers(const char *text, struct truekv_layers *out)
{
    uint64_t begin = 0, end;
    if (*text != ':' && !leading_u64(text, &text, &begin)) return false;
    if (*text == '\0') {
        end = begin + 1;
    } else if (*text != ':' || !parse_u64(text + 1, &end)) {
        return false;
    }
    if (end > UINT32_MAX || begin >= end) return false;
    *out = (struct truekv_layers){(uint32_t)begin, (uint32_t)end};
    return true;
}

bool parse_seconds(const char *text, int *ms)
{
    char *end;
    if (!isdigit((unsigned char)*text) && *text != '.') return false;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds * 1000 <= INT_MAX)) return false;
    *ms = seconds > 0 && seconds < 0.001 ? 1 : (int)(seconds * 1000);
    if (*ms == 0) *ms = -1;
    return true;
}
