/* json_in.h - members of an answer, for printing: what is absent has a value all the same. Pure. */
#ifndef TRUEKV_COMMAND_JSON_IN_H
#define TRUEKV_COMMAND_JSON_IN_H

#include <cjson/cJSON.h>
#include <math.h>
#include <stdint.h>

/* NAN where it is absent or no number. */
static inline double json_number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

/* 0 where it is absent, or no number from 0 to 2^63. */
static inline uint64_t json_count(const cJSON *object, const char *name)
{
    double value = json_number(object, name);
    return value >= 0 && value < 9.2e18 ? (uint64_t)value : 0;
}

/* NULL where it is absent or no string. */
static inline const char *json_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

#endif
