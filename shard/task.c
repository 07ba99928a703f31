/* The task automaton (TSK-1..9): from spawn to the last waiter told.
 *
 *   CREATED ──dispatch──> RUNNING ──body returned──────────────────────────────> COMPLETED
 *      │ request             │ request                                              ^
 *      └──────────> CANCEL_REQUESTED ──acknowledge──> CANCELLING ──body──> FINALIZING ──┘
 *
 *   CREATED           no stack, no user code has run; region counts it; queued once
 *   RUNNING           fiber: stack and fiber valid; poll task: frame valid. reason is NULL
 *   CANCEL_REQUESTED  reason set; cleanup_* hold what acknowledgement will install
 *   CANCELLING        budget is the cleanup budget; every unmasked observation answers CANCELLED
 *   FINALIZING        body has returned; the kernel runs cleanup entries, masked
 *   COMPLETED         outcome valid, not counted by its region; no stack, operation or obligation
 *
 * ENDING is a flag beside the state: the body is over (returned or panicked) and what TSK-9 lists
 * is being done. asxi_ending_begin sets it; asxi_ending_finish is the only way into COMPLETED, and
 * runs on the thread's stack (ending_internal.h). */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>

#include "migrate_internal.h"
#include "shard_internal.h"
#include "trace_internal.h"

bool asx_task_edge_allowed(asx_task_state from, asx_task_state to)
{
#define TO(state) (1u << ASX_TASK_##state)
    static const uint8_t allowed[] = {
        [ASX_TASK_CREATED] = TO(RUNNING) | TO(CANCEL_REQUESTED) | TO(COMPLETED),
        [ASX_TASK_RUNNING] = TO(CANCEL_REQUESTED) | TO(COMPLETED),
        [ASX_TASK_CANCEL_REQUESTED] = TO(CANCEL_REQUESTED) | TO(CANCELLING) | TO(COMPLETED),
        [ASX_TASK_CANCELLING] = TO(CANCELLING) | TO(FINALIZING) | TO(COMPLETED),
        [ASX_TASK_FINALIZING] = TO(FINALIZING) | TO(COMPLETED),
        [ASX_TASK_COMPLETED] = 0,
    };
#undef TO
    return from < asx_array_count(allowed) && (allowed[from] >> to & 1) != 0;
}

const char *asx_task_state_name(asx_task_state state)
{
    static const char *const names[] = {
        [ASX_TASK_CREATED] = "CREATED",
        [ASX_TASK_RUNNING] = "RUNNING",
        [ASX_TASK_CANCEL_REQUESTED] = "CANCEL_REQUESTED",
        [ASX_TASK_CANCELLING] = "CANCELLING",
        [ASX_TASK_FINALIZING] = "FINALIZING",
        [ASX_TASK_COMPLETED] = "COMPLETED",
    };
    return (unsigned)state < asx_array_count(names) ? names[state] : "?";
}

asx_task *asx_task_of(const asx_cx *cx)
{
    return cx->_task;
}

/* The cause is the task whose code made it ready; 0: a timer, a completion, a message, or a task
 * whose end it was: of that one nothing is left that could be named. */
static inline void trace_ready(const asx_task *task)
{
    const asx_task *const cause = task->cx._shard->running;
    ASXI_TRACE(task->cx._shard, TASK_READY, asxi_trace_of(task), asxi_trace_of(task->cx._region),
               asxi_trace_of(cause && asx_slot_live(&cause->slot) ? cause : NULL));
}

/* It is queued, and what decides about its place is about to change, or has. */
static void requeue_take(asx_task *task)
{
    task->cx._shard->sched.requeued++;
    asxi_sched_take(task->cx._shard, task);
}

void asx_task_notify(asx_task *task)
{
    if (task->state == ASX_TASK_COMPLETED) {
        return;
    }
    if (task->wake == ASXI_WAKE_IDLE) {
        trace_ready(task);
        asxi_task_queue(task->cx._shard, task);
    } else if (task->wake == ASXI_WAKE_POLLING) {
        trace_ready(task);
        task->wake = ASXI_WAKE_POLLING_NOTIFIED;
    } else if (asx_unlikely(task->wake == ASXI_WAKE_AWAY)) {
        asxi_migrate_notify(task);
    }
}

void asx_task_waits_for(asx_cx *cx, const char *what)
{
    asxi_task_waits_for_set(cx->_task, what);
}

