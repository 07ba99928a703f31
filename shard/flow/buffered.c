#include <asx/shard/flow/buffered.h>

#include "crew_internal.h"

/* What a slot is, and what of it may be trusted:
 *
 *     FREE ──item──> WAITING ──start──> RUNNING ──joined──> DONE ──delivered──> FREE
 *                       ^                                     │
 *                       └────────── it was cancelled ─────────┘
 *
 * WAITING  `in` is an item.
 * RUNNING  both are the function's.
 * DONE     `out` is an item when `outcome` is Ok; `in` is one when it is Cancelled. */
typedef enum slot_state { SLOT_FREE = 0, SLOT_WAITING, SLOT_RUNNING, SLOT_DONE } slot_state;

typedef struct slot {
    asxi_hand hand;
    asx_list link; /* in free, line or ready */
    asx_flow *flow;
    asx_outcome outcome; /* a reference */
    char *in, *out;
    slot_state state;
} slot;

typedef struct buffered_state {
    asxi_crew crew;
    asxi_hand scout; /* looks into the source where nothing is there yet */
    asx_flow_then_fn *then;
    asx_flow_try_fn *each; /* instead of `then` */
    void *arg;
    asx_list free, line, ready; /* line: in the order of the source. ready: unordered only */
    bool unordered, fails;      /* fails: ends with its first failure */
    uint32_t width;
    uint32_t waiting; /* slots that are WAITING */
    bool over;        /* the source has ended, or is not asked any more */
    slot slots[];
} buffered_state;

static asx_outcome slot_run(asx_cx *cx, asxi_hand *hand)
{
    slot *const which = asx_container_of(hand, slot, hand);
    const buffered_state *const self = asxi_flow_state(which->flow);
    return self->each ? self->each(cx, which->in, self->arg)
                      : self->then(cx, which->in, which->out, self->arg);
}

static asx_outcome scout_run(asx_cx *cx, asxi_hand *hand)
{
    buffered_state *const self = asx_container_of(hand, buffered_state, scout);
    asx_flow *const flow = (asx_flow *)(void *)self - 1;
    return asxi_flow_look(cx, flow->source, ASX_TIME_NEVER);
}

static slot *slot_first(const asx_list *list)
{
    asx_list *const first = asx_list_first(list);
    return first ? asx_container_of(first, slot, link) : NULL;
}

static void slot_move(slot *which, asx_list *list, slot_state state)
{
    asx_list_unlink(&which->link);
    asx_list_push_back(list, &which->link);
    which->state = state;
}

static void slot_done(buffered_state *self, slot *which, asx_outcome outcome)
{
    which->outcome = asx_outcome_retain(outcome);
    which->state = SLOT_DONE;
    if (self->unordered) {
        slot_move(which, &self->ready, SLOT_DONE);
    }
}

/* A failure of the source has a slot of its own: it is told in its place. */
static void slot_fail(buffered_state *self, asx_outcome outcome)
{
    slot *const which = slot_first(&self->free);
    asx_assert(which != NULL);
    slot_move(which, &self->line, SLOT_DONE);
    slot_done(self, which, outcome);
}

static void join_ended(asx_cx *cx, buffered_state *self)
{
    for (asxi_hand *hand; (hand = asxi_crew_ended(&self->crew)) != NULL;) {
        const asx_outcome outcome = asxi_hand_join(hand, cx);
        if (hand != &self->scout) {
            slot_done(self, asx_container_of(hand, slot, hand), outcome);
        } else if (!asx_is_ok(outcome) && outcome.severity != ASX_SEVERITY_CANCELLED) {
            slot_fail(self, outcome);
        }
    }
}

static asx_err slot_start(asx_cx *cx, buffered_state *self, slot *which)
{
    asx_assert(which->state == SLOT_WAITING && self->waiting > 0);
    const asx_err err = asxi_hand_start(&which->hand, &self->crew, cx, slot_run);
    if (!err) {
        which->state = SLOT_RUNNING;
        self->waiting--;
    }
    return err;
}

