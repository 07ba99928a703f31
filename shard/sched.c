/* Which task next: three lanes, bounded streaks, FIFO among equals (SCH-1..7).
 *
 * A task is in at most one lane, once, while its `wake` is QUEUED: `lane` says which, and a
 * promotion moves it, so an enqueue is dispatched at most once without tombstones. Order never
 * depends on addresses: run_seq counts enqueues. */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"
#include "trace_internal.h"

#include <string.h>

static void lane_push(asxi_lane_queue *queue, asx_task *task)
{
    const unsigned p = task->budget.priority;
    asx_list_push_back_anew(&queue->fifo[p], &task->run);
    queue->occupied[p / 64] |= UINT64_C(1) << (p % 64);
    queue->words |= 1u << (p / 64);
}

static void lane_vacate(asxi_lane_queue *queue, unsigned p)
{
    asx_debug_assert(p < ASXI_PRIORITY_COUNT);
    queue->occupied[p / 64] &= ~(UINT64_C(1) << (p % 64));
    if (queue->occupied[p / 64] == 0) {
        queue->words &= ~(1u << (p / 64));
    }
}

/* The bucket is found by the list itself: the task's priority may have been tightened while queued.
 */
ASX_INLINE void lane_unlink(asxi_lane_queue *queue, asx_task *task)
{
    asx_list *const next = task->run._next;
    asx_list_remove(&task->run);
    if (asx_list_empty(next)) {
        lane_vacate(queue, (unsigned)(next - queue->fifo));
    }
}

static unsigned lane_highest(const asxi_lane_queue *queue)
{
    asx_debug_assert(queue->words != 0);
    const unsigned word = 31 - (unsigned)__builtin_clz(queue->words);
    return word * 64 + 63 - (unsigned)__builtin_clzll(queue->occupied[word]);
}

static bool lane_has_below(const asxi_lane_queue *queue, unsigned p)
{
    return (queue->words & ((1u << (p / 64)) - 1)) != 0 ||
           (queue->occupied[p / 64] & ((UINT64_C(1) << (p % 64)) - 1)) != 0;
}

static asx_task *task_of_run(asx_list *node)
{
    return asx_container_of(node, asx_task, run);
}

static asx_task *lane_oldest(const asxi_lane_queue *queue)
{
    asx_task *oldest = NULL;
    for (unsigned word = 0; word < ASXI_PRIORITY_COUNT / 64; word++) {
        for (uint64_t left = queue->occupied[word]; left != 0; left &= left - 1) {
            const unsigned p = word * 64 + (unsigned)__builtin_ctzll(left);
            asx_task *const first = task_of_run(queue->fifo[p]._next);
            oldest = !oldest || first->run_seq < oldest->run_seq ? first : oldest;
        }
    }
    return oldest;
}

/* Among the equals of one priority the driver chooses (SCH-11). */
static asx_task *lane_choose(asx_shard *shard, asx_list *fifo)
{
    asx_list *node = fifo->_next;
    if (node->_next != fifo) {
        uint32_t n = 0;
        asx_list_each(each, fifo) {
            n++;
        }
        uint32_t k = shard->driver->ops->choose(shard->driver, ASX_CHOICE_READY, n, shard->index);
        while (k-- > 0) {
            node = node->_next;
        }
    }
    return task_of_run(node);
}

/* Live, the first is chosen. */
ASX_INLINE asx_task *lane_pop(asx_shard *shard, asxi_lane_queue *queue)
{
    const unsigned p = lane_highest(queue);
    asx_task *task;
    queue->starved_run = lane_has_below(queue, p) ? queue->starved_run + 1 : 0;
    if (queue->starved_run > ASX_LANE_STARVATION_MAX) {
        task = lane_oldest(queue);
        queue->starved_run = 0;
    } else if (shard->sched.chooses) {
        task = lane_choose(shard, &queue->fifo[p]);
    } else {
        task = task_of_run(queue->fifo[p]._next);
    }
    lane_unlink(queue, task);
    return task;
}

/* The plain stretch: see asxi_sched. It begins at a pick that finds nothing else, and whoever
 * queues or takes out something else ends it. */

static void plain_begin(asxi_sched *sched)
{
    const unsigned p = lane_highest(&sched->ready);
    if (!sched->chooses && !lane_has_below(&sched->ready, p)) {
        sched->ready.starved_run = 0;
        sched->plain = &sched->ready.fifo[p];
        sched->plain_priority = p;
    }
}

