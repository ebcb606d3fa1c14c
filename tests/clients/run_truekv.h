/* run_truekv.h - the program truekv, run against a scripted daemon, and what it said. */
#ifndef TKV_TESTS_CLIENTS_RUN_TRUEKV_H
#define TKV_TESTS_CLIENTS_RUN_TRUEKV_H

#include "tests/clients/fake_server.h"

/* A folder of this test program, and the scripted daemon's socket in it. */
extern char dir[], socket_path[64];
extern char output[1 << 16]; /* of the last run, both streams */

/* false: there is no such folder. */
bool run_begin(void);
void run_end(void);

/* Runs truekv with arguments (as a shell reads them): it must end with code, and say text. */
void expect(const char *arguments, int code, const char *text);

/* The same with a daemon that plays the steps. */
void expect_with(const struct fake_step *steps, size_t n, const char *arguments, int code,
                 const char *text);

#endif
