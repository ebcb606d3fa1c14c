/* scene.h - what the append suites share: a device of the backend under test, a batch of random
 * items, arenas that hold its caches with guard bytes between them, and a naive model of what
 * must stand there afterwards. Device memory is never dereferenced here, so that the same suites
 * run on the CPU and on a GPU.
 *
 * TKV_TEST_BACKEND=cpu|cuda picks the backend (cpu); TKV_TEST_SMALL=1 shrinks the suites, for runs
 * under slow tools. */
#ifndef TKV_TESTS_KERNELS_SCENE_H
#define TKV_TESTS_KERNELS_SCENE_H

#include "kernels/checksum.h"
#include "kernels/compare.h"
#include "kernels/faults.h"
#include "kernels/kv_append.h"

enum tkv_backend test_backend(void);
bool test_small(void);

/* The device under test, opened; fails the test where it cannot be had. */
struct tkv_device *test_device_open(void);

/* xorshift64*; *state is never 0. */
uint64_t test_random(uint64_t *state);

/* A number in [low, high]. */
uint32_t test_random_in(uint64_t *state, uint32_t low, uint32_t high);

struct scene_shape {
    uint32_t m, layers, heads, head_dim, tokens;
    enum tkv_dtype dtype, rows_dtype;
    bool ragged;         /* tokens, positions, capacities, layer ranges and row types differ */
    uint32_t misaligned; /* bytes that caches (even) and blocks are off from 256 */
};

struct scene {
    struct scene_shape shape;
    struct tkv_device *dev;
    struct tkv_geometry geom;
    struct tkv_append_item *items; /* m; cache is set by scene_aim() */
    size_t *cache_at, *rows_at;    /* of each item, bytes from the arena's and the rows' start */
    size_t arena_bytes, rows_bytes;
    unsigned char *expected; /* arena_bytes, host: poison, then the model */
    unsigned char *rows;     /* rows_bytes, host */
    unsigned char *got;      /* arena_bytes, host */
    void *device_rows;
    size_t *sums_at, n_sums; /* of each item, and all: numbers in sums and device_sums */
    uint64_t *sums;          /* host: random, then the model */
    void *device_sums;
};

/* Random items of a shape, rows of random bits (NaN, infinities and subnormals among them).
 * Deterministic in seed. */
void scene_open(struct scene *s, struct tkv_device *dev, const struct scene_shape *shape,
                uint64_t seed);
void scene_close(struct scene *s);

/* A new arena on the device, poisoned as s->expected was when the scene was opened. Call before
 * scene_model(). Freed by the caller with tkv_scratch_free(). */
void *scene_arena(const struct scene *s);

/* Points the items at the caches of an arena. */
void scene_aim(struct scene *s, void *arena);

/* Writes into s->expected what `item` (cache: s->cache_at[i]) must leave behind, element by
 * element, by index arithmetic of its own. */
void scene_model_item(struct scene *s, uint32_t i, const struct tkv_append_item *item);

/* The model of all items. */
void scene_model(struct scene *s);

/* The host's copy of an item's rows. */
const unsigned char *scene_rows(const struct scene *s, const struct tkv_append_item *item);

/* Runs all items through tkv_append_one(), or, every fourth, tkv_append_each(); waits. */
void scene_run_one_by_one(struct scene *s);

/* Runs all items through tkv_append_batched(); waits. */
void scene_run_batched(struct scene *s);

/* Checksums for the items: the batched path is to leave them, and scene_check_sums() fails the test
 * where it has not, or has touched others. Call before scene_run_batched(). */
void scene_want_sums(struct scene *s, uint64_t seed);
void scene_check_sums(struct scene *s, const char *what);

/* tkv_append_faulty() with one fault everywhere. */
enum tkv_status append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                              const struct tkv_append_item *items, uint32_t n,
                              enum tkv_fault fault);

/* Downloads an arena into s->got; bytes that differ from s->expected. */
size_t scene_differences(struct scene *s, const void *arena);

/* Fails the test, with the shape and the first place, where the arena is not as expected. */
void scene_check(struct scene *s, const void *arena, const char *what);

#endif
