#include <asx/shard/flow/flow.h>

#include "flow_internal.h"

#define FLOW_TYPE 0x464c4f57u /* of its heap reference */

const char *asx_flow_step_name(asx_flow_step step)
{
    switch (step) {
    case ASX_FLOW_END:
        return "END";
    case ASX_FLOW_ITEM:
        return "ITEM";
    case ASX_FLOW_LATE:
        return "LATE";
    }
    return "?";
}

void asxi_flow_item_drop(const asx_flow *flow, void *item)
{
    const asx_flow *const items = flow->items;
    if (items->class->item_drop) {
        items->class->item_drop(items, item);
    } else if (items->drop) {
        asxi_region_drop(items->region->shard, items->region, items->drop, item);
    }
}

/* Of the reference: when the flow is closed, or with the heap of its region. */
static void flow_destroy(void *object, size_t size)
{
    asx_flow *const flow = object;
    (void)size;
    if (flow->full) {
        asxi_flow_discard(flow);
    }
    if (flow->class->drop) {
        flow->class->drop(flow);
    }
}

static asx_flow *flow_create(asx_region *region, const asxi_flow_class *class, size_t state_size,
                             uint32_t item_size)
{
    const size_t state_bytes = (state_size + 15) & ~(size_t)15;
    const size_t bytes = sizeof(asx_flow) + state_bytes + item_size;
    asx_assert(item_size > 0);
    asx_flow *const flow = asx_heap_alloc(&region->heap, bytes);
    if (!flow) {
        return NULL;
    }
    memset(flow, 0, sizeof(asx_flow) + state_bytes);
    flow->class = class;
    flow->region = region;
    flow->items = flow;
    flow->item_size = item_size;
    flow->hold = (char *)(flow + 1) + state_bytes;
    if (asx_heapref_create(&region->heap, flow, bytes, FLOW_TYPE, flow_destroy, &flow->ref)) {
        asx_heap_free(&region->heap, flow, bytes);
        return NULL;
    }
    return flow;
}

asx_flow *asxi_flow_source(asx_cx *cx, const asxi_flow_class *class, size_t state_size,
                           uint32_t item_size, asx_drop_fn *drop)
{
    asx_region *const region = asxi_cx_region(cx);
    asx_flow *const flow = region ? flow_create(region, class, state_size, item_size) : NULL;
    if (flow) {
        flow->drop = drop;
    }
    return flow;
}

asx_flow *asxi_flow_over(asx_flow *source, const asxi_flow_class *class, size_t state_size,
                         uint32_t item_size, asx_drop_fn *drop, bool *made)
{
    *made = false;
    if (!source || source->refused) {
        return source;
    }
    asx_flow *const flow =
        flow_create(source->region, class, state_size, item_size ? item_size : source->item_size);
    if (!flow) {
        source->refused = ASX_E(NO_MEMORY);
        return source;
    }
    flow->source = source;
    flow->items = item_size ? flow : source->items;
    flow->drop = drop;
    *made = true;
    return flow;
}

asx_outcome asxi_flow_pull(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    if (asx_unlikely(flow->refused)) {
        return asx_fail(flow->refused);
    }
    if (flow->full) {
        asxi_flow_take(flow, item);
        return asx_ok(ASX_FLOW_ITEM);
    }
    if (flow->ended) {
        return asx_ok(ASX_FLOW_END);
    }
    asx_assert(!flow->busy); /* one task at a time pulls */
    flow->busy = true;
    const asx_outcome outcome = flow->class->next(cx, flow, item, deadline_ns);
    flow->busy = false;
    flow->ended = asx_flow_is(outcome, ASX_FLOW_END);
    return outcome;
}

asx_outcome asxi_flow_look(asx_cx *cx, asx_flow *flow, asx_instant deadline_ns)
{
    if (flow->full && !flow->refused) {
        return asx_ok(ASX_FLOW_ITEM);
    }
    const asx_outcome outcome = asxi_flow_pull(cx, flow, flow->hold, deadline_ns);
    flow->full = asx_flow_is(outcome, ASX_FLOW_ITEM);
    return outcome;
}

void asxi_flow_take(asx_flow *flow, void *item)
{
    asx_assert(flow->full);
    flow->full = false;
    memcpy(item, flow->hold, flow->item_size);
}

void asxi_flow_consume(asx_flow *flow)
{
    asx_assert(flow->full);
    flow->full = false;
}

void asxi_flow_discard(asx_flow *flow)
{
    asxi_flow_consume(flow);
    asxi_flow_item_drop(flow, flow->hold);
}

asx_outcome asxi_flow_idle(asx_cx *cx, uint32_t *idle)
{
    return ++*idle % ASX_FLOW_IDLE_MAX ? asx_ok(0) : asx_yield(cx);
}

asx_outcome asx_flow_next_until(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    ASX_TRY(asx_checkpoint(cx));
    return flow ? asxi_flow_pull(cx, flow, item, deadline_ns) : asx_fail(ASX_E(NO_MEMORY));
}

asx_outcome asx_flow_next(asx_cx *cx, asx_flow *flow, void *item)
{
    return asx_flow_next_until(cx, flow, item, ASX_TIME_NEVER);
}

asx_outcome asx_flow_peek(asx_cx *cx, asx_flow *flow, const void **item)
{
    ASX_TRY(asx_checkpoint(cx));
    if (!flow) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    const asx_outcome outcome = asxi_flow_look(cx, flow, ASX_TIME_NEVER);
    *item = flow->hold;
    return outcome;
}

uint32_t asx_flow_item_size(const asx_flow *flow)
{
    return flow->item_size;
}

/* From the sink to the source: whoever uses a flow is gone before it is. */
void asx_flow_close(asx_cx *cx, asx_flow *flow)
{
    while (flow) {
        asx_flow *const source = flow->source;
        if (flow->full) { /* while all that it was made of is there */
            asxi_flow_discard(flow);
        }
        if (flow->class->stop) {
            flow->class->stop(cx, flow);
        }
        const asx_err err = asx_heapref_free(&flow->region->heap, flow->ref);
        asx_assert_eq(err, ASX_OK);
        flow = source;
    }
}
