#include <asx/shard/flow/map.h>

#include "flow_internal.h"

typedef struct map_state {
    union {
        asx_flow_map_fn *map;
        asx_flow_then_fn *then;
        asx_flow_filter_map_fn *filter_map;
        asx_flow_test_fn *test;
        asx_flow_inspect_fn *inspect;
    };
    void *arg;
    uint64_t n;    /* how many to take, to skip, or were counted */
    uint32_t idle; /* items without a result */
} map_state;

/* Returns unless the source holds an item. */
#define LOOK(cx, flow, deadline_ns)                                                    \
    do {                                                                               \
        const asx_outcome look_ = asxi_flow_look((cx), (flow)->source, (deadline_ns)); \
        if (!asx_flow_is(look_, ASX_FLOW_ITEM)) {                                      \
            return look_;                                                              \
        }                                                                              \
    } while (0)

static asx_outcome map_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const map_state *const self = asxi_flow_state(flow);
    LOOK(cx, flow, deadline_ns);
    asxi_flow_consume(flow->source);
    self->map(flow->source->hold, item, self->arg);
    return asx_ok(ASX_FLOW_ITEM);
}

static asx_outcome then_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const map_state *const self = asxi_flow_state(flow);
    LOOK(cx, flow, deadline_ns);
    const asx_outcome outcome = self->then(cx, flow->source->hold, item, self->arg);
    if (outcome.severity == ASX_SEVERITY_CANCELLED) {
        return outcome;
    }
    asxi_flow_consume(flow->source);
    return asx_is_ok(outcome) ? asx_ok(ASX_FLOW_ITEM) : outcome;
}

static asx_outcome filter_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    map_state *const self = asxi_flow_state(flow);
    for (;;) {
        LOOK(cx, flow, deadline_ns);
        if (self->test(flow->source->hold, self->arg)) {
            self->idle = 0;
            asxi_flow_take(flow->source, item);
            return asx_ok(ASX_FLOW_ITEM);
        }
        asxi_flow_discard(flow->source);
        ASX_TRY(asxi_flow_idle(cx, &self->idle));
    }
}

static asx_outcome filter_map_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    map_state *const self = asxi_flow_state(flow);
    for (;;) {
        LOOK(cx, flow, deadline_ns);
        asxi_flow_consume(flow->source);
        if (self->filter_map(flow->source->hold, item, self->arg)) {
            self->idle = 0;
            return asx_ok(ASX_FLOW_ITEM);
        }
        ASX_TRY(asxi_flow_idle(cx, &self->idle));
    }
}

static asx_outcome scan_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const map_state *const self = asxi_flow_state(flow);
    LOOK(cx, flow, deadline_ns);
    asxi_flow_consume(flow->source);
    const bool made = self->filter_map(flow->source->hold, item, self->arg);
    return asx_ok(made ? ASX_FLOW_ITEM : ASX_FLOW_END);
}

static asx_outcome inspect_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const map_state *const self = asxi_flow_state(flow);
    LOOK(cx, flow, deadline_ns);
    asxi_flow_take(flow->source, item);
    self->inspect(item, self->arg);
    return asx_ok(ASX_FLOW_ITEM);
}

static asx_outcome enumerate_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    map_state *const self = asxi_flow_state(flow);
    LOOK(cx, flow, deadline_ns);
    memcpy(item, &self->n, sizeof(self->n));
    self->n++;
    asxi_flow_take(flow->source, (char *)item + sizeof(self->n));
    return asx_ok(ASX_FLOW_ITEM);
}

static void enumerate_item_drop(const asx_flow *flow, void *item)
{
    asxi_flow_item_drop(flow->source, (char *)item + sizeof(uint64_t));
}

static asx_outcome take_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    map_state *const self = asxi_flow_state(flow);
    if (self->n == 0) {
        return asx_ok(ASX_FLOW_END);
    }
    const asx_outcome step = asxi_flow_pull(cx, flow->source, item, deadline_ns);
    self->n -= asx_flow_is(step, ASX_FLOW_ITEM);
    return step;
}

static asx_outcome skip_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    map_state *const self = asxi_flow_state(flow);
    while (self->n > 0) {
        LOOK(cx, flow, deadline_ns);
        asxi_flow_discard(flow->source);
        self->n--;
        ASX_TRY(asxi_flow_idle(cx, &self->idle));
    }
    return asxi_flow_pull(cx, flow->source, item, deadline_ns);
}

