#include <asx/shard/flow/merge.h>

#include "crew_internal.h"

/* Chain and zip: the state is the second flow. */

static void second_stop(asx_cx *cx, asx_flow *flow)
{
    asx_flow **const second = asxi_flow_state(flow);
    asx_flow_close(cx, *second);
}

static asx_outcome chain_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    asx_flow **const second = asxi_flow_state(flow);
    const asx_outcome step = asxi_flow_pull(cx, flow->source, item, deadline_ns);
    return asx_flow_is(step, ASX_FLOW_END) ? asxi_flow_pull(cx, *second, item, deadline_ns) : step;
}

static const asxi_flow_class chain_class = { .name = "chain",
                                             .next = chain_next,
                                             .stop = second_stop };

static uint32_t zip_offset(const asx_flow *left)
{
    return (left->item_size + 7) & ~7u;
}

static asx_outcome zip_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    asx_flow *const left = flow->source;
    asx_flow *const right = *(asx_flow **)asxi_flow_state(flow);
    asx_outcome step = asxi_flow_look(cx, left, deadline_ns);
    if (asx_flow_is(step, ASX_FLOW_ITEM)) {
        step = asxi_flow_look(cx, right, deadline_ns);
        if (asx_flow_is(step, ASX_FLOW_END)) {
            asxi_flow_discard(left);
        }
    }
    if (asx_flow_is(step, ASX_FLOW_ITEM)) {
        asxi_flow_take(left, item);
        asxi_flow_take(right, (char *)item + zip_offset(left));
    }
    return step;
}

static void zip_item_drop(const asx_flow *flow, void *item)
{
    const asx_flow *const right = *(asx_flow *const *)(const void *)(flow + 1);
    asxi_flow_item_drop(flow->source, item);
    asxi_flow_item_drop(right, (char *)item + zip_offset(flow->source));
}

static const asxi_flow_class zip_class = {
    .name = "zip", .next = zip_next, .stop = second_stop, .item_drop = zip_item_drop
};

static asx_flow *pair(asx_cx *cx, const asxi_flow_class *class, asx_flow *first, asx_flow *second,
                      uint32_t item_size)
{
    bool made;
    asx_flow *const flow = asxi_flow_over(first, class, sizeof(asx_flow *), item_size, NULL, &made);
    if (!made) {
        asx_flow_close(cx, second);
        return flow;
    }
    *(asx_flow **)asxi_flow_state(flow) = second;
    if (!second || second->refused) {
        flow->refused = second ? second->refused : ASX_E(NO_MEMORY);
    }
    return flow;
}

asx_flow *asx_flow_chain(asx_cx *cx, asx_flow *first, asx_flow *second)
{
    asx_assert(!first || !second || first->item_size == second->item_size);
    return pair(cx, &chain_class, first, second, 0);
}

asx_flow *asx_flow_zip(asx_cx *cx, asx_flow *left, asx_flow *right)
{
    const uint32_t size = left && right ? zip_offset(left) + right->item_size : 1;
    return pair(cx, &zip_class, left, right, size);
}

/* Merge: what is there now is taken; where nothing is, a hand looks into each flow, and the item it
 * finds is in that flow's hold. */

typedef struct merge_lane {
    asxi_hand hand;
    asx_flow *flow;
    bool over;
} merge_lane;

typedef struct merge_state {
    asxi_crew crew;
    uint32_t next, live, count;
    merge_lane lanes[];
} merge_state;

static asx_outcome lane_look(asx_cx *cx, asxi_hand *hand)
{
    merge_lane *const lane = asx_container_of(hand, merge_lane, hand);
    return asxi_flow_look(cx, lane->flow, ASX_TIME_NEVER);
}

/* One look into one flow: what the merge answers, or LATE to look into the next. */
static asx_outcome lane_try(asx_cx *cx, merge_state *self, merge_lane *lane, void *item)
{
    if (lane->over || (lane->hand.running && !lane->hand.ended)) {
        return asx_ok(ASX_FLOW_LATE);
    }
    if (lane->hand.running) {
        const asx_outcome looked = asxi_hand_join(&lane->hand, cx);
        if (!asx_is_ok(looked) && looked.severity != ASX_SEVERITY_CANCELLED) {
            return looked;
        }
    }
    const asx_outcome step = asxi_flow_look(cx, lane->flow, 0);
    if (asx_flow_is(step, ASX_FLOW_ITEM)) {
        asxi_flow_take(lane->flow, item);
    } else if (asx_flow_is(step, ASX_FLOW_END)) {
        lane->over = true;
        return asx_ok(--self->live > 0 ? ASX_FLOW_LATE : ASX_FLOW_END);
    }
    return step;
}

static asx_outcome merge_scan(asx_cx *cx, merge_state *self, void *item)
{
    const uint32_t first = self->next;
    for (uint32_t i = 0; i < self->count; i++) {
        const uint32_t at = (first + i) % self->count;
        const asx_outcome step = lane_try(cx, self, &self->lanes[at], item);
        if (!asx_flow_is(step, ASX_FLOW_LATE)) {
            self->next = (at + 1) % self->count;
            return step;
        }
        if ((i + 1) % ASX_FLOW_SCAN_MAX == 0) {
            ASX_TRY(asx_yield(cx));
        }
    }
    return asx_ok(ASX_FLOW_LATE);
}

static asx_outcome merge_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    merge_state *const self = asxi_flow_state(flow);
    for (;;) {
        const asx_outcome step = merge_scan(cx, self, item);
        if (!asx_flow_is(step, ASX_FLOW_LATE) || deadline_ns == 0) {
            return step;
        }
        for (uint32_t i = 0; i < self->count; i++) {
            merge_lane *const lane = &self->lanes[i];
            const asx_err err = lane->over || lane->hand.running
                                    ? ASX_OK
                                    : asxi_hand_start(&lane->hand, &self->crew, cx, lane_look);
            if (err) {
                return asx_fail(err);
            }
        }
        const asx_outcome waited = asxi_crew_wait(&self->crew, cx, "merge", deadline_ns);
        if (!asx_flow_is(waited, ASX_FLOW_ITEM)) {
            return waited;
        }
    }
}

/* The first flow is the source, which is closed like any other. */
static void merge_stop(asx_cx *cx, asx_flow *flow)
{
    merge_state *const self = asxi_flow_state(flow);
    (void)asxi_crew_close(&self->crew, cx);
    for (uint32_t i = 1; i < self->count; i++) {
        asx_flow_close(cx, self->lanes[i].flow);
    }
}

static const asxi_flow_class merge_class = { .name = "merge",
                                             .next = merge_next,
                                             .stop = merge_stop };

asx_flow *asx_flow_merge(asx_cx *cx, asx_flow *const *flows, uint32_t count)
{
    bool made;
    asx_assert(count > 0);
    asx_flow *const flow = asxi_flow_over(
        flows[0], &merge_class, sizeof(merge_state) + count * sizeof(merge_lane), 0, NULL, &made);
    if (!made) {
        for (uint32_t i = 1; i < count; i++) {
            asx_flow_close(cx, flows[i]);
        }
        return flow;
    }
    merge_state *const self = asxi_flow_state(flow);
    self->live = self->count = count;
    for (uint32_t i = 0; i < count; i++) {
        self->lanes[i].flow = flows[i];
        if (!flows[i] || flows[i]->refused) {
            flow->refused = ASX_E(NO_MEMORY);
        } else {
            asx_assert_eq(flows[i]->item_size, flow->item_size);
        }
    }
    asxi_crew_open(&self->crew, cx);
    return flow;
}
