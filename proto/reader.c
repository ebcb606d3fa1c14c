#include "proto/reader.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/number.h"
#include "proto/text.h"

/* What stands for U+0000 in the text that cJSON has parsed: mend.h. */
static const char nul_stand_in[] = "\xef\xbf\xbf";

const char *tkv_describe(const cJSON *value, char out[TKV_SHORT_BYTES])
{
    if (cJSON_IsString(value)) return tkv_text_short(value->valuestring, out, TKV_SHORT_BYTES);
    if (cJSON_IsNumber(value)) {
        char text[TKV_NUMBER_CHARS];
        tkv_format_double(value->valuedouble, text);
        snprintf(out, TKV_SHORT_BYTES, "%s", isfinite(value->valuedouble) ? text : "a huge number");
        return out;
    }
    if (cJSON_IsArray(value)) {
        snprintf(out, TKV_SHORT_BYTES, "an array of %d", cJSON_GetArraySize(value));
        return out;
    }
    const char *word = cJSON_IsNull(value)     ? "null"
                       : cJSON_IsTrue(value)   ? "true"
                       : cJSON_IsFalse(value)  ? "false"
                       : cJSON_IsObject(value) ? "an object"
                                               : "nothing";
    snprintf(out, TKV_SHORT_BYTES, "%s", word);
    return out;
}

enum tkv_status tkv_refuse(struct tkv_reader *reader, const char *name, const char *what,
                           const cJSON *value)
{
    char text[TKV_SHORT_BYTES];
    return tkv_error_param(reader->error, name, "%s must be %s, not %s", name, what,
                           tkv_describe(value, text));
}

bool tkv_is_integer(const cJSON *value, uint64_t min, uint64_t max, uint64_t *out)
{
    assert(max <= TKV_SEQ_MAX); /* so every bound is exact as a double */
    if (!cJSON_IsNumber(value)) return false;
    double number = value->valuedouble;
    if (!(number >= (double)min && number <= (double)max) || number != floor(number)) return false;
    *out = (uint64_t)number;
    return true;
}

static enum tkv_status refuse_number(struct tkv_reader *reader, const struct tkv_field *field,
                                     const cJSON *value)
{
    char what[80];
    snprintf(what, sizeof what, "an integer from %llu to %llu", (unsigned long long)field->min,
             (unsigned long long)field->max);
    return tkv_refuse(reader, field->name, what, value);
}

enum tkv_status tkv_read_u64(struct tkv_reader *reader, const struct tkv_field *field,
                             const cJSON *value, void *to)
{
    if (tkv_is_integer(value, field->min, field->max, to)) return TKV_OK;
    return refuse_number(reader, field, value);
}

enum tkv_status tkv_read_u32(struct tkv_reader *reader, const struct tkv_field *field,
                             const cJSON *value, void *to)
{
    uint64_t number;
    assert(field->max <= UINT32_MAX);
    if (!tkv_is_integer(value, field->min, field->max, &number))
        return refuse_number(reader, field, value);
    *(uint32_t *)to = (uint32_t)number;
    return TKV_OK;
}

enum tkv_status tkv_read_bool(struct tkv_reader *reader, const struct tkv_field *field,
                              const cJSON *value, void *to)
{
    if (!cJSON_IsBool(value)) return tkv_refuse(reader, field->name, "true or false", value);
    *(bool *)to = cJSON_IsTrue(value);
    return TKV_OK;
}

enum tkv_status tkv_read_maybe(struct tkv_reader *reader, const struct tkv_field *field,
                               const cJSON *value, void *to)
{
    struct tkv_maybe *maybe = to;
    maybe->given = true;
    return tkv_read_u64(reader, field, value, &maybe->value);
}

enum tkv_status tkv_read_dtype(struct tkv_reader *reader, const struct tkv_field *field,
                               const cJSON *value, void *to)
{
    struct tkv_maybe_dtype *maybe = to;
    maybe->given = cJSON_IsString(value) && tkv_dtype_from_word(value->valuestring, &maybe->value);
    if (maybe->given) return TKV_OK;
    return tkv_refuse(reader, field->name, "\"f16\", \"bf16\" or \"f32\"", value);
}

enum tkv_status tkv_read_layers(struct tkv_reader *reader, const struct tkv_field *field,
                                const cJSON *value, void *to)
{
    struct tkv_layer_range *range = to;
    uint64_t begin, end;
    const cJSON *first = cJSON_IsArray(value) ? value->child : NULL;
    const cJSON *second = first != NULL ? first->next : NULL;
    if (second == NULL || second->next != NULL)
        return tkv_refuse(reader, field->name, "an array [begin, end]", value);
    if (!tkv_is_integer(first, 0, UINT32_MAX, &begin) ||
        !tkv_is_integer(second, 1, UINT32_MAX, &end) || begin >= end) {
        char a[TKV_SHORT_BYTES], b[TKV_SHORT_BYTES];
        return tkv_error_param(reader->error, field->name,
                               "layers must be integers 0 <= begin < end, not [%s, %s]",
                               tkv_describe(first, a), tkv_describe(second, b));
    }
    *range =
        (struct tkv_layer_range){.given = true, .begin = (uint32_t)begin, .end = (uint32_t)end};
    return TKV_OK;
}

