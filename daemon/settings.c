#include "daemon/settings.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"

enum { KEY_MAX = 64 };

#define START false
#define LIVE  true
#define LAST                                                     \
    {                                                            \
        NULL, TKV_SETTING_LIST, START, 0, 0, 0, 0, 0, NULL, NULL \
    }

#define ROW(type, key, kind, live, field, fallback, min, max, words, meaning) \
    {key,                                                                     \
     TKV_SETTING_##kind,                                                      \
     live,                                                                    \
     offsetof(type, field),                                                   \
     sizeof(((type *)NULL)->field),                                           \
     fallback,                                                                \
     min,                                                                     \
     max,                                                                     \
     words,                                                                   \
     meaning},

#define COUNT(key, field, when, fallback, min, max, meaning) \
    ROW(struct tkv_config, key, COUNT, when, field, fallback, min, max, NULL, meaning)
#define SIZE(key, field, when, fallback, min, max, meaning) \
    ROW(struct tkv_config, key, SIZE, when, field, fallback, min, max, NULL, meaning)
#define FLAG(key, field, when, fallback, meaning) \
    ROW(struct tkv_config, key, FLAG, when, field, fallback, 0, 1, NULL, meaning)
#define MODE(key, field, when, fallback, meaning) \
    ROW(struct tkv_config, key, MODE, when, field, fallback, 0, 0777, NULL, meaning)
#define WORD(key, field, when, words, fallback, meaning) \
    ROW(struct tkv_config, key, WORD, when, field, fallback, 0, 0, words, meaning)
#define PART(key, field, when, fallback, meaning) \
    ROW(struct tkv_config, key, PART, when, field, fallback, 0, TKV_WHOLE, NULL, meaning)
#define TEXT(key, field, when, meaning) \
    ROW(struct tkv_config, key, TEXT, when, field, 0, 0, 0, NULL, meaning)
#define LIST(key, when, fallback, meaning) \
    {key, TKV_SETTING_LIST, when, 0, 0, 0, 0, 0, fallback, meaning},

const struct tkv_setting tkv_settings[] = {
    TKV_SETTINGS(COUNT, SIZE, FLAG, MODE, WORD, PART, TEXT, LIST) LAST};

#undef COUNT
#undef WORD
#undef TEXT
#define COUNT(key, field, fallback, min, max, meaning) \
    ROW(struct tkv_model, key, COUNT, START, field, fallback, min, max, NULL, meaning)
#define WORD(key, field, words, fallback, meaning) \
    ROW(struct tkv_model, key, WORD, START, field, fallback, 0, 0, words, meaning)
#define TEXT(key, field, meaning) \
    ROW(struct tkv_model, key, TEXT, START, field, 0, 0, 0, NULL, meaning)

const struct tkv_setting tkv_model_settings[] = {TKV_MODEL_SETTINGS(COUNT, WORD, TEXT) LAST};

uint64_t tkv_setting_get(const struct tkv_setting *s, const void *base)
{
    const char *at = (const char *)base + s->offset;
    uint64_t wide;
    uint32_t narrow;
    assert(s->kind <= TKV_SETTING_WORD);
    switch (s->width) {
    case sizeof wide: memcpy(&wide, at, sizeof wide); return wide;
    case sizeof narrow: memcpy(&narrow, at, sizeof narrow); return narrow;
    default: assert(s->width == sizeof(bool)); return *(const bool *)at;
    }
}

void tkv_setting_set(const struct tkv_setting *s, void *base, uint64_t value)
{
    char *at = (char *)base + s->offset;
    uint32_t narrow = (uint32_t)value;
    assert(s->kind <= TKV_SETTING_WORD);
    switch (s->width) {
    case sizeof value: memcpy(at, &value, sizeof value); break;
    case sizeof narrow:
        assert(value == narrow);
        memcpy(at, &narrow, sizeof narrow);
        break;
    default: assert(s->width == sizeof(bool)); *(bool *)at = value != 0;
    }
}

const char *tkv_setting_text(const struct tkv_setting *s, const void *base)
{
    const char *text;
    assert(s->kind == TKV_SETTING_TEXT);
    memcpy(&text, (const char *)base + s->offset, sizeof text);
    return text;
}

void tkv_setting_set_text(const struct tkv_setting *s, void *base, char *text)
{
    assert(s->kind == TKV_SETTING_TEXT);
    memcpy((char *)base + s->offset, &text, sizeof text);
}

/* Word number n of words, in out. */
static void word_at(const char *words, uint64_t n, char *out, size_t size)
{
    for (; n > 0; n--)
        words = strchr(words, '|') + 1;
    snprintf(out, size, "%.*s", (int)strcspn(words, "|"), words);
}

/* The largest unit that divides the value, so that nothing is rounded. */
static void format_size(uint64_t value, char *out, size_t size)
{
    static const char units[] = "KMGT";
    int unit = -1;
    for (; unit < 3 && value > 0 && value % TKV_KIB == 0; unit++)
        value /= TKV_KIB;
    if (unit < 0)
        snprintf(out, size, "%" PRIu64, value);
    else
        snprintf(out, size, "%" PRIu64 "%c", value, units[unit]);
}

const char *tkv_setting_format(const struct tkv_setting *s, uint64_t value, char *out, size_t size)
{
    switch (s->kind) {
    case TKV_SETTING_COUNT: snprintf(out, size, "%" PRIu64, value); break;
    case TKV_SETTING_SIZE: format_size(value, out, size); break;
    case TKV_SETTING_FLAG: snprintf(out, size, "%s", value != 0 ? "true" : "false"); break;
    case TKV_SETTING_PART: snprintf(out, size, "%g", (double)value / TKV_WHOLE); break;
    case TKV_SETTING_MODE: snprintf(out, size, "\"%04o\"", (unsigned)value); break;
    case TKV_SETTING_WORD: word_at(s->words, value, out, size); break;
    case TKV_SETTING_TEXT: snprintf(out, size, "\"\""); break;
    case TKV_SETTING_LIST: snprintf(out, size, "%s", s->words != NULL ? s->words : "");
    }
    return out;
}

int tkv_words_find(const char *words, const char *word)
{
    for (int place = 0;; place++) {
        size_t n = strcspn(words, "|");
        if (strlen(word) == n && strncmp(words, word, n) == 0) return place;
        if (words[n] == '\0') return -1;
        words += n + 1;
    }
}

/* Edits (insert, remove, replace a character) that make b of a; both shorter than KEY_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t row[KEY_MAX], n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = corner + (a[i] != b[j]);
            corner = row[j + 1];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (corner + 1 < best) best = corner + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot != NULL ? dot + 1 : key;
}

const char *tkv_settings_nearest(const struct tkv_setting *table, const char *key)
{
    if (strlen(key) >= KEY_MAX) return NULL;
    const char *nearest = NULL;
    size_t least = strlen(last_part(key)) / 3 + 1; /* "a" resembles nothing, "bakcend" does */
    for (; table->key != NULL; table++) {
        size_t whole = distance(key, table->key);
        size_t last = distance(last_part(key), last_part(table->key)); /* right name, wrong group */
        size_t d = whole < last ? whole : last;
        if (d > least || (d == least && nearest != NULL)) continue;
        nearest = table->key;
        least = d;
    }
    return nearest;
}
