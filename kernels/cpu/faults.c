/* The broken variants on the CPU: rows go where fault_rows.h says, one after the other. */
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/fault_rows.h"

static void write_row(const struct tkv_geometry *g, const struct tkv_append_item *to,
                      const struct tkv_append_item *from, const struct tkv_fault_row *row)
{
    size_t at = tkv_plane_offset(g, to->capacity, row->dst_layer, row->dst_kv) +
                tkv_row_offset(g, to->capacity, row->dst_head, row->dst_pos);
    size_t src = tkv_plane_offset(g, from->tokens, row->src_layer, row->src_kv) +
                 tkv_row_offset(g, from->tokens, row->src_head, row->src_token);
    tkv_convert((char *)to->cache + at * tkv_dtype_size(g->dtype), g->dtype,
                (const char *)from->rows + src * tkv_dtype_size(from->rows_dtype), from->rows_dtype,
                row->dims);
}

static void run_pass(struct tkv_cpu_device *cpu, const struct tkv_fault_job *job, uint32_t pass)
{
    for (uint32_t i = 0; i < job->n; i++) {
        if (!tkv_fault_item_ok(&job->geom, &job->items[i])) {
            cpu->refused = true;
            continue;
        }
        size_t rows = tkv_fault_rows(job, i);
        for (size_t r = 0; r <= rows; r++) {
            struct tkv_fault_row row;
            if (!tkv_fault_map(job, pass, i, r, &row)) continue;
            write_row(&job->geom, &job->items[i], &job->batch[row.src_item], &row);
        }
    }
}

static void flip_bits(const struct tkv_fault_job *job, uint32_t pass)
{
    for (uint32_t i = 0; i < job->n; i++) {
        size_t at;
        if (!tkv_fault_flip(job, pass, i, &at)) continue;
        uint16_t bits;
        char *element = (char *)job->items[i].cache + at * sizeof bits;
        memcpy(&bits, element, sizeof bits);
        bits ^= (uint16_t)(1u << (TKV_FAULT_FLIPPED_BIT - (pass - 1)));
        memcpy(element, &bits, sizeof bits);
    }
}

enum tkv_status tkv_cpu_append_faulty(struct tkv_device *dev, const struct tkv_fault_job *job)
{
    enum tkv_status st = TKV_OK;
    if (!tkv_fault_writes(&job->plan)) {
        st = tkv_cpu_append_batched(dev, &job->geom, job->items, job->n);
    } else {
        for (uint32_t pass = 0; pass <= job->plan.n; pass++)
            run_pass(tkv_cpu(dev), job, pass);
    }
    for (uint32_t pass = 1; pass <= job->plan.n && st == TKV_OK; pass++)
        flip_bits(job, pass);
    return st;
}
