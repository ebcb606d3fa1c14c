/* target.h - what a fuzz target defines: libFuzzer's entry point. The same target is linked with
 * libFuzzer (TKV_FUZZ), or with replay.c, which feeds it the corpus. */
#ifndef TKV_TESTS_FUZZ_TARGET_H
#define TKV_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() that no build type turns off. */
#define MUST(condition)                                                                   \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

#endif