enum tkv_status tkv_read_text(struct tkv_reader *reader, const struct tkv_field *field,
                              const cJSON *value, void *to)
{
    if (!cJSON_IsString(value)) return tkv_refuse(reader, field->name, "a string", value);
    if (field->max > 0 && strlen(value->valuestring) > field->max)
        return tkv_error_param(reader->error, field->name, "%s is longer than %llu bytes",
                               field->name, (unsigned long long)field->max);
    if (strstr(value->valuestring, nul_stand_in) != NULL)
        return tkv_error_param(reader->error, field->name, "%s must not hold U+0000 or U+FFFF",
                               field->name);
    *(const char **)to = value->valuestring;
    return TKV_OK;
}

enum tkv_status tkv_read_value(struct tkv_reader *reader, const struct tkv_field *field,
                               const cJSON *value, void *to)
{
    *(const cJSON **)to = value;
    return TKV_OK;
}

static enum tkv_status refuse_entry(struct tkv_reader *reader, const struct tkv_field *field,
                                    size_t i, const cJSON *entry)
{
    char text[TKV_SHORT_BYTES];
    return tkv_error_param(reader->error, field->name,
                           "%s[%zu] must be an integer from %llu to %llu, not %s", field->name, i,
                           (unsigned long long)field->min, (unsigned long long)field->max,
                           tkv_describe(entry, text));
}

enum tkv_status tkv_read_numbers(struct tkv_reader *reader, const struct tkv_field *field,
                                 const cJSON *value, size_t m, size_t *n, uint64_t **out)
{
    size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 0, i = 0;
    const cJSON *entry;
    if (count == 0) return tkv_refuse(reader, field->name, "an array of integers", value);
    if (m > 0 && count != m)
        return tkv_error_param(reader->error, field->name, "%s has %zu entries, seqs has %zu",
                               field->name, count, m);
    if (count > TKV_SEQS_MAX) {
        tkv_error_set(reader->error, TKV_ETOOLARGE, "%s has %zu entries, at most %d are allowed",
                      field->name, count, TKV_SEQS_MAX);
        tkv_error_number(reader->error, limit, TKV_SEQS_MAX);
        tkv_error_number(reader->error, size, count);
        return TKV_ETOOLARGE;
    }
    uint64_t *numbers = tkv_arena_take(reader->arena, count, sizeof *numbers);
    if (numbers == NULL) return tkv_error_set(reader->error, TKV_ENOMEM, "out of memory");
    cJSON_ArrayForEach(entry, value)
    {
        if (!tkv_is_integer(entry, field->min, field->max, &numbers[i]))
            return refuse_entry(reader, field, i, entry);
        i++;
    }
    *n = count;
    *out = numbers;
    return TKV_OK;
}

/* The field for a member, or NULL after an error has been set. */
static const struct tkv_field *find_field(struct tkv_reader *reader, const cJSON *member,
                                          const char *prefix, const struct tkv_field *fields)
{
    size_t skip = strlen(prefix);
    for (const struct tkv_field *field = fields; field->name != NULL; field++) {
        if (strcmp(field->name + skip, member->string) == 0) return field;
    }
    char name[sizeof reader->error->param + 1], text[TKV_SHORT_BYTES];
    snprintf(name, sizeof name, "%s%s", prefix, member->string);
    tkv_error_param(reader->error, name, "unknown parameter %s",
                    tkv_text_short(name, text, sizeof text));
    return NULL;
}

enum tkv_status tkv_read_fields(struct tkv_reader *reader, const cJSON *object, const char *prefix,
                                const struct tkv_field *fields, void *to)
{
    uint32_t seen = 0;
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        const struct tkv_field *field = find_field(reader, member, prefix, fields);
        if (field == NULL) return TKV_EINVAL;
        enum tkv_status st = field->read(reader, field, member, (char *)to + field->at);
        if (st != TKV_OK) return st;
        seen |= 1u << (field - fields);
    }
    for (const struct tkv_field *field = fields; field->name != NULL; field++) {
        if (field->required && (seen & 1u << (field - fields)) == 0)
            return tkv_error_param(reader->error, field->name, "%s is missing", field->name);
    }
    return TKV_OK;
}
