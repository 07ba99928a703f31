/* From a spawn's arguments to a queued task that its region owns (SPN-*). */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

#include "shard_internal.h"
#include "trace_internal.h"

#include <string.h>

static void task_init(asx_task *task, asx_shard *shard, asx_region *region, uint32_t flags)
{
    memset((char *)task + sizeof(asx_slot), 0, sizeof(*task) - sizeof(asx_slot));
    task->flags = flags;
    task->cx._task = task;
    task->cx._region = region;
    task->cx._shard = shard;
    task->timer.fn = asxi_task_timer_fired;
    task->wake_at = ASX_TIME_NEVER;
    asx_list_init(&task->ops);
    asx_list_init(&task->obligations);
    task->spawned_at = shard->now_ns;
    task->spawn_seq = region->spawn_seq++;
    task->entropy =
        asx_mix64(region->entropy + (task->spawn_seq + 1) * UINT64_C(0x9E3779B97F4A7C15));
}

asx_err asxi_task_create(asx_cx *cx, asx_region *region, const asx_spawn_options *options,
                         uint32_t flags, asx_task **out)
{
    static const asx_spawn_options defaults;
    asx_shard *const shard = region->shard;
    options = options ? options : &defaults;
    const asx_err err = asxi_region_admit(region, cx ? cx->_task->cx._region : NULL);
    if (asx_unlikely(err)) {
        return err;
    }
    asx_task *const task = asx_handle_alloc(&shard->tasks, NULL);
    if (asx_unlikely(!task)) {
        return asx_handle_table_why(&shard->tasks);
    }
    task_init(task, shard, region, flags);
    if (!options->detached_result) {
        task->flags |= ASXI_TASK_JOINABLE;
    }
    task->cx._caps =
        (cx ? cx->_caps : region->caps) & (options->caps ? options->caps : ASX_CAP_ALL);
    task->budget = region->budget;
    if (options->budget) {
        task->budget = asx_budget_meet(task->budget, *options->budget);
    }
    if (options->priority) {
        task->budget.priority = (uint8_t)options->priority;
    }
    task->stack_bytes =
        (uint32_t)(options->stack_bytes ? options->stack_bytes : ASX_STACK_DEFAULT_BYTES);
    task->drop = options->drop;
    task->label = options->label;
    asx_list_push_back(&region->tasks, &task->sibling);
    region->live_tasks++;
    shard->stats.spawned++;
    *out = task;
    return ASX_OK;
}

void asxi_task_start(asx_task *task)
{
    asx_assert(task->wake == ASXI_WAKE_IDLE && task->state == ASX_TASK_CREATED);
    task->wake = ASXI_WAKE_QUEUED;
    ASXI_TRACE(task->cx._shard, TASK_SPAWN, asxi_trace_of(task), asxi_trace_of(task->cx._region));
    asxi_sched_enqueue(task->cx._shard, task);
}

/* Undoes asxi_task_create for a task that never became visible to anybody. */
static void task_uncreate(asx_task *task)
{
    asx_region *const region = task->cx._region;
    asx_list_unlink(&task->sibling);
    region->live_tasks--;
    region->spawn_seq--;
    task->cx._shard->stats.spawned--;
    asx_handle_free(&task->cx._shard->tasks, task);
}

static asx_err spawn_common(asx_cx *cx, asx_region *region, const asx_spawn_options *options,
                            uint32_t flags, const void *init, size_t size, asx_task **out)
{
    asx_task *task = NULL;
    asx_err err = asx_cx_require(cx, ASX_CAP_SPAWN);
    region = region ? region : cx->_region;
    if (asx_unlikely(!region)) {
        return ASX_E(REGION_CLOSED); /* a scope whose region failed and is gone */
    }
    if (asx_likely(!err)) {
        err = asxi_task_create(cx, region, options, flags, &task);
    }
    if (asx_unlikely(err)) {
        return err;
    }
    if (size > 0) {
        task->arg = asx_heap_alloc(&region->heap, size);
        if (asx_unlikely(!task->arg)) {
            task_uncreate(task);
            return ASX_E(NO_MEMORY);
        }
        task->arg_size = (uint32_t)size;
        if (init) {
            memcpy(task->arg, init, size);
        } else {
            memset(task->arg, 0, size);
        }
    }
    *out = task;
    return ASX_OK;
}

/* Nothing was taken over: what the argument holds is given back here (SPN-3). */
static void drop_refused(const asx_spawn_options *options, const void *arg)
{
    if (options && options->drop && arg) {
        void *dropped;
        memcpy(&dropped, &arg, sizeof(dropped));
        options->drop(dropped);
    }
}

asx_err asx_spawn(asx_cx *cx, asx_region *region, asx_task_fn *fn, const void *arg, size_t arg_size,
                  const asx_spawn_options *options, asx_handle *handle)
{
    asx_task *task;
    asx_assert(fn != NULL);
    const asx_err err = spawn_common(cx, region, options, 0, arg, arg_size, &task);
    if (asx_unlikely(err)) {
        drop_refused(options, arg);
        return err;
    }
    if (arg_size == 0) {
        memcpy(&task->arg, &arg, sizeof(task->arg));
    }
    task->fn = fn;
    asxi_task_start(task);
    if (handle) {
        *handle = asx_handle_of(task);
    }
    return ASX_OK;
}

asx_err asx_spawn_poll(asx_cx *cx, asx_region *region, asx_step_fn *step, const void *init,
                       size_t frame_size, const asx_spawn_options *options, asx_handle *handle,
                       void **frame)
{
    asx_task *task;
    asx_assert(step != NULL);
    const asx_err err = spawn_common(cx, region, options, ASXI_TASK_POLL, init, frame_size, &task);
    if (asx_unlikely(err)) {
        drop_refused(options, init);
        return err;
    }
    task->step = step;
    task->flags |= options && options->sendable ? ASXI_TASK_SENDABLE : 0u;
    asxi_task_start(task);
    if (handle) {
        *handle = asx_handle_of(task);
    }
    if (frame) {
        *frame = task->arg;
    }
    return ASX_OK;
}
