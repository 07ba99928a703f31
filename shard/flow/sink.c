#include <asx/shard/flow/sink.h>

#include "flow_internal.h"

/* Ok(ASX_FLOW_ITEM): the next item is in the flow's hold. */
static asx_outcome look(asx_cx *cx, asx_flow *flow)
{
    ASX_TRY(asx_checkpoint(cx));
    return flow ? asxi_flow_look(cx, flow, ASX_TIME_NEVER) : asx_fail(ASX_E(NO_MEMORY));
}

static bool list_grow(asx_flow_list *list, const asx_flow *flow)
{
    const size_t cap = list->_cap ? list->_cap * 2 : 8;
    void *const items = asx_region_alloc(flow->region, cap * flow->item_size);
    if (!items) {
        return false;
    }
    asx_assert(list->_cap == 0 || list->_item_size == flow->item_size);
    const size_t count = list->count;
    if (count > 0) {
        memcpy(items, list->items, count * flow->item_size);
    }
    asx_flow_list_free(list);
    *list = (asx_flow_list){ .items = items,
                             .count = count,
                             ._cap = cap,
                             ._region = flow->region,
                             ._item_size = flow->item_size };
    return true;
}

void asx_flow_list_free(asx_flow_list *list)
{
    if (list->_region) {
        asx_region_free(list->_region, list->items, list->_cap * list->_item_size);
    }
    *list = (asx_flow_list){ .items = NULL };
}

asx_outcome asx_flow_collect(asx_cx *cx, asx_flow *flow, asx_flow_list *list)
{
    asx_outcome step;
    while (asx_flow_is(step = look(cx, flow), ASX_FLOW_ITEM)) {
        if (list->count == list->_cap && !list_grow(list, flow)) {
            return asx_fail(ASX_E(NO_MEMORY));
        }
        asxi_flow_take(flow, (char *)list->items + list->count++ * flow->item_size);
    }
    return asx_is_ok(step) ? asx_ok(list->count) : step;
}

asx_outcome asx_flow_for_each(asx_cx *cx, asx_flow *flow, asx_flow_use_fn *fn, void *arg)
{
    asx_outcome step;
    while (asx_flow_is(step = look(cx, flow), ASX_FLOW_ITEM)) {
        asxi_flow_consume(flow);
        fn(flow->hold, arg);
    }
    return step;
}

asx_outcome asx_flow_try_for_each(asx_cx *cx, asx_flow *flow, asx_flow_try_fn *fn, void *arg)
{
    asx_outcome step;
    while (asx_flow_is(step = look(cx, flow), ASX_FLOW_ITEM)) {
        const asx_outcome outcome = fn(cx, flow->hold, arg);
        if (outcome.severity != ASX_SEVERITY_CANCELLED) {
            asxi_flow_consume(flow);
        }
        ASX_TRY(outcome);
    }
    return step;
}

asx_outcome asx_flow_count(asx_cx *cx, asx_flow *flow, uint64_t *count)
{
    asx_outcome step;
    while (asx_flow_is(step = look(cx, flow), ASX_FLOW_ITEM)) {
        asxi_flow_discard(flow);
        ++*count;
    }
    return step;
}

/* Ok(1) at the first item for which the test answers `wanted`, Ok(0) at the end. */
static asx_outcome find(asx_cx *cx, asx_flow *flow, asx_flow_test_fn *test, void *arg, bool wanted)
{
    asx_outcome step;
    while (asx_flow_is(step = look(cx, flow), ASX_FLOW_ITEM)) {
        const bool found = test(flow->hold, arg) == wanted;
        asxi_flow_discard(flow);
        if (found) {
            return asx_ok(1);
        }
    }
    return asx_is_ok(step) ? asx_ok(0) : step;
}

asx_outcome asx_flow_any(asx_cx *cx, asx_flow *flow, asx_flow_test_fn *test, void *arg)
{
    return find(cx, flow, test, arg, true);
}

asx_outcome asx_flow_all(asx_cx *cx, asx_flow *flow, asx_flow_test_fn *test, void *arg)
{
    const asx_outcome failed = find(cx, flow, test, arg, false);
    return asx_is_ok(failed) ? asx_ok(!failed.value) : failed;
}

asx_outcome asx_flow_forward(asx_cx *cx, asx_flow *flow, asx_mpsc_sender sender)
{
    asx_outcome step;
    while (asx_flow_is(step = look(cx, flow), ASX_FLOW_ITEM)) {
        ASX_TRY(asx_mpsc_send_until(cx, sender, flow->hold, ASX_TIME_NEVER));
        asxi_flow_consume(flow);
    }
    return step;
}