static void plain_end(asxi_sched *sched)
{
    if (sched->plain && asx_list_empty(sched->plain)) {
        lane_vacate(&sched->ready, (unsigned)(sched->plain - sched->ready.fifo));
    }
    sched->plain = NULL;
    sched->plain_priority = ASXI_PRIORITY_COUNT;
}

/* TIMED: a binary heap with back indices. */
static bool timed_before(const asx_task *a, const asx_task *b)
{
    if (ASXI_PLANTED(EDF_INVERSION) && a->budget.deadline_ns != b->budget.deadline_ns) {
        return a->budget.deadline_ns > b->budget.deadline_ns;
    }
    if (a->budget.deadline_ns != b->budget.deadline_ns) {
        return a->budget.deadline_ns < b->budget.deadline_ns;
    }
    if (a->budget.priority != b->budget.priority) {
        return a->budget.priority > b->budget.priority;
    }
    return a->run_seq < b->run_seq;
}

static void timed_place(asxi_sched *sched, uint32_t at, asx_task *task)
{
    sched->timed[at] = task;
    task->timed_index = at;
}

static void timed_sift_up(asxi_sched *sched, uint32_t at, asx_task *task)
{
    while (at > 0 && timed_before(task, sched->timed[(at - 1) / 2])) {
        timed_place(sched, at, sched->timed[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    timed_place(sched, at, task);
}

static void timed_sift_down(asxi_sched *sched, uint32_t at, asx_task *task)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sched->timed_count) {
            break;
        }
        if (child + 1 < sched->timed_count &&
            timed_before(sched->timed[child + 1], sched->timed[child])) {
            child++;
        }
        if (!timed_before(sched->timed[child], task)) {
            break;
        }
        timed_place(sched, at, sched->timed[child]);
        at = child;
    }
    timed_place(sched, at, task);
}

static bool timed_grow(asx_shard *shard)
{
    asxi_sched *const sched = &shard->sched;
    size_t got = 0;
    const size_t want =
        (sched->timed_cap ? 2 * (size_t)sched->timed_cap : 512) * sizeof(asx_task *);
    asx_task **const grown = asx_chunk_acquire(&shard->chunks, want, &got);
    if (!grown) {
        return false;
    }
    if (sched->timed) {
        memcpy(grown, sched->timed, sched->timed_count * sizeof(asx_task *));
        asx_chunk_release(&shard->chunks, sched->timed, sched->timed_cap * sizeof(asx_task *));
    }
    sched->timed = grown;
    sched->timed_cap = (uint32_t)(got / sizeof(asx_task *));
    return true;
}

static void timed_remove(asxi_sched *sched, asx_task *task)
{
    const uint32_t at = task->timed_index;
    asx_assert(at < sched->timed_count && sched->timed[at] == task);
    asx_task *const last = sched->timed[--sched->timed_count];
    if (last != task) {
        timed_sift_up(sched, at, last);
        timed_sift_down(sched, last->timed_index, last);
    }
}

static asxi_lane lane_of(const asx_shard *shard, const asx_task *task)
{
    if (asx_unlikely(asxi_task_is_cancelling(task)) ||
        asx_unlikely((task->flags & ASXI_TASK_FINALIZER) && task->cx._region->reason)) {
        return ASXI_LANE_CANCEL;
    }
    if (asx_unlikely(task->budget.deadline_ns != ASX_TIME_NEVER) &&
        task->budget.deadline_ns <= asx_time_add(shard->now_ns, shard->edf_horizon_ns)) {
        return ASXI_LANE_TIMED;
    }
    return ASXI_LANE_READY;
}

