/* report.h - what debug.verify, debug.scrub and debug.selftest found, for people. One thread. */
#ifndef TRUEKV_COMMAND_REPORT_H
#define TRUEKV_COMMAND_REPORT_H

#include "clients/c/command/json_in.h"
#include "clients/c/command/out.h"

/* What there is to say beside a report, sentences; "" where there is nothing. */
struct report_beside {
    const char *part;    /* on what was left out as the command line asked */
    const char *planted; /* on faults that debug.inject armed */
    const char *earlier; /* that something else was found before */
    bool saved;          /* the report is saved already: nobody need be told to */
};

/* result: debug.verify's, as the protocol says; members that are missing or new do no harm. The
 * verdict comes first, with its reach and what is said beside it (NULL: nothing), then a paragraph
 * for each thing that went wrong, what that means and what to do about it, then the numbers. all:
 * every row of them. */
void report_verify(struct out *o, const cJSON *result, const struct report_beside *beside,
                   bool all);

/* result: debug.scrub's. The verdict, then where the damage is, then what to do. */
void report_scrub(struct out *o, const cJSON *result);

/* What result.skipped counts; what: what those are; means: why they were skipped. */
void report_skipped(struct out *o, const cJSON *result, const char *what,
                    const char *(*means)(const char *reason));

/* result: debug.selftest's. */
void report_selftest(struct out *o, const cJSON *result);

#endif
