/* parse.h - numbers, lists and ranges as people write them on a command line. Any thread; pure. */
#ifndef TRUEKV_COMMAND_PARSE_H
#define TRUEKV_COMMAND_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/c/truekv.h"

enum {
    LIST_MAX = 4096,    /* members of one list: as many as a request may name sequences */
    NUMBERS_MAX = 65536 /* of one list of any numbers */
};

struct u64_list {
    uint64_t *at; /* owned: free() */
    size_t n;
};

struct f64_list {
    double *at; /* owned: free() */
    size_t n;
};

/* Decimal digits alone. All of these: false, and *out untouched, where the text is not of the form.
 */
bool parse_u64(const char *text, uint64_t *out);

/* "1,2,5-9": at least one, at most LIST_MAX. */
bool parse_list(const char *text, struct u64_list *out);

/* Whether a text is of that form, and more than LIST_MAX is all that is wrong with it. */
bool list_is_too_long(const char *text);

/* "1,-0.5,2e3": finite numbers, at least one, at most NUMBERS_MAX. */
bool parse_numbers(const char *text, struct f64_list *out);

/* "B:E" is [B, E), ":E" begins at 0, "L" is one layer. Not empty. */
bool parse_layers(const char *text, struct truekv_layers *out);

/* "1.5" seconds into milliseconds; "0" is -1: no limit. At most 24 days. */
bool parse_seconds(const char *text, int *ms);

#endif