void asx_task_wake_at(asx_cx *cx, asx_instant at_ns)
{
    asx_task *const task = cx->_task;
    asx_assert(task->flags & ASXI_TASK_POLL);
    if (asx_unlikely(task->flags & ASXI_TASK_ENDING)) {
        return; /* a completion callback: there is no step to wake any more */
    }
    if (at_ns > task->budget.deadline_ns) {
        at_ns = asx_time_add(task->budget.deadline_ns, 1);
    }
    if (at_ns == ASX_TIME_NEVER) {
        task->flags &= ~(uint32_t)ASXI_TASK_WAKES;
        return;
    }
    task->flags |= ASXI_TASK_WAKES;
    task->wake_at = at_ns;
    if (!asx_timer_armed(&task->timer) || task->timer.at_ns > at_ns) {
        asx_timer_disarm(&cx->_shard->wheel, &task->timer);
        asx_timer_arm(&cx->_shard->wheel, &task->timer, at_ns);
    }
}

/* Cancelling */

/* The priority needs no such meet: it follows from the strongest reason, which the task keeps. */
static void cleanup_meet(asx_task *task, asx_budget cleanup)
{
    if (cleanup.poll_quota < task->cleanup_polls) {
        task->cleanup_polls = (uint16_t)cleanup.poll_quota;
    }
}

/* The code may still look at the reason it was handed. */
static void reason_replace(asx_task *task, const asx_reason *stronger)
{
    const asx_reason *old = task->reason;
    if (task->flags & ASXI_TASK_REASON_LENT) {
        asxi_body *const body = asxi_task_body(task);
        task->flags &= ~(uint32_t)ASXI_TASK_REASON_LENT;
        if (body) {
            const asx_reason *const older = body->outgrown;
            body->outgrown = old;
            task->flags |= ASXI_TASK_LENT;
            old = older;
        } else {
            old = NULL; /* without memory to note it, it is never freed */
        }
    }
    asx_reason_release(old);
    task->reason = asx_reason_retain(stronger);
}

void asxi_task_request_cancel(asx_task *task, const asx_reason *reason)
{
    if (task->state == ASX_TASK_COMPLETED || (task->flags & ASXI_TASK_FINALIZER)) {
        return;
    }
    const asx_reason *const stronger = asx_reason_strengthen(task->reason, reason);
    if (stronger != task->reason) {
        ASXI_TRACE(task->cx._shard, CANCEL_REQUEST, asxi_trace_of(task),
                   asxi_trace_of(task->cx._region),
                   stronger->kind | (task->reason ? ASX_TRACE_STRENGTHENED : 0u),
                   asx_trace_id(stronger->region), asx_trace_id(stronger->task));
        reason_replace(task, stronger);
        if (asx_unlikely(task->wake == ASXI_WAKE_AWAY)) {
            asxi_migrate_cancel(task);
        }
    }
    const asx_budget *const cleanup = &asxi_cleanup_budgets[reason->kind];
    switch ((asx_task_state)task->state) {
    case ASX_TASK_CREATED:
    case ASX_TASK_RUNNING:
        asxi_task_state_set(task, ASX_TASK_CANCEL_REQUESTED);
        task->cleanup_polls = (uint16_t)cleanup->poll_quota;
        /* The lane's priority is the cleanup's from here on; deadlines order nothing in it. */
        if (task->wake == ASXI_WAKE_QUEUED) {
            requeue_take(task);
            task->budget.priority = cleanup->priority;
            asxi_sched_enqueue(task->cx._shard, task);
        } else {
            task->budget.priority = cleanup->priority;
            if (ASXI_PLANTED(CANCEL_UNHEARD) && (task->flags & ASXI_TASK_SLEEPING)) {
                break;
            }
            if (task->wake == ASXI_WAKE_IDLE) {
                trace_ready(task);
                asxi_sched_push_cancelled(task->cx._shard, task);
            } else {
                asx_task_notify(task);
            }
        }
        break;
    case ASX_TASK_CANCEL_REQUESTED:
        cleanup_meet(task, *cleanup);
        break;
    case ASX_TASK_CANCELLING:
    case ASX_TASK_FINALIZING:
        cleanup_meet(task, *cleanup);
        if (task->wake == ASXI_WAKE_QUEUED) {
            requeue_take(task);
            task->budget = asx_budget_meet(task->budget, *cleanup);
            asxi_sched_enqueue(task->cx._shard, task);
        } else {
            task->budget = asx_budget_meet(task->budget, *cleanup);
        }
        break;
    case ASX_TASK_COMPLETED:
        break;
    }
}

void asx_task_cancel(asx_cx *cx, asx_handle handle, asx_cancel_kind kind, const char *message)
{
    void *record;
    asx_shard *const shard = cx->_shard;
    if (ASXI_PLANTED(STALE_HANDLE)) {
        handle = asx_handle_of(asx_handle_at(&shard->tasks, handle.index));
    }
    if (asx_handle_lookup(&shard->tasks, handle, &record)) {
        shard->stats.wakes_stale++;
        return;
    }
    const asx_reason *const reason =
        asx_reason_create(kind, asx_region_handle(cx->_task->cx._region), asx_handle_of(cx->_task),
                          shard->now_ns, message, NULL);
    asxi_task_request_cancel(record, reason);
    asx_reason_release(reason);
}
