/* The questions that no rule of the checker's asks.
 *
 * Each hears an event after the checker has taken it in, so that the counts of a region already
 * speak of the time after it. */
#include <asx/shard/base/assert.h>
#include <asx/shard/cancel.h>
#include <asx/shard/limits.h>

#include "oracle_internal.h"

#include <inttypes.h>

#define MASK_DEPTH_MAX 64u
#define UNHEEDED_MAX (MASK_DEPTH_MAX + 1) /* dispatches until a request must be acknowledged */
#define FUTURELOCK_IDLE_MAX 10000u        /* dispatches of the shard */

/* Cancellation */

static void on_request(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    const uint8_t severity =
        (uint8_t)asx_cancel_severity((asx_cancel_kind)(event->words[2] & 0xff));
    asxi_entity *const region = asxi_oracle_region(self, event->words[1]);
    if (task->asked && severity < task->severity) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCELLATION_PROTOCOL, event,
                         T_TEXT " was asked for a weaker reason than before", T_ARGS(task->id));
    }
    if (!task->asked && region) {
        region->tasks_asked++;
    }
    task->asked = true;
    task->severity = severity;
}

static void on_mask(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    const bool enter = event->kind == ASX_TRACE_MASK_ENTER;
    if (enter && event->words[1] > MASK_DEPTH_MAX) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCELLATION_PROTOCOL, event,
                         T_TEXT " nests masks too deeply", T_ARGS(task->id));
    } else if (!enter && task->masks == 0) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCELLATION_PROTOCOL, event,
                         T_TEXT " leaves a mask it is not in", T_ARGS(task->id));
    }
    task->masks = enter ? task->masks + 1 : task->masks - (task->masks > 0);
}

/* The walk that began with a cancelled region ends before anything is dispatched. */
static void judge_cut(asx_lab_oracles *self, const asx_lab_event *event, asxi_array *cut)
{
    for (uint32_t i = 0; i < cut->count; i++) {
        const uint64_t id = *(const uint64_t *)asxi_array_at(cut, i);
        const asxi_entity *const region = asxi_oracle_region(self, id);
        if (!region || region->over) {
            continue;
        }
        if (!region->finalizing && region->tasks > region->tasks_asked) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCELLATION_PROTOCOL, event,
                             "R%u.%u.%u was cancelled, %u of its tasks were not", T_ARGS(id),
                             region->tasks - region->tasks_asked);
        }
        if (region->children > region->children_cut) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCELLATION_PROTOCOL, event,
                             "R%u.%u.%u was cancelled, %u of its children were not", T_ARGS(id),
                             region->children - region->children_cut);
        }
    }
    asxi_array_cut(cut, 0);
}

static void on_region_cancel(asx_lab_oracles *self, const asx_lab_event *event)
{
    asxi_entity *const region = asxi_oracle_region(self, event->words[0]);
    if (!region) {
        return;
    }
    asxi_entity *const parent = asxi_oracle_region(self, region->region);
    if (!region->cancelled && parent) {
        parent->children_cut++;
    }
    region->cancelled = true;
    asxi_array_append(&asxi_oracle_shard_of(self, event)->cut, &event->words[0], 1);
}

/* Lanes */

static void unqueue(asxi_oracle_shard *shard, asxi_entity *task)
{
    if (task->queued) {
        task->queued = false;
        shard->waiting -= shard->waiting > 0;
        shard->plain -= task->plain && shard->plain > 0;
        task->plain = false;
    }
}

static void queue(asxi_oracle_shard *shard, asxi_entity *task)
{
    if (!task->queued && !task->asked) {
        task->queued = true;
        task->plain = task->deadline_ns == 0;
        shard->waiting++;
        shard->plain += task->plain;
    }
}