/* Starts what can be started. Ok(0), or why the pull must end. */
static asx_outcome fill(asx_cx *cx, asx_flow *flow, asx_instant deadline_ns)
{
    buffered_state *const self = asxi_flow_state(flow);
    for (uint32_t i = 0; self->waiting > 0 && i < self->width; i++) {
        if (self->slots[i].state == SLOT_WAITING) {
            const asx_err err = slot_start(cx, self, &self->slots[i]);
            if (err) {
                return asx_fail(err);
            }
        }
    }
    while (!self->over && !self->scout.running && slot_first(&self->free)) {
        const asx_outcome step = asxi_flow_look(cx, flow->source, 0);
        if (asx_flow_is(step, ASX_FLOW_ITEM)) {
            slot *const which = slot_first(&self->free);
            slot_move(which, &self->line, SLOT_WAITING);
            asxi_flow_take(flow->source, which->in);
            self->waiting++;
            const asx_err err = slot_start(cx, self, which);
            if (err) {
                return asx_fail(err);
            }
        } else if (asx_is_ok(step)) {
            self->over = asx_flow_is(step, ASX_FLOW_END);
            const bool scouts = !self->over && deadline_ns > 0;
            const asx_err err =
                scouts ? asxi_hand_start(&self->scout, &self->crew, cx, scout_run) : ASX_OK;
            return err ? asx_fail(err) : asx_ok(0);
        } else if (step.severity == ASX_SEVERITY_CANCELLED) {
            return step;
        } else {
            slot_fail(self, step);
        }
    }
    return asx_ok(0);
}

/* Drops what the slot holds; nothing runs in it. */
static void slot_clear(const asx_flow *flow, slot *which)
{
    const asxi_hand *const hand = &which->hand;
    bool in = which->state == SLOT_WAITING;
    bool out = false;
    if (which->state == SLOT_DONE) {
        in = which->outcome.severity == ASX_SEVERITY_CANCELLED;
        out = asx_is_ok(which->outcome);
        asx_outcome_release(which->outcome);
    } else if (which->state == SLOT_RUNNING) { /* was, and nobody joined it */
        in = !hand->entered || (hand->returned && hand->outcome.severity == ASX_SEVERITY_CANCELLED);
        out = hand->returned && asx_is_ok(hand->outcome);
    }
    const buffered_state *const self = (const buffered_state *)(const void *)(flow + 1);
    if (in) {
        asxi_flow_item_drop(flow->source, which->in);
    } else if (out && !self->each) {
        asxi_flow_item_drop(flow, which->out);
    }
}

static void clear_all(asx_flow *flow)
{
    buffered_state *const self = asxi_flow_state(flow);
    asx_list *const lists[] = { &self->line, &self->ready };
    for (unsigned i = 0; i < 2; i++) {
        for (slot *which; (which = slot_first(lists[i])) != NULL;) {
            slot_clear(flow, which);
            slot_move(which, &self->free, SLOT_FREE);
        }
    }
    self->waiting = 0;
}

static asx_outcome deliver(asx_cx *cx, asx_flow *flow, slot *which, void *item)
{
    buffered_state *const self = asxi_flow_state(flow);
    const asx_outcome outcome = which->outcome;
    if (outcome.severity == ASX_SEVERITY_CANCELLED) {
        /* Its item is still there: the next pull starts it again. */
        which->state = SLOT_WAITING;
        self->waiting++;
        if (self->unordered) {
            slot_move(which, &self->line, SLOT_WAITING);
        }
    } else {
        slot_move(which, &self->free, SLOT_FREE);
    }
    if (asx_is_ok(outcome)) {
        memcpy(item, which->out, flow->item_size);
        return asx_ok(ASX_FLOW_ITEM);
    }
    const asx_outcome lent = asxi_task_lend(cx->_task, outcome);
    asx_outcome_release(outcome);
    if (!self->fails) {
        return lent;
    }
    const asx_outcome panic = asxi_crew_close(&self->crew, cx);
    clear_all(flow);
    self->over = true;
    return asx_is_ok(panic) ? lent : panic;
}