void asxi_sched_enqueue(asx_shard *shard, asx_task *task)
{
    asxi_sched *const sched = &shard->sched;
    asx_debug_assert(task->wake == ASXI_WAKE_QUEUED);
    plain_end(sched);
    task->run_seq = sched->queued++;
    asxi_lane lane = ASXI_LANE_READY;
    if (task->state > ASX_TASK_RUNNING || (task->flags & ASXI_TASK_FINALIZER) ||
        task->budget.deadline_ns != ASX_TIME_NEVER) {
        task->flags |= ASXI_TASK_TIMELY;
        lane = lane_of(shard, task);
    }
    if (lane == ASXI_LANE_TIMED && sched->timed_count == sched->timed_cap && !timed_grow(shard)) {
        lane = ASXI_LANE_READY; /* without memory it is late at worst, never lost */
    }
    task->lane = (uint8_t)lane;
    if (lane == ASXI_LANE_READY) {
        lane_push(&sched->ready, task);
    } else if (lane == ASXI_LANE_CANCEL) {
        lane_push(&sched->cancel, task);
        sched->cancel_count++;
    } else {
        timed_sift_up(sched, sched->timed_count++, task);
    }
}

void asxi_sched_push_cancelled(asx_shard *shard, asx_task *task)
{
    asxi_sched *const sched = &shard->sched;
    asx_debug_assert(lane_of(shard, task) == ASXI_LANE_CANCEL);
    plain_end(sched);
    task->wake = ASXI_WAKE_QUEUED;
    task->lane = ASXI_LANE_CANCEL;
    task->flags |= ASXI_TASK_TIMELY;
    task->run_seq = sched->queued++;
    lane_push(&sched->cancel, task);
    sched->cancel_count++;
}

void asxi_sched_take(asx_shard *shard, asx_task *task)
{
    asxi_sched *const sched = &shard->sched;
    asx_assert(task->wake == ASXI_WAKE_QUEUED);
    plain_end(sched);
    sched->taken++;
    switch ((asxi_lane)task->lane) {
    case ASXI_LANE_CANCEL:
        lane_unlink(&sched->cancel, task);
        sched->cancel_count--;
        break;
    case ASXI_LANE_TIMED:
        timed_remove(sched, task);
        break;
    case ASXI_LANE_READY:
        lane_unlink(&sched->ready, task);
        break;
    case ASXI_LANE_NONE:
        asx_unreachable();
    }
}

/* Several lanes hold something: the streaks decide. */
static asx_task *pick_mixed(asx_shard *shard)
{
    asxi_sched *const sched = &shard->sched;
    const uint64_t ready = asxi_sched_ready_count(sched);
    const bool others = ready > 0 || sched->timed_count > 0;
    if (sched->cancel_count > 0) {
        const uint32_t limit = sched->streak_max << (shard->draining > 0);
        if (!others || sched->cancel_streak < limit || ASXI_PLANTED(CANCEL_STARVES)) {
            sched->cancel_streak = others ? sched->cancel_streak + 1 : 1;
            sched->others_waited = others ? sched->others_waited + 1 : 0;
            if (sched->others_waited > shard->stats.cancel_streak_most) {
                shard->stats.cancel_streak_most = sched->others_waited;
            }
            shard->stats.streak_exceeded += sched->others_waited > limit; /* the proof: stays 0 */
            sched->cancel_count--;
            return lane_pop(shard, &sched->cancel);
        }
    }
    sched->cancel_streak = 0;
    sched->others_waited = 0;
    if (sched->timed_count > 0 &&
        (ready == 0 || sched->timed_streak < ASX_TIMED_STREAK_MAX || ASXI_PLANTED(READY_STARVES))) {
        asx_task *const task = sched->timed[0];
        sched->timed_streak = ready > 0 ? sched->timed_streak + 1 : 1;
        timed_remove(sched, task);
        return task;
    }
    sched->timed_streak = 0;
    return lane_pop(shard, &sched->ready);
}

asx_task *asxi_sched_pick_other(asx_shard *shard)
{
    asxi_sched *const sched = &shard->sched;
    if (sched->queued == sched->taken) {
        return NULL;
    }
    if (sched->cancel_count == sched->queued - sched->taken) { /* nobody else could starve */
        sched->cancel_streak = 1;
        sched->others_waited = 0;
        sched->cancel_count--;
        sched->taken++;
        return lane_pop(shard, &sched->cancel);
    }
    if (sched->cancel_count + sched->timed_count > 0) {
        asx_task *const task = pick_mixed(shard);
        sched->taken++;
        return task;
    }
    sched->cancel_streak = 0;
    sched->others_waited = 0;
    sched->timed_streak = 0;
    plain_begin(sched);
    if (sched->plain) {
        return asxi_sched_pick(shard);
    }
    sched->taken++;
    return lane_pop(shard, &sched->ready);
}
