#include <asx/shard/base/assert.h>
#include <asx/shard/drain.h>

#include "deadline_internal.h"
#include "shard_internal.h"

#define RECORDS_PER_STEP 256u
#define WARM_LOOKS 3u
#define PACE_LOOKS 8u

/* Thousandths of the potential. */
#define WEIGHT_TASK 1000u
#define WEIGHT_CLOSING 3000u
#define WEIGHT_HELD_MS 5u
#define WEIGHT_PRESSURE_PERMILLE 2u

typedef struct look {
    asx_cx *cx;
    asx_handle top, except;
    asx_instant began_ns;
    asx_drain_left *left;
    uint64_t heaviest; /* what the region of that name weighs */
    asx_instant heaviest_opened_at;
} look;

/* Between two yields pointers stand still; behind one, handles are looked up anew. */
typedef struct bounds {
    const asx_region *top, *except;
} bounds;

const char *asx_drain_phase_name(asx_drain_phase phase)
{
    switch (phase) {
    case ASX_DRAIN_WARM_UP:
        return "warm-up";
    case ASX_DRAIN_RAPID:
        return "rapid";
    case ASX_DRAIN_SLOW_TAIL:
        return "slow tail";
    case ASX_DRAIN_STALLED:
        return "stalled";
    case ASX_DRAIN_QUIESCENT:
        return "quiescent";
    }
    return "?";
}

uint64_t asx_drain_potential(const asx_drain_left *left)
{
    return WEIGHT_TASK * left->tasks + WEIGHT_CLOSING * left->closing +
           WEIGHT_HELD_MS * left->held_ms + WEIGHT_PRESSURE_PERMILLE * left->pressure_permille;
}

static bounds bounds_of(const look *self)
{
    const asx_handle_table *const regions = &self->cx->_shard->regions;
    return (bounds){ .top = asx_handle_find(regions, self->top),
                     .except = asx_handle_find(regions, self->except) };
}

static bool is_inside(const bounds *b, const asx_region *region)
{
    return b->top && region != b->top && asxi_region_contains(b->top, region) &&
           !(b->except && asxi_region_contains(b->except, region));
}

static void look_at_region(look *self, const asx_region *region)
{
    asx_drain_left *const left = self->left;
    const uint64_t tasks = asxi_region_live_tasks(region) + (region->finalizer_task != NULL);
    const uint64_t weight = WEIGHT_TASK * (tasks + region->obligations + region->ops);
    left->regions++;
    left->tasks += tasks;
    left->obligations += region->obligations;
    left->operations += region->ops;
    left->closing += region->reason != NULL;
    if (region->live_children > 0 || weight == 0 || weight < self->heaviest ||
        (weight == self->heaviest && region->opened_at >= self->heaviest_opened_at)) {
        return;
    }
    self->heaviest = weight;
    self->heaviest_opened_at = region->opened_at;
    left->heaviest = asx_handle_of(region);
}

static void look_at_task(look *self, const asx_task *task)
{
    const asx_duration left_ns = asx_time_sub(task->budget.deadline_ns, self->began_ns);
    if (task->state != ASX_TASK_COMPLETED && task->budget.deadline_ns != ASX_TIME_NEVER &&
        left_ns < ASX_NS_PER_S) {
        self->left->pressure_permille += 1000 - left_ns / ASX_NS_PER_MS;
    }
}

static asx_outcome look_at_regions(look *self)
{
    const asx_handle_table *const table = &self->cx->_shard->regions;
    bounds b = bounds_of(self);
    for (uint32_t i = 0; b.top && i < table->touched; i++) {
        const asx_region *const region = asx_handle_at(table, i);
        if (asx_slot_live(&region->slot) && is_inside(&b, region)) {
            look_at_region(self, region);
        }
        if (i % RECORDS_PER_STEP == RECORDS_PER_STEP - 1) {
            ASX_TRY(asx_yield(self->cx));
            b = bounds_of(self);
        }
    }
    return asx_ok(0);
}

/* Only what was queued with a deadline can have one that presses. */
static asx_outcome look_at_tasks(look *self)
{
    const asx_handle_table *const table = &self->cx->_shard->tasks;
    bounds b = bounds_of(self);
    for (uint32_t i = 0; b.top && i < table->touched; i++) {
        const asx_task *const task = asx_handle_at(table, i);
        if (asx_slot_live(&task->slot) && (task->flags & ASXI_TASK_TIMELY) &&
            is_inside(&b, task->cx._region)) {
            look_at_task(self, task);
        }
        if (i % RECORDS_PER_STEP == RECORDS_PER_STEP - 1) {
            ASX_TRY(asx_yield(self->cx));
            b = bounds_of(self);
        }
    }
    return asx_ok(0);
}

