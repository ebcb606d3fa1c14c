/* rerun_impl.h - shared by rerun.c (the ways and their order), rerun_part.c (one part of one
 * batch), rerun_move.c (its bytes on their way), rerun_live.c (the third way) and rerun_explain.c
 * (findings). */
#ifndef TKV_DAEMON_RERUN_IMPL_H
#define TKV_DAEMON_RERUN_IMPL_H

#include "daemon/rerun.h"
#include "daemon/row_index.h"

/* One item of a part: its scratch cache and where it lies. */
struct part_item {
    uint32_t index;                       /* in the batch */
    struct tkv_append_item item;          /* in scratch coordinates; cache is set for each way */
    uint32_t base;                        /* position 0 of the scratch cache */
    uint32_t first_layer;                 /* layer 0 of the scratch cache */
    size_t plane_bytes, offset;           /* of the scratch cache */
    size_t live_plane_bytes, live_offset; /* of the gathered written rows */
    size_t rows_bytes, rows_offset;       /* of the source rows */
    size_t sums_offset, live_sums_offset; /* of the checksums; 0: the item has none */
};

/* Items [first, first + n) and layers [layer_begin, layer_end) of one batch, as far as they have
 * them. Scratch memory: see enum part_side. */
struct part {
    uint32_t batch, first, n;
    uint32_t layer_begin, layer_end;
    bool whole; /* the whole capacity instead of a window; live caches: where the kernel differs */
    struct part_item *items;
    uint32_t n_items;
    size_t span, live_span; /* bytes of one scratch side, of one live side */
    size_t rows_span;       /* of source rows, where they are uploaded */
};

/* Regions of the scratch memory, in this order: both ways' caches, the written rows of the expected
 * ones and of the live ones, the source rows. */
enum part_side {
    TKV_SIDE_EXPECTED,
    TKV_SIDE_OTHER,
    TKV_SIDE_EXPECTED_LIVE,
    TKV_SIDE_LIVE,
    TKV_SIDE_ROWS
};

/* One verification's own memory, beside the public part. */
struct rerun_run {
    struct tkv_rerun *r;
    uint8_t *scratch; /* device memory, r->scratch_bytes */
    bool uploads;     /* rows are better read from device memory: they are read twice */
    uint8_t *host;    /* two or three planes */
    size_t host_bytes;
    uint64_t *counts;
    size_t n_counts;
    size_t first_found;                /* of the pass under way over the batch */
    size_t found_limit;                /* past it findings are counted only */
    struct tkv_row_index *batch_index; /* of batches[indexed] */
    size_t indexed;
    struct tkv_row_index *all_index; /* of all batches of all_model */
    const struct tkv_model *all_model;
};

enum { PIECE = 64 * 1024, GUARD_BYTES = 256, INDEX_ROWS_MAX = 2 * 1024 * 1024 };

/* Fills items, offsets and sizes; false: out of memory or overflow. */
bool tkv_part_measure(struct rerun_run *run, struct part *part);
void tkv_part_close(struct part *part);
size_t tkv_part_bytes(const struct part *part);

/* Where a region begins. */
uint8_t *tkv_part_side(const struct rerun_run *run, const struct part *part, enum part_side side);

/* The scratch cache's geometry: the part's layers. */
struct tkv_geometry tkv_part_geometry(const struct rerun_run *run, const struct part *part);

/* rerun_sums.c: the checksums of scratch caches, behind their planes as in production. Bytes of an
 * item's (false: overflow); where they begin on a side, NULL: it has none; those of all items, from
 * the source rows, plainly; the comparison of both sides' (differing bytes are added to *sum), and
 * with those that the live caches have. */
bool tkv_part_sums_bytes(const struct rerun_run *run, const struct part *part,
                         const struct part_item *p, size_t *out);
uint64_t *tkv_part_sums(const struct rerun_run *run, const struct part *part,
                        const struct part_item *p, enum part_side side);
enum tkv_status tkv_part_sum(struct rerun_run *run, const struct part *part, enum part_side side);
enum tkv_status tkv_part_compare_sums(struct rerun_run *run, const struct part *part,
                                      const struct part_item *p, uint64_t *sum);
enum tkv_status tkv_part_compare_live_sums(struct rerun_run *run, const struct part *part,
                                           const struct part_item *p);

/* Bytes of an item's written checksums, gathered. */
size_t tkv_part_live_sums_bytes(const struct part_item *p);

/* rerun_move.c. Upload points the items at their rows' copies. Read_live goes through the engine.
 */
enum tkv_status tkv_part_upload(struct rerun_run *run, struct part *part);
enum tkv_status tkv_part_gather(struct rerun_run *run, const struct part *part);
enum tkv_status tkv_part_read_live(struct rerun_run *run, const struct part *part);

/* The rows that the batched re-run wrote where the item's belong, of one plane, to host memory. */
enum tkv_status tkv_part_fetch_batched(struct rerun_run *run, const struct part *part,
                                       const struct part_item *p, size_t plane, uint8_t *to);

/* Lets appends go first, for a while; tells the checker of progress. */
void tkv_part_make_way(struct rerun_run *run);

/* Runs a measured part that fits the scratch memory. */
enum tkv_status tkv_part_run(struct rerun_run *run, struct part *part);

/* Differing bytes, in *out; bytes is a multiple of PIECE. */
enum tkv_status tkv_part_differing(struct rerun_run *run, const uint8_t *a, const uint8_t *b,
                                   size_t bytes, uint64_t *out);

/* Differing bytes of an item's planes into run->counts, and their sum added to *sum. live: planes
 * of gathered rows. */
enum tkv_status tkv_part_count(struct rerun_run *run, const struct part_item *p, bool live,
                               const uint8_t *expected, const uint8_t *other, uint64_t *sum);

/* A plane that differs becomes a finding; past the limit of the list it is only counted. */
enum tkv_status tkv_part_list(struct rerun_run *run, const struct part *part,
                              const struct part_item *p, size_t plane, bool live,
                              const uint8_t *expected, const uint8_t *other);

/* Compares the live caches (rerun_live.c). */
enum tkv_status tkv_part_live(struct rerun_run *run, const struct part *part);

/* Room for so many bytes in run->host; false: out of memory. */
bool tkv_host_room(struct rerun_run *run, size_t bytes);

/* A new, empty entry of the list; NULL: out of memory. */
struct tkv_found *tkv_new_finding(struct tkv_rerun *r);

/* The planes in run->host, expected and other, become a finding with its kind. plane counts the
 * item's planes. */
enum tkv_status tkv_explain(struct rerun_run *run, const struct part *part,
                            const struct part_item *p, size_t plane, bool live);

/* Live rows in run->host, expected and live, become a finding beside the kernel's: its kind is that
 * of the difference from `batched`, what the kernel's bug explains. */
enum tkv_status tkv_explain_beside(struct rerun_run *run, const struct part *part,
                                   const struct part_item *p, size_t plane, const void *batched);

/* The finding about the kernel that this pass has listed for a plane, or NULL. */
struct tkv_found *tkv_kernel_finding(struct rerun_run *run, uint32_t item, uint32_t layer,
                                     bool is_v);

#endif
