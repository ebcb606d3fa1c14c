#include "daemon/steps.h"

#include "base/clock.h"

static const char *const words[] = {
#define X(name, word, meaning) word,
    TKV_STAGES(X)
#undef X
};

const char *tkv_stage_word(enum tkv_stage stage)
{
    return words[stage];
}

void tkv_steps_completed(struct tkv_steps *steps, const struct tkv_step *step)
{
    if (step->arrived_ns == 0 || steps->n_open == TKV_STEPS_OPEN_MAX) return;
    steps->open[steps->n_open++] = *step;
}

static void count(struct tkv_steps *steps, const struct tkv_step *s, uint64_t now)
{
    struct tkv_histogram *h = steps->stages;
    uint64_t device = s->ended_ns - s->begun_ns, total = now - s->arrived_ns;
    uint64_t upload = s->uploaded_ns == 0 ? 0 : s->uploaded_ns - s->begun_ns;
    tkv_histogram_add(&h[TKV_STAGE_PARSE], s->parse_ns);
    tkv_histogram_add(&h[TKV_STAGE_ADMIT], s->sent_ns - s->arrived_ns);
    tkv_histogram_add(&h[TKV_STAGE_QUEUE], s->begun_ns - s->sent_ns);
    tkv_histogram_add(&h[TKV_STAGE_UPLOAD], upload);
    tkv_histogram_add(&h[TKV_STAGE_KERNEL], device - upload);
    tkv_histogram_add(&h[TKV_STAGE_DEVICE], device);
    tkv_histogram_add(&h[TKV_STAGE_COMPLETE], s->completed_ns - s->ended_ns);
    tkv_histogram_add(&h[TKV_STAGE_ANSWER], now - s->completed_ns);
    tkv_histogram_add(&h[TKV_STAGE_TOTAL], total);
    tkv_histogram_add(&h[TKV_STAGE_OWN], total - device);
}

void tkv_steps_answered(struct tkv_steps *steps)
{
    if (steps->n_open == 0) return;
    uint64_t now = tkv_now_ns();
    for (size_t i = 0; i < steps->n_open; i++)
        count(steps, &steps->open[i], now);
    steps->n_open = 0;
}
