/* The one place where a fiber parks, and what a checkpoint observes (CKP-*, MSK-*, BUD-9). */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"
#include "trace_internal.h"

/* The strongest budget condition that holds now, or -1 (BUD-9). */
static int budget_condition(const asx_task *task, asx_instant now_ns)
{
    int kind = -1;
    if (asx_budget_past_deadline(&task->budget, now_ns)) {
        kind = ASX_CANCEL_DEADLINE;
    }
    if (task->budget.cost_quota == 0 || (task->flags & ASXI_TASK_COST_OUT)) {
        kind = ASX_CANCEL_COST_BUDGET;
    }
    /* The poll quota is judged where polls are paid, at dispatch: the last paid step is
     * undisturbed (BUD-6). */
    return kind;
}

static void request_own_cancel(asx_task *task, asx_cancel_kind kind)
{
    if (kind == ASX_CANCEL_DEADLINE) {
        asxi_deadline_missed(task);
    }
    const asx_handle handle = asx_handle_of(task);
    const asx_reason *const reason = asx_reason_create(kind, asx_region_handle(task->cx._region),
                                                       handle, task->cx._shard->now_ns, NULL, NULL);
    asxi_task_request_cancel(task, reason);
    asx_reason_release(reason);
}

/* The innermost open mask that has something left, or NULL. */
static asx_mask *mask_left(const asx_task *task)
{
    asx_mask *const innermost = task->body ? task->body->masks : NULL;
    for (asx_mask *mask = innermost; mask; mask = mask->_outer) {
        if (ASXI_PLANTED(MASK_IGNORED) && mask != innermost) {
            break;
        }
        if (mask->_left > 0) {
            return mask;
        }
    }
    return NULL;
}

/* True when an open mask frame, or the kernel, takes this observation upon itself (MSK-2). */
static bool spend_mask(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    if (task->kernel_masks > 0) {
        return true;
    }
    asx_mask *const mask = mask_left(task);
    if (asx_unlikely(shard->cleanups != NULL)) {
        asxi_cleanup_observed(task, mask != NULL);
    }
    if (mask) {
        mask->_left--;
        return true;
    }
    asx_mask *const innermost = task->body ? task->body->masks : NULL;
    if (innermost && !innermost->_reported) {
        innermost->_reported = true;
        asxi_diagnose(shard, "MASK_EXHAUSTED: task %s masked longer than it asked for",
                      asxi_task_label(task) ? asxi_task_label(task) : "-");
    }
    return false;
}

static void acknowledge(asx_task *task)
{
    if (task->state == ASX_TASK_CANCEL_REQUESTED) {
        asxi_task_state_set(task, ASX_TASK_CANCELLING);
        ASXI_TRACE(task->cx._shard, CANCEL_ACK, asxi_trace_of(task),
                   asxi_trace_of(task->cx._region), task->reason->kind);
        task->flags |= ASXI_TASK_ACKED;
        task->budget = ASX_BUDGET_UNLIMITED;
        task->budget.poll_quota = task->cleanup_polls;
        task->budget.priority = asxi_cleanup_budgets[task->reason->kind].priority;
    }
}

/* True when a fiber has run its share without suspending: it lets others run, and the next dispatch
 * pays (BUD-12). */
static bool slice_used(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    if (asxi_in_step(shard)) {
        return false;
    }
    return task->slice_checkpoints >= ASX_SLICE_CHECKPOINTS_MAX ||
           (task->slice_checkpoints % ASX_SLICE_CHECKPOINTS_LOOK == 0 && asxi_slice_look(shard));
}

static void slice_yield(asx_task *task)
{
    ASXI_TRACE(task->cx._shard, TASK_YIELD, asxi_trace_of(task), asxi_trace_of(task->cx._region));
    asx_task_notify(task);
    asxi_task_switch_out(task);
}

