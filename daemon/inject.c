/* inject.c - debug.inject: which faults wait for the next batches. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/core_impl.h"

/* The list of everything that is armed, into the answer. */
static void list_armed(const struct tkv_core *core, struct tkv_op *op)
{
    size_t n = 0;
    for (size_t i = 0; i < core->n_armed; i++) {
        for (uint32_t k = 0; k < core->armed[i].plan.n; k++)
            op->result.armed.faults[n++] = tkv_fault_word(core->armed[i].plan.faults[k].fault);
    }
    op->result.armed.n = n;
}

/* Arms a fault for batches of its own, or beside the one armed last. */
static void arm(struct tkv_core *core, struct tkv_op *op, const struct tkv_planned_fault *fault)
{
    const struct tkv_debug_inject *p = &op->request->params.debug_inject;
    struct tkv_fault_plan *last =
        core->n_armed > 0 ? &core->armed[core->n_armed - 1].plan : &(struct tkv_fault_plan){0};
    if (p->together && (last->n == 0 || last->n == TKV_FAULTS_MAX)) {
        tkv_error_param(&op->error, "together", "%s",
                        last->n == 0 ? "no fault is armed that this one could join"
                                     : "the fault armed last has been joined already");
    } else if (p->together) {
        last->faults[last->n++] = *fault;
    } else if (core->n_armed == TKV_ARMED_MAX) {
        tkv_error_set(&op->error, TKV_EOVERLOADED, "%d faults are armed already", TKV_ARMED_MAX);
        tkv_error_number(&op->error, retry_after_ms, 1000);
    } else {
        core->armed[core->n_armed].plan = (struct tkv_fault_plan){1, {*fault}};
        core->armed[core->n_armed].batches = p->batches.given ? p->batches.value : 1;
        core->n_armed++;
    }
}

/* A layer or head that no model has would wait for nothing. */
static bool some_model_has(const struct tkv_core *core, struct tkv_op *op)
{
    const struct tkv_debug_inject *p = &op->request->params.debug_inject;
    uint32_t layers = 0, heads = 0;
    for (size_t i = 0; i < core->config->n_models; i++) {
        const struct tkv_geometry *g = &core->config->models[i].geom;
        layers = g->n_layers > layers ? g->n_layers : layers;
        heads = g->n_kv_heads > heads ? g->n_kv_heads : heads;
    }
    if (p->layer.given && p->layer.value >= layers)
        tkv_error_param(&op->error, "layer", "no model has a layer %" PRIu64, p->layer.value);
    else if (p->kv_head.given && p->kv_head.value >= heads)
        tkv_error_param(&op->error, "kv_head", "no model has a K/V head %" PRIu64,
                        p->kv_head.value);
    return op->error.status == TKV_OK;
}

static void log_armed(const struct tkv_debug_inject *p)
{
    char layer[24] = "all", head[24] = "all";
    if (p->layer.given) snprintf(layer, sizeof layer, "%" PRIu64, p->layer.value);
    if (p->kv_head.given) snprintf(head, sizeof head, "%" PRIu64, p->kv_head.value);
    tkv_log(TKV_LOG_WARNING, "fault_armed",
            "fault=%s batches=%" PRIu64 " layer=%s kv_head=%s last_item=%d together=%d", p->fault,
            p->batches.given ? p->batches.value : 1, layer, head, p->last_item, p->together);
}

static void disarm(struct tkv_core *core)
{
    core->n_armed = 0;
    tkv_log(TKV_LOG_INFO, "faults_disarmed", "%s", "");
}

void tkv_run_inject(struct tkv_core *core, struct tkv_op *op)
{
    const struct tkv_debug_inject *p = &op->request->params.debug_inject;
    struct tkv_planned_fault fault = {
        .layer = p->layer.given ? (uint32_t)p->layer.value : TKV_FAULT_ALL,
        .kv_head = p->kv_head.given ? (uint32_t)p->kv_head.value : TKV_FAULT_ALL,
        .last_item = p->last_item,
    };
    if (!core->config->debug_allow_fault_injection) {
        tkv_core_fail(core, op, TKV_EPERM, "debug.allow_fault_injection is off");
        return;
    }
    if (strcmp(p->fault, tkv_fault_word(TKV_FAULT_NONE)) == 0)
        disarm(core);
    else if (!tkv_fault_from_word(p->fault, &fault.fault))
        tkv_error_param(&op->error, "fault", "there is no fault \"%.60s\"", p->fault);
    else if (some_model_has(core, op))
        arm(core, op, &fault);
    if (op->error.status == TKV_OK) {
        list_armed(core, op);
        if (core->n_armed > 0) log_armed(p);
    }
    tkv_core_finish(core, op);
}
