/* A task that begins again in place. */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"
#include "trace_internal.h"

static bool task_is_bare(const asx_task *task, const asx_cx *cx)
{
    const asxi_body *const body = task->body;
    return cx == &task->cx && task->state == ASX_TASK_RUNNING && !task->reason &&
           !task->kernel_masks && !task->joiners && !task->ops &&
           !(task->flags &
             (ASXI_TASK_POLL | ASXI_TASK_JOINABLE | ASXI_TASK_FINALIZER | ASXI_TASK_BODY_HEAP)) &&
           !body->defers && !body->masks && !body->dead && !body->obligations &&
           task->slot.generation < UINT32_MAX;
}

/* The task is all there is in it. */
static bool region_is_bare(const asx_region *region, const asx_task *task)
{
    return asxi_region_live_tasks(region) == 1 && region->tasks._next == &task->sibling &&
           region->tasks._prev == &task->sibling &&
           region->live_children + region->credits + region->obligations + region->ops == 0 &&
           !region->finalizers && !region->finalizer_task && !region->limbs && !region->scope &&
           !region->is_limb && !region->has_resources && region->state == ASX_REGION_OPEN &&
           !region->reason && region->outcome.severity == ASX_SEVERITY_OK &&
           region->first_failure.severity == ASX_SEVERITY_OK &&
           region->slot.generation < UINT32_MAX;
}

/* Old handles go stale, as a close would have made them. */
static void slot_renew(asx_slot *slot)
{
    asx_slot_stamp(slot, asx_slot_identity(slot) + ASX_SLOT_NEXT);
}

bool asx_task_renew(asx_cx *cx)
{
    asx_task *const task = cx->_task;
    asx_region *const region = task->cx._region;
    asx_shard *const shard = task->cx._shard;
    if (!task_is_bare(task, cx) || !region_is_bare(region, task)) {
        return false;
    }
    ASXI_TRACE(shard, TASK_COMPLETE, asxi_trace_of(task), asxi_trace_of(region), 0);
    ASXI_TRACE(shard, REGION_CLOSE_BEGIN, asxi_trace_of(region), asxi_trace_of(region->parent));
    ASXI_TRACE(shard, REGION_CLOSE_END, asxi_trace_of(region), asxi_trace_of(region->parent), 0);
    slot_renew(&task->slot);
    slot_renew(&region->slot);
    ASXI_TRACE(shard, REGION_CREATE, asxi_trace_of(region), asxi_trace_of(region->parent));
    ASXI_TRACE(shard, TASK_SPAWN, asxi_trace_of(task), asxi_trace_of(region));
    asxi_trace_region_budget(region);
    if (asx_heap_live(&region->heap) > 0 || region->heap._refs) {
        asx_heap_reset(&region->heap);
    }
    if (asx_unlikely(task->flags & ASXI_TASK_LENT)) {
        asx_outcome_release(task->body->lent);
        task->body->lent = asx_ok(0);
        task->body->trail = NULL;
    }
    task->budget = region->budget;
    asxi_trace_budget(task);
    task->flags &= ~(uint32_t)(ASXI_TASK_COST_OUT | ASXI_TASK_LENT | ASXI_TASK_TIMELY |
                               ASXI_TASK_WARNED | ASXI_TASK_MISSED | ASXI_TASK_FUTURELOCKED);
    task->spawned_at = shard->now_ns;
    region->opened_at = shard->now_ns;
    region->finalizer_count = 0;
    return true;
}