/* CANCELLED is answered at once, as often as it is asked for: who does not heed it is metered. */
ASX_INLINE void meter_cancelled(asx_task *task)
{
    task->slice_checkpoints++;
    if (!(task->body && task->body->parked) && slice_used(task)) {
        slice_yield(task);
    }
}

bool asxi_observe_cancel_slow(asx_cx *cx)
{
    asx_task *const task = cx->_task;
    asx_assert(task == cx->_shard->running); /* WRONG_TASK is answered before any wait */
    if (task->state == ASX_TASK_RUNNING && !(task->flags & ASXI_TASK_ENDING)) {
        const int kind = budget_condition(task, cx->_shard->now_ns);
        if (asx_unlikely(kind >= 0)) {
            request_own_cancel(task, (asx_cancel_kind)kind);
        }
    }
    if (asx_unlikely(asxi_task_is_cancelling(task)) && !spend_mask(task)) {
        acknowledge(task);
        meter_cancelled(task);
        return true;
    }
    const bool scope_failed =
        asx_unlikely(cx->_is_scope) && task->kernel_masks == 0 && asxi_cx_failure(cx) != NULL;
    if (asx_unlikely(scope_failed)) {
        meter_cancelled(task);
    }
    return scope_failed;
}

asx_outcome asxi_cancelled(asx_cx *cx)
{
    asx_task *const task = cx->_task;
    if (asx_unlikely(cx->_is_scope) && !asxi_task_is_cancelling(task)) {
        return asxi_task_lend(task, asx_cancelled(asxi_cx_failure(cx)));
    }
    task->flags |= ASXI_TASK_REASON_LENT;
    return asx_cancelled(task->reason);
}

void asxi_wait_init(asxi_wait *wait, asx_cx *cx)
{
    *wait = (asxi_wait){ .task = cx->_task };
}

void asxi_wait_resolve(asxi_wait *wait, uintptr_t value)
{
    asx_assert(!wait->resolved);
    asx_list_unlink(&wait->link);
    wait->resolved = true;
    wait->value = value;
    asx_task_notify(wait->task);
}

void asxi_task_switch_out(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    asx_assert(shard->running == task && (task->flags & ASXI_TASK_ON_FIBER));
    asx_fiber_switch(&task->fiber, &shard->thread_fiber);
}

/* A deadline that falls on this very instant waits until what is ready now has run (TMR-3a). */
void asxi_task_timer_fired(asx_timer *timer)
{
    asx_task *const task = asx_container_of(timer, asx_task, timer);
    asx_shard *const shard = task->cx._shard;
    if (task->flags & ASXI_TASK_POLL && !(task->flags & ASXI_TASK_ENDING)) {
        const asx_instant wake_at = asxi_task_wake_at(task);
        if (wake_at > shard->now_ns) { /* moved out while armed: the cheap re-arm */
            if (wake_at != ASX_TIME_NEVER) {
                asx_timer_arm(&shard->wheel, timer, wake_at);
            }
            return;
        }
        task->flags &= ~(uint32_t)ASXI_TASK_WAKES;
        asx_task_notify(task);
        return;
    }
    if (timer->at_ns == shard->now_ns && !(task->flags & ASXI_TASK_SLEEPING)) {
        asx_list_push_back(&shard->late_expiries, &task->body->parked->late_link);
        return;
    }
    task->flags |= ASXI_TASK_TIMED_OUT;
    asx_task_notify(task);
}

static bool wait_is_masked(const asx_task *task)
{
    if (task->kernel_masks > 0) {
        return true;
    }
    for (const asx_mask *mask = task->body->masks; mask; mask = mask->_outer) {
        if (mask->_left > 0) {
            return true;
        }
    }
    return false;
}

static void wait_begin(asx_task *task, asxi_wait *wait, const char *what, asx_instant at_ns)
{
    task->body->waits_for = what;
    task->flags &= ~(uint32_t)ASXI_TASK_TIMED_OUT;
    task->body->parked = wait;
    ASXI_TRACE(task->cx._shard, TASK_BLOCK, asxi_trace_of(task), asxi_trace_of(task->cx._region),
               asxi_trace_text(what), wait->object);
    if (at_ns != ASX_TIME_NEVER) {
        asx_timer_arm(&task->cx._shard->wheel, &task->timer, at_ns);
    }
}

