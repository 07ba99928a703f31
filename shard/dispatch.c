/* A turn's dispatches: a task from its lane onto the processor, and what becomes of it when it
 * leaves (BUD-6, SCH-9, TSK-6). */
#include <asx/shard/base/assert.h>

#include "ending_internal.h"
#include "migrate_internal.h"

/* What fits into a core's second cache needs no help: 256 tasks of about 1 KiB. The frames of a
 * parked fiber, from the switch to its function, are about six lines. */
#define PREFETCH_QUEUED_MIN 256u
#define PREFETCH_FRAME_BYTES 384u

/* asxi_ending_complete, off the two paths that most tasks take. */
static ASX_NOINLINE void complete(asx_task *task)
{
    asxi_ending_complete(task);
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
        asxi_ending_complete(task);
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
    asxi_body_start_finisher(task);
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
            asxi_task_waits_for_set(task, "operations in flight");
            go_idle(shard, task); /* asxi_task_op_settled notifies at the last one */
            return;
        }
    }
    complete(task);
}

/* No operation, body or timer, and no name for what it waits for: one question. */
ASX_INLINE bool made_nothing(const asx_task *task)
{
    return ((uintptr_t)task->ops | (uintptr_t)task->body | (uintptr_t)task->timer._link._next |
            (uintptr_t)task->waits_for) == 0;
}

/* A poll task to which nothing happened, and that made nothing but its frame. */
ASX_INLINE bool holds_nothing(const asx_task *task)
{
    return made_nothing(task) && !task->reason && !(task->flags & ASXI_TASK_INCIDENTS);
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
        asxi_task_queue(shard, task);
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
    asxi_ending_finish(shard, task, flags | ASXI_TASK_ENDING, outcome.severity);
}

static ASX_NOINLINE void step_ended(asx_shard *shard, asx_task *task, asx_outcome outcome)
{
    if (asx_likely(holds_nothing(task) && outcome.severity <= ASX_SEVERITY_ERR)) {
        end_bare(shard, task, outcome, task->flags);
    } else {
        asxi_ending_begin(task, outcome);
        end_poll_task(shard, task);
    }
}

ASX_INLINE void step_left(asx_shard *shard, asx_task *task)
{
    if (asx_unlikely(task->budget.deadline_ns != ASX_TIME_NEVER) &&
        !(task->flags & ASXI_TASK_WAKES) && task->state == ASX_TASK_RUNNING) {
        asx_task_wake_at(&task->cx, ASX_TIME_NEVER - 1); /* the budget's deadline (BUD-10) */
    }
    after_step(shard, task);
}

ASX_INLINE void run_step(asx_shard *shard, asx_task *task)
{
    asx_outcome outcome;
    const bool done = task->step(&task->cx, asxi_task_arg(task), &outcome);
    if (done) {
        step_ended(shard, task, outcome);
    } else {
        step_left(shard, task);
    }
}

static ASX_NOINLINE void complete_unrun(asx_task *task, asx_outcome outcome)
{
    asxi_ending_begin(task, outcome);
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
    if (!(task->flags & ASXI_TASK_POLL) && asx_unlikely(!asxi_body_start(task))) {
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
    return task->flags == FRESH && task->budget.poll_quota == ASX_POLLS_UNLIMITED &&
           task->condition ==
               asxi_condition(FRESH, ASX_TASK_CREATED, ASXI_WAKE_QUEUED, ASXI_LANE_READY);
}

/* What dispatch and run_step come to for such a one, where most of their questions are answered by
 * what its flags are. RUNNING still, it has no reason. */
ASX_INLINE void run_fresh(asx_shard *shard, asx_task *task)
{
    asx_outcome outcome;
    const uint64_t stepping =
        asxi_condition(FRESH_STARTED, ASX_TASK_RUNNING, ASXI_WAKE_POLLING, ASXI_LANE_READY);
    task->condition = stepping;
    if (task->slice_checkpoints > 0) {
        task->slice_checkpoints = 0;
    }
    if (asx_unlikely(!task->step(&task->cx, task->arg, &outcome))) {
        step_left(shard, task);
    } else if (asx_likely(task->condition == stepping && made_nothing(task) &&
                          outcome.severity <= ASX_SEVERITY_ERR)) {
        end_bare(shard, task, outcome, FRESH_STARTED);
    } else {
        step_ended(shard, task, outcome);
    }
}

ASX_INLINE void dispatch_any(asx_shard *shard, asx_task *task)
{
    const uint32_t rarely = ASXI_TASK_ON_FIBER | ASXI_TASK_ENDING | ASXI_TASK_MOVED;
    asx_assert(task->wake == ASXI_WAKE_QUEUED);
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

/* Where it runs in the midst of another dispatch (asx_task_run_now), each pays for its own. */
static ASX_NOINLINE void dispatch_charged(asx_shard *shard, asx_task *task)
{
    asxi_charge outer = shard->charge;
    asxi_charge_end(shard);
    asxi_charge_begin(shard, task->cx._region);
    dispatch_any(shard, task);
    shard->running = NULL; /* who is cancelled now is not cancelled by the task */
    asxi_charge_end(shard);
    if (outer.count > 0) {
        outer.from_ns = shard->driver->ops->now(shard->driver);
        shard->charge = outer;
    }
}

ASX_INLINE void dispatch(asx_shard *shard, asx_task *task)
{
    ASXI_TRACE(shard, TASK_DISPATCH, asxi_trace_of(task), asxi_trace_of(task->cx._region),
               task->lane);
    shard->running = task;
    if (is_fresh(task)) {
        run_fresh(shard, task);
    } else if (asx_unlikely(task->flags & ASXI_TASK_CHARGED)) {
        dispatch_charged(shard, task);
    } else {
        dispatch_any(shard, task);
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

ASX_INLINE void prefetch_lines(const void *from, unsigned count)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++) {
        __builtin_prefetch((const char *)from + i * ASX_CACHE_LINE, 1);
    }
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
        prefetch_lines(third, sizeof(*third) / ASX_CACHE_LINE);
    }
    if (next && (next->flags & ASXI_TASK_ON_FIBER)) {
        prefetch_lines(next->fiber.sp, PREFETCH_FRAME_BYTES / ASX_CACHE_LINE);
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
    asx_assert(caller == shard->running && asxi_in_step(shard));
    if (asx_handle_lookup(&shard->tasks, handle, &record)) {
        return;
    }
    asx_task *const task = record;
    if (task->wake != ASXI_WAKE_QUEUED || task->state != ASX_TASK_CREATED ||
        (task->flags & ASXI_TASK_POLL)) {
        return;
    }
    asxi_sched_take(shard, task);
    dispatch(shard, task);
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
    asxi_ending_begin(task, outcome);
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