static asx_outcome take_while_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    const map_state *const self = asxi_flow_state(flow);
    LOOK(cx, flow, deadline_ns);
    if (!self->test(flow->source->hold, self->arg)) {
        asxi_flow_discard(flow->source);
        return asx_ok(ASX_FLOW_END);
    }
    asxi_flow_take(flow->source, item);
    return asx_ok(ASX_FLOW_ITEM);
}

static asx_outcome skip_while_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    map_state *const self = asxi_flow_state(flow);
    while (self->n == 0) {
        LOOK(cx, flow, deadline_ns);
        if (!self->test(flow->source->hold, self->arg)) {
            self->n = 1;
            break;
        }
        asxi_flow_discard(flow->source);
        ASX_TRY(asxi_flow_idle(cx, &self->idle));
    }
    return asxi_flow_pull(cx, flow->source, item, deadline_ns);
}

static const asxi_flow_class map_class = { .name = "map", .next = map_next };
static const asxi_flow_class then_class = { .name = "then", .next = then_next };
static const asxi_flow_class filter_class = { .name = "filter", .next = filter_next };
static const asxi_flow_class filter_map_class = { .name = "filter_map", .next = filter_map_next };
static const asxi_flow_class scan_class = { .name = "scan", .next = scan_next };
static const asxi_flow_class inspect_class = { .name = "inspect", .next = inspect_next };
static const asxi_flow_class enumerate_class = { .name = "enumerate",
                                                 .next = enumerate_next,
                                                 .item_drop = enumerate_item_drop };
static const asxi_flow_class take_class = { .name = "take", .next = take_next };
static const asxi_flow_class skip_class = { .name = "skip", .next = skip_next };
static const asxi_flow_class take_while_class = { .name = "take_while", .next = take_while_next };
static const asxi_flow_class skip_while_class = { .name = "skip_while", .next = skip_while_next };

static asx_flow *over(asx_flow *source, const asxi_flow_class *class, asx_flow_shape shape,
                      map_state state)
{
    bool made;
    asx_flow *const flow =
        asxi_flow_over(source, class, sizeof(map_state), shape.item_size, shape.drop, &made);
    if (made) {
        *(map_state *)asxi_flow_state(flow) = state;
    }
    return flow;
}

static const asx_flow_shape same; /* as the source's */

asx_flow *asx_flow_map(asx_flow *source, asx_flow_shape shape, asx_flow_map_fn *fn, void *arg)
{
    return over(source, &map_class, shape, (map_state){ .map = fn, .arg = arg });
}

asx_flow *asx_flow_then(asx_flow *source, asx_flow_shape shape, asx_flow_then_fn *fn, void *arg)
{
    return over(source, &then_class, shape, (map_state){ .then = fn, .arg = arg });
}

asx_flow *asx_flow_filter(asx_flow *source, asx_flow_test_fn *test, void *arg)
{
    return over(source, &filter_class, same, (map_state){ .test = test, .arg = arg });
}

asx_flow *asx_flow_filter_map(asx_flow *source, asx_flow_shape shape, asx_flow_filter_map_fn *fn,
                              void *arg)
{
    return over(source, &filter_map_class, shape, (map_state){ .filter_map = fn, .arg = arg });
}

asx_flow *asx_flow_scan(asx_flow *source, asx_flow_shape shape, asx_flow_filter_map_fn *fn,
                        void *arg)
{
    return over(source, &scan_class, shape, (map_state){ .filter_map = fn, .arg = arg });
}

asx_flow *asx_flow_inspect(asx_flow *source, asx_flow_inspect_fn *fn, void *arg)
{
    return over(source, &inspect_class, same, (map_state){ .inspect = fn, .arg = arg });
}

asx_flow *asx_flow_enumerate(asx_flow *source)
{
    const asx_flow_shape shape = { .item_size = source
                                                    ? (uint32_t)sizeof(uint64_t) + source->item_size
                                                    : 0 };
    return over(source, &enumerate_class, shape, (map_state){ .n = 0 });
}

asx_flow *asx_flow_take(asx_flow *source, uint64_t count)
{
    return over(source, &take_class, same, (map_state){ .n = count });
}

asx_flow *asx_flow_skip(asx_flow *source, uint64_t count)
{
    return over(source, &skip_class, same, (map_state){ .n = count });
}

asx_flow *asx_flow_take_while(asx_flow *source, asx_flow_test_fn *test, void *arg)
{
    return over(source, &take_while_class, same, (map_state){ .test = test, .arg = arg });
}

asx_flow *asx_flow_skip_while(asx_flow *source, asx_flow_test_fn *test, void *arg)
{
    return over(source, &skip_while_class, same, (map_state){ .test = test, .arg = arg });
}
