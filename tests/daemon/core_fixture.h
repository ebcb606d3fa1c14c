/* core_fixture.h - a core driven by hand, without sockets: typed requests in, copied outcomes out.
 */
#ifndef TKV_TESTS_DAEMON_CORE_FIXTURE_H
#define TKV_TESTS_DAEMON_CORE_FIXTURE_H

#include <pthread.h>

#include "daemon/core.h"

enum { FX_ITEMS_MAX = 600 };

struct fixture {
    struct tkv_config config;
    struct tkv_core *core;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool wake;
};

/* One operation with room for its request and its outcome, which stay after done. */
struct fx_op {
    struct tkv_op op;
    struct tkv_request request;
    uint64_t seqs[FX_ITEMS_MAX], pos[FX_ITEMS_MAX];
    uint32_t tokens[FX_ITEMS_MAX];
    bool done;
    uint64_t lens[FX_ITEMS_MAX];
    struct tkv_verify_report report;     /* divergences: malloc'ed copy */
    struct tkv_selftest_report selftest; /* items: malloc'ed copy */
    struct tkv_scrub_report scrub;       /* damages: malloc'ed copy */
    bool last_given, last_shadow;        /* debug.last: a report, in report */
    uint64_t first_batch; /* and the first divergent batch of the first one; 0: none */
    uint64_t listed[1000];
    size_t n_items_at_fault;
    size_t faulty_index[FX_ITEMS_MAX];
};

/* Model "tiny": n_layers 3, n_kv_heads 2, head_dim 5, f16, capacity 40. Backend: TKV_TEST_BACKEND,
 * default cpu. Change f->config between init and open. */
void fx_init(struct fixture *f);
void fx_open(struct fixture *f);
void fx_close(struct fixture *f); /* asserts that everything was answered */

/* Fresh operations; submit with fx_submit() or fx_run(). */
struct fx_op *fx_create(uint64_t seq, uint32_t capacity);
struct fx_op *fx_append(struct fixture *f, size_t m, const uint64_t *seqs, const uint32_t *tokens,
                        const struct tkv_layer_range *layers, const void *rows, size_t bytes);
struct fx_op *fx_truncate(uint64_t seq, uint64_t len);
struct fx_op *fx_free(size_t m, const uint64_t *seqs);
struct fx_op *fx_info(uint64_t seq);
struct fx_op *fx_read(uint64_t seq);
struct fx_op *fx_list(uint64_t cursor, uint64_t limit);
struct fx_op *fx_verify(void);
struct fx_op *fx_scrub(size_t m, const uint64_t *seqs); /* m 0: all */
struct fx_op *fx_inject(const char *fault, uint64_t batches);
struct fx_op *fx_simple(enum tkv_method method);

/* Waits until work has finished on a thread of the core; it is not taken yet. */
void fx_wait_untaken(struct fixture *f);

void fx_submit(struct fixture *f, struct fx_op *op);
void fx_wait(struct fixture *f, struct fx_op *op);           /* turns and polls until it is done */
enum tkv_status fx_run(struct fixture *f, struct fx_op *op); /* submit and wait */
void fx_drop(struct fx_op *op);                              /* frees an operation that is done */

/* fx_run, fx_drop, and the status. */
enum tkv_status fx_do(struct fixture *f, struct fx_op *op);

#endif
