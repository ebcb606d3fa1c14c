#include "daemon/tally.h"

#include <assert.h>

#include "daemon/stats.h"

static const struct {
    const char *word, *meaning;
} closed[TKV_CLOSED_COUNT] = {
#define X(name, word, meaning) {word, meaning},
    TKV_CLOSED(X)
#undef X
};

void tkv_tally_answered(struct tkv_tally *tally, unsigned method, enum tkv_status st, uint64_t ns)
{
    assert(method <= TKV_METHOD_NONE && (unsigned)st < TKV_STATUS_COUNT);
    tkv_stat_add(&tally->outcomes[method][st], 1);
    if (method != TKV_METHOD_NONE) tkv_histogram_add(&tally->latency[method], ns);
}

void tkv_tally_closed(struct tkv_tally *tally, enum tkv_closed why)
{
    assert((unsigned)why < TKV_CLOSED_COUNT);
    tkv_stat_add(&tally->closed[why], 1);
}

const char *tkv_closed_word(enum tkv_closed why)
{
    return closed[why].word;
}

const char *tkv_closed_meaning(enum tkv_closed why)
{
    return closed[why].meaning;
}

uint64_t tkv_tally_errors(const struct tkv_tally *tally, unsigned method)
{
    uint64_t sum = 0;
    for (unsigned st = TKV_OK + 1; st < TKV_STATUS_COUNT; st++)
        sum += tkv_stat_get(&tally->outcomes[method][st]);
    return sum;
}

uint64_t tkv_tally_count(const struct tkv_tally *tally, unsigned method)
{
    return tkv_tally_errors(tally, method) + tkv_stat_get(&tally->outcomes[method][TKV_OK]);
}

uint64_t tkv_tally_reason(const struct tkv_tally *tally, enum tkv_status st)
{
    uint64_t sum = 0;
    for (unsigned method = 0; method <= TKV_METHOD_NONE; method++)
        sum += tkv_stat_get(&tally->outcomes[method][st]);
    return sum;
}
