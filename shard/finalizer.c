/* Finalizers: what a region's users left to be done once its members are gone, innermost first,
 * each a task of the kernel's under a budget (FIN-1..8). */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"
#include "trace_internal.h"

asx_err asx_region_finalizer_add(asx_region *region, asx_finalizer_fn *fn, void *arg)
{
    const asx_task *const caller = region->shard->running;
    const asx_err err = asxi_region_admit_part(region, caller ? caller->cx._region : NULL);
    if (err) {
        return err;
    }
    asxi_finalizer *const finalizer = asx_heap_alloc(&region->heap, sizeof(*finalizer));
    if (!finalizer) {
        return ASX_E(NO_MEMORY);
    }
    *finalizer = (asxi_finalizer){
        .below = region->finalizers, .fn = fn, .arg = arg, .number = ++region->finalizer_count
    };
    region->finalizers = finalizer;
    ASXI_TRACE(region->shard, FINALIZER_ADD, asxi_trace_of(region), finalizer->number);
    if (region->finalizer_count > ASX_FINALIZER_COUNT_WARN && !region->warned_finalizers) {
        region->warned_finalizers = true;
        asxi_diagnose(region->shard, "region %s has more than %u finalizers",
                      region->label ? region->label : "-", ASX_FINALIZER_COUNT_WARN);
    }
    return ASX_OK;
}

static asx_outcome finalizer_main(asx_cx *cx, void *arg)
{
    const asxi_finalizer *const finalizer = arg;
    return finalizer->fn(cx, finalizer->arg);
}

static void finalizer_overdue(asx_timer *timer)
{
    asxi_finalizer *const finalizer = asx_container_of(timer, asxi_finalizer, overdue);
    finalizer->task->budget.poll_quota = 0;
    asx_task_notify(finalizer->task); /* the overrun is judged at its dispatch (FIN-3) */
}

/* A planted bug's. */
static void finalizers_turn(asx_region *region)
{
    asxi_finalizer *turned = NULL, *each = region->finalizers;
    while (each) {
        asxi_finalizer *const below = each->below;
        each->below = turned;
        turned = each;
        each = below;
    }
    region->finalizers = turned;
}

bool asxi_region_finalizer_start(asx_region *region)
{
    if (ASXI_PLANTED(FINALIZER_ORDER) && region->reason) {
        finalizers_turn(region);
    }
    asxi_finalizer *const finalizer = region->finalizers;
    asx_task *task = NULL;
    const uint8_t state = region->state;
    const bool sealed = region->sealed, limited = region->limited;
    if (!ASXI_PLANTED(DOUBLE_FINALIZER) || !region->reason || finalizer->task) {
        region->finalizers = finalizer->below;
    }
    /* The kernel's own task is admitted whatever the state (REG-4). */
    region->state = ASX_REGION_OPEN;
    region->sealed = false;
    region->limited = false;
    const asx_err err = asxi_task_create(NULL, region, NULL, ASXI_TASK_FINALIZER, &task);
    region->state = state;
    region->sealed = sealed;
    region->limited = limited;
    if (err) {
        asxi_diagnose(region->shard, "finalizer of region %s could not run: no task record",
                      region->label ? region->label : "-");
        return false;
    }
    region->past_seqs++;
    region->finalizer_task = task;
    task->fn = finalizer_main;
    task->arg = finalizer;
    task->label = "finalizer";
    task->kernel_masks = 1;
    task->budget = ASX_BUDGET_DEFAULT;
    const asx_resources resources = asx_region_resources(region);
    task->budget.poll_quota = resources.cleanup_polls < ASX_FINALIZER_POLLS
                                  ? (uint32_t)resources.cleanup_polls
                                  : ASX_FINALIZER_POLLS;
    finalizer->task = task;
    finalizer->overdue.fn = finalizer_overdue;
    asx_timer_arm(&region->shard->wheel, &finalizer->overdue,
                  asx_time_add(region->shard->now_ns, resources.cleanup_ns < ASX_FINALIZER_NS
                                                          ? resources.cleanup_ns
                                                          : ASX_FINALIZER_NS));
    ASXI_TRACE(region->shard, FINALIZER_RUN, asxi_trace_of(region), finalizer->number);
    asxi_task_start(task);
    return true;
}

void asxi_region_finalizer_done(asx_region *region, asx_task *task)
{
    asx_assert(region->finalizer_task == task);
    asxi_finalizer *const finalizer = task->arg; /* stands in the heap: no block of the task's */
    asx_timer_disarm(&region->shard->wheel, &finalizer->overdue);
    region->finalizer_task = NULL;
    if (task->outcome.severity == ASX_SEVERITY_PANICKED) {
        const bool abandoned =
            task->outcome.panic && task->outcome.panic->cause == ASX_PANIC_ABANDONED;
        if (!abandoned || region->overrun == ASX_OVERRUN_BOUNDED_PANIC) {
            asxi_region_fold(region, task->outcome, task->spawn_seq);
        }
    } else if (task->outcome.severity == ASX_SEVERITY_ERR) {
        char text[64];
        asxi_diagnose(region->shard, "finalizer of region %s returned %s",
                      region->label ? region->label : "-",
                      asx_err_name(task->outcome.err, text, sizeof(text)));
    }
    asxi_task_reap(task);
    asxi_region_advance(region);
}
