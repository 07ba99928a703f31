/* From a spawn's arguments to a queued task that its region owns (SPN-*). */
#include <asx/shard/base/assert.h>

#include "migrate_internal.h"
#include "shard_internal.h"
#include "trace_internal.h"

#include <string.h>

/* Once for each record: what no task that used it will have changed. */
static void task_first_use(asx_task *task, asx_shard *shard)
{
    memset((char *)task + sizeof(asx_slot), 0, sizeof(*task) - sizeof(asx_slot));
    task->cx._task = task;
    task->cx._shard = shard;
    task->timer.fn = asxi_task_timer_fired;
}

/* What the lanes touch. */
ASX_INLINE void task_begin(asx_task *task, uint32_t flags, asxi_wake wake)
{
    asx_debug_assert(!task->reason && !task->joiners && !task->ops && !task->body);
    asx_debug_assert(!task->label && task->arg_size == 0);
    task->condition = asxi_condition(flags, ASX_TASK_CREATED, wake, ASXI_LANE_READY);
}

/* The rest, line after line of the record: stores side by side in one line take half the time.
 * Counts it as its region's. */
ASX_INLINE void task_belong(asx_task *task, asx_shard *shard, asx_region *region, uint32_t caps,
                            uint32_t flags)
{
    task->cx._region = region;
    task->cx._caps = caps;
    task->budget = region->budget;
    task->spawn_seq = region->spawn_seq;
    if (!(flags & ASXI_TASK_POLL)) {
        task->stack_kib = ASX_STACK_BYTES_DEFAULT >> 10;
    }
    asx_list_push_back_anew(&region->tasks, &task->sibling);
    task->spawned_at = shard->now_ns;
    region->spawn_seq++;
}

static void task_apply(asx_task *task, const asx_spawn_options *options)
{
    if (options->detached_result) {
        task->flags &= ~(uint32_t)ASXI_TASK_JOINABLE;
    }
    if (options->sendable && (task->flags & ASXI_TASK_POLL)) {
        task->flags |= ASXI_TASK_SENDABLE;
        asxi_migrate_task_made(task->cx._shard);
    }
    if (options->caps) {
        task->cx._caps = ASXI_PLANTED(CAPS_GROW) ? options->caps : task->cx._caps & options->caps;
    }
    if (options->budget) {
        task->budget = asx_budget_meet(task->budget, *options->budget);
    }
    if (options->priority) {
        task->budget.priority = (uint8_t)options->priority;
    }
    if (options->stack_bytes) {
        const size_t kib = (options->stack_bytes + 1023) >> 10;
        task->stack_kib = kib < UINT16_MAX ? (uint16_t)kib : UINT16_MAX; /* more than there is */
    }
    task->label = options->label;
}

asx_err asxi_task_create(asx_cx *cx, asx_region *region, const asx_spawn_options *options,
                         uint32_t flags, asx_task **out)
{
    asx_shard *const shard = region->shard;
    const asx_err err = asxi_region_admit(region, cx ? cx->_task->cx._region : NULL);
    if (asx_unlikely(err)) {
        return err;
    }
    asx_task *const task = asx_handle_alloc(&shard->tasks, NULL);
    if (asx_unlikely(!task)) {
        asxi_region_arrival_undo(region);
        return asx_handle_table_why(&shard->tasks);
    }
    if (asx_unlikely(task->slot.generation == 1)) {
        task_first_use(task, shard);
    }
    if (asx_unlikely(region->has_resources) && asxi_charges_cpu(region)) {
        flags |= ASXI_TASK_CHARGED;
    }
    task_begin(task, flags | ASXI_TASK_JOINABLE, ASXI_WAKE_IDLE);
    task_belong(task, shard, region, cx ? cx->_caps : region->caps, flags);
    if (options) {
        task_apply(task, options);
    }
    *out = task;
    return ASX_OK;
}

void asxi_task_start(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    asx_assert(task->wake == ASXI_WAKE_IDLE && task->state == ASX_TASK_CREATED);
    task->wake = ASXI_WAKE_QUEUED;
    ASXI_TRACE(shard, TASK_SPAWN, asxi_trace_of(task), asxi_trace_of(task->cx._region));
    asxi_trace_budget(task);
    asxi_sched_enqueue(shard, task);
}

void asxi_task_uncreate(asx_task *task)
{
    asx_region *const region = task->cx._region;
    if (task->flags & ASXI_TASK_SENDABLE) {
        asxi_migrate_task_ended(task->cx._shard);
    }
    asx_list_remove(&task->sibling);
    task->label = NULL;
    asxi_region_arrival_undo(region);
    region->spawn_seq--;
    task->cx._shard->stats.spawned--;
    asx_handle_free(&task->cx._shard->tasks, task);
}

asx_err asxi_task_arg_put(asx_task *task, const void *init, size_t size, const void *pointer,
                          asx_drop_fn *drop)
{
    const size_t note_size = drop ? sizeof(asxi_drop_note) : 0;
    void *arg;
    memcpy(&arg, &pointer, sizeof(arg));
    if (note_size + size > 0) {
        char *const block = asx_heap_alloc(&task->cx._region->heap, note_size + size);
        if (asx_unlikely(!block)) {
            return asxi_heap_refuse(task->cx._region, note_size + size);
        }
        task->arg_size = (uint32_t)(note_size + size);
        arg = size > 0 ? block + note_size : arg;
        if (drop) {
            *(asxi_drop_note *)(void *)block = (asxi_drop_note){ .drop = drop, .arg = arg };
            task->flags |= ASXI_TASK_HAS_DROP;
        }
        if (size > 0 && init) {
            memcpy(arg, init, size);
        } else if (size > 0) {
            memset(arg, 0, size);
        }
        arg = block;
    }
    task->arg = arg;
    return ASX_OK;
}

