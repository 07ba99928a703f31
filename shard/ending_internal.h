/* From the end of a task's body to its outcome told (TSK-9): the part that most lives need, inline
 * in the dispatch. Each runs on the thread's stack but asxi_ending_begin. */
#ifndef ASX_SHARD_ENDING_INTERNAL_H
#define ASX_SHARD_ENDING_INTERNAL_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>

#include "shard_internal.h"
#include "trace_internal.h"

/* body.c: puts the body on a stack of its own, to be switched to. False: there is no stack. */
bool asxi_body_start(asx_task *task);
/* The same for the finisher, which there is always one for. */
void asxi_body_start_finisher(asx_task *task);

/* ending.c: a panic, a request to end, an obligation, something to drop: most end without. */
void asxi_ending_incidents(asx_task *task);

static inline void asxi_body_stack_release(asx_shard *shard, asx_fiber *fiber)
{
    asx_stack *const stack = fiber->stack;
    asx_fiber_deinit(fiber);
    asx_stack_release(&shard->stacks, stack);
}

/* The body goes with the stack it stands on. */
static inline void asxi_body_release(asx_task *task)
{
    asxi_body *const body = task->body;
    asx_assert(!body->obligations && !body->defers && !body->dead);
    if (asx_unlikely(task->flags & ASXI_TASK_LENT)) {
        asx_outcome_release(body->lent);
        asx_reason_release(body->outgrown);
        if (body->trail) {
            asx_heap_free(&task->cx._region->heap, body->trail, sizeof(*body->trail));
        }
    }
    task->body = NULL; /* a stall's sample leaves the fiber alone from here on */
    if (asx_likely(task->flags & ASXI_TASK_ON_FIBER)) {
        const char *const label = body->label;
        asx_signal_fence();
        asxi_body_stack_release(task->cx._shard, &task->fiber);
        task->label = label;
        task->waits_for = NULL;
        asx_signal_fence();
        task->flags &= ~(uint32_t)ASXI_TASK_ON_FIBER;
    }
    if (asx_unlikely(task->flags & ASXI_TASK_BODY_HEAP)) {
        asx_heap_free(&task->cx._region->heap, body, sizeof(*body));
    }
}

/* Of many tasks that one request ended, the first says all that the region learns from them. */
ASX_INLINE bool asxi_ending_is_known(const asx_region *region, const asx_task *task)
{
    return task->outcome.severity == ASX_SEVERITY_CANCELLED &&
           region->outcome.severity == ASX_SEVERITY_CANCELLED &&
           region->outcome.reason == task->outcome.reason && !region->rule;
}

/* It counts no longer; what waited for that goes on. The region may be gone afterwards. */
ASX_INLINE void asxi_ending_leave_region(asx_region *region, asx_task *task, uint32_t flags,
                                         uint64_t severity)
{
    if (asx_unlikely((severity | region->judges) != ASX_SEVERITY_OK) &&
        !asxi_ending_is_known(region, task)) {
        /* Still counted: the policy may cancel the region, which must not close under this call. */
        asxi_region_task_judge(region, task);
    }
    asx_debug_assert(asxi_region_live_tasks(region) > 0);
    region->past_seqs++;
    const uint32_t left = asxi_region_live_tasks(region);
    if (asx_unlikely(task->joiners != NULL)) {
        asxi_task_tell_joiners(task);
    }
    if (!(flags & ASXI_TASK_JOINABLE)) {
        asxi_task_reap(task);
    }
    if (left == 0 && (region->sealed || region->state != ASX_REGION_OPEN)) {
        asxi_region_advance(region);
    }
}

/* Any of these is one, too. */
#define ASXI_TASK_INCIDENTS (ASXI_TASK_HAS_DROP | ASXI_TASK_TIMELY | ASXI_TASK_SENDABLE)

/* What is left to do for a task that holds nothing any more but its argument, nor waits. The rest
 * is what the caller knows of it. */
ASX_INLINE void asxi_ending_finish(asx_shard *shard, asx_task *task, uint32_t flags,
                                   uint64_t severity)
{
    asx_region *const region = task->cx._region;
    asx_debug_assert(asx_task_edge_allowed((asx_task_state)task->state, ASX_TASK_COMPLETED));
    task->condition = asxi_condition(flags, ASX_TASK_COMPLETED, ASXI_WAKE_IDLE, ASXI_LANE_NONE);
    ASXI_TRACE(shard, TASK_COMPLETE, asxi_trace_of(task), asxi_trace_of(region), severity);
    if (task->arg_size > 0) {
        asx_heap_free(&region->heap, task->arg, task->arg_size);
        task->arg_size = 0;
    }
    shard->stats.completed++;
    if (asx_unlikely(flags & ASXI_TASK_FINALIZER)) {
        asxi_region_finalizer_done(region, task);
    } else {
        asxi_ending_leave_region(region, task, flags, severity);
    }
}

/* Nothing of the task is in flight, none of its stacks is running. */
ASX_INLINE void asxi_ending_complete(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    asx_assert(!task->ops && !asx_timer_armed(&task->timer));
    if (asx_unlikely(task->reason || task->outcome.severity >= ASX_SEVERITY_CANCELLED ||
                     (task->flags & ASXI_TASK_INCIDENTS) ||
                     (task->body && task->body->obligations))) {
        asxi_ending_incidents(task);
    }
    if (task->body) {
        asxi_body_release(task);
    }
    if (asx_unlikely(task->waits_for != NULL)) {
        task->waits_for = NULL;
    }
    asxi_ending_finish(shard, task, task->flags, task->outcome.severity);
}

ASX_INLINE void asxi_ending_begin(asx_task *task, asx_outcome outcome)
{
    task->flags |= ASXI_TASK_ENDING;
    task->outcome = outcome;
    if (asx_unlikely(outcome.severity >= ASX_SEVERITY_CANCELLED)) {
        (void)asx_outcome_retain(outcome);
    }
    if (asx_unlikely(task->state == ASX_TASK_CANCELLING)) {
        asxi_task_state_set(task, ASX_TASK_FINALIZING);
    }
    if (asx_unlikely(asx_timer_armed(&task->timer))) {
        asx_timer_disarm(&task->cx._shard->wheel, &task->timer);
    }
}

#endif
