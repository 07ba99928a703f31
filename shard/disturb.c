#include <asx/shard/base/assert.h>
#include <asx/shard/disturb.h>

#include "shard_internal.h"

static asx_task *task_found(asx_shard *shard, asx_handle handle)
{
    void *record;
    asx_assert(!shard->in_turn);
    return asx_handle_lookup(&shard->tasks, handle, &record) ? NULL : record;
}

bool asx_disturb_cancel(asx_shard *shard, asx_handle handle, asx_cancel_kind kind,
                        const char *message)
{
    asx_task *const task = task_found(shard, handle);
    if (!task || task->state == ASX_TASK_COMPLETED || (task->flags & ASXI_TASK_FINALIZER)) {
        return false;
    }
    const asx_handle root = shard->root ? asx_region_handle(shard->root) : (asx_handle){ 0 };
    const asx_reason *const reason =
        asx_reason_create(kind, root, handle, shard->now_ns, message, NULL);
    asxi_shard_self = shard;
    asxi_task_request_cancel(task, reason);
    asx_reason_release(reason);
    return true;
}

bool asx_disturb_wake(asx_shard *shard, asx_handle handle)
{
    asx_task *const task = task_found(shard, handle);
    if (!task) {
        return false;
    }
    asx_task_notify(task);
    return true;
}

void asx_disturb_alloc(asx_shard *shard, uint64_t nth)
{
    asx_chunk_fail_nth(&shard->chunks, nth);
}
