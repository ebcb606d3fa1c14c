/* envelope.h - the members of an answer's outermost object, found without parsing what is in them.
 * Any thread; borrows the line. */
#ifndef TRUEKV_ENVELOPE_H
#define TRUEKV_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value's text within the line; len 0: no such member. */
struct tkc_slice {
    size_t at, len;
};

struct tkc_envelope {
    bool has_id; /* a number; else null, a string or absent */
    uint64_t id;
    struct tkc_slice result, error;
    uint64_t payload_bytes;
};

/* false: the line is no object, or its id or payload is not what the protocol says. */
bool tkc_envelope_scan(const char *line, size_t len, struct tkc_envelope *out);

#endif
