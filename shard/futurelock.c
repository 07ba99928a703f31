/* Futurelocks: a live task that holds an obligation and is not being run, so that whoever waits
 * for what it holds waits too (FUT-1). Operations in flight are the driver's to end, and do not
 * count. */
#include <asx/shard/base/assert.h>

#include "deadline_internal.h"
#include "shard_internal.h"

asx_duration asxi_task_idle(const asx_task *task)
{
    return task->wake == ASXI_WAKE_IDLE && task->state != ASX_TASK_COMPLETED
               ? asx_time_sub(task->cx._shard->now_ns, task->idle_since)
               : 0;
}

static void tell(asx_task *holder, const asxi_obligation_note *held)
{
    char handle[ASX_HANDLE_TEXT_LEN];
    const char *const label = asxi_task_label(holder), *const region = holder->cx._region->label;
    const char *const waits_for = asxi_task_waits_for(holder), *const note =
                                                                   asxi_trail_last(holder);
    asxi_diagnose(holder->cx._shard,
                  "FUTURELOCK: task %s %s of region %s holds %s %s (%s:%d), and has not run for "
                  "%.3f s; it waits for %.60s%s%s",
                  label ? label : "-",
                  asx_handle_text(asx_handle_of(holder), handle, sizeof(handle)),
                  region ? region : "-", asx_obligation_kind_name(held->kind),
                  held->what ? held->what : "-", held->file ? held->file : "-", held->line,
                  (double)asxi_task_idle(holder) / (double)ASX_NS_PER_S,
                  waits_for ? waits_for : "-", note ? "; last checkpoint: " : "", note ? note : "");
}

void asxi_futurelock_look(asx_task *holder, const asxi_obligation_note *held, asx_duration limit_ns)
{
    if (holder->flags & ASXI_TASK_FUTURELOCKED || asxi_task_idle(holder) < limit_ns) {
        return;
    }
    holder->flags |= ASXI_TASK_FUTURELOCKED;
    holder->cx._shard->stats.futurelocks++;
    tell(holder, held);
}
