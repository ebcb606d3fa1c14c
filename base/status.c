#include "base/status.h"

#include <assert.h>

static const struct {
    const char *reason;
    int code;
} statuses[TKV_STATUS_COUNT] = {
#define X(name, reason, code) {reason, code},
    TKV_STATUS_MAP(X)
#undef X
};

const char *tkv_status_reason(enum tkv_status st)
{
    assert((unsigned)st < TKV_STATUS_COUNT);
    return statuses[st].reason;
}

int tkv_status_code(enum tkv_status st)
{
    assert((unsigned)st < TKV_STATUS_COUNT);
    return statuses[st].code;
}
