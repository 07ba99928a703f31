/* What stands on a task's own stack: its code from the first instruction to the last, and the
 * finisher that does for a task what its own stack cannot. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>

#include "ending_internal.h"

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
        asxi_body_stack_release(task->cx._shard, &dead.fiber);
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
    asxi_ending_begin(task, task->fn(&task->cx, asxi_task_arg(task)));
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

/* A body that stands on a stack moves to the new one: the old one did not end well. */
ASX_INLINE bool start(asx_task *task, asx_fiber_fn *main, size_t stack_bytes)
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

bool asxi_body_start(asx_task *task)
{
    return start(task, fiber_main, (size_t)task->stack_kib << 10);
}

void asxi_body_start_finisher(asx_task *task)
{
    if (!start(task, finisher_main, ASX_STACK_BYTES_DEFAULT)) {
        asx_assert_fail(__FILE__, __LINE__, "no stack to clean up after a panic");
    }
}
