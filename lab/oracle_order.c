/* The questions of order: who is woken, who goes first, who is cancelled before whom, and by whom.
 *
 * Each hears an event before oracle_rules.c does, so that a dispatch still finds what was queued.
 * Among the deadlines, a dispatch is judged against the last ASXI_ORACLE_TIMED of its lane: one
 * that was overtaken says so itself, when it is dispatched from the same lane. */
#include <asx/lab/chaos.h>
#include <asx/shard/base/time.h>
#include <asx/shard/cancel.h>

#include "oracle_internal.h"

#include <inttypes.h>

#define LANE_TIMED 2u
#define UNHEARD_NS (10 * ASX_NS_PER_S) /* until a request must be acknowledged by who is unmasked */

/* Cancellation */

/* A request wakes whom it asks, before anything else runs. */
static void judge_asked(asx_lab_oracles *self, const asx_lab_event *event, asxi_array *asked)
{
    for (uint32_t i = 0; i < asked->count; i++) {
        const uint64_t id = *(const uint64_t *)asxi_array_at(asked, i);
        const asxi_entity *const task = asxi_oracle_task(self, id);
        if (task && !task->over && !task->woken && !task->acknowledged) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCEL_STUCK, event,
                             T_TEXT " was cancelled and not woken", T_ARGS(id));
        }
    }
    asxi_array_cut(asked, 0);
}

static void on_request(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    if (!task->asked) {
        task->asked_ns = event->vtime_ns - self->late_ns;
        task->masked = task->masks > 0;
        asxi_array_append(&asxi_oracle_shard_of(self, event)->asked, &task->id, 1);
    }
}

static void on_ack(asx_lab_oracles *self, const asx_lab_event *event, const asxi_entity *task)
{
    const uint64_t now_ns = event->vtime_ns - self->late_ns;
    if (!task->masked && now_ns > task->asked_ns && now_ns - task->asked_ns > UNHEARD_NS) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCEL_STUCK, event,
                         T_TEXT " was cancelled %" PRIu64 " ms before it heard of it",
                         T_ARGS(task->id), (now_ns - task->asked_ns) / ASX_NS_PER_MS);
    }
}

/* What is cancelled because its parent is comes after it. The region of a task that is being
 * cancelled goes with the task instead; below a root are also limbs, whose tasks may be cancelled
 * from the root in whatever name. */
static void on_region_cancel(asx_lab_oracles *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    const asxi_entity *const region = asxi_oracle_region(self, w[0]);
    const asxi_entity *const caller =
        asxi_oracle_task(self, asxi_oracle_shard_of(self, event)->running);
    if (w[1] != ASX_CANCEL_PARENT_CANCELLED || !region || region->region != w[2] ||
        (caller && caller->asked)) {
        return;
    }
    const asxi_entity *const parent = asxi_oracle_region(self, w[2]);
    if (parent && parent->region != 0 && !parent->cancelled) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_CANCEL_ORDER, event,
                         "R%u.%u.%u is cancelled with its parent, which is not", T_ARGS(w[0]));
    }
}

/* Wakes */

static void on_ready(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    if (task->over) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_WAKER_DEDUP, event, T_TEXT " is woken after its end",
                         T_ARGS(task->id));
    } else if (task->woken && !task->renewed && !task->woke_itself) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_WAKER_DEDUP, event,
                         T_TEXT " is woken again before it ran", T_ARGS(task->id));
    }
    task->woken = true;
    task->woke_itself = event->words[2] == task->id; /* void if it ends in this same step */
    task->renewed = false;
    task->woken_at = asxi_oracle_shard_of(self, event)->dispatches;
}

/* One that may have been renewed may be running already: its first wake says nothing. */
static void on_spawn(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    const asxi_oracle_shard *const shard = asxi_oracle_shard_of(self, event);
    task->woken = true;
    task->renewed = asxi_oracle_renewed(shard, task);
    task->woken_at = shard->dispatches;
}

/* Deadlines */