static void wait_end(asx_task *task, asxi_wait *wait)
{
    asx_timer_disarm(&task->cx._shard->wheel, &task->timer);
    asx_list_unlink(&wait->late_link);
    asx_list_unlink(&wait->link);
    task->body->parked = NULL;
    task->body->waits_for = NULL;
}

void asxi_wait_abandon(asx_task *task)
{
    asxi_wait *const wait = task->body ? task->body->parked : NULL;
    if (wait) {
        wait_end(task, wait);
        if (wait->leave) {
            wait->leave(wait);
        }
    }
}

/* Inline where a task usually waits: each function that a resumed fiber returns through costs a
 * misprediction, since the processor expects the returns of the stack it came from. */
ASX_INLINE asxi_woken park(asx_cx *cx, asxi_wait *wait, const char *what, asx_instant deadline_ns)
{
    asx_task *const task = cx->_task;
    const bool masked = wait_is_masked(task);
    const asx_instant budget_ns = masked ? ASX_TIME_NEVER : task->budget.deadline_ns;
    asxi_woken woken = ASXI_WOKEN;
    wait_begin(task, wait, what, deadline_ns < budget_ns ? deadline_ns : budget_ns);
    for (;;) {
        if (!wait->resolved && !(task->flags & ASXI_TASK_TIMED_OUT)) {
            asxi_task_switch_out(task);
        }
        if ((task->flags & ASXI_TASK_TIMED_OUT) && !wait->resolved && budget_ns < deadline_ns &&
            task->state == ASX_TASK_RUNNING) {
            request_own_cancel(task, ASX_CANCEL_DEADLINE);
        }
        if (!masked && asxi_observe_cancel(cx)) {
            woken = ASXI_WOKEN_CANCELLED;
            break;
        }
        if (wait->resolved) {
            break;
        }
        if ((task->flags & ASXI_TASK_TIMED_OUT)) {
            if (deadline_ns <= cx->_shard->now_ns) {
                woken = ASXI_WOKEN_TIMEOUT;
                break;
            }
            /* The budget's deadline, deferred by a mask opened before. */
            task->flags &= ~(uint32_t)ASXI_TASK_TIMED_OUT;
            asx_timer_arm(&cx->_shard->wheel, &task->timer, deadline_ns);
        }
    }
    wait_end(task, wait);
    return woken;
}

asxi_woken asxi_wait_park(asx_cx *cx, asxi_wait *wait, const char *what, asx_instant deadline_ns)
{
    return park(cx, wait, what, deadline_ns);
}

/* A masked wait is a mask of its own, below those that the program opened. Without trace points
 * nobody asks. */
__attribute__((unused)) static inline uint32_t masked_depth(const asx_task *task)
{
    const uint32_t depth = task->body->mask_depth;
    return depth < ASX_MASK_DEPTH_MAX ? depth + 1 : depth;
}

void asxi_wait_park_masked(asx_cx *cx, asxi_wait *wait, const char *what)
{
    asx_task *const task = cx->_task;
    ASXI_TRACE(cx->_shard, MASK_ENTER, asxi_trace_of(task), masked_depth(task));
    wait_begin(task, wait, what, ASX_TIME_NEVER);
    while (!wait->resolved) {
        asxi_task_switch_out(task);
    }
    wait_end(task, wait);
    ASXI_TRACE(cx->_shard, MASK_EXIT, asxi_trace_of(task), masked_depth(task));
}

static asx_outcome checkpoint_slow(asx_cx *cx)
{
    asx_task *const task = cx->_task;
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (slice_used(task)) {
        slice_yield(task);
        if (asxi_observe_cancel(cx)) {
            return asxi_cancelled(cx);
        }
    }
    return asx_ok(0);
}

