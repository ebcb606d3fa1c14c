#include "base/sizes.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char suffixes[] = "KMGT";

/* "", "B", "K", "KB", "KiB" and so on: how many times 1024, or -1. */
static int power_of(const char *suffix)
{
    if (suffix[0] == '\0' || strcmp(suffix, "B") == 0) return 0;
    const char *at = strchr(suffixes, toupper((unsigned char)suffix[0]));
    if (at == NULL) return -1;
    const char *rest = suffix + 1;
    if (rest[0] != '\0' && strcmp(rest, "B") != 0 && strcmp(rest, "iB") != 0) return -1;
    return (int)(at - suffixes) + 1;
}

enum tkv_status tkv_parse_size(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    if (!isdigit((unsigned char)*p)) return TKV_EINVAL;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(value, 10u, &value)) return TKV_ERANGE;
        if (__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) return TKV_ERANGE;
    }
    int power = power_of(p);
    if (power < 0) return TKV_EINVAL;
    for (; power > 0; power--) {
        if (__builtin_mul_overflow(value, 1024u, &value)) return TKV_ERANGE;
    }
    if (value > INT64_MAX) return TKV_ERANGE;
    *out = value;
    return TKV_OK;
}

const char *tkv_format_size(uint64_t bytes, char *out, unsigned size)
{
    double value = (double)bytes;
    int power = 0;
    for (; value >= 1024 && power < 4; power++)
        value /= 1024;
    if (power == 0)
        snprintf(out, size, "%llu B", (unsigned long long)bytes);
    else
        snprintf(out, size, "%.1f %ciB", value, suffixes[power - 1]);
    return out;
}
