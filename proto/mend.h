/* mend.h - text that the gate has passed and cJSON 1.7.15 would misread, written differently.
 * cJSON ends a string at an escaped U+0000 and a number after 63 characters. */
#ifndef TKV_PROTO_MEND_H
#define TKV_PROTO_MEND_H

#include <stdbool.h>

#include "proto/scan.h"

/* Whether cJSON must not see the text as it is. */
bool tkv_mend_needed(const struct tkv_gate_facts *facts);

/* A copy of at most len bytes (*out_len; caller frees it) with U+FFFF in place of each escaped
 * U+0000, and long numbers written short, with the same double. NULL: out of memory. */
char *tkv_mend(const char *text, size_t len, size_t *out_len);

#endif
