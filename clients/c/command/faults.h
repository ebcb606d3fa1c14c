/* faults.h - what debug.inject can break, in words: for "truekv help inject" and the notes beside
 * it. A daemon may know more. Pure. */
#ifndef TRUEKV_COMMAND_FAULTS_H
#define TRUEKV_COMMAND_FAULTS_H

#include <stddef.h>

struct fault {
    const char *name;
    const char *does;  /* one line */
    const char *needs; /* what it takes to show, a sentence's end; NULL: any append shows it */
};
extern const struct fault faults[];
extern const size_t n_faults;

/* NULL: none of that name. */
const struct fault *fault_find(const char *name);

#endif
