/* scan.h - what else the gate learns on its way through a text, and walking over a text that it
 * has passed. Any thread. */
#ifndef TKV_PROTO_SCAN_H
#define TKV_PROTO_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/gate.h"

/* What cJSON could not cope with, though it is JSON. */
struct tkv_gate_facts {
    bool nul_escape;       /* some string holds the escape of U+0000 */
    size_t longest_number; /* in characters */
};

/* tkv_gate_check(), and *facts where it is TKV_OK. */
enum tkv_status tkv_gate_scan(const char *text, size_t len, struct tkv_gate_facts *facts,
                              struct tkv_gate_error *err);

/* Walking: p stands anywhere in a text that the gate has passed; nothing is checked again. */
const char *tkv_skip_space(const char *p, const char *end);

/* Behind the value that starts at p. */
const char *tkv_skip_value(const char *p, const char *end);

#endif
