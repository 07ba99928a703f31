/* What few tasks end with: a panic, a request to end, an obligation, something to drop. */
#include <asx/shard/base/assert.h>

#include "ending_internal.h"
#include "migrate_internal.h"
#include "trace_internal.h"

static void finish_outcome(asx_task *task)
{
    if (task->outcome.severity == ASX_SEVERITY_PANICKED ||
        (task->outcome.severity == ASX_SEVERITY_CANCELLED &&
         task->outcome.reason == task->reason)) {
        return;
    }
    const asx_outcome was = task->outcome;
    if (was.severity <= ASX_SEVERITY_ERR) {
        task->late = was;
        task->flags |= ASXI_TASK_HAS_LATE;
        task->outcome = asx_outcome_retain(asx_cancelled(task->reason));
        return;
    }
    task->outcome =
        asx_outcome_retain(asx_cancelled(asx_reason_strengthen(task->reason, was.reason)));
    asx_outcome_release(was);
}

void asxi_task_payloads_release(asx_task *task)
{
    asx_reason_release(task->reason);
    task->reason = NULL;
    asx_outcome_release(task->outcome);
}

/* The last of the user's code that runs for a task: a panic in it is the task's (PAN-5). */
static void drop_argument(asx_task *task)
{
    const asxi_drop_note *const note = task->arg;
    const asx_panic_info *const panic = asxi_contain(task->cx._shard, note->drop, note->arg);
    if (panic && task->outcome.severity != ASX_SEVERITY_PANICKED) {
        asx_outcome_release(task->outcome);
        task->outcome = asx_panicked(panic);
    } else {
        asx_panic_info_release(panic);
    }
}

void asxi_ending_incidents(asx_task *task)
{
    if (task->body && task->body->obligations) {
        asxi_obligation_audit(task, &task->outcome);
    }
    if (task->flags & ASXI_TASK_TIMELY) {
        asxi_deadline_task_ended(task);
    }
    if (task->flags & ASXI_TASK_HAS_DROP) {
        drop_argument(task);
    }
    if (task->flags & ASXI_TASK_SENDABLE) {
        asxi_migrate_task_ended(task->cx._shard);
    }
    if (task->reason) {
        if (asx_unlikely(task->cx._shard->cleanups != NULL)) {
            asxi_cleanup_ended(task);
        }
        finish_outcome(task);
    }
    if (task->reason && !(task->flags & ASXI_TASK_ACKED)) {
        ASXI_TRACE(task->cx._shard, CANCEL_ACK, asxi_trace_of(task),
                   asxi_trace_of(task->cx._region),
                   task->reason->kind); /* ended without having noticed */
    }
    task->cx._shard->stats.cancelled += task->outcome.severity == ASX_SEVERITY_CANCELLED;
    task->cx._shard->stats.panicked += task->outcome.severity == ASX_SEVERITY_PANICKED;
}