static asx_outcome buffered_next(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns)
{
    buffered_state *const self = asxi_flow_state(flow);
    for (;;) {
        join_ended(cx, self);
        ASX_TRY(fill(cx, flow, deadline_ns));
        slot *const first = slot_first(self->unordered ? &self->ready : &self->line);
        if (first && first->state == SLOT_DONE) {
            return deliver(cx, flow, first, item);
        }
        if (self->over && self->crew.running == 0) {
            return asx_ok(ASX_FLOW_END);
        }
        const asx_outcome waited = asxi_crew_wait(&self->crew, cx, "buffered", deadline_ns);
        if (!asx_flow_is(waited, ASX_FLOW_ITEM)) {
            return waited;
        }
    }
}

static void buffered_stop(asx_cx *cx, asx_flow *flow)
{
    buffered_state *const self = asxi_flow_state(flow);
    (void)asxi_crew_close(&self->crew, cx);
}

static const asxi_flow_class buffered_class = {
    .name = "buffered", .next = buffered_next, .stop = buffered_stop, .drop = clear_all
};

static asx_flow *make(asx_cx *cx, asx_flow *source, asx_flow_shape shape, uint32_t width,
                      buffered_state state)
{
    bool made;
    asx_assert(width > 0 && width <= ASX_FLOW_WIDTH_MAX);
    const uint32_t out_size = shape.item_size ? shape.item_size : source ? source->item_size : 1;
    const size_t in_bytes = source ? (source->item_size + 15) & ~(size_t)15 : 0;
    const size_t slot_bytes = in_bytes + ((out_size + 15) & ~(size_t)15);
    const size_t slots_bytes = (sizeof(buffered_state) + width * sizeof(slot) + 15) & ~(size_t)15;
    asx_flow *const flow = asxi_flow_over(source, &buffered_class, slots_bytes + width * slot_bytes,
                                          shape.item_size, shape.drop, &made);
    if (!made) {
        return flow;
    }
    buffered_state *const self = asxi_flow_state(flow);
    *self = state;
    self->width = width;
    asx_list_init(&self->free);
    asx_list_init(&self->line);
    asx_list_init(&self->ready);
    for (uint32_t i = 0; i < width; i++) {
        slot *const which = &self->slots[i];
        which->flow = flow;
        which->in = (char *)self + slots_bytes + i * slot_bytes;
        which->out = which->in + in_bytes;
        asx_list_push_back(&self->free, &which->link);
    }
    asxi_crew_open(&self->crew, cx);
    return flow;
}

asx_flow *asx_flow_buffered(asx_cx *cx, asx_flow *source, asx_flow_shape shape, uint32_t width,
                            asx_flow_then_fn *fn, void *arg)
{
    return make(cx, source, shape, width, (buffered_state){ .then = fn, .arg = arg });
}

asx_flow *asx_flow_unordered(asx_cx *cx, asx_flow *source, asx_flow_shape shape, uint32_t width,
                             asx_flow_then_fn *fn, void *arg)
{
    return make(cx, source, shape, width,
                (buffered_state){ .then = fn, .arg = arg, .unordered = true });
}

asx_flow *asx_flow_try_buffered(asx_cx *cx, asx_flow *source, asx_flow_shape shape, uint32_t width,
                                asx_flow_then_fn *fn, void *arg)
{
    return make(cx, source, shape, width,
                (buffered_state){ .then = fn, .arg = arg, .fails = true });
}

asx_outcome asx_flow_for_each_concurrent(asx_cx *cx, asx_flow *flow, uint32_t width,
                                         asx_flow_try_fn *fn, void *arg)
{
    asx_outcome step;
    char nothing[1] = { 0 };
    const asx_flow_shape shape = { .item_size = sizeof(nothing) };
    asx_flow *const each =
        make(cx, flow, shape, width,
             (buffered_state){ .each = fn, .arg = arg, .unordered = true, .fails = true });
    do {
        step = asx_flow_next(cx, each, nothing);
    } while (asx_flow_is(step, ASX_FLOW_ITEM));
    asx_outcome panic = asx_ok(0);
    if (each && each->class == &buffered_class) {
        buffered_state *const self = asxi_flow_state(each);
        panic = asxi_crew_close(&self->crew, cx);
    }
    asx_flow_close(cx, each);
    return asx_is_ok(panic) ? step : panic;
}
