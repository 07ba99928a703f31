#include <asx/shard/flow/partition.h>

#include "flow_internal.h"

typedef struct lane lane;

typedef struct partition {
    asx_flow *source;
    asx_flow_test_fn *test;
    void *arg;
    lane *lanes[2]; /* [1] is of those that pass; NULL: closed */
    bool pulling;   /* a task is in the source */
    bool tested;    /* the item in the source's hold was: it is for `to` */
    bool to;
} partition;

struct lane {
    partition *shared;
    asxi_wait *waits; /* its task's, while it is parked */
    bool side;
    uint32_t first, count, max;
    char items[];
};

static char *item_at(const asx_flow *flow, lane *self, uint32_t index)
{
    return self->items + (size_t)((self->first + index) % self->max) * flow->item_size;
}

static void lane_wake(lane *self)
{
    if (self && self->waits) {
        asxi_wait *const wait = self->waits;
        self->waits = NULL;
        asxi_wait_resolve(wait, 0);
    }
}

typedef struct lane_wait {
    asxi_wait wait;
    lane *lane;
} lane_wait;

static void lane_leave(asxi_wait *wait)
{
    lane *const self = asx_container_of(wait, lane_wait, wait)->lane;
    if (self->waits == wait) {
        self->waits = NULL;
    }
}

/* Until the other lane has moved: ITEM, LATE or Cancelled. */
static asx_outcome other_wait(asx_cx *cx, lane *self, asx_instant deadline_ns)
{
    lane_wait parked = { .lane = self };
    if (deadline_ns == 0) {
        return asx_ok(ASX_FLOW_LATE);
    }
    asxi_wait_init(&parked.wait, cx);
    parked.wait.leave = lane_leave;
    self->waits = &parked.wait;
    const asxi_woken woken = asxi_wait_park(cx, &parked.wait, "partition", deadline_ns);
    lane_leave(&parked.wait);
    return woken == ASXI_WOKEN_CANCELLED
               ? asxi_cancelled(cx)
               : asx_ok(woken == ASXI_WOKEN ? ASX_FLOW_ITEM : ASX_FLOW_LATE);
}

/* The item in the source's hold is for the other lane: moves it there. False: there is no room. */
static bool pass_over(const asx_flow *flow, partition *shared, lane *other)
{
    if (!other) {
        asxi_flow_discard(shared->source);
    } else if (other->count < other->max) {
        asxi_flow_take(shared->source, item_at(flow, other, other->count));
        other->count++;
        lane_wake(other);
    } else {
        return false;
    }
    shared->tested = false;
    return true;
}

/* Looks into the source, alone. */
static asx_outcome source_look(asx_cx *cx, lane *self, asx_instant deadline_ns)
{
    partition *const shared = self->shared;
    shared->pulling = true;
    const asx_outcome step = asxi_flow_look(cx, shared->source, deadline_ns);
    shared->pulling = false;
    if (asx_flow_is(step, ASX_FLOW_ITEM) && !shared->tested) {
        shared->tested = true;
        shared->to = shared->test(shared->source->hold, shared->arg);
    }
    lane_wake(shared->lanes[!self->side]);
    return step;
}

static asx_outcome lane_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    lane *const self = asxi_flow_state(flow);
    partition *const shared = self->shared;
    uint32_t idle = 0;
    for (;;) {
        if (self->count > 0) {
            memcpy(item, item_at(flow, self, 0), flow->item_size);
            self->first = (self->first + 1) % self->max;
            self->count--;
            lane_wake(shared->lanes[!self->side]);
            return asx_ok(ASX_FLOW_ITEM);
        }
        bool stuck = shared->pulling;
        if (!stuck) {
            const asx_outcome step = source_look(cx, self, deadline_ns);
            if (!asx_flow_is(step, ASX_FLOW_ITEM)) {
                if (self->count > 0) {
                    continue; /* there is an item meanwhile */
                }
                return step;
            }
            if (shared->to == self->side) {
                shared->tested = false;
                asxi_flow_take(shared->source, item);
                return step;
            }
            stuck = !pass_over(flow, shared, shared->lanes[!self->side]);
            ASX_TRY(asxi_flow_idle(cx, &idle));
        }
        if (stuck) {
            const asx_outcome waited = other_wait(cx, self, deadline_ns);
            if (!asx_flow_is(waited, ASX_FLOW_ITEM)) {
                return waited;
            }
        }
    }
}

static void lane_drop(asx_flow *flow)
{
    lane *const self = asxi_flow_state(flow);
    for (; self->count > 0; self->count--) {
        asxi_flow_item_drop(flow, item_at(flow, self, self->count - 1));
    }
}

/* Before the source may go: its items are dropped as it says. */
static void lane_stop(asx_cx *cx, asx_flow *flow)
{
    lane *const self = asxi_flow_state(flow);
    partition *const shared = self->shared;
    lane *const other = shared->lanes[!self->side];
    lane_drop(flow);
    shared->lanes[self->side] = NULL;
    lane_wake(other);
    if (!other) {
        asx_flow_close(cx, shared->source);
        asx_region_free(flow->region, shared, sizeof(*shared));
    }
}

static const asxi_flow_class lane_class = {
    .name = "partition", .next = lane_next, .stop = lane_stop, .drop = lane_drop
};

static asx_flow *lane_create(asx_cx *cx, partition *shared, bool side, uint32_t lane_max)
{
    const uint32_t item_size = shared->source->item_size;
    asx_flow *const flow = asxi_flow_source(
        cx, &lane_class, sizeof(lane) + (size_t)lane_max * item_size, item_size, NULL);
    if (flow) {
        lane *const self = asxi_flow_state(flow);
        self->shared = shared;
        self->side = side;
        self->max = lane_max;
        flow->items = shared->source->items;
        shared->lanes[side] = self;
    }
    return flow;
}

void asx_flow_partition(asx_cx *cx, asx_flow *source, asx_flow_test_fn *test, void *arg,
                        uint32_t lane_max, asx_flow **passed, asx_flow **failed)
{
    asx_assert(lane_max > 0 && lane_max <= ASX_FLOW_LANE_MAX);
    *passed = *failed = NULL;
    if (!source) {
        return;
    }
    asx_region *const region = source->region;
    asx_assert(region == asxi_cx_region(cx));
    partition *const shared = asx_region_alloc(region, sizeof(*shared));
    if (!shared) {
        asx_flow_close(cx, source);
        return;
    }
    *shared = (partition){ .source = source, .test = test, .arg = arg };
    *passed = lane_create(cx, shared, true, lane_max);
    *failed = lane_create(cx, shared, false, lane_max);
    if (!*passed && !*failed) {
        asx_flow_close(cx, source);
        asx_region_free(region, shared, sizeof(*shared));
    } else if (!*passed || !*failed) { /* half of the items would go unnoticed */
        (*passed ? *passed : *failed)->refused = ASX_E(NO_MEMORY);
    }
}
