#include "proto/quick.h"

#include <string.h>

enum { DIGITS_MAX = 19 }; /* of a number: any of so many fit into 64 bits */

enum member {
    JSONRPC = 1 << 0,
    ID = 1 << 1,
    METHOD = 1 << 2,
    PARAMS = 1 << 3,
    PAYLOAD = 1 << 4,
    SEQS = 1 << 5,
    POS = 1 << 6,
    TOKENS = 1 << 7,
    LAYERS = 1 << 8,
    DTYPE = 1 << 9,
    REQUIRED = JSONRPC | METHOD | PARAMS | PAYLOAD | SEQS
};

struct list {
    size_t n;
    uint64_t entries[TKV_QUICK_ITEMS_MAX];
};

/* What has been read of a line. It stays here until all of the line is known to be right. */
struct quick {
    const char *p;
    const char *last; /* the brace that ends the line. Nothing but a string's text and a brace may
                         pass one, so only those two look where they are; p <= last */
    unsigned seen;    /* bits of enum member */
    const char *id;
    size_t id_len;
    uint64_t payload, tokens_of_all;
    struct tkv_layer_range layers;
    struct tkv_maybe_dtype dtype;
    struct list seqs, pos, tokens; /* n is 0 where there is no such array */
};

static void skip_spaces(struct quick *q)
{
    while (*q->p == ' ')
        q->p++;
}

static bool take_byte(struct quick *q, char c)
{
    if (*q->p != c) return false;
    q->p++;
    return true;
}

/* A text without a brace. Inlined: its length is then known, and the comparison is a load or two.
 */
static inline __attribute__((always_inline)) bool take_text(struct quick *q, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(q->last - q->p) < n || memcmp(q->p, text, n) != 0) return false;
    q->p += n;
    return true;
}

/* The colon behind a member's name. A name that stands twice is an error: not ours. */
static bool take_colon(struct quick *q, enum member member)
{
    if ((q->seen & member) != 0) return false;
    q->seen |= member;
    skip_spaces(q);
    if (!take_byte(q, ':')) return false;
    skip_spaces(q);
    return true;
}

/* Digits. What may follow them is the caller's to know: a fraction or an exponent is not. */
static bool take_number(struct quick *q, uint64_t min, uint64_t max, uint64_t *out)
{
    const char *first = q->p, *p = first;
    uint64_t value = 0;
    for (unsigned digit; (digit = (unsigned)*p - '0') <= 9; p++)
        value = value * 10 + digit;
    size_t n = (size_t)(p - first);
    if (n == 0 || n > DIGITS_MAX || (n > 1 && *first == '0')) return false;
    if (value < min || value > max) return false;
    q->p = p;
    *out = value;
    return true;
}

static bool take_list(struct quick *q, uint64_t min, uint64_t max, struct list *out)
{
    size_t n = 0;
    if (!take_byte(q, '[')) return false;
    do {
        if (n == TKV_QUICK_ITEMS_MAX) return false;
        skip_spaces(q);
        if (!take_number(q, min, max, &out->entries[n++])) return false;
        skip_spaces(q);
    } while (take_byte(q, ','));
    out->n = n;
    return take_byte(q, ']');
}

/* A string of printable ASCII, or an integer; as it is spelled. */
static bool take_id(struct quick *q)
{
    uint64_t number;
    const char *first = q->p, *p = first + 1;
    if (*first == '"') {
        while (p < q->last && *p >= ' ' && *p <= '~' && *p != '"' && *p != '\\')
            p++;
        if (*p != '"') return false;
        q->p = p + 1;
    } else if (!take_number(q, 0, UINT64_MAX, &number)) {
        return false;
    }
    q->id = first;
    q->id_len = (size_t)(q->p - first);
    return true;
}

static bool take_tokens(struct quick *q)
{
    if (*q->p == '[') return take_list(q, 1, UINT32_MAX, &q->tokens);
    return take_number(q, 1, UINT32_MAX, &q->tokens_of_all);
}

static bool take_layers(struct quick *q)
{
    uint64_t begin, end;
    if (!take_byte(q, '[')) return false;
    skip_spaces(q);
    if (!take_number(q, 0, UINT32_MAX, &begin)) return false;
    skip_spaces(q);
    if (!take_byte(q, ',')) return false;
    skip_spaces(q);
    if (!take_number(q, 1, UINT32_MAX, &end) || begin >= end) return false;
    skip_spaces(q);
    q->layers =
        (struct tkv_layer_range){.given = true, .begin = (uint32_t)begin, .end = (uint32_t)end};
    return take_byte(q, ']');
}

