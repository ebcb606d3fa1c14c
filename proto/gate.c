#include "proto/gate.h"

#include <string.h>

#include "proto/keys.h"
#include "proto/number.h"
#include "proto/scan.h"
#include "proto/text.h"

/* An object or array that is open. */
struct level {
    bool is_object;
    size_t first_key; /* number of its first key in the table */
};

/* What may stand at p next. */
enum expect {
    EXPECT_VALUE,
    EXPECT_FIRST_VALUE, /* or ']' */
    EXPECT_KEY,
    EXPECT_FIRST_KEY, /* or '}' */
    EXPECT_END,       /* of a value: ',' or a closing bracket */
    EXPECT_NOTHING
};

struct gate {
    const char *p, *end;
    const char *what, *where; /* what is wrong; NULL: nothing yet */
    enum tkv_status status;
    enum expect expect;
    unsigned depth;
    struct level levels[TKV_JSON_DEPTH];
    struct tkv_keys keys;
    struct tkv_gate_facts facts;
};

static void fail(struct gate *g, const char *where, const char *what)
{
    g->status = TKV_EPARSE;
    g->where = where;
    g->what = what;
}

/* Behind the backslash at p. */
static const char *scan_escape(struct gate *g, const char *p)
{
    if (p + 1 < g->end && p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL) return p + 2;
    int32_t unit = p + 1 < g->end && p[1] == 'u' ? tkv_hex4(p + 2, g->end) : -1;
    if (unit < 0) {
        fail(g, p, "invalid escape");
        return g->end;
    }
    if (unit == 0) g->facts.nul_escape = true;
    if (unit < 0xd800 || unit > 0xdfff) return p + 6;
    int32_t low = -1;
    if (unit < 0xdc00 && g->end - p >= 12 && p[6] == '\\' && p[7] == 'u')
        low = tkv_hex4(p + 8, g->end);
    if (low >= 0xdc00 && low <= 0xdfff) return p + 12;
    fail(g, p, "half of a surrogate pair");
    return g->end;
}

/* The string whose opening quote is at g->p. */
static void scan_string(struct gate *g)
{
    const char *p = g->p + 1;
    while (p < g->end) {
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            g->p = p + 1;
            return;
        }
        if (c == '\\') {
            p = scan_escape(g, p);
        } else if (c < 0x20) {
            fail(g, p, "control character in a string");
            return;
        } else if (c < 0x80) {
            p++;
        } else {
            size_t length = tkv_utf8_length(p, (size_t)(g->end - p));
            if (length == 0) {
                fail(g, p, "invalid UTF-8");
                return;
            }
            p += length;
        }
    }
    if (g->what == NULL) fail(g, g->p, "string without end");
}

static void scan_number(struct gate *g)
{
    static const char *const faults[] = {
        [TKV_NUMBER_BROKEN] = "invalid number",
        [TKV_NUMBER_TOO_LARGE] = "number out of range",
        [TKV_NUMBER_INEXACT] = "number has more digits than a double holds",
    };
    enum tkv_number_fault fault;
    size_t length = tkv_number_check(g->p, (size_t)(g->end - g->p), &fault);
    if (fault != TKV_NUMBER_FINE) {
        fail(g, fault == TKV_NUMBER_BROKEN ? g->p + length : g->p, faults[fault]);
        return;
    }
    if (length > g->facts.longest_number) g->facts.longest_number = length;
    g->p += length;
}

static void scan_word(struct gate *g)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t left = (size_t)(g->end - g->p);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        if (left < length || memcmp(g->p, words[i], length) != 0) continue;
        g->p += length;
        return;
    }
    fail(g, g->p, "value expected");
}

static void open_level(struct gate *g, bool is_object)
{
    if (g->depth == TKV_JSON_DEPTH) {
        fail(g, g->p, "nested more than 16 deep");
        return;
    }
    g->levels[g->depth++] = (struct level){.is_object = is_object, .first_key = g->keys.n};
    g->expect = is_object ? EXPECT_FIRST_KEY : EXPECT_FIRST_VALUE;
    g->p++;
}