static void on_dispatch(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    asxi_oracle_shard *const shard = asxi_oracle_shard_of(self, event);
    const bool cancel = event->words[2] == 1, ready = event->words[2] == 3;
    unqueue(shard, task);
    shard->dispatches++;
    shard->running = task->id;
    shard->cancel_streak = cancel && shard->waiting > 0 ? shard->cancel_streak + 1 : 0;
    shard->other_streak = !ready && shard->plain > 0 ? shard->other_streak + 1 : 0;
    if (shard->cancel_streak > self->streak_max) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_LANE_FAIRNESS, event,
                         "%u tasks wait behind %u cancelled ones in a row", shard->waiting,
                         shard->cancel_streak);
    } else if (shard->other_streak > (self->streak_max + 1) * (ASX_TIMED_STREAK_MAX + 1)) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_LANE_FAIRNESS, event,
                         "%u ready tasks wait behind %u of other lanes in a row", shard->plain,
                         shard->other_streak);
    }
    task->blocked = false;
    task->timed = false;
    judge_cut(self, event, &shard->cut);
    if (task->asked && !task->acknowledged && task->masks == 0 &&
        ++task->unheeded == UNHEEDED_MAX + 1) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCELLATION_PROTOCOL, event,
                         T_TEXT " was asked to stop %u dispatches ago", T_ARGS(task->id),
                         UNHEEDED_MAX);
    }
}

static void on_spawn(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    asxi_oracle_shard *const shard = asxi_oracle_shard_of(self, event);
    const asxi_entity *const region = asxi_oracle_region(self, event->words[1]);
    const bool finalizer = shard->finalized == event->words[1];
    shard->finalized = 0;
    if (region && region->deadline_ns != 0) {
        task->deadline_ns = region->deadline_ns;
    }
    if (!asxi_oracle_renewed(shard, task) &&
        !finalizer) { /* neither is in the lane that it seems to be in */
        queue(shard, task);
    }
}

static void on_block(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    asxi_oracle_shard *const shard = asxi_oracle_shard_of(self, event);
    task->blocked = true;
    task->blocked_at = shard->dispatches;
    task->waits_for = event->words[3];
}

void asxi_oracle_sched_event(asx_lab_oracles *self, const asx_lab_event *event)
{
    asxi_oracle_shard *const shard = asxi_oracle_shard_of(self, event);
    if (event->kind == ASX_TRACE_TIMER_ARM || event->kind == ASX_TRACE_IO_SUBMIT) {
        asxi_entity *const waiter = asxi_oracle_task(self, shard->running);
        if (waiter) {
            waiter->timed = true; /* something outside of the tasks will wake it */
        }
        return;
    }
    if (event->kind > ASX_TRACE_CANCEL_ACK) {
        return;
    }
    asxi_entity *const task = asxi_oracle_task(self, event->words[0]);
    if (!task) {
        return;
    }
    switch (event->kind) {
    case ASX_TRACE_TASK_SPAWN:
        on_spawn(self, event, task);
        break;
    case ASX_TRACE_TASK_READY:
        task->blocked = false;
        queue(shard, task);
        break;
    case ASX_TRACE_TASK_DISPATCH:
        on_dispatch(self, event, task);
        break;
    case ASX_TRACE_TASK_BLOCK:
        on_block(self, event, task);
        break;
    case ASX_TRACE_TASK_COMPLETE:
    case ASX_TRACE_CANCEL_REQUEST:
        unqueue(shard, task);
        break;
    default:
        break;
    }
}

/* The branches of a race are the tasks of its region; it is named after its caller. */
static void on_race(asx_lab_oracles *self, const asx_lab_event *event)
{
    asxi_entity *const caller = asxi_oracle_task(self, event->words[0]);
    if (!caller) {
        return;
    }
    if (event->kind == ASX_TRACE_RACE_BEGIN) {
        caller->race = event->words[1];
        return;
    }
    const asxi_entity *const region = caller->race ? asxi_oracle_region(self, caller->race) : NULL;
    if (caller->race == 0) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_LOSER_DRAIN, event,
                         T_TEXT " ends a race that did not begin", T_ARGS(caller->id));
    } else if (region && region->tasks > 0) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_LOSER_DRAIN, event,
                         "the race of " T_TEXT " ended before %u of its branches",
                         T_ARGS(caller->id), region->tasks);
    }
    caller->race = 0;
}

