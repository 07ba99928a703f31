#include <asx/shard/sync/once.h>

#include "far_internal.h"

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

static const asxi_far_ops far_ops;
static const asxi_object_type once_type = { .name = "once", .close = once_close, .far = &far_ops };

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

/* For other shards: a call asks with CAN_MAKE or ONLY_WAITS. It is answered with the VALUE, or with
 * MAKE, and then ends with the VALUE or with NONE. */

enum { CAN_MAKE = 1, ONLY_WAITS, VALUE, MAKE, NONE };

/* `state` is SET or UNSET. */
static void answer_fill(once *self, asxi_baton *baton)
{
    if (self->state == SET) {
        baton->amount = self->value;
        baton->tag = VALUE;
    } else {
        asx_assert(self->state == UNSET && baton->tag == CAN_MAKE);
        self->state = INITIALISING;
        self->maker = baton->wait.task;
        baton->tag = MAKE;
    }
}

static void far_told(asxi_baton *baton, uintptr_t value)
{
    if (value == ASXI_LINE_GRANTED) {
        answer_fill(once_of(baton->object), baton);
    }
    asxi_far_answer(baton, value);
}

/* It was told to make the value, and does not. */
static void far_leave(asxi_baton *baton, bool granted)
{
    if (granted && baton->tag == MAKE) {
        become_unset(once_of(baton->object));
    }
}

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    once *const self = once_of(object);
    baton->leave = far_leave;
    if (self->state == SET || (self->state == UNSET && baton->tag == CAN_MAKE)) {
        answer_fill(self, baton);
        return ASX_OK;
    }
    if (self->state == INITIALISING && self->maker == baton->wait.task) {
        return ASX_E(WOULD_DEADLOCK);
    }
    baton->amount = baton->tag == CAN_MAKE;
    baton->tell = far_told;
    *line = &self->waiting;
    return ASX_OK;
}

static void far_release(asxi_object *object, uint64_t amount, uint32_t tag, asx_settlement how)
{
    (void)how;
    asx_assert_eq(once_of(object)->state, INITIALISING);
    if (tag == VALUE) {
        become_set(once_of(object), (uintptr_t)amount);
    } else {
        become_unset(once_of(object));
    }
}

static const asxi_far_ops far_ops = { .ask = far_ask, .release = far_release };

typedef struct making_far {
    asx_defer defer;
    asxi_far_grant grant;
} making_far;

static void making_far_failed(asx_cx *cx, asx_defer *defer)
{
    (void)cx;
    asxi_far_grant_end(&asx_container_of(defer, making_far, defer)->grant, 0, NONE,
                       ASX_SETTLED_CANCEL);
}

static asx_outcome make_far(asx_cx *cx, making_far *now, asx_once_fn *init, void *arg)
{
    asx_defer_push(cx, &now->defer, making_far_failed);
    const asx_outcome outcome = init(cx, arg);
    asx_defer_pop(cx, &now->defer);
    if (asx_is_ok(outcome)) {
        asxi_far_grant_end(&now->grant, outcome.value, VALUE, ASX_SETTLED_CANCEL);
    } else {
        making_far_failed(cx, &now->defer);
    }
    return outcome;
}

/* init  NULL: only waits */
static asx_outcome get_far(asx_cx *cx, asx_once handle, asx_once_fn *init, void *arg,
                           asx_instant deadline_ns)
{
    making_far now;
    const asxi_far_request request = { .type = &once_type,
                                       .object = handle._object,
                                       .tag = init ? CAN_MAKE : ONLY_WAITS,
                                       .grant_wins = !init,
                                       .closed = ASX_E(CLOSED),
                                       .what = "far once" };
    ASX_TRY(asxi_far_ask(cx, &request, deadline_ns, &now.grant));
    if (now.grant.tag == MAKE) {
        return make_far(cx, &now, init, arg);
    }
    asxi_far_grant_free(&now.grant);
    return asx_ok(now.grant.amount);
}

asx_outcome asx_once_get_until(asx_cx *cx, asx_once handle, asx_once_fn *init, void *arg,
                               asx_instant deadline_ns)
{
    for (;;) {
        once *self;
        const asx_err err = find(cx, handle, &self);
        if (err) {
            return err == ASX_E(WRONG_SHARD) ? get_far(cx, handle, init, arg, deadline_ns)
                                             : asx_fail(err);
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
        return err == ASX_E(WRONG_SHARD) ? get_far(cx, handle, NULL, NULL, deadline_ns)
                                         : asx_fail(err);
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