static void close_level(struct gate *g)
{
    const struct level *level = &g->levels[--g->depth];
    if (level->is_object) {
        const char *twice = tkv_keys_end_object(&g->keys, level->first_key);
        if (twice != NULL) fail(g, twice - 1, "key stands twice in an object");
    }
    g->expect = g->depth > 0 ? EXPECT_END : EXPECT_NOTHING;
    g->p++;
}

static void scan_value(struct gate *g)
{
    char c = *g->p;
    if (c == '{' || c == '[') {
        open_level(g, c == '{');
        return;
    }
    if (c == '"') {
        scan_string(g);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        scan_number(g);
    } else {
        scan_word(g);
    }
    g->expect = g->depth > 0 ? EXPECT_END : EXPECT_NOTHING;
}

static void scan_key(struct gate *g)
{
    const char *key = g->p + 1;
    if (*g->p != '"') {
        fail(g, g->p, "key expected");
        return;
    }
    scan_string(g);
    if (g->what != NULL) return;
    if (tkv_keys_add(&g->keys, key) != TKV_OK) {
        fail(g, g->p, "out of memory");
        g->status = TKV_ENOMEM;
        return;
    }
    g->p = tkv_skip_space(g->p, g->end);
    if (g->p == g->end || *g->p != ':') {
        fail(g, g->p, "':' expected");
        return;
    }
    g->p++;
    g->expect = EXPECT_VALUE;
}

static void scan_end(struct gate *g)
{
    bool in_object = g->levels[g->depth - 1].is_object;
    if (*g->p == ',') {
        g->p++;
        g->expect = in_object ? EXPECT_KEY : EXPECT_VALUE;
    } else if (*g->p == (in_object ? '}' : ']')) {
        close_level(g);
    } else {
        fail(g, g->p, in_object ? "',' or '}' expected" : "',' or ']' expected");
    }
}

/* One token; a space before it has been skipped, and there is at least one more byte. */
static void scan_token(struct gate *g)
{
    switch (g->expect) {
    case EXPECT_FIRST_VALUE:
        if (*g->p == ']')
            close_level(g);
        else
            scan_value(g);
        break;
    case EXPECT_VALUE: scan_value(g); break;
    case EXPECT_FIRST_KEY:
        if (*g->p == '}')
            close_level(g);
        else
            scan_key(g);
        break;
    case EXPECT_KEY: scan_key(g); break;
    case EXPECT_END: scan_end(g); break;
    case EXPECT_NOTHING: fail(g, g->p, "text after the value"); break;
    }
}

enum tkv_status tkv_gate_scan(const char *text, size_t len, struct tkv_gate_facts *facts,
                              struct tkv_gate_error *err)
{
    struct gate g;
    g.p = text;
    g.end = text + len;
    g.what = g.where = NULL;
    g.status = TKV_OK;
    g.expect = EXPECT_VALUE;
    g.depth = 0;
    g.facts = (struct tkv_gate_facts){0};
    tkv_keys_init(&g.keys);
    while (g.what == NULL && (g.p = tkv_skip_space(g.p, g.end)) < g.end)
        scan_token(&g);
    if (g.what == NULL && g.expect != EXPECT_NOTHING) fail(&g, g.end, "text ends too early");
    tkv_keys_close(&g.keys);
    if (g.what != NULL)
        *err = (struct tkv_gate_error){.what = g.what, .offset = (size_t)(g.where - text)};
    else
        *facts = g.facts;
    return g.status;
}

enum tkv_status tkv_gate_check(const char *text, size_t len, struct tkv_gate_error *err)
{
    struct tkv_gate_facts facts;
    return tkv_gate_scan(text, len, &facts, err);
}
