#include <asx/shard/sync/once.h>

#include "line_internal.h"

enum { UNSET, INITIALISING, SET };

typedef struct once {
    asxi_object object;
    const char *what;
    uintptr_t value; /* while SET */
    asx_task *maker; /* while INITIALISING; never followed */
    uint8_t state;
    asxi_line waiting;
} once;

_Static_assert(sizeof(once) <= ASXI_OBJECT_BYTES, "a once fits a record");

static once *once_of(asxi_object *object)
{
    return asx_container_of(object, once, object);
}

static void once_close(asxi_object *object)
{
    asxi_line_close(&once_of(object)->waiting);
}

static const asxi_object_type once_type = { .name = "once", .close = once_close };

asx_err asx_once_open(asx_cx *cx, const char *what, asx_once *opened)
{
    asxi_object *object;
    *opened = (asx_once){ 0 };
    const asx_err err = asxi_object_open(cx, &once_type, sizeof(once), &object);
    if (!err) {
        once *const self = once_of(object);
        self->what = what ? what : "once";
        asxi_line_init(&self->waiting);
        opened->_object = asx_handle_of(object);
    }
    return err;
}

/* errors  CLOSED, STALE */
static asx_err find(asx_cx *cx, asx_once handle, once **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &once_type, &object);
    if (asx_likely(!err)) {
        *self = once_of(object);
    }
    return err;
}

void asx_once_close(asx_cx *cx, asx_once handle)
{
    asxi_object_close_found(cx, handle._object, &once_type);
}

static void become_set(once *self, uintptr_t value)
{
    self->state = SET;
    self->value = value;
    self->maker = NULL;
    while (!asxi_line_empty(&self->waiting)) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
}

/* One of those that could make it looks again. */
static void become_unset(once *self)
{
    self->state = UNSET;
    self->maker = NULL;
    asx_list_each(node, &self->waiting.waiting) {
        asxi_baton *const baton = asx_container_of(node, asxi_baton, wait.link);
        if (baton->amount == 1) {
            asxi_line_tell(baton, ASXI_LINE_GRANTED);
            return;
        }
    }
}

/* It was woken to take over, and does not. */
static void waiter_leave(asxi_baton *baton, bool granted)
{
    once *const self = once_of(baton->object);
    if (granted && self->state == UNSET) {
        become_unset(self);
    }
}

/* can_make  takes over when the initialiser fails */
static asx_outcome wait_here(asx_cx *cx, once *self, bool can_make, asx_instant deadline_ns)
{
    asxi_baton baton = { .object = &self->object, .leave = waiter_leave, .amount = can_make };
    return asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
}

typedef struct making {
    asx_defer defer;
    once *self;
} making;

/* Also when the initialiser's task panics in it. */
static void making_ended(asx_cx *cx, asx_defer *defer)
{
    once *const self = asx_container_of(defer, making, defer)->self;
    (void)cx;
    if (asxi_object_is_open(&self->object) && self->state == INITIALISING) {
        become_unset(self);
    }
    asxi_object_unref(&self->object);
}

static asx_outcome make(asx_cx *cx, once *self, asx_once_fn *init, void *arg)
{
    making now = { .self = self };
    self->state = INITIALISING;
    self->maker = cx->_task;
    asxi_object_ref(&self->object);
    asx_defer_push(cx, &now.defer, making_ended);
    const asx_outcome outcome = init(cx, arg);
    asx_defer_pop(cx, &now.defer);
    if (asx_is_ok(outcome) && asxi_object_is_open(&self->object)) {
        become_set(self, outcome.value);
    }
    making_ended(cx, &now.defer);
    return outcome;
}

asx_outcome asx_once_get_until(asx_cx *cx, asx_once handle, asx_once_fn *init, void *arg,
                               asx_instant deadline_ns)
{
    for (;;) {
        once *self;
        const asx_err err = find(cx, handle, &self);
        if (err) {
            return asx_fail(err);
        }
        if (self->state == SET) {
            return asx_ok(self->value);
        }
        if (asxi_observe_cancel(cx)) {
            return asxi_cancelled(cx);
        }
        if (self->state == UNSET) {
            return make(cx, self, init, arg);
        }
        if (self->maker == cx->_task) {
            return asx_fail(ASX_E(WOULD_DEADLOCK));
        }
        const asx_outcome outcome = wait_here(cx, self, true, deadline_ns);
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
    }
}

asx_outcome asx_once_wait_until(asx_cx *cx, asx_once handle, asx_instant deadline_ns)
{
    once *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return asx_fail(err);
    }
    if (self->state == SET) {
        return asx_ok(self->value);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    const asx_outcome outcome = wait_here(cx, self, false, deadline_ns);
    return asx_is_ok(outcome) ? asx_ok(self->value) : outcome;
}

asx_err asx_once_set(asx_cx *cx, asx_once handle, uintptr_t value)
{
    once *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return err;
    }
    if (self->state != UNSET) {
        return self->state == SET ? ASX_E(ALREADY_SET) : ASX_E(BUSY);
    }
    become_set(self, value);
    return ASX_OK;
}

bool asx_once_peek(asx_cx *cx, asx_once handle, uintptr_t *value)
{
    once *self;
    if (find(cx, handle, &self) || self->state != SET) {
        return false;
    }
    *value = self->value;
    return true;
}