static void held_change(asx_lab_oracles *self, uint64_t id, bool more)
{
    asxi_entity *const task = asxi_oracle_task(self, id);
    if (!task) {
        return;
    }
    if (more && task->held++ == 0) {
        asxi_array_append(&self->holders, &id, 1);
    } else if (!more) {
        task->held -= task->held > 0;
    }
}

static void on_budget(asx_lab_oracles *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    asxi_entity *const region = asxi_oracle_region(self, w[1]);
    asxi_entity *const child = w[0] ? asxi_oracle_task(self, w[0]) : region;
    const asxi_entity *const parent = w[0]     ? region
                                      : region ? asxi_oracle_region(self, region->region)
                                               : NULL;
    if (!child) {
        return;
    }
    child->deadline_ns = w[2] == UINT64_MAX ? 0 : w[2];
    if (parent && parent->deadline_ns != 0 &&
        (child->deadline_ns == 0 || child->deadline_ns > parent->deadline_ns)) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_DEADLINE_MONOTONE, event,
                         "%c%u.%u.%u may go on after its parent's deadline", w[0] ? 'T' : 'R',
                         T_ARGS(child->id));
    }
}

static void on_caps(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    const uint64_t *const w = event->words;
    if (event->kind == ASX_TRACE_CAP_INSTALL) {
        const asxi_entity *const parent = asxi_oracle_task(self, w[2]);
        task->caps_taken = (uint16_t)~w[1];
        if (parent && (parent->caps_taken & w[1]) != 0) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_AMBIENT_AUTHORITY, event,
                             T_TEXT " may do what its spawner may not: %" PRIx64, T_ARGS(task->id),
                             parent->caps_taken & w[1]);
        }
    } else if ((task->caps_taken & w[1]) != 0) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_AMBIENT_AUTHORITY, event,
                         T_TEXT " does what it may not: %" PRIx64, T_ARGS(task->id), w[1]);
    }
}

static void on_complete(asx_lab_oracles *self, const asx_lab_event *event, const asxi_entity *task)
{
    asxi_entity *const region = asxi_oracle_region(self, event->words[1]);
    if (task->asked && region) {
        region->tasks_asked -= region->tasks_asked > 0;
    }
    if (task->held > 0) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_OBLIGATION_LEAK, event,
                         T_TEXT " ended with %u permits unresolved", T_ARGS(task->id), task->held);
    }
}

void asxi_oracle_task_event(asx_lab_oracles *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    asxi_entity *task;
    switch (event->kind) {
    case ASX_TRACE_OBL_RESERVE:
        return held_change(self, w[1], true);
    case ASX_TRACE_OBL_COMMIT:
    case ASX_TRACE_OBL_ABORT:
        return held_change(self, w[1], false);
    case ASX_TRACE_OBL_TRANSFER:
        held_change(self, w[1], false);
        return held_change(self, w[3], true);
    case ASX_TRACE_RACE_BEGIN:
    case ASX_TRACE_RACE_END:
        return on_race(self, event);
    case ASX_TRACE_BUDGET_INSTALL:
        return on_budget(self, event);
    case ASX_TRACE_CANCEL_REQUEST:
    case ASX_TRACE_CANCEL_ACK:
    case ASX_TRACE_TASK_COMPLETE:
    case ASX_TRACE_MASK_ENTER:
    case ASX_TRACE_MASK_EXIT:
    case ASX_TRACE_CAP_INSTALL:
    case ASX_TRACE_CAP_USE:
        task = asxi_oracle_task(self, w[0]);
        break;
    default:
        return;
    }
    if (!task) {
        return;
    }
    if (event->kind == ASX_TRACE_CANCEL_REQUEST) {
        on_request(self, event, task);
    } else if (event->kind == ASX_TRACE_CANCEL_ACK) {
        task->acknowledged = true;
    } else if (event->kind == ASX_TRACE_TASK_COMPLETE) {
        on_complete(self, event, task);
    } else if (event->kind == ASX_TRACE_MASK_ENTER || event->kind == ASX_TRACE_MASK_EXIT) {
        on_mask(self, event, task);
    } else {
        on_caps(self, event, task);
    }
}

