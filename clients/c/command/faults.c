#include "clients/c/command/faults.h"

#include <string.h>

#define TWO_ITEMS      "a batch of at least two items: append to two sequences or more at once"
#define EARLIER_TOKENS "sequences that have tokens already: append to them once before"

const struct fault faults[] = {
    {"shared_pointers", "every item gets the last item's rows", TWO_ITEMS},
    {"stale_lengths", "rows land where the step before stood", NULL},
    {"half_lengths", "the second half of a batch (or its only item) is written from position 0 on",
     EARLIER_TOKENS},
    {"swap_items", "neighbouring items get each other's rows", TWO_ITEMS},
    {"token_major", "rows are placed by the strides of [capacity][n_kv_heads][head_dim]",
     "a model of several K/V heads"},
    {"off_by_one", "rows land one position too far", NULL},
    {"short_grid", "the second half of each row is not written", NULL},
    {"stray_write", "one row more is written beside the right ones", NULL},
    {"kv_swapped", "K lands in V, and V in K", NULL},
    {"bit_flip", "one bit of the live cache flips after a right write", NULL},
};
const size_t n_faults = sizeof faults / sizeof faults[0];

const struct fault *fault_find(const char *name)
{
    for (size_t i = 0; i < n_faults; i++) {
        if (strcmp(faults[i].name, name) == 0) return &faults[i];
    }
    return NULL;
}
