#include <asx/shard/flow/source.h>

#include "flow_internal.h"

/* What a wait for the next item answers, in the words of flows. */
static asx_outcome step_of(asx_outcome received, asx_err end)
{
    if (asx_is_ok(received)) {
        return asx_ok(ASX_FLOW_ITEM);
    }
    if (asx_is_err(received, end)) {
        return asx_ok(ASX_FLOW_END);
    }
    return asx_is_err(received, ASX_E(TIMED_OUT)) ? asx_ok(ASX_FLOW_LATE) : received;
}

/* Array */

typedef struct array_state {
    const char *items;
    size_t at, count;
} array_state;

static asx_outcome array_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    array_state *const self = asxi_flow_state(flow);
    (void)cx;
    (void)deadline_ns;
    if (self->at == self->count) {
        return asx_ok(ASX_FLOW_END);
    }
    memcpy(item, self->items + self->at++ * flow->item_size, flow->item_size);
    return asx_ok(ASX_FLOW_ITEM);
}

static void array_drop(asx_flow *flow)
{
    array_state *const self = asxi_flow_state(flow);
    while (flow->drop && self->at < self->count) {
        /* A copy: the array is the caller's. */
        memcpy(flow->hold, self->items + self->at++ * flow->item_size, flow->item_size);
        asxi_flow_item_drop(flow, flow->hold);
    }
}

static const asxi_flow_class array_class = { .name = "array",
                                             .next = array_next,
                                             .drop = array_drop };

asx_flow *asx_flow_of_array(asx_cx *cx, const void *items, size_t count, uint32_t item_size,
                            asx_drop_fn *drop)
{
    asx_flow *const flow = asxi_flow_source(cx, &array_class, sizeof(array_state), item_size, drop);
    if (flow) {
        *(array_state *)asxi_flow_state(flow) = (array_state){ .items = items, .count = count };
    }
    return flow;
}

/* Function */

typedef struct fn_state {
    asx_flow_next_fn *fn;
    void *arg;
} fn_state;

static asx_outcome fn_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const fn_state *const self = asxi_flow_state(flow);
    return self->fn(cx, item, deadline_ns, self->arg);
}

static const asxi_flow_class fn_class = { .name = "function", .next = fn_next };

asx_flow *asx_flow_of_fn(asx_cx *cx, asx_flow_next_fn *fn, void *arg, uint32_t item_size,
                         asx_drop_fn *drop)
{
    asx_flow *const flow = asxi_flow_source(cx, &fn_class, sizeof(fn_state), item_size, drop);
    if (flow) {
        *(fn_state *)asxi_flow_state(flow) = (fn_state){ fn, arg };
    }
    return flow;
}

/* Stream */

typedef struct stream_state {
    asx_stream *stream;
    asx_view rest; /* lent by the stream, not yet in an item */
} stream_state;

static asx_outcome stream_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    stream_state *const self = asxi_flow_state(flow);
    asx_flow_piece *const piece = item;
    if (self->rest.len == 0) {
        const asx_outcome read = asx_stream_read_until(cx, self->stream, deadline_ns, &self->rest);
        if (!asx_is_ok(read)) {
            self->rest = (asx_view){ 0 };
            return step_of(read, ASX_E(END_OF_STREAM));
        }
        if (self->rest.len == 0) {
            return asx_ok(ASX_FLOW_END);
        }
    }
    const size_t max = flow->item_size - sizeof(*piece);
    const size_t len = self->rest.len < max ? self->rest.len : max;
    piece->len = (uint32_t)len;
    memcpy(piece->bytes, self->rest.ptr, len);
    self->rest.ptr += len;
    self->rest.len -= len;
    return asx_ok(ASX_FLOW_ITEM);
}

static const asxi_flow_class stream_class = { .name = "stream", .next = stream_next };

asx_flow *asx_flow_of_stream(asx_cx *cx, asx_stream *stream, uint32_t piece_max)
{
    if (piece_max == 0 || piece_max > ASX_FLOW_PIECE_MAX) {
        return NULL;
    }
    const uint32_t item_size = (uint32_t)sizeof(asx_flow_piece) + piece_max;
    asx_flow *const flow =
        asxi_flow_source(cx, &stream_class, sizeof(stream_state), item_size, NULL);
    if (flow) {
        *(stream_state *)asxi_flow_state(flow) = (stream_state){ .stream = stream };
    }
    return flow;
}

/* Channels: the state is the end. */

typedef struct end_state {
    asx_handle end;
    uint64_t *lagged;
    bool begun;
} end_state;

