/* report.h - what debug.verify and debug.selftest found, for people. One thread. */
#ifndef TRUEKV_COMMAND_REPORT_H
#define TRUEKV_COMMAND_REPORT_H

#include "clients/c/command/json_in.h"
#include "clients/c/command/out.h"

/* result: debug.verify's, as the protocol says; members that are missing or new do no harm. The
 * verdict comes first, then a paragraph for each thing that went wrong, what that means and what to
 * do about it, then the numbers. all: every row of them. */
void report_verify(struct out *o, const cJSON *result, bool all);

/* result: debug.selftest's. */
void report_selftest(struct out *o, const cJSON *result);

#endif
