/* compare.h - byte comparison of cache planes, and the numbers of a divergence report.
 * Comparison is of bytes: NaN, ±0 and subnormals are not forgiven. */
#ifndef TKV_KERNELS_COMPARE_H
#define TKV_KERNELS_COMPARE_H

#include "kernels/device.h"
#include "kernels/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Counts differing bytes of n_planes planes of plane_bytes each, side by side in a and in b
 * (cache, scratch or staging memory, any alignment); mismatched[i] (host memory) for plane i.
 * Waits. The handle's thread only. */
enum tkv_status tkv_compare_planes(struct tkv_device *dev, const void *a, const void *b,
                                   size_t plane_bytes, size_t n_planes, uint64_t *mismatched);

/* Where and how far a plane differs. Coordinates are of the plane given; a caller that compares a
 * window adds its first position. */
struct tkv_plane_stats {
    uint64_t mismatched_bytes;
    bool finite;         /* false: some differing element is not finite on one side */
    double max_abs_diff; /* over finite differing elements; meaningful where finite */
    /* The first of the largest differences; not finite is larger. Where mismatched_bytes > 0. */
    struct {
        uint32_t kv_head, kv_pos, dim;
        float expected, other;
    } worst;
    uint64_t nonzero_expected, nonzero_other; /* elements with |x| > 1e-6 (NaN counts) */
};

/* Statistics of one plane [n_kv_heads][positions][head_dim] of geom->dtype; host memory, any
 * thread. positions as for tkv_row_offset(). */
void tkv_plane_stats(const struct tkv_geometry *geom, uint32_t positions, const void *expected,
                     const void *other, struct tkv_plane_stats *out);

/* Mismatched bytes of a plane by head and by position, in at most TKV_PLANE_CELLS cells each, every
 * cell of one axis for as many heads or positions. */
enum { TKV_PLANE_CELLS = 64 };
struct tkv_plane_map {
    uint32_t n_heads, heads_per_cell;
    uint32_t pos, n_positions, positions_per_cell; /* cells from the first position that differs */
    uint64_t heads[TKV_PLANE_CELLS], positions[TKV_PLANE_CELLS];
};

/* The map of the plane; arguments as above. No position cells where nothing differs. */
void tkv_plane_mismatch(const struct tkv_geometry *geom, uint32_t positions, const void *expected,
                        const void *other, struct tkv_plane_map *out);

#ifdef __cplusplus
}
#endif

#endif
