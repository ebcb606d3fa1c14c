/* steps.h - where the time of an append goes, from the last byte read to the first byte of its
 * answer written. Loop thread only, but for reading. */
#ifndef TKV_DAEMON_STEPS_H
#define TKV_DAEMON_STEPS_H

#include <stddef.h>

#include "base/histogram.h"

/* X(NAME, word, meaning) */
#define TKV_STAGES(X)                                                                            \
    X(PARSE, "parse",                                                                            \
      "the line: gate and decoding (before the last byte, where a payload follows)")             \
    X(ADMIT, "admit", "from the last byte to the batch's way to the engine, gathering included") \
    X(QUEUE, "queue", "until the engine begins with it")                                         \
    X(UPLOAD, "upload", "until its rows are on the device; 0: the kernel reads them in place")   \
    X(KERNEL, "kernel", "the launch and the wait for it")                                        \
    X(DEVICE, "device", "both")                                                                  \
    X(COMPLETE, "complete", "until the loop has it back and lengths are committed")              \
    X(ANSWER, "answer", "until its answer has been handed to the socket")                        \
    X(TOTAL, "total", "from the last byte to the answer")                                        \
    X(OWN, "own", "the same without the device")

enum tkv_stage {
#define X(name, word, meaning) TKV_STAGE_##name,
    TKV_STAGES(X)
#undef X
        TKV_STAGE_COUNT
};

/* The word of a stage, such as "admit". */
const char *tkv_stage_word(enum tkv_stage stage);

/* When an append was where, tkv_now_ns(); 0: not measured. */
struct tkv_step {
    uint64_t parse_ns; /* a duration */
    uint64_t arrived_ns, sent_ns, begun_ns, ended_ns, completed_ns;
    uint64_t uploaded_ns; /* 0: there was no upload */
};

enum { TKV_STEPS_OPEN_MAX = 512 };

struct tkv_steps {
    struct tkv_histogram stages[TKV_STAGE_COUNT]; /* nanoseconds */
    struct tkv_step open[TKV_STEPS_OPEN_MAX];     /* completed, the answer not yet written */
    size_t n_open;
};

/* The append has completed; steps that were not measured are left out. Of very many in one turn
 * only the first TKV_STEPS_OPEN_MAX count. */
void tkv_steps_completed(struct tkv_steps *steps, const struct tkv_step *step);

/* All answers of this turn have been written, as far as the sockets took them. */
void tkv_steps_answered(struct tkv_steps *steps);

#endif
