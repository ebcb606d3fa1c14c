/* Words of the faults, and the way into the broken variants. */
#include "kernels/faults.h"

#include <assert.h>
#include <string.h>

#include "kernels/backend.h"

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

enum tkv_status tkv_append_faulty(struct tkv_device *dev, const struct tkv_geometry *geom,
                                  const struct tkv_append_item *items, uint32_t n,
                                  enum tkv_fault fault)
{
    enum tkv_status st = tkv_device_ready(dev);
    if (st != TKV_OK) return st;
    if (!tkv_geometry_valid(geom) || n < 1 || n > TKV_ITEMS_MAX) return TKV_EINVAL;
    if (fault <= TKV_FAULT_NONE || fault >= TKV_FAULT_COUNT) return TKV_EINVAL;
    return tkv_device_settle(dev, dev->ops->append_faulty(dev, geom, items, n, fault));
}
