/* message.h - the requests of a run, as bytes. What stays the same is made once, and the rows of
 * K/V are sent from where they lie: a request costs the copy of a short line at most. One thread.
 */
#ifndef TRUEKV_COMMAND_BENCH_MESSAGE_H
#define TRUEKV_COMMAND_BENCH_MESSAGE_H

#include "base/buffer.h"
#include "clients/c/command/bench/plan.h"

/* One request: line, body and tail follow one another. */
struct bench_message {
    struct tkv_buffer line;
    const void *body; /* the messages' own */
    size_t body_bytes;
    bool ready; /* line is as the next request of the same group needs it */
};

/* A group is `items` sequences that are appended to together; group g holds seqs[g * items] and the
 * next ones. */
struct bench_messages {
    const struct bench_plan *plan; /* borrowed */
    const uint64_t *seqs;          /* plan->sequences of them, borrowed */
    size_t n_groups;
    struct tkv_buffer lists; /* "1,2,3" of each group */
    size_t *list_at;         /* n_groups + 1 places in it */
    uint64_t *lens;          /* of each group's sequences, in tokens */
    struct tkv_buffer params;
    const char *tail; /* after the body; a constant */
    size_t tail_bytes;
    void *data;          /* owned */
    size_t body_bytes;   /* of one request */
    size_t spread, turn; /* bodies begin in the first `spread` bytes of data, each elsewhere */
};

/* false: no memory; it is closed all the same by bench_messages_close(). */
bool bench_messages_init(struct bench_messages *m, const struct bench_plan *plan,
                         const uint64_t *seqs);
void bench_messages_close(struct bench_messages *m);

/* The next request of a group with that id, as the method has it; a group that is full is rolled
 * back to 0 in front of it, by notifications, which are not answered. Creates have no group. */
void bench_message_build(struct bench_messages *m, struct bench_message *out, uint32_t id,
                         size_t group);

/* seq.free of one sequence. */
void bench_message_free(struct bench_message *out, uint32_t id, uint64_t seq);

#endif
