/* Words of the faults, and the way into the broken variants. */
#include "kernels/faults.h"

#include <assert.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/fault_rows.h"

static const char *const words[TKV_FAULT_COUNT] = {"none",
#define X(name, word, text) word,
                                                   TKV_FAULTS(X)
#undef X
};

const char *tkv_fault_word(enum tkv_fault fault)
{
    assert((unsigned)fault < TKV_FAULT_COUNT);
    return words[fault];
}

bool tkv_fault_from_word(const char *word, enum tkv_fault *out)
{
    for (int i = TKV_FAULT_NONE + 1; i < TKV_FAULT_COUNT; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (enum tkv_fault)i;
            return true;
        }
    }
    return false;
}

struct tkv_fault_plan tkv_fault_plan_of(enum tkv_fault fault)
{
    return (struct tkv_fault_plan){1, {{fault, TKV_FAULT_ALL, TKV_FAULT_ALL, false}}};
}

static bool plan_valid(const struct tkv_fault_plan *plan)
{
    if (plan->n < 1 || plan->n > TKV_FAULTS_MAX) return false;
    for (uint32_t k = 0; k < plan->n; k++) {
        enum tkv_fault fault = plan->faults[k].fault;
        if (fault <= TKV_FAULT_NONE || fault >= TKV_FAULT_COUNT) return false;
    }
    return true;
}

enum tkv_status tkv_append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_append_item *items, uint32_t n,
                                  const struct tkv_fault_plan *plan,
                                  const struct tkv_fault_origin *origin)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    if (!tkv_geometry_valid(geom) || n < 1 || n > TKV_ITEMS_MAX) return TKV_EINVAL;
    if (!plan_valid(plan)) return TKV_EINVAL;
    struct tkv_fault_job job = {.geom = *geom,
                                .items = items,
                                .n = n,
                                .plan = *plan,
                                .batch = items,
                                .n_batch = n,
                                .n_layers = geom->n_layers};
    if (origin != NULL) {
        if (origin->n < 1 || origin->n > TKV_ITEMS_MAX) return TKV_EINVAL;
        job.batch = origin->items;
        job.n_batch = origin->n;
        job.n_layers = origin->n_layers;
        job.places = origin->places;
    }
    return tkv_device_settle(dev, dev->ops->append_faulty(dev, &job));
}
