/* job.h - an append's memory and the ways to do it: caches, rows, and what is verified against. */
#ifndef TKV_BENCH_GPU_JOB_H
#define TKV_BENCH_GPU_JOB_H

#include "bench/gpu/measure.h"
#include "kernels/kv_append.h"

struct shape {
    uint32_t m, layers, tokens; /* tokens of an item */
    uint32_t heads, dim;
    enum tkv_dtype rows_dtype; /* the caches are f16 */
    bool ragged;               /* items bring 1 .. tokens tokens */
    uint32_t capacity;         /* positions of a cache; 0: as many as are used */
};

/* Step s appends at position (s % slots) * tokens, from rows + (s % sets) * set_bytes. A cache has
 * up to CYCLE slots, all caches together at most about 2 GiB; the sets of rows fill 128 MiB, more
 * than twice an H100's L2, but no more than CYCLE and no less than 2 of them. So a step that reads
 * 1 MiB (8 sequences, 32 layers) or more finds its rows in HBM, as a daemon does whose client has
 * computed a layer and gone on to the next; smaller steps may find them in L2, but cost a launch
 * and not their bytes. */
struct job {
    const struct run *run;
    struct shape shape;
    struct tkv_geometry geom;
    struct tkv_append_item *items;
    size_t *rows_at; /* of each item in a set, bytes */
    uint32_t slots, sets;
    uint32_t capacity;     /* of a cache, positions */
    size_t cache_bytes;    /* of one item's */
    size_t pitch;          /* from one cache to the next: its checksums are behind it, as served */
    size_t set_bytes;      /* of the rows of one step */
    size_t moved;          /* bytes that a step reads and writes */
    char *caches, *others; /* others: what is verified against, and copied to */
    char *rows;            /* device memory, or pinned */
    bool pinned;           /* rows is: PINNED_BYTES, borrowed from the caller */
    char *scratch;         /* set_bytes of device memory, where rows is pinned */
};
enum { PINNED_BYTES = 128 * MIB };

/* pinned: PINNED_BYTES of staging memory to bring the rows from, filled here; NULL: rows are in
 * device memory. */
void job_open(struct job *j, const struct run *r, const struct shape *shape, void *pinned);
void job_close(struct job *j);

/* The items of a step, from these rows; with their checksums. */
void job_aim(struct job *j, uint32_t step, const char *rows, bool summed);
char *job_rows(const struct job *j, uint32_t step);

/* What the reference (tkv_append_each() and tkv_checksums()) makes of some steps, into others. */
void job_expect(struct job *j);
/* The same steps by this way, into caches: ends the program unless the bytes are equal. */
void job_verify(struct job *j, const struct way *way, bool summed, const char *what);
/* A copy's bytes arrive. Overwrites what was expected. */
void job_verify_copy(struct job *j, const struct way *way);

struct way job_batched(struct job *j); /* tkv_append_batched(), no checksums */
struct way job_summed(struct job *j);  /* with */
struct way job_copy(struct job *j);    /* one copy that reads and writes as many bytes as a step */

#endif
