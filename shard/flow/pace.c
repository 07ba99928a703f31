#include <asx/shard/flow/pace.h>

#include "flow_internal.h"

#define SUPPRESSED_MAX 64u /* items dropped in one step (STR-2) */

typedef struct pace_state {
    asx_duration duration_ns;
    asx_instant at_ns; /* when the window ends, the quiet has lasted, or time is up */
    uint32_t idle;
    bool begun;     /* at_ns is valid */
    char pending[]; /* debounce: the latest item, when begun */
} pace_state;

static asx_outcome suppress(asx_cx *cx, pace_state *self)
{
    return ++self->idle % SUPPRESSED_MAX ? asx_ok(0) : asx_yield(cx);
}

static asx_outcome throttle_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    pace_state *const self = asxi_flow_state(flow);
    for (;;) {
        const asx_outcome step = asxi_flow_look(cx, flow->source, deadline_ns);
        if (!asx_flow_is(step, ASX_FLOW_ITEM)) {
            return step;
        }
        const asx_instant now_ns = asx_now(cx);
        if (!self->begun || now_ns >= self->at_ns) {
            self->begun = true;
            self->at_ns = asx_time_add(now_ns, self->duration_ns);
            asxi_flow_take(flow->source, item);
            return step;
        }
        asxi_flow_discard(flow->source);
        ASX_TRY(suppress(cx, self));
    }
}

/* The item in the source's hold is the latest from here on. */
static void debounce_begin(asx_cx *cx, asx_flow *flow)
{
    pace_state *const self = asxi_flow_state(flow);
    asxi_flow_take(flow->source, self->pending);
    self->begun = true;
    self->at_ns = asx_time_add(asx_now(cx), self->duration_ns);
}

static asx_outcome debounce_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    pace_state *const self = asxi_flow_state(flow);
    for (;;) {
        const bool quiet_first = self->begun && self->at_ns < deadline_ns;
        const asx_outcome step =
            asxi_flow_look(cx, flow->source, quiet_first ? self->at_ns : deadline_ns);
        const bool came = asx_flow_is(step, ASX_FLOW_ITEM);
        const asx_instant now_ns = asx_now(cx);
        /* An item may come late, out of a function that waited. */
        const bool passes =
            self->begun && (came                               ? now_ns > self->at_ns
                            : asx_flow_is(step, ASX_FLOW_LATE) ? now_ns >= self->at_ns
                                                               : asx_is_ok(step));
        if (passes) {
            memcpy(item, self->pending, flow->item_size);
            self->begun = false;
        }
        if (came) {
            if (self->begun) {
                asxi_flow_item_drop(flow, self->pending);
            }
            debounce_begin(cx, flow);
        }
        if (passes) {
            return asx_ok(ASX_FLOW_ITEM);
        }
        if (!came) {
            return step;
        }
        ASX_TRY(suppress(cx, self));
    }
}

static void debounce_drop(asx_flow *flow)
{
    pace_state *const self = asxi_flow_state(flow);
    if (self->begun) {
        asxi_flow_item_drop(flow, self->pending);
    }
}

static asx_outcome timeout_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    pace_state *const self = asxi_flow_state(flow);
    if (!self->begun) {
        self->begun = true;
        self->at_ns = asx_time_add(asx_now(cx), self->duration_ns);
    }
    const bool first = self->at_ns <= deadline_ns;
    const asx_outcome step =
        asxi_flow_pull(cx, flow->source, item, first ? self->at_ns : deadline_ns);
    if (asx_flow_is(step, ASX_FLOW_LATE)) {
        if (!first) {
            return step;
        }
        self->begun = false;
        return asx_fail(ASX_E(TIMED_OUT));
    }
    self->begun = step.severity == ASX_SEVERITY_CANCELLED;
    return step;
}

static const asxi_flow_class throttle_class = { .name = "throttle", .next = throttle_next };
static const asxi_flow_class debounce_class = { .name = "debounce",
                                                .next = debounce_next,
                                                .drop = debounce_drop };
static const asxi_flow_class timeout_class = { .name = "timeout", .next = timeout_next };

static asx_flow *over(asx_flow *source, const asxi_flow_class *class, asx_duration duration_ns,
                      size_t pending_size)
{
    bool made;
    asx_flow *const flow =
        asxi_flow_over(source, class, sizeof(pace_state) + pending_size, 0, NULL, &made);
    if (made) {
        pace_state *const self = asxi_flow_state(flow);
        self->duration_ns = duration_ns;
    }
    return flow;
}

asx_flow *asx_flow_throttle(asx_flow *source, asx_duration window_ns)
{
    return over(source, &throttle_class, window_ns, 0);
}

asx_flow *asx_flow_debounce(asx_flow *source, asx_duration quiet_ns)
{
    return over(source, &debounce_class, quiet_ns, source ? source->item_size : 0);
}

asx_flow *asx_flow_timeout(asx_flow *source, asx_duration timeout_ns)
{
    return over(source, &timeout_class, timeout_ns, 0);
}
