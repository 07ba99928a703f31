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
 * is being done. end_body() sets it; complete() is the only way into COMPLETED and runs on the
 * thread's stack. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>

#include "migrate_internal.h"
#include "shard_internal.h"
#include "trace_internal.h"

/* What fits into a core's second cache needs no help: 256 tasks of about 1 KiB. The frames of a
 * parked fiber, from the switch to its function, are about six lines. */
#define PREFETCH_QUEUED_MIN 256u
#define PREFETCH_FRAME_BYTES 384u

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

asxi_body *asxi_task_body_create(asx_task *task)
{
    asxi_body *const body = asx_heap_alloc(&task->cx._region->heap, sizeof(*body));
    asx_assert(!task->body);
    if (body) {
        *body = (asxi_body){ 0 };
        task->body = body;
        task->flags |= ASXI_TASK_BODY_HEAP;
    }
    return body;
}

asx_outcome asxi_task_lend_payload(asx_task *task, asx_outcome outcome)
{
    asxi_body *const body = asxi_task_body(task);
    if (!body) { /* nowhere to note the reference: the payload is not handed out */
        return outcome.severity == ASX_SEVERITY_CANCELLED ? asx_cancelled(NULL)
                                                          : asx_panicked(NULL);
    }
    (void)asx_outcome_retain(outcome);
    asx_outcome_release(body->lent);
    body->lent = outcome;
    task->flags |= ASXI_TASK_LENT;
    return outcome;
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
               asxi_trace_of(cause && cause->slot.live ? cause : NULL));
}

ASX_INLINE void queue(asx_shard *shard, asx_task *task)
{
    if (asx_likely(task->state <= ASX_TASK_RUNNING && !(task->flags & ASXI_TASK_FINALIZER))) {
        asxi_sched_push(shard, task);
    } else {
        task->wake = ASXI_WAKE_QUEUED;
        asxi_sched_enqueue(shard, task);
    }
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
        queue(task->cx._shard, task);
    } else if (task->wake == ASXI_WAKE_POLLING) {
        trace_ready(task);
        task->wake = ASXI_WAKE_POLLING_NOTIFIED;
    } else if (asx_unlikely(task->wake == ASXI_WAKE_AWAY)) {
        asxi_migrate_notify(task);
    }
}

static void waits_for_set(asx_task *task, const char *what)
{
    if (task->flags & ASXI_TASK_ON_FIBER) {
        task->body->waits_for = what;
    } else {
        task->waits_for = what;
    }
}