static void end_stop(asx_cx *cx, asx_flow *flow)
{
    const end_state *const self = asxi_flow_state(flow);
    asx_end_close(cx, self->end);
}

static asx_flow *end_create(asx_cx *cx, const asxi_flow_class *class, asx_handle end,
                            uint32_t item_size, asx_drop_fn *drop, uint64_t *lagged)
{
    asx_flow *const flow = asxi_flow_source(cx, class, sizeof(end_state), item_size, drop);
    if (flow) {
        *(end_state *)asxi_flow_state(flow) = (end_state){ .end = end, .lagged = lagged };
    } else {
        asx_end_close(cx, end);
    }
    return flow;
}

static asx_outcome mpsc_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const end_state *const self = asxi_flow_state(flow);
    const asx_mpsc_receiver receiver = { self->end };
    if (deadline_ns > 0) {
        return step_of(asx_mpsc_recv_until(cx, receiver, item, deadline_ns), ASX_E(DISCONNECTED));
    }
    const asx_err err = asx_mpsc_try_recv(cx, receiver, item);
    return err == ASX_E(EMPTY) ? asx_ok(ASX_FLOW_LATE)
                               : step_of(err ? asx_fail(err) : asx_ok(0), ASX_E(DISCONNECTED));
}

static const asxi_flow_class mpsc_class = { .name = "mpsc", .next = mpsc_next, .stop = end_stop };

asx_flow *asx_flow_of_mpsc(asx_cx *cx, asx_mpsc_receiver receiver, uint32_t item_size,
                           asx_drop_fn *drop)
{
    return end_create(cx, &mpsc_class, receiver._end, item_size, drop, NULL);
}

static asx_outcome broadcast_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const end_state *const self = asxi_flow_state(flow);
    const asx_broadcast_receiver receiver = { self->end };
    if (deadline_ns > 0) {
        return step_of(asx_broadcast_recv_until(cx, receiver, item, self->lagged, deadline_ns),
                       ASX_E(CLOSED));
    }
    const asx_err err = asx_broadcast_try_recv(cx, receiver, item, self->lagged);
    return err == ASX_E(EMPTY) ? asx_ok(ASX_FLOW_LATE)
                               : step_of(err ? asx_fail(err) : asx_ok(0), ASX_E(CLOSED));
}

static const asxi_flow_class broadcast_class = { .name = "broadcast",
                                                 .next = broadcast_next,
                                                 .stop = end_stop };

asx_flow *asx_flow_of_broadcast(asx_cx *cx, asx_broadcast_receiver receiver, uint32_t item_size,
                                uint64_t *lagged)
{
    return end_create(cx, &broadcast_class, receiver._end, item_size, NULL, lagged);
}

static asx_outcome watch_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    end_state *const self = asxi_flow_state(flow);
    const asx_watch_receiver receiver = { self->end };
    if (self->begun) {
        const asx_outcome step =
            step_of(asx_watch_changed_until(cx, receiver, deadline_ns), ASX_E(CLOSED));
        if (!asx_flow_is(step, ASX_FLOW_ITEM)) {
            return step;
        }
    }
    const void *const value = asx_watch_borrow_and_mark(cx, receiver);
    if (!value) {
        return asx_fail(ASX_E(STALE));
    }
    self->begun = true;
    memcpy(item, value, flow->item_size);
    return asx_ok(ASX_FLOW_ITEM);
}

static const asxi_flow_class watch_class = { .name = "watch",
                                             .next = watch_next,
                                             .stop = end_stop };

asx_flow *asx_flow_of_watch(asx_cx *cx, asx_watch_receiver receiver, uint32_t value_size)
{
    return end_create(cx, &watch_class, receiver._end, value_size, NULL, NULL);
}

/* Interval */

static asx_outcome interval_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    asx_interval *const self = asxi_flow_state(flow);
    if (self->next_ns > deadline_ns && self->next_ns > asx_now(cx)) {
        ASX_TRY(asx_sleep_until(cx, deadline_ns));
        return asx_ok(ASX_FLOW_LATE);
    }
    ASX_TRY(asx_interval_tick(cx, self, item));
    return asx_ok(ASX_FLOW_ITEM);
}

static const asxi_flow_class interval_class = { .name = "interval", .next = interval_next };

asx_flow *asx_flow_of_interval(asx_cx *cx, const asx_interval *interval)
{
    asx_flow *const flow = asxi_flow_source(cx, &interval_class, sizeof(asx_interval),
                                            (uint32_t)sizeof(asx_instant), NULL);
    if (flow) {
        *(asx_interval *)asxi_flow_state(flow) = *interval;
    }
    return flow;
}
