#include <asx/shard/sync/barrier.h>

#include "far_internal.h"

typedef struct barrier {
    asxi_object object;
    const char *what;
    uint32_t parties;
    asxi_line waiting;
} barrier;

_Static_assert(sizeof(barrier) <= ASXI_OBJECT_BYTES, "a barrier fits a record");

static barrier *barrier_of(asxi_object *object)
{
    return asx_container_of(object, barrier, object);
}

static void barrier_close(asxi_object *object)
{
    asxi_line_close(&barrier_of(object)->waiting);
}

static const asxi_far_ops far_ops;
static const asxi_object_type barrier_type = { .name = "barrier",
                                               .close = barrier_close,
                                               .far = &far_ops };

asx_err asx_barrier_open(asx_cx *cx, uint32_t parties, const char *what, asx_barrier *opened)
{
    asxi_object *object;
    *opened = (asx_barrier){ 0 };
    if (parties == 0) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const asx_err err = asxi_object_open(cx, &barrier_type, sizeof(barrier), &object);
    if (!err) {
        barrier *const self = barrier_of(object);
        self->what = what ? what : "barrier";
        self->parties = parties;
        asxi_line_init(&self->waiting);
        opened->_object = asx_handle_of(object);
    }
    return err;
}

/* errors  CLOSED, STALE */
static asx_err find(asx_cx *cx, asx_barrier handle, barrier **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &barrier_type, &object);
    if (asx_likely(!err)) {
        *self = barrier_of(object);
    }
    return err;
}

void asx_barrier_close(asx_cx *cx, asx_barrier handle)
{
    asxi_object_close_found(cx, handle._object, &barrier_type);
}

/* True: this arrival was the last, and has told the others. */
static bool trips(barrier *self)
{
    const bool last = self->waiting.count + 1 == self->parties;
    while (last && !asxi_line_empty(&self->waiting)) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
    return last;
}

/* For other shards: the amount of the answer is 1 for the leader. */

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    barrier *const self = barrier_of(object);
    baton->leave = asxi_line_hold_nothing;
    baton->amount = trips(self);
    *line = baton->amount == 0 ? &self->waiting : NULL;
    return ASX_OK;
}

static const asxi_far_ops far_ops = { .ask = far_ask };

static asx_outcome wait_far(asx_cx *cx, asx_barrier handle, asx_instant deadline_ns)
{
    uint64_t leads = 0;
    const asxi_far_request request = { .type = &barrier_type,
                                       .object = handle._object,
                                       .grant_wins = true,
                                       .closed = ASX_E(CLOSED),
                                       .what = "far barrier" };
    const asx_outcome outcome = asxi_far_wait(cx, &request, deadline_ns, &leads);
    return asx_is_ok(outcome) ? asx_ok(leads) : outcome;
}

asx_outcome asx_barrier_wait_until(asx_cx *cx, asx_barrier handle, asx_instant deadline_ns)
{
    barrier *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return err == ASX_E(WRONG_SHARD) ? wait_far(cx, handle, deadline_ns) : asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (trips(self)) {
        return asx_ok(1);
    }
    asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
    const asx_outcome outcome =
        asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
    const bool tripped = baton.wait.resolved && baton.wait.value == ASXI_LINE_GRANTED;
    return tripped ? asx_ok(0) : outcome;
}
