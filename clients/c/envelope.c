#include "clients/c/envelope.h"

#include <string.h>

/* A place in the line. What a value holds is the parser's business later; here only strings and
 * brackets must come out even. */
struct scan {
    const char *text;
    size_t at, len;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->len && strchr(" \t\r\n", s->text[s->at]) != NULL && s->text[s->at] != '\0')
        s->at++;
}

static bool take(struct scan *s, char c)
{
    skip_space(s);
    if (s->at >= s->len || s->text[s->at] != c) return false;
    s->at++;
    return true;
}

static bool skip_string(struct scan *s)
{
    if (!take(s, '"')) return false;
    for (; s->at < s->len; s->at++) {
        char c = s->text[s->at];
        if (c == '\\') {
            s->at++;
        } else if (c == '"') {
            s->at++;
            return true;
        }
    }
    return false;
}

/* An object or an array, to its closing bracket. */
static bool skip_nested(struct scan *s)
{
    size_t depth = 0;
    while (s->at < s->len) {
        char c = s->text[s->at];
        if (c == '"') {
            if (!skip_string(s)) return false;
            continue;
        }
        s->at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return true;
    }
    return false;
}

static bool skip_value(struct scan *s, struct tkc_slice *value)
{
    skip_space(s);
    value->at = s->at;
    if (s->at >= s->len) return false;
    char c = s->text[s->at];
    bool fine = true;
    if (c == '"') {
        fine = skip_string(s);
    } else if (c == '{' || c == '[') {
        fine = skip_nested(s);
    } else {
        while (s->at < s->len && strchr(",}] \t\r\n", s->text[s->at]) == NULL)
            s->at++;
    }
    value->len = s->at - value->at;
    return fine && value->len > 0;
}

/* Digits alone, as ids and payload sizes are. */
static bool number_of(const char *text, size_t len, uint64_t *out)
{
    uint64_t value = 0;
    if (len == 0) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        if (__builtin_mul_overflow(value, 10u, &value)) return false;
        if (__builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value)) return false;
    }
    *out = value;
    return true;
}

static bool is(const struct scan *s, struct tkc_slice name, const char *word)
{
    size_t n = strlen(word);
    return name.len == n + 2 && memcmp(s->text + name.at + 1, word, n) == 0;
}

static bool keep(const struct scan *s, struct tkc_slice name, struct tkc_slice value,
                 struct tkc_envelope *out)
{
    const char *text = s->text + value.at;
    if (is(s, name, "result")) out->result = value;
    if (is(s, name, "error")) out->error = value;
    if (is(s, name, "payload")) return number_of(text, value.len, &out->payload_bytes);
    if (!is(s, name, "id") || text[0] == '"' || text[0] == 'n') return true;
    out->has_id = number_of(text, value.len, &out->id);
    return out->has_id;
}

bool tkc_envelope_scan(const char *line, size_t len, struct tkc_envelope *out)
{
    struct scan s = {.text = line, .len = len};
    *out = (struct tkc_envelope){0};
    if (!take(&s, '{')) return false;
    if (take(&s, '}')) return true;
    do {
        struct tkc_slice name, value;
        skip_space(&s);
        name.at = s.at;
        if (!skip_string(&s)) return false;
        name.len = s.at - name.at;
        if (!take(&s, ':') || !skip_value(&s, &value)) return false;
        if (!keep(&s, name, value, out)) return false;
    } while (take(&s, ','));
    if (!take(&s, '}')) return false;
    skip_space(&s);
    return s.at == s.len;
}