static void judge_timed(asx_lab_oracles *self, const asx_lab_event *event, const asxi_entity *task)
{
    asxi_oracle_shard *const shard = asxi_oracle_shard_of(self, event);
    for (uint32_t i = 0; i < ASXI_ORACLE_TIMED && i < shard->timed_count; i++) {
        if (shard->timed[i].at >= task->woken_at &&
            shard->timed[i].deadline_ns > task->deadline_ns) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_EDF_ORDER, event,
                             T_TEXT " was overtaken by a later deadline", T_ARGS(task->id));
            break;
        }
    }
    const uint32_t at = shard->timed_count++ % ASXI_ORACLE_TIMED;
    shard->timed[at].at = shard->dispatches;
    shard->timed[at].deadline_ns = task->deadline_ns;
}

static void on_dispatch(asx_lab_oracles *self, const asx_lab_event *event, asxi_entity *task)
{
    judge_asked(self, event, &asxi_oracle_shard_of(self, event)->asked);
    if (!task->woken && !task->adopted) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_WAKER_DEDUP, event, T_TEXT " runs without a wake",
                         T_ARGS(task->id));
    }
    task->woken = task->renewed = false;
    if (event->words[2] == LANE_TIMED && task->deadline_ns != 0) {
        judge_timed(self, event, task);
    }
}

/* The network's and the disk's events carry the shard that they are about, whoever's turn brings
 * them about. */
static bool is_device(const asx_lab_event *event)
{
    return event->kind == ASX_TRACE_NET_FAULT || event->kind == ASX_TRACE_DISK_FAULT ||
           event->kind == ASX_TRACE_CONN_OPEN || event->kind == ASX_TRACE_CONN_CLOSE;
}

/* Whose turn it is may be known: then nobody else's tasks and regions change. */
static void judge_turn(asx_lab_oracles *self, const asx_lab_event *event)
{
    if (self->turn != ASX_LAB_NO_TURN && self->turn != event->shard && !is_device(event)) {
        asxi_oracle_fail(self, ASX_LAB_ORACLE_SHARD_AFFINITY, event,
                         "kind %u of shard %u happens in the turn of shard %u", event->kind,
                         event->shard, self->turn);
    }
}

void asxi_oracle_order_event(asx_lab_oracles *self, const asx_lab_event *event)
{
    judge_turn(self, event);
    if (event->kind == ASX_TRACE_REGION_CANCEL) {
        on_region_cancel(self, event);
    }
    if (event->kind == ASX_TRACE_CHAOS && event->words[1] == ASX_CHAOS_DELAY) {
        self->late_ns += event->words[3];
    }
    if (event->kind > ASX_TRACE_CANCEL_ACK && event->kind != ASX_TRACE_MASK_ENTER) {
        return;
    }
    asxi_entity *const task = asxi_oracle_task(self, event->words[0]);
    if (!task) {
        return;
    }
    if (event->kind == ASX_TRACE_TASK_SPAWN) {
        on_spawn(self, event, task);
    } else if (event->kind == ASX_TRACE_TASK_READY) {
        on_ready(self, event, task);
    } else if (event->kind == ASX_TRACE_TASK_DISPATCH) {
        on_dispatch(self, event, task);
    } else if (event->kind == ASX_TRACE_CANCEL_REQUEST) {
        on_request(self, event, task);
    } else if (event->kind == ASX_TRACE_CANCEL_ACK) {
        on_ack(self, event, task);
    } else if (event->kind == ASX_TRACE_MASK_ENTER) {
        task->masked = true;
    }
}

/* Nothing can happen any more: who still has a wake has lost it, and so has a shard its bell. */
void asxi_oracle_order_end(asx_lab_oracles *self)
{
    const asxi_array *const all = &self->entities->all;
    for (uint32_t i = 0; i < ASXI_ORACLE_SHARDS; i++) {
        judge_asked(self, NULL, &self->shards[i].asked);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        const asxi_entity *const each = asxi_array_at(all, i);
        if (each->kind == ASXI_ENTITY_TASK && each->woken && !each->renewed && !each->over) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_WAKER_DEDUP, NULL,
                             T_TEXT " was woken and never ran", T_ARGS(each->id));
        } else if (each->kind == ASXI_ENTITY_RING && each->pushed > each->popped) {
            asxi_oracle_fail(self, ASX_LAB_ORACLE_DOORBELL, NULL,
                             "shard %u sleeps on %" PRIu64 " messages",
                             (unsigned)(each->id & 0xffff), each->pushed - each->popped);
        }
    }
}