asx_outcome asx_checkpoint(asx_cx *cx)
{
    asx_task *const task = cx->_task;
    if (asx_unlikely(task != cx->_shard->running)) {
        return asx_fail(ASX_E(WRONG_TASK));
    }
    asxi_body *const body = task->body;
    if (asx_likely(body != NULL)) { /* a poll task without one is known by when it last ran */
        body->checkpoints++;
        body->checkpoint_at = cx->_shard->now_ns;
    }
    task->slice_checkpoints++;
    return checkpoint_slow(cx);
}

asx_outcome asx_yield(asx_cx *cx)
{
    asx_task *const task = cx->_task;
    if (task != cx->_shard->running) {
        return asx_fail(ASX_E(WRONG_TASK));
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    ASXI_TRACE(task->cx._shard, TASK_YIELD, asxi_trace_of(task), asxi_trace_of(task->cx._region));
    asx_task_notify(task);
    if (!(task->flags & ASXI_TASK_POLL)) {
        asxi_task_switch_out(task);
        if (asxi_observe_cancel(cx)) {
            return asxi_cancelled(cx);
        }
    }
    return asx_ok(0);
}

asx_outcome asx_sleep_until(asx_cx *cx, asx_instant at_ns)
{
    asxi_wait wait;
    const asx_err err = asx_cx_require(cx, ASX_CAP_TIME);
    if (err) {
        return asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (at_ns <= cx->_shard->now_ns) {
        return asx_ok(0);
    }
    asxi_trace_cap_use(cx, ASX_CAP_TIME);
    asxi_wait_init(&wait, cx);
    cx->_task->flags |= at_ns <= cx->_task->budget.deadline_ns ? ASXI_TASK_SLEEPING : 0u;
    const asxi_woken woken = park(cx, &wait, "sleep", at_ns - ASXI_PLANTED(EARLY_SLEEP));
    cx->_task->flags &= ~(uint32_t)ASXI_TASK_SLEEPING;
    return woken == ASXI_WOKEN_CANCELLED ? asxi_cancelled(cx) : asx_ok(0);
}

asx_outcome asx_sleep(asx_cx *cx, asx_duration duration)
{
    return asx_sleep_until(cx, asx_time_add(cx->_shard->now_ns, duration));
}

asx_mask *asx_mask_open(asx_mask *mask, asx_cx *cx, uint32_t k)
{
    asxi_body *const body = asxi_task_body(cx->_task);
    if (!body) {
        asx_panic("no memory for a mask");
    }
    *mask = (asx_mask){
        ._outer = body->masks, ._task = cx->_task, ._left = (uint16_t)k, ._open = true
    };
    if (k < 1 || k > UINT16_MAX) {
        asx_panic("mask of %u observations: 1 to 65535 are allowed", k);
    }
    if (body->mask_depth >= ASX_MASK_DEPTH_MAX) {
        asx_panic("masks nested deeper than %u", ASX_MASK_DEPTH_MAX);
    }
    body->mask_depth++;
    body->masks = mask;
    ASXI_TRACE(cx->_shard, MASK_ENTER, asxi_trace_of(cx->_task), body->mask_depth);
    return mask;
}

void asx_mask_close(asx_mask *mask)
{
    if (!mask->_open) {
        return;
    }
    asxi_body *const body = mask->_task->body;
    if (body->masks != mask) {
        asx_panic("mask closed out of order");
    }
    mask->_open = false;
    ASXI_TRACE(mask->_task->cx._shard, MASK_EXIT, asxi_trace_of(mask->_task), body->mask_depth);
    body->masks = mask->_outer;
    body->mask_depth--;
}

asx_outcome asx_commit_section(asx_cx *cx, uint32_t k, asx_section_fn *fn, void *arg)
{
    asx_outcome outcome = asx_checkpoint(cx);
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    ASX_MASK(cx, k) {
        outcome = fn(cx, arg);
    }
    return outcome;
}