static asx_err spawn(asx_cx *cx, asx_region *region, const asx_spawn_options *options,
                     uint32_t flags, const void *init, size_t size, const void *pointer,
                     asx_task **out)
{
    asx_err err = asxi_cx_require(cx, ASX_CAP_SPAWN);
    if (asx_unlikely(err)) {
        return err;
    }
    region = region ? region : asxi_cx_region(cx);
    if (asx_unlikely(!region)) {
        return ASX_E(REGION_CLOSED); /* a scope whose region failed and is gone */
    }
    err = asxi_task_create(cx, region, options, flags, out);
    if (asx_unlikely(err)) {
        return err;
    }
    asxi_trace_cap_use(cx, ASX_CAP_SPAWN);
    err = asxi_task_arg_put(*out, init, size, pointer, options ? options->drop : NULL);
    if (asx_unlikely(err)) {
        asxi_task_uncreate(*out);
    }
    return err;
}

/* The usual spawn, as far as it goes without a call: nothing to copy, nothing to configure, a
 * record that was used before, and the lanes in a plain stretch of the region's priority. NULL: the
 * long way. */
ASX_INLINE asx_task *spawn_bare(asx_cx *cx, asx_region *region, uint32_t flags, asx_task_fn *fn,
                                asx_step_fn *step, const void *arg)
{
    asx_shard *const shard = cx->_shard;
    /* One without a shard has no capability either. */
    if (asx_unlikely(!(cx->_caps & ASX_CAP_SPAWN) || cx->_task != shard->running)) {
        return NULL;
    }
    if (asx_likely(!region)) {
        if (asx_unlikely(cx->_region_gone)) {
            return NULL;
        }
        region = cx->_region;
    }
    if (asx_unlikely(!asxi_region_admits_all(region) || !shard->tasks._free)) {
        return NULL;
    }
    if (asx_unlikely(!asxi_sched_is_plain_for(shard, &region->budget))) {
        return NULL;
    }
    asx_task *const task = asx_handle_alloc(&shard->tasks, NULL);
    task_begin(task, flags | ASXI_TASK_JOINABLE, ASXI_WAKE_QUEUED);
    if (flags & ASXI_TASK_POLL) {
        task->step = step;
    } else {
        task->fn = fn;
    }
    asxi_sched_push_plain(shard, task);
    if ((const void *)task->arg != arg) { /* a spawn is bound by what it stores */
        memcpy(&task->arg, &arg, sizeof(arg));
    }
    task_belong(task, shard, region, cx->_caps, flags);
    return task;
}

/* In the order of the long way. */
ASX_INLINE void trace_bare(const asx_cx *cx, const asx_task *task)
{
    asxi_trace_cap_use(cx, ASX_CAP_SPAWN);
    ASXI_TRACE(task->cx._shard, TASK_SPAWN, asxi_trace_of(task), asxi_trace_of(task->cx._region));
    asxi_trace_budget(task);
    asxi_trace_caps(cx, task);
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

asx_err asx_spawn_any(asx_cx *cx, asx_region *region, asx_task_fn *fn, const void *arg,
                      size_t arg_size, const asx_spawn_options *options, asx_handle *handle)
{
    asx_task *task = NULL;
    asx_assert(fn != NULL);
    const asx_err err = spawn(cx, region, options, 0, arg, arg_size, arg, &task);
    if (asx_unlikely(err)) {
        drop_refused(options, arg);
        return err;
    }
    task->fn = fn;
    asxi_task_start(task);
    asxi_trace_caps(cx, task);
    if (handle) {
        *handle = asx_handle_of(task);
    }
    return ASX_OK;
}

asx_err asx_spawn_bare(asx_cx *cx, asx_region *region, asx_task_fn *fn, const void *arg,
                       asx_handle *handle)
{
    asx_task *const task = fn ? spawn_bare(cx, region, 0, fn, NULL, arg) : NULL;
    if (asx_unlikely(!task)) {
        return asx_spawn_any(cx, region, fn, arg, 0, NULL, handle);
    }
    trace_bare(cx, task);
    if (handle) {
        *handle = asx_handle_of(task);
    }
    return ASX_OK;
}

asx_err asx_spawn_poll_any(asx_cx *cx, asx_region *region, asx_step_fn *step, const void *init,
                           size_t frame_size, const asx_spawn_options *options, asx_handle *handle,
                           void **frame)
{
    asx_task *task = NULL;
    asx_assert(step != NULL);
    const asx_err err = spawn(cx, region, options, ASXI_TASK_POLL, init, frame_size, NULL, &task);
    if (asx_unlikely(err)) {
        drop_refused(options, init);
        return err;
    }
    task->step = step;
    asxi_task_start(task);
    asxi_trace_caps(cx, task);
    if (handle) {
        *handle = asx_handle_of(task);
    }
    if (frame) {
        *frame = asxi_task_arg(task);
    }
    return ASX_OK;
}

asx_err asx_spawn_poll_bare(asx_cx *cx, asx_region *region, asx_step_fn *step, asx_handle *handle)
{
    asx_task *const task = step ? spawn_bare(cx, region, ASXI_TASK_POLL, NULL, step, NULL) : NULL;
    if (asx_unlikely(!task)) {
        return asx_spawn_poll_any(cx, region, step, NULL, 0, NULL, handle, NULL);
    }
    trace_bare(cx, task);
    if (handle) {
        *handle = asx_handle_of(task);
    }
    return ASX_OK;
}
