#include <asx/shard/flow/chunk.h>

#include "flow_internal.h"

typedef struct chunk_state {
    uint32_t max;
    bool ready;
    asx_err err;          /* to be told behind the chunk; 0: none */
    asx_flow_chunk chunk; /* what there is so far */
} chunk_state;

static char *item_at(const asx_flow *flow, asx_flow_chunk *chunk, uint32_t index)
{
    return chunk->items + (size_t)index * flow->source->item_size;
}

static asx_outcome chunk_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    chunk_state *const self = asxi_flow_state(flow);
    asx_flow_chunk *const chunk = &self->chunk;
    while (chunk->count < self->max && !self->err) {
        const asx_instant until_ns = self->ready && chunk->count > 0 ? 0 : deadline_ns;
        const asx_outcome step =
            asxi_flow_pull(cx, flow->source, item_at(flow, chunk, chunk->count), until_ns);
        if (asx_flow_is(step, ASX_FLOW_ITEM)) {
            chunk->count++;
        } else if (chunk->count == 0 || step.severity >= ASX_SEVERITY_CANCELLED) {
            return step;
        } else if (step.severity == ASX_SEVERITY_ERR) {
            self->err = step.err;
        } else if (asx_flow_is(step, ASX_FLOW_LATE) && !self->ready) {
            return step;
        } else {
            break;
        }
    }
    if (chunk->count == 0) {
        const asx_err err = self->err;
        self->err = ASX_OK;
        return asx_fail(err);
    }
    memcpy(item, chunk, sizeof(*chunk) + (size_t)chunk->count * flow->source->item_size);
    chunk->count = 0;
    return asx_ok(ASX_FLOW_ITEM);
}

static void chunk_item_drop(const asx_flow *flow, void *item)
{
    asx_flow_chunk *const chunk = item;
    for (uint32_t i = 0; i < chunk->count; i++) {
        asxi_flow_item_drop(flow->source, item_at(flow, chunk, i));
    }
}

static void chunk_drop(asx_flow *flow)
{
    chunk_state *const self = asxi_flow_state(flow);
    chunk_item_drop(flow, &self->chunk);
}

static const asxi_flow_class chunk_class = {
    .name = "chunks", .next = chunk_next, .drop = chunk_drop, .item_drop = chunk_item_drop
};

static asx_flow *over(asx_flow *source, uint32_t max, bool ready)
{
    bool made;
    asx_assert(max > 0 && max <= ASX_FLOW_CHUNK_MAX);
    const size_t items_bytes = source ? (size_t)max * source->item_size : 1;
    asx_assert(items_bytes <= UINT32_MAX - sizeof(asx_flow_chunk));
    asx_flow *const flow =
        asxi_flow_over(source, &chunk_class, sizeof(chunk_state) + items_bytes,
                       (uint32_t)(sizeof(asx_flow_chunk) + items_bytes), NULL, &made);
    if (made) {
        chunk_state *const self = asxi_flow_state(flow);
        self->max = max;
        self->ready = ready;
    }
    return flow;
}

asx_flow *asx_flow_chunks(asx_flow *source, uint32_t max)
{
    return over(source, max, false);
}

asx_flow *asx_flow_ready_chunks(asx_flow *source, uint32_t max)
{
    return over(source, max, true);
}