static asx_outcome look_at_obligations(look *self)
{
    const asx_shard *const shard = self->cx->_shard;
    bounds b = bounds_of(self);
    for (uint32_t i = 0; b.top && i < shard->obligations.touched; i++) {
        asxi_obligation_seen seen;
        if (asxi_obligation_at(shard, i, &seen) && is_inside(&b, seen.region)) {
            self->left->held_ms += asx_time_sub(self->began_ns, seen.reserved_at) / ASX_NS_PER_MS;
        }
        if (i % RECORDS_PER_STEP == RECORDS_PER_STEP - 1) {
            ASX_TRY(asx_yield(self->cx));
            b = bounds_of(self);
        }
    }
    return asx_ok(0);
}

asx_outcome asx_drain_look(asx_cx *cx, asx_handle top, asx_handle except, asx_instant began_ns,
                           asx_drain_left *left)
{
    look self = { .cx = cx, .top = top, .except = except, .began_ns = began_ns, .left = left };
    *left = (asx_drain_left){ 0 };
    ASX_TRY(look_at_regions(&self));
    ASX_TRY(look_at_tasks(&self));
    return look_at_obligations(&self);
}

static int64_t fall_at(const asx_drain *drain, uint32_t back)
{
    return drain->falls[(drain->looks - 1 - back) % ASX_DRAIN_WINDOW];
}

/* Of the last looks together; the first look has nothing to fall from. */
static int64_t pace(const asx_drain *drain, uint32_t count)
{
    int64_t sum = 0;
    for (uint32_t back = 0; back < count; back++) {
        sum += fall_at(drain, back);
    }
    return sum;
}

static uint32_t pace_count(const asx_drain *drain)
{
    const uint32_t falls = drain->looks > 0 ? drain->looks - 1 : 0;
    return falls < PACE_LOOKS ? falls : PACE_LOOKS;
}

void asx_drain_observe(asx_drain *drain, uint64_t potential)
{
    const bool is_first = drain->looks == 0;
    const bool is_lower = is_first || potential < drain->lowest;
    drain->falls[drain->looks % ASX_DRAIN_WINDOW] =
        is_first ? 0 : (int64_t)drain->last - (int64_t)potential;
    drain->looks++;
    drain->level = is_lower ? 0 : drain->level + 1;
    drain->lowest = is_lower ? potential : drain->lowest;
    drain->last = potential;
    const int64_t now = pace(drain, pace_count(drain));
    drain->pace_best = now > drain->pace_best ? now : drain->pace_best;
}

asx_drain_phase asx_drain_phase_of(const asx_drain *drain)
{
    const uint32_t limit = drain->stalled_after ? drain->stalled_after : ASX_DRAIN_STALLED_AFTER;
    if (drain->looks > 0 && drain->last == 0) {
        return ASX_DRAIN_QUIESCENT;
    }
    if (drain->looks > 0 && drain->level >= limit) {
        return ASX_DRAIN_STALLED;
    }
    if (drain->looks <= WARM_LOOKS) {
        return ASX_DRAIN_WARM_UP;
    }
    return pace(drain, pace_count(drain)) < drain->pace_best / 4 ? ASX_DRAIN_SLOW_TAIL
                                                                 : ASX_DRAIN_RAPID;
}

uint32_t asx_drain_falls(const asx_drain *drain, int64_t *sum)
{
    const uint32_t falls = drain->looks > 0 ? drain->looks - 1 : 0;
    const uint32_t count = falls < ASX_DRAIN_WINDOW ? falls : ASX_DRAIN_WINDOW;
    *sum = pace(drain, count);
    return count;
}

uint64_t asx_drain_looks_left(const asx_drain *drain)
{
    const uint32_t count = pace_count(drain);
    const int64_t sum = pace(drain, count);
    if (drain->looks > 0 && drain->last == 0) {
        return 0;
    }
    if (sum <= 0) {
        return UINT64_MAX;
    }
    return (drain->last * count + (uint64_t)sum - 1) / (uint64_t)sum;
}