static void on_finalizer(asx_lab_oracles *self, const asx_lab_event *event)
{
    const uint64_t number = event->words[1];
    asxi_entity *const region = asxi_oracle_region(self, event->words[0]);
    if (!region) {
        return;
    }
    if (event->kind == ASX_TRACE_FINALIZER_ADD) {
        region->finalizer_top = (uint32_t)number;
        return;
    }
    region->finalizing = true;
    asxi_oracle_shard_of(self, event)->finalized = region->id;
    if (region->tasks > 0 || region->children > 0) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_FINALIZER, event,
                         "finalizer %" PRIu64 " runs beside %u tasks and %u children", number,
                         region->tasks, region->children);
    }
    if (number != region->finalizer_top) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_FINALIZER, event,
                         "finalizer %" PRIu64 " runs, it is the turn of %u", number,
                         region->finalizer_top);
    }
    region->finalizer_top -= region->finalizer_top > 0;
}

void asxi_oracle_region_event(asx_lab_oracles *self, const asx_lab_event *event)
{
    switch (event->kind) {
    case ASX_TRACE_FINALIZER_ADD:
    case ASX_TRACE_FINALIZER_RUN:
        on_finalizer(self, event);
        return;
    case ASX_TRACE_REGION_CANCEL:
        on_region_cancel(self, event);
        return;
    case ASX_TRACE_REGION_CLOSE_END: {
        const asxi_entity *const region = asxi_oracle_region(self, event->words[0]);
        asxi_entity *const parent = asxi_oracle_region(self, event->words[1]);
        if (region && region->cancelled && parent) {
            parent->children_cut -= parent->children_cut > 0;
        }
        return;
    }
    default:
        return;
    }
}

/* Whether whom it waits for has run lately, or may yet. */
static bool peer_lives(asx_lab_oracles *self, const asxi_entity *task,
                       const asxi_oracle_shard *shard)
{
    const asxi_entity *const peer =
        task->waits_for ? asxi_oracle_task(self, task->waits_for) : NULL;
    return peer && !peer->over &&
           !(peer->blocked && !peer->timed &&
             shard->dispatches - peer->blocked_at > FUTURELOCK_IDLE_MAX);
}

void asxi_oracle_futurelock(asx_lab_oracles *self, const asx_lab_event *event, bool stuck)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->holders.count; i++) {
        const uint64_t id = *(const uint64_t *)asxi_array_at(&self->holders, i);
        asxi_entity *const task = asxi_oracle_task(self, id);
        if (!task || task->over || task->held == 0) {
            continue;
        }
        *(uint64_t *)asxi_array_at(&self->holders, kept++) = id;
        const asxi_oracle_shard *const shard = &self->shards[id >> 56];
        if (!task->blocked) {
            continue;
        }
        if (stuck) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_FUTURELOCK, event,
                             "definite: " T_TEXT " holds %u permits, and nothing can wake it",
                             T_ARGS(id), task->held);
        } else if (!task->timed && !task->suspected && !peer_lives(self, task, shard) &&
                   shard->dispatches - task->blocked_at > FUTURELOCK_IDLE_MAX) {
            task->suspected = true;
            asxi_oracle_fail(self, ASX_LAB_ORACLE_FUTURELOCK, event,
                             "suspected: " T_TEXT " holds %u permits and has not run for %" PRIu64
                             " dispatches",
                             T_ARGS(id), task->held, shard->dispatches - task->blocked_at);
        }
    }
    asxi_array_cut(&self->holders, kept);
}