void asx_task_waits_for(asx_cx *cx, const char *what)
{
    waits_for_set(cx->_task, what);
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
    task->wake_at = at_ns;
    if (at_ns != ASX_TIME_NEVER && (!asx_timer_armed(&task->timer) || task->timer.at_ns > at_ns)) {
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

/* Ending */

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

static void release_stack(asx_shard *shard, asx_fiber *fiber)
{
    asx_stack *const stack = fiber->stack;
    asx_fiber_deinit(fiber);
    asx_stack_release(&shard->stacks, stack);
}

/* The body goes with the stack it stands on. */
static void release_body(asx_task *task)
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
        release_stack(task->cx._shard, &task->fiber);
        task->label = label;
        task->waits_for = NULL;
        asx_signal_fence();
        task->flags &= ~(uint32_t)ASXI_TASK_ON_FIBER;
    }
    if (asx_unlikely(task->flags & ASXI_TASK_BODY_HEAP)) {
        asx_heap_free(&task->cx._region->heap, body, sizeof(*body));
    }
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

/* Of many tasks that one request ended, the first says all that the region learns from them. */
ASX_INLINE bool is_known_cancel(const asx_region *region, const asx_task *task)
{
    return task->outcome.severity == ASX_SEVERITY_CANCELLED &&
           region->outcome.severity == ASX_SEVERITY_CANCELLED &&
           region->outcome.reason == task->outcome.reason && !region->rule;
}

/* It counts no longer; what waited for that goes on. The region may be gone afterwards. */
ASX_INLINE void leave_region(asx_region *region, asx_task *task, uint32_t flags)
{
    if (asx_unlikely(task->outcome.severity != ASX_SEVERITY_OK || region->judges) &&
        !is_known_cancel(region, task)) {
        /* Still counted: the policy may cancel the region, which must not close under this call. */
        asxi_region_task_judge(region, task);
    }
    asx_assert(region->live_tasks > 0);
    const uint32_t left = --region->live_tasks;
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

#define INCIDENTS (ASXI_TASK_HAS_DROP | ASXI_TASK_TIMELY | ASXI_TASK_SENDABLE)

/* What most tasks end without: a panic, a request to end, an obligation, something to drop. */
static void complete_incidents(asx_task *task)
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

/* What is left to do for a task that holds nothing any more but its argument. `flags` are its. */
ASX_INLINE void finish(asx_shard *shard, asx_task *task, uint32_t flags)
{
    asx_region *const region = task->cx._region;
    task->flags = flags;
    asxi_task_state_set(task, ASX_TASK_COMPLETED);
    task->wake = ASXI_WAKE_IDLE;
    ASXI_TRACE(shard, TASK_COMPLETE, asxi_trace_of(task), asxi_trace_of(region),
               task->outcome.severity);
    if (task->arg_size > 0) {
        asx_heap_free(&region->heap, task->arg, task->arg_size);
        task->arg_size = 0;
    }
    if (task->waits_for) {
        task->waits_for = NULL;
    }
    shard->stats.completed++;
    if (asx_unlikely(flags & ASXI_TASK_FINALIZER)) {
        asxi_region_finalizer_done(region, task);
    } else {
        leave_region(region, task, flags);
    }
}

/* Nothing of the task is in flight, none of its stacks is running. */
ASX_INLINE void complete_here(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    asx_assert(!task->ops && !asx_timer_armed(&task->timer));
    if (asx_unlikely(task->reason || task->outcome.severity >= ASX_SEVERITY_CANCELLED ||
                     (task->flags & INCIDENTS) || (task->body && task->body->obligations))) {
        complete_incidents(task);
    }
    if (task->body) {
        release_body(task);
    }
    finish(shard, task, task->flags);
}

/* The same, off the two paths that most tasks take. */
static ASX_NOINLINE void complete(asx_task *task)
{
    complete_here(task);
}

ASX_INLINE void end_body(asx_task *task, asx_outcome outcome)
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

/* Runs what is left on the cleanup list. On a fiber of the task; entries may wait, masked. */
static void run_defers(asx_task *task)
{
    asxi_body *const body = task->body;
    while (body->defers) {
        asx_defer *const defer = body->defers;
        body->defers = defer->_below;
        defer->_linked = false;
        defer->_fn(&task->cx, defer);
    }
}

static void wait_for_ops(asx_task *task)
{
    if (asx_unlikely(task->ops != NULL)) {
        asxi_op_cancel_all(task);
        task->body->waits_for = "operations in flight";
        while (task->ops) {
            asxi_task_switch_out(task);
        }
    }
}

static void release_dead(asx_task *task)
{
    asxi_body *const body = task->body;
    bool more = body->dead != NULL;
    asxi_dead_fiber dead = { 0 };
    if (more) {
        dead = *body->dead;
    }
    body->dead = NULL;
    while (more) {
        /* The older record stands on the stack that this one names: read before it goes. */
        asxi_dead_fiber older = { 0 };
        more = dead.older != NULL;
        if (more) {
            older = *dead.older;
        }
        release_stack(task->cx._shard, &dead.fiber);
        dead = older;
    }
}

ASX_NORETURN static void fiber_leave(asx_task *task)
{
    task->flags |= ASXI_TASK_DONE;
    asx_fiber_switch_final(&task->fiber, &task->cx._shard->thread_fiber);
    asx_unreachable();
}

/* From here on the kernel's own mask holds; what the code left open is forgotten. */
static void masks_close(asx_task *task)
{
    task->kernel_masks++;
    task->body->masks = NULL;
    task->body->mask_depth = 0;
}

static void fiber_main(void *arg)
{
    asx_task *const task = arg;
    end_body(task, task->fn(&task->cx, asxi_task_arg(task)));
    const asxi_body *const body = task->body;
    if (asx_unlikely(body->defers || body->masks || task->ops)) {
        masks_close(task);
        run_defers(task);
        wait_for_ops(task);
    }
    fiber_leave(task);
}

/* Finishes a task whose own stack cannot: a panicked fiber, a poll task with cleanup entries. */
static void finisher_main(void *arg)
{
    asx_task *const task = arg;
    asx_shard *const shard = task->cx._shard;
    asxi_dead_fiber dead = { 0 };
    if (shard->has_handoff) {
        dead.fiber = shard->handoff_dead;
        dead.older = task->body->dead;
        task->body->dead = &dead;
        shard->has_handoff = false;
    }
    masks_close(task);
    wait_for_ops(task); /* an operation's buffer may lie in a scope that the entries close */
    run_defers(task);
    wait_for_ops(task);
    release_dead(task);
    fiber_leave(task);
}

/* Dispatching */

/* A body that stands on a stack moves to the new one: the old one did not end well. */
static bool start_fiber(asx_task *task, asx_fiber_fn *main, size_t stack_bytes)
{
    asx_stack *const stack = asx_stack_acquire(&task->cx._shard->stacks, stack_bytes);
    if (asx_unlikely(!stack)) {
        return false;
    }
    asxi_body *body = task->body;
    if (asx_likely(!(task->flags & ASXI_TASK_BODY_HEAP))) {
        body = asx_stack_reserve(stack, sizeof(*body));
        *body = asx_unlikely(task->body != NULL) ? *task->body : (asxi_body){ 0 };
    }
    if (asx_likely(!(task->flags & ASXI_TASK_ON_FIBER))) {
        body->label = task->label;
        task->body = NULL; /* until the fiber stands: see has_fiber of stall.c */
        asx_signal_fence();
        task->flags |= ASXI_TASK_ON_FIBER;
        asx_signal_fence();
    }
    asx_fiber_init(&task->fiber, stack, main, task);
    asx_signal_fence();
    task->body = body;
    return true;
}

static void overrun(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    if (!(task->flags & ASXI_TASK_OVERRUN)) {
        task->flags |= ASXI_TASK_OVERRUN;
        shard->stats.overruns++;
        asxi_diagnose(shard, "%s: task %s of region %s used up its cleanup polls",
                      task->flags & ASXI_TASK_FINALIZER ? "FINALIZER_OVERRUN" : "CLEANUP_OVERRUN",
                      asxi_task_label(task) ? asxi_task_label(task) : "-",
                      task->cx._region->label ? task->cx._region->label : "-");
        task->budget.priority = 0;
    }
}

/* Takes one poll before the step (BUD-6). False: the task was abandoned instead. */
static bool pay_metered(asx_task *task)
{
    if (asx_unlikely(task->cx._shard->cleanups != NULL)) {
        asxi_cleanup_polled(task);
    }
    if (task->state == ASX_TASK_CANCEL_REQUESTED) {
        if ((task->flags & ASXI_TASK_GUEST) && asxi_migrate_leave(task)) {
            return false;
        }
        /* Paid from the pending cleanup quota, once the step has ended unacknowledged (MSK-3). */
        if (task->cleanup_polls > 0) {
            return true;
        }
    } else if (task->budget.poll_quota == ASX_POLLS_UNLIMITED) {
        return true;
    } else if (task->budget.poll_quota > 0) {
        task->budget.poll_quota--;
        return true;
    }
    if (task->state == ASX_TASK_RUNNING && !(task->flags & ASXI_TASK_FINALIZER)) {
        const asx_reason *const reason =
            asx_reason_create(ASX_CANCEL_POLL_QUOTA, asx_region_handle(task->cx._region),
                              asx_handle_of(task), task->cx._shard->now_ns, NULL, NULL);
        asxi_task_request_cancel(task, reason);
        asx_reason_release(reason);
        return true;
    }
    overrun(task);
    const asx_overrun policy = (asx_overrun)task->cx._region->overrun;
    if (policy == ASX_OVERRUN_BOUNDED_PANIC ||
        (policy == ASX_OVERRUN_BOUNDED_LOG && (task->flags & ASXI_TASK_FINALIZER))) {
        asxi_task_abandon(task);
        return false;
    }
    return true;
}

/* After the task's code left the processor, not for the last time: queues it again, or idle. */
static void after_step(asx_shard *shard, asx_task *task);

ASX_INLINE void run_fiber(asx_shard *shard, asx_task *task)
{
    asx_fiber_switch(&shard->thread_fiber, &task->fiber);
    if (task->flags & ASXI_TASK_DONE) {
        complete_here(task);
    } else {
        after_step(shard, task);
    }
}

static void run_finisher(asx_shard *shard, asx_task *task)
{
    const asxi_body *const body = task->body;
    if ((task->flags & ASXI_TASK_ON_FIBER) && (task->flags & ASXI_TASK_PANICKED)) {
        if (!body->defers && !task->ops && !body->dead) {
            complete(task); /* nothing to run: the dead stack goes with the record */
            return;
        }
        shard->handoff_dead = task->fiber;
        shard->has_handoff = true;
    }
    if (!start_fiber(task, finisher_main, ASX_STACK_BYTES_DEFAULT)) {
        asx_assert_fail(__FILE__, __LINE__, "no stack to clean up after a panic");
    }
    task->flags &= ~(uint32_t)ASXI_TASK_PANICKED;
    run_fiber(shard, task);
}

static void go_idle(const asx_shard *shard, asx_task *task)
{
    task->wake = ASXI_WAKE_IDLE;
    task->idle_since = shard->now_ns;
}

static ASX_NOINLINE void end_poll_task(asx_shard *shard, asx_task *task)
{
    if (asx_unlikely(task->body != NULL) && task->body->defers) {
        run_finisher(shard, task);
        return;
    }
    if (asx_unlikely(task->ops != NULL)) {
        asxi_op_cancel_all(task);
        if (task->ops) {
            waits_for_set(task, "operations in flight");
            go_idle(shard, task); /* asxi_task_op_settled notifies at the last one */
            return;
        }
    }
    complete(task);
}

/* A poll task to which nothing happened, and that made nothing but its frame. */
ASX_INLINE bool holds_nothing(const asx_task *task)
{
    const bool linked = task->ops || task->body || task->reason || asx_timer_armed(&task->timer);
    return !linked && !(task->flags & INCIDENTS);
}

static void after_step(asx_shard *shard, asx_task *task)
{
    if (asx_unlikely(task->state == ASX_TASK_CANCEL_REQUESTED) && task->cleanup_polls > 0) {
        task->cleanup_polls--;
    }
    if (asx_unlikely(task->flags & ASXI_TASK_PANICKED)) {
        run_finisher(shard, task);
        return;
    }
    if (task->wake == ASXI_WAKE_POLLING_NOTIFIED &&
        !(ASXI_PLANTED(WAKE_IN_STEP) && (task->flags & ASXI_TASK_POLL))) {
        queue(shard, task);
    } else {
        go_idle(shard, task);
        if (task->flags & ASXI_TASK_POLL) { /* a fiber said so where it parked */
            ASXI_TRACE(shard, TASK_BLOCK, asxi_trace_of(task), asxi_trace_of(task->cx._region),
                       asxi_trace_text(asxi_task_waits_for(task)), 0);
        }
    }
}

/* Of a poll task that holds nothing. */
ASX_INLINE void end_bare(asx_shard *shard, asx_task *task, asx_outcome outcome, uint32_t flags)
{
    /* Word by word, as the step has just stored them: a load of both would stall. */
    task->outcome.severity = outcome.severity;
    task->outcome.value = outcome.value;
    finish(shard, task, flags | ASXI_TASK_ENDING);
}

static ASX_NOINLINE void step_ended(asx_shard *shard, asx_task *task, asx_outcome outcome)
{
    if (asx_likely(holds_nothing(task) && outcome.severity <= ASX_SEVERITY_ERR)) {
        end_bare(shard, task, outcome, task->flags);
    } else {
        end_body(task, outcome);
        end_poll_task(shard, task);
    }
}

ASX_INLINE void step_left(asx_shard *shard, asx_task *task)
{
    if (asx_unlikely(task->budget.deadline_ns != ASX_TIME_NEVER) &&
        task->wake_at == ASX_TIME_NEVER && task->state == ASX_TASK_RUNNING) {
        asx_task_wake_at(&task->cx, ASX_TIME_NEVER - 1); /* the budget's deadline (BUD-10) */
    }
    after_step(shard, task);
}

ASX_INLINE void run_step(asx_shard *shard, asx_task *task)
{
    asx_outcome outcome;
    shard->in_step = true;
    const bool done = task->step(&task->cx, asxi_task_arg(task), &outcome);
    shard->in_step = false;
    if (done) {
        step_ended(shard, task, outcome);
    } else {
        step_left(shard, task);
    }
}

static ASX_NOINLINE void complete_unrun(asx_task *task, asx_outcome outcome)
{
    end_body(task, outcome);
    complete(task);
}

/* CREATED to RUNNING; false when it completes without having run (TSK-6). */
ASX_INLINE bool first_dispatch(asx_task *task)
{
    if (asx_unlikely(task->state == ASX_TASK_CANCEL_REQUESTED)) {
        if (!(task->flags & ASXI_TASK_GUEST) || !asxi_migrate_leave(task)) {
            complete_unrun(task, asx_cancelled(task->reason));
        }
        return false;
    }
    task->flags |= ASXI_TASK_STARTED;
    asxi_task_state_set(task, ASX_TASK_RUNNING);
    if (!(task->flags & ASXI_TASK_POLL) &&
        asx_unlikely(!start_fiber(task, fiber_main, (size_t)task->stack_kib << 10))) {
        complete_unrun(task, asx_fail(ASX_E(NO_STACK)));
        return false;
    }
    return true;
}

ASX_INLINE bool pay_poll(asx_task *task)
{
    if (asx_likely(task->budget.poll_quota == ASX_POLLS_UNLIMITED &&
                   task->state == ASX_TASK_RUNNING)) {
        return true;
    }
    return pay_metered(task);
}

/* A poll task that does not step (its finisher's turn, or the last of its operations is over), or
 * for the first time since it moved. */
static ASX_NOINLINE void run_rarely(asx_shard *shard, asx_task *task)
{
    task->flags &= ~(uint32_t)ASXI_TASK_MOVED;
    if (task->flags & ASXI_TASK_ON_FIBER) {
        run_fiber(shard, task);
    } else if (task->flags & ASXI_TASK_ENDING) {
        end_poll_task(shard, task);
    } else {
        run_step(shard, task);
    }
}

/* A poll task that nothing happened to before its first step, nor in it. */
#define FRESH (ASXI_TASK_POLL | ASXI_TASK_JOINABLE)
#define FRESH_STARTED (FRESH | ASXI_TASK_STARTED)

ASX_INLINE bool is_fresh(const asx_task *task)
{
    /* In this order: flags and state side by side become one load, which stalls when they, or what
     * stands between, were just stored one by one. */
    return task->flags == FRESH && task->budget.poll_quota == ASX_POLLS_UNLIMITED &&
           task->state == ASX_TASK_CREATED;
}

/* What dispatch and run_step come to for such a one, where most of their questions are answered by
 * what its flags are. RUNNING still, it has no reason. */
ASX_INLINE void run_fresh(asx_shard *shard, asx_task *task)
{
    asx_outcome outcome;
    asx_debug_assert(task->lane == ASXI_LANE_READY && task->kernel_masks == 0);
    task->flags = FRESH_STARTED; /* with what stands behind it, one store and later one load */
    asxi_task_state_set(task, ASX_TASK_RUNNING);
    task->wake = ASXI_WAKE_POLLING;
    task->lane = ASXI_LANE_READY;
    task->kernel_masks = 0;
    if (task->slice_checkpoints > 0) {
        task->slice_checkpoints = 0;
    }
    shard->in_step = true;
    const bool done = task->step(&task->cx, task->arg, &outcome);
    shard->in_step = false;
    if (asx_unlikely(!done)) {
        step_left(shard, task);
    } else if (asx_likely(task->flags == FRESH_STARTED && task->state == ASX_TASK_RUNNING &&
                          !task->ops && !task->body && !asx_timer_armed(&task->timer) &&
                          outcome.severity <= ASX_SEVERITY_ERR)) {
        end_bare(shard, task, outcome, FRESH_STARTED);
    } else {
        step_ended(shard, task, outcome);
    }
}

ASX_INLINE void dispatch(asx_shard *shard, asx_task *task)
{
    const uint32_t rarely = ASXI_TASK_ON_FIBER | ASXI_TASK_ENDING | ASXI_TASK_MOVED;
    asx_assert(task->wake == ASXI_WAKE_QUEUED);
    ASXI_TRACE(shard, TASK_DISPATCH, asxi_trace_of(task), asxi_trace_of(task->cx._region),
               task->lane);
    shard->running = task;
    if (is_fresh(task)) {
        run_fresh(shard, task);
        return;
    }
    task->wake = ASXI_WAKE_POLLING;
    if (!(task->flags & ASXI_TASK_STARTED) && asx_unlikely(!first_dispatch(task))) {
        return;
    }
    if (task->slice_checkpoints > 0) {
        task->slice_checkpoints = 0;
    }
    if (asx_likely(pay_poll(task))) {
        if (!(task->flags & ASXI_TASK_POLL)) {
            run_fiber(shard, task);
        } else if (asx_unlikely(task->flags & rarely)) {
            run_rarely(shard, task);
        } else {
            run_step(shard, task);
        }
    }
}

static asx_task *behind(const asx_shard *shard, const asx_task *task)
{
    const uintptr_t node = (uintptr_t)task->run._next;
    const bool is_head = node - (uintptr_t)shard < sizeof(*shard);
    return is_head || task->lane == ASXI_LANE_TIMED
               ? NULL
               : asx_container_of(task->run._next, asx_task, run);
}

/* `task` was just picked, and still names who stood behind it. Of thousands that wait, each has
 * left the near caches, and its stack the TLB: one's stack is fetched while another runs, and the
 * record of a third, which says where its stack is. */
static ASX_NOINLINE void prefetch_behind(const asx_shard *shard, const asx_task *task)
{
    /* GCC takes a function that only prefetches for one without effect, and drops its calls. */
    __asm__ volatile("");
    const asx_task *const next = behind(shard, task);
    const asx_task *const third = next ? behind(shard, next) : NULL;
    if (third) {
        const char *const record = (const char *)third;
        for (unsigned i = 0; i < sizeof(*third); i += ASX_CACHE_LINE) {
            __builtin_prefetch(record + i, 1);
        }
    }
    if (next && (next->flags & ASXI_TASK_ON_FIBER)) {
        const char *const frame = next->fiber.sp;
        for (unsigned i = 0; i < PREFETCH_FRAME_BYTES; i += ASX_CACHE_LINE) {
            __builtin_prefetch(frame + i, 1);
        }
        __builtin_prefetch(next->body, 1);
        __builtin_prefetch(next->fiber.stack, 1);
    }
}

/* Up to the next look at the clock; false when nothing is left to run. */
ASX_INLINE bool dispatch_stretch(asx_shard *shard, bool crowded)
{
    do {
        asx_task *const task = asxi_sched_pick(shard);
        if (!task) {
            return false;
        }
        if (asx_unlikely(crowded)) {
            prefetch_behind(shard, task);
        }
        dispatch(shard, task);
    } while (--shard->slice_left > 0);
    return true;
}

void asxi_task_dispatch_some(asx_shard *shard)
{
    bool more;
    do {
        more =
            dispatch_stretch(shard, shard->sched.queued - shard->sched.taken > PREFETCH_QUEUED_MIN);
    } while (more && asxi_slice_goes_on(shard));
    shard->running = NULL;
}

void asx_task_run_now(asx_cx *cx, asx_handle handle)
{
    asx_shard *const shard = cx->_shard;
    asx_task *const caller = cx->_task;
    void *record;
    asx_assert(caller == shard->running && shard->in_step);
    if (asx_handle_lookup(&shard->tasks, handle, &record)) {
        return;
    }
    asx_task *const task = record;
    if (task->wake != ASXI_WAKE_QUEUED || task->state != ASX_TASK_CREATED ||
        (task->flags & ASXI_TASK_POLL)) {
        return;
    }
    asxi_sched_take(shard, task);
    shard->in_step = false;
    dispatch(shard, task);
    shard->in_step = true;
    shard->running = caller;
}

/* The step left by a panic: `task` is ENDING, and its frame on the thread's stack is gone. */
void asxi_task_step_panicked(asx_shard *shard, asx_task *task)
{
    asx_timer_disarm(&shard->wheel, &task->timer);
    end_poll_task(shard, task);
}

void asxi_task_end_away(asx_task *task, asx_outcome outcome)
{
    end_body(task, outcome);
    asx_outcome_release(outcome);
    complete(task);
}

void asxi_task_op_settled(asx_task *task)
{
    if (task->flags & ASXI_TASK_ENDING && !task->ops) {
        asx_task_notify(task);
    }
}

/* A panic injected by the kernel into a task that is not running (PAN-3). */
void asxi_task_abandon(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    asx_panic_info *const info =
        asx_panic_info_create(ASX_PANIC_ABANDONED, __FILE__, __LINE__, "cleanup budget overrun");
    shard->stats.abandoned++;
    asxi_wait_abandon(task);
    if (task->flags & ASXI_TASK_ENDING) {
        asx_outcome_release(task->outcome);
    }
    task->outcome = asx_panicked(info);
    task->flags |= ASXI_TASK_ENDING | ASXI_TASK_PANICKED;
    task->budget = ASX_BUDGET_UNLIMITED;
    task->kernel_masks = 1;
    asx_timer_disarm(&shard->wheel, &task->timer);
    if ((task->flags & (ASXI_TASK_POLL | ASXI_TASK_ON_FIBER)) == ASXI_TASK_POLL) {
        task->flags &= ~(uint32_t)ASXI_TASK_PANICKED;
        end_poll_task(shard, task);
        return;
    }
    run_finisher(shard, task);
}
