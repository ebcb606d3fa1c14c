/* gate.h - the strict check of JSON text that runs before cJSON sees it.
 * RFC 8259, and besides: valid UTF-8 (no surrogates, no overlong forms), one value and nothing
 * after it, at most TKV_JSON_DEPTH levels of nesting, no duplicate keys (compared after
 * unescaping), and numbers that a double holds without turning a fraction into an integer. cJSON
 * alone accepts a good part of what this refuses. Any thread; allocates nothing but a bounded table
 * for keys. */
#ifndef TKV_PROTO_GATE_H
#define TKV_PROTO_GATE_H

#include <stddef.h>

#include "base/status.h"

enum { TKV_JSON_DEPTH = 16 };

/* What was wrong, for people, and at which byte. */
struct tkv_gate_error {
    const char *what; /* constant text */
    size_t offset;
};

/* TKV_OK; TKV_EPARSE with *err filled; TKV_ENOMEM. */
enum tkv_status tkv_gate_check(const char *text, size_t len, struct tkv_gate_error *err);

#endif
