/* Waiting for one task's end, alone or among several (JON-*). A joiner stands on its task's stack
 * and takes a reference on the outcome when told, so that the record may go before it runs. */
#include <asx/shard/base/assert.h>
#include <asx/shard/scope.h>

#include "shard_internal.h"
#include "trace_internal.h"

/* What the cancelled body returned itself (TSK-5). */
asx_outcome asxi_task_late(const asx_task *task)
{
    const bool kept =
        task->outcome.severity == ASX_SEVERITY_CANCELLED && (task->flags & ASXI_TASK_HAS_LATE);
    return kept ? task->late : asx_cancelled(NULL);
}

void asxi_task_tell_joiners(asx_task *task)
{
    for (asxi_joiner *joiner = task->joiners; joiner;) {
        asxi_joiner *const next = joiner->next;
        joiner->outcome = asx_outcome_retain(task->outcome);
        joiner->late = asxi_task_late(task);
        joiner->target = NULL;
        joiner->told = true;
        asxi_wait *const wait = joiner->group ? joiner->group : &joiner->wait;
        if (!wait->resolved) {
            asxi_wait_resolve(wait, 0);
        }
        joiner = next;
    }
    task->joiners = NULL;
}

static void join_take(asx_task *joiner, asx_task *task, asx_outcome *outcome, asx_outcome *late)
{
    *outcome = asxi_task_lend(joiner, task->outcome);
    if (late) {
        *late = asxi_task_late(task);
    }
    task->flags |= ASXI_TASK_JOINED;
    asxi_task_reap(task);
}

/* True for a task in whose block `region`, or one above it, is: it ends after us (JON-3). */
static bool waits_for_us(const asx_task *task, const asx_region *region)
{
    for (; region; region = region->parent) {
        if (region->scope && region->scope->_owner && region->scope->_owner->_task == task) {
            return true;
        }
    }
    return false;
}

static asx_outcome join_lookup(asx_cx *cx, asx_handle handle, asx_task **task)
{
    void *record;
    if (asx_handle_is_null(handle)) {
        return asx_fail(ASX_E(REGION_CLOSED));
    }
    const asx_err err = asx_handle_lookup(&cx->_shard->tasks, handle, &record);
    if (err) {
        return asx_fail(err);
    }
    *task = record;
    if (*task == cx->_task || waits_for_us(*task, cx->_task->cx._region)) {
        return asx_fail(ASX_E(WOULD_DEADLOCK));
    }
    if (!((*task)->flags & ASXI_TASK_JOINABLE)) {
        return asx_fail(ASX_E(STALE));
    }
    return (*task)->flags & ASXI_TASK_JOINED ? asx_fail(ASX_E(ALREADY_JOINED)) : asx_ok(0);
}

void asxi_joiner_append(asx_task *task, asxi_joiner *joiner)
{
    asxi_joiner **at = &task->joiners;
    while (*at) {
        at = &(*at)->next;
    }
    *at = joiner;
    joiner->target = task;
}

static void joiner_remove(asx_task *task, asxi_joiner *joiner)
{
    asxi_joiner **at = &task->joiners;
    while (*at && *at != joiner) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = joiner->next;
    }
}

static void joiner_leave(asxi_wait *wait)
{
    asxi_joiner *const joiner = asx_container_of(wait, asxi_joiner, wait);
    if (joiner->told) {
        asx_outcome_release(joiner->outcome);
    } else {
        joiner_remove(joiner->target, joiner);
    }
}

static asx_outcome join(asx_cx *cx, asx_handle handle, bool masked, asx_outcome *late)
{
    asx_task *task = NULL;
    asxi_joiner joiner = { 0 };
    asx_outcome outcome = join_lookup(cx, handle, &task);
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    if (task->state == ASX_TASK_COMPLETED) {
        join_take(cx->_task, task, &outcome, late);
        return outcome;
    }
    if (!masked && asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    asxi_wait_init(&joiner.wait, cx);
    joiner.wait.leave = joiner_leave;
    ASXI_WAITS_FOR(&joiner.wait, asx_handle_of(task));
    asxi_joiner_append(task, &joiner);
    if (masked) {
        asxi_wait_park_masked(cx, &joiner.wait, "join");
    } else if (asxi_wait_park(cx, &joiner.wait, "join", ASX_TIME_NEVER) != ASXI_WOKEN) {
        joiner_leave(&joiner.wait);
        return asxi_cancelled(cx);
    }
    asx_assert(joiner.told);
    if (asx_is_ok(join_lookup(cx, handle, &task))) {
        join_take(cx->_task, task, &outcome, late);
    } else { /* another joiner was first: the outcome is shared, the record is gone */
        outcome = asxi_task_lend(cx->_task, joiner.outcome);
        if (late) {
            *late = joiner.late;
        }
    }
    asx_outcome_release(joiner.outcome);
    return outcome;
}

asx_outcome asx_join(asx_cx *cx, asx_handle task)
{
    if (asx_unlikely(cx->_task != cx->_shard->running)) {
        return asx_fail(ASX_E(WRONG_TASK));
    }
    return join(cx, task, false, NULL);
}

asx_outcome asx_join_drained(asx_cx *cx, asx_handle task, asx_outcome *late)
{
    return join(cx, task, true, late);
}
