#include <asx/shard/sync/barrier.h>

#include "line_internal.h"

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

static const asxi_object_type barrier_type = { .name = "barrier", .close = barrier_close };

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

asx_outcome asx_barrier_wait_until(asx_cx *cx, asx_barrier handle, asx_instant deadline_ns)
{
    barrier *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (self->waiting.count + 1 == self->parties) {
        while (!asxi_line_empty(&self->waiting)) {
            asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
        }
        return asx_ok(1);
    }
    asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
    const asx_outcome outcome =
        asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
    const bool tripped = baton.wait.resolved && baton.wait.value == ASXI_LINE_GRANTED;
    return tripped ? asx_ok(0) : outcome;
}
