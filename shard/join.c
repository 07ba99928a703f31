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
        if (!wait->resolved || ASXI_PLANTED(JOIN_TWICE)) {
            asxi_wait_resolve(wait, 0);
        }
        joiner = next;
    }
    task->joiners = NULL;
}

/* The first joiner takes the record with the outcome: who comes later finds the handle stale. */
ASX_INLINE asx_outcome join_take(asx_task *joiner, asx_task *task, asx_outcome *late)
{
    const asx_outcome outcome = asxi_task_lend(joiner, task->outcome);
    if (late) {
        *late = asxi_task_late(task);
    }
    asxi_task_reap(task);
    return outcome;
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
    return asx_ok(0);
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

void asxi_joiner_remove(asx_task *task, asxi_joiner *joiner)
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
        asxi_joiner_remove(joiner->target, joiner);
    }
}

const asx_task *asxi_join_target(asxi_wait *wait)
{
    return wait->leave == joiner_leave ? asx_container_of(wait, asxi_joiner, wait)->target : NULL;
}

static asx_outcome join_woken(asx_cx *cx, asx_handle handle, const asxi_joiner *joiner,
                              asx_outcome *late)
{
    void *record;
    asx_outcome outcome;
    asx_assert(joiner->told);
    if (asx_likely(!asx_handle_lookup(&cx->_shard->tasks, handle, &record))) {
        outcome = join_take(cx->_task, record, late);
    } else { /* another joiner was first: the outcome is shared, the record is gone */
        outcome = asxi_task_lend(cx->_task, joiner->outcome);
        if (late) {
            *late = joiner->late;
        }
    }
    if (asx_unlikely(joiner->outcome.severity >= ASX_SEVERITY_CANCELLED)) {
        asx_outcome_release(joiner->outcome);
    }
    return outcome;
}

static asx_outcome join_wait(asx_cx *cx, asx_handle handle, bool masked, asx_outcome *late)
{
    asx_task *task = NULL;
    asxi_joiner joiner = { 0 };
    const asx_outcome refused = join_lookup(cx, handle, &task);
    if (!asx_is_ok(refused)) {
        return refused;
    }
    if (!masked && asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    joiner.wait.task = cx->_task;
    joiner.wait.leave = joiner_leave;
    joiner.wait.in_tree = true;
    ASXI_WAITS_FOR(&joiner.wait, asx_handle_of(task));
    asxi_joiner_append(task, &joiner);
    if (masked) {
        asxi_wait_park_masked(cx, &joiner.wait, "join");
    } else if (asxi_wait_park(cx, &joiner.wait, "join", ASX_TIME_NEVER) != ASXI_WOKEN) {
        joiner_leave(&joiner.wait);
        return asxi_cancelled(cx);
    }
    return join_woken(cx, handle, &joiner, late);
}

static ASX_NOINLINE asx_outcome join(asx_cx *cx, asx_handle handle, bool masked, asx_outcome *late)
{
    asx_task *const task = asxi_task_find(cx->_shard, handle);
    if (task && task->state == ASX_TASK_COMPLETED && (task->flags & ASXI_TASK_JOINABLE)) {
        return join_take(cx->_task, task, late);
    }
    return join_wait(cx, handle, masked, late);
}

/* What has ended waits for nobody: of the questions that a join asks, one is left. */
asx_outcome asx_join(asx_cx *cx, asx_handle handle)
{
    asx_shard *const shard = cx->_shard;
    if (asx_unlikely(cx->_task != shard->running)) {
        return asx_fail(ASX_E(WRONG_TASK));
    }
    asx_task *const task = asxi_task_find(shard, handle);
    /* In this order: tests of state and flags side by side become one load, which stalls when they
     * were just stored one by one. */
    if (asx_likely(task && task->state == ASX_TASK_COMPLETED && !asxi_task_has_payloads(task) &&
                   (task->flags & ASXI_TASK_JOINABLE))) {
        const asx_outcome outcome = task->outcome;
        asxi_task_reap_bare(shard, task);
        return outcome;
    }
    return join(cx, handle, false, NULL);
}

asx_outcome asx_join_drained(asx_cx *cx, asx_handle task, asx_outcome *late)
{
    return join(cx, task, true, late);
}