static bool take_dtype(struct quick *q)
{
    q->dtype.given = true;
    if (take_text(q, "\"f16\""))
        q->dtype.value = TKV_F16;
    else if (take_text(q, "\"bf16\""))
        q->dtype.value = TKV_BF16;
    else if (take_text(q, "\"f32\""))
        q->dtype.value = TKV_F32;
    else
        return false;
    return true;
}

/* Once a name has been taken its value must follow: there is no trying on. */
static bool take_param(struct quick *q)
{
    if (take_text(q, "\"seqs\""))
        return take_colon(q, SEQS) && take_list(q, 0, TKV_SEQ_MAX, &q->seqs);
    if (take_text(q, "\"pos\"")) return take_colon(q, POS) && take_list(q, 0, TKV_SEQ_MAX, &q->pos);
    if (take_text(q, "\"tokens\"")) return take_colon(q, TOKENS) && take_tokens(q);
    if (take_text(q, "\"layers\"")) return take_colon(q, LAYERS) && take_layers(q);
    if (take_text(q, "\"dtype\"")) return take_colon(q, DTYPE) && take_dtype(q);
    return false;
}

static bool take_params(struct quick *q)
{
    if (!take_byte(q, '{')) return false;
    do {
        skip_spaces(q);
        if (!take_param(q)) return false;
        skip_spaces(q);
    } while (take_byte(q, ','));
    return q->p < q->last && take_byte(q, '}');
}

static bool take_member(struct quick *q)
{
    if (take_text(q, "\"jsonrpc\"")) return take_colon(q, JSONRPC) && take_text(q, "\"2.0\"");
    if (take_text(q, "\"id\"")) return take_colon(q, ID) && take_id(q);
    if (take_text(q, "\"method\"")) return take_colon(q, METHOD) && take_text(q, "\"seq.append\"");
    if (take_text(q, "\"params\"")) return take_colon(q, PARAMS) && take_params(q);
    if (take_text(q, "\"payload\""))
        return take_colon(q, PAYLOAD) && take_number(q, 1, TKV_SEQ_MAX, &q->payload);
    return false;
}

static bool take_line(struct quick *q)
{
    skip_spaces(q);
    if (!take_byte(q, '{')) return false;
    do {
        skip_spaces(q);
        if (!take_member(q)) return false;
        skip_spaces(q);
    } while (take_byte(q, ','));
    return q->p == q->last;
}

static bool is_whole(const struct quick *q)
{
    size_t m = q->seqs.n;
    return (q->seen & REQUIRED) == REQUIRED && (q->pos.n == 0 || q->pos.n == m) &&
           (q->tokens.n == 0 || q->tokens.n == m);
}

/* Arrays and id are one piece of memory. */
static void fill(const struct quick *q, struct tkv_request *request, struct tkv_arena *arena)
{
    struct tkv_seq_append *append = &request->params.seq_append;
    size_t m = q->seqs.n, rows = q->pos.n > 0 ? 2 : 1;
    uint64_t *seqs =
        tkv_arena_take(arena, 1, m * (rows * sizeof *seqs + sizeof *append->tokens) + q->id_len);
    if (seqs == NULL) return;
    uint32_t *tokens = (uint32_t *)(seqs + rows * m);
    memcpy(seqs, q->seqs.entries, m * sizeof *seqs);
    if (rows == 2) memcpy(seqs + m, q->pos.entries, m * sizeof *seqs);
    for (size_t i = 0; i < m; i++)
        tokens[i] = (uint32_t)(q->tokens.n > 0 ? q->tokens.entries[i] : q->tokens_of_all);
    request->method = TKV_METHOD_SEQ_APPEND;
    request->payload_bytes = q->payload;
    request->notification = q->id == NULL;
    if (q->id != NULL) {
        request->id = memcpy(tokens + m, q->id, q->id_len);
        request->id_len = q->id_len;
    }
    append->m = m;
    append->seqs = seqs;
    append->pos = rows == 2 ? seqs + m : NULL;
    append->tokens = tokens;
    append->layers = q->layers;
    append->dtype = q->dtype;
    append->source = TKV_SOURCE_PAYLOAD;
}

bool tkv_quick_append(const char *line, size_t len, struct tkv_request *request,
                      struct tkv_arena *arena)
{
    struct quick q; /* not zeroed as a whole: most of it is room for long lists */
    while (len > 0 && line[len - 1] == ' ')
        len--;
    if (len == 0 || line[len - 1] != '}') return false;
    q.p = line;
    q.last = line + len - 1;
    q.seen = 0;
    q.id = NULL;
    q.id_len = 0;
    q.tokens_of_all = 1;
    q.layers = (struct tkv_layer_range){0};
    q.dtype = (struct tkv_maybe_dtype){0};
    q.seqs.n = q.pos.n = q.tokens.n = 0;
    if (!take_line(&q) || !is_whole(&q)) return false;
    fill(&q, request, arena);
    return true;
}
