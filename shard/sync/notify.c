#include <asx/shard/sync/notify.h>

#include "far_internal.h"
#include "select_internal.h"

typedef struct notify {
    asxi_object object;
    const char *what;
    uint64_t stored;     /* notifications of one that nobody waited for */
    uint64_t generation; /* counts all notifications */
    asxi_line waiting;
} notify;

_Static_assert(sizeof(notify) <= ASXI_OBJECT_BYTES, "a notify fits a record");

static notify *notify_of(asxi_object *object)
{
    return asx_container_of(object, notify, object);
}

static void notify_close(asxi_object *object)
{
    asxi_line_close(&notify_of(object)->waiting);
}

static const asxi_far_ops far_ops;
static const asxi_object_type notify_type = { .name = "notify",
                                              .close = notify_close,
                                              .far = &far_ops };

asx_err asx_notify_open(asx_cx *cx, const char *what, asx_notify *opened)
{
    asxi_object *object;
    *opened = (asx_notify){ 0 };
    const asx_err err = asxi_object_open(cx, &notify_type, sizeof(notify), &object);
    if (!err) {
        notify *const self = notify_of(object);
        self->what = what ? what : "notify";
        asxi_line_init(&self->waiting);
        opened->_object = asx_handle_of(object);
    }
    return err;
}

/* errors  CLOSED, STALE */
static asx_err find(asx_cx *cx, asx_notify handle, notify **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &notify_type, &object);
    if (asx_likely(!err)) {
        *self = notify_of(object);
    }
    return err;
}

void asx_notify_close(asx_cx *cx, asx_notify handle)
{
    asxi_object_close_found(cx, handle._object, &notify_type);
}

enum { ONE = 1, WATCHES }; /* a baton's tag: consumes a notification, or only looks */

/* Those that only look are told of everything. */
static void wake_watchers(notify *self)
{
    asx_list_each_safe(node, &self->waiting.waiting) {
        asxi_baton *const baton = asx_container_of(node, asxi_baton, wait.link);
        if (baton->tag == WATCHES) {
            asxi_line_tell(baton, ASXI_LINE_GRANTED);
        }
    }
}

/* False: nobody waits for one. */
static bool give_waiting(notify *self)
{
    asx_list_each(node, &self->waiting.waiting) {
        asxi_baton *const baton = asx_container_of(node, asxi_baton, wait.link);
        if (baton->tag == ONE) {
            baton->amount = 1;
            asxi_line_tell(baton, ASXI_LINE_GRANTED);
            return true;
        }
    }
    return false;
}

static void give(notify *self, uint64_t count)
{
    while (count > 0 && give_waiting(self)) {
        count--;
    }
    self->stored += ASXI_PLANTED(NOTIFY_LOST) ? 0 : count;
}

enum { TELL_ONE = 1, TELL_ALL };

/* count  of notifications of one */
static void notify_told(notify *self, uint32_t op, uint64_t count)
{
    self->generation += op == TELL_ONE ? count : 1;
    if (op == TELL_ONE) {
        give(self, count);
        wake_watchers(self);
    }
    while (op == TELL_ALL && !asxi_line_empty(&self->waiting)) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
}

static void notify_wherever(asx_cx *cx, asx_notify handle, uint32_t op)
{
    notify *self;
    const asx_err err = find(cx, handle, &self);
    if (!err) {
        notify_told(self, op, 1);
    } else if (err == ASX_E(WRONG_SHARD)) {
        asxi_far_tell(cx, handle._object, &notify_type, op, 1);
    }
}

void asx_notify_one(asx_cx *cx, asx_notify handle)
{
    notify_wherever(cx, handle, TELL_ONE);
}

void asx_notify_all(asx_cx *cx, asx_notify handle)
{
    notify_wherever(cx, handle, TELL_ALL);
}

/* amount is 1 for a notification of one, which must reach somebody. */
static void waiter_leave(asxi_baton *baton, bool granted)
{
    if (granted && baton->amount == 1) {
        give(notify_of(baton->object), 1);
    }
}

static asx_outcome wait_here(asx_cx *cx, notify *self, uint32_t tag, asx_instant deadline_ns)
{
    asxi_baton baton = { .object = &self->object, .leave = waiter_leave, .tag = tag };
    return asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
}

/* For other shards */

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    notify *const self = notify_of(object);
    baton->leave = waiter_leave;
    if (self->stored > 0) {
        self->stored--;
        baton->amount = 1;
    } else {
        *line = &self->waiting;
    }
    return ASX_OK;
}

static void far_tell(asxi_object *object, uint32_t op, uint64_t amount)
{
    notify_told(notify_of(object), op, amount);
}

static const asxi_far_ops far_ops = { .ask = far_ask, .tell = far_tell };

static asx_outcome wait_far(asx_cx *cx, asx_notify handle, asx_instant deadline_ns)
{
    const asxi_far_request request = { .type = &notify_type,
                                       .object = handle._object,
                                       .tag = ONE,
                                       .closed = ASX_E(CLOSED),
                                       .what = "far notify" };
    return asxi_far_wait(cx, &request, deadline_ns, NULL);
}

asx_outcome asx_notify_wait_until(asx_cx *cx, asx_notify handle, asx_instant deadline_ns)
{
    notify *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return err == ASX_E(WRONG_SHARD) ? wait_far(cx, handle, deadline_ns) : asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (self->stored > 0) {
        self->stored--;
        return asx_ok(0);
    }
    return wait_here(cx, self, ONE, deadline_ns);
}

asx_outcome asx_notify_wait_for(asx_cx *cx, asx_notify handle, asx_notify_holds_fn *holds,
                                void *arg, asx_instant deadline_ns)
{
    for (;;) {
        notify *self;
        const asx_err err = find(cx, handle, &self);
        if (err) {
            return asx_fail(err);
        }
        if (asxi_observe_cancel(cx)) {
            return asxi_cancelled(cx);
        }
        const uint64_t generation = self->generation;
        if (holds(arg)) {
            return asx_ok(0);
        }
        if (generation == self->generation) { /* else holds() itself was notified */
            const asx_outcome outcome = wait_here(cx, self, WATCHES, deadline_ns);
            if (!asx_is_ok(outcome)) {
                return outcome;
            }
        }
    }
}

/* In a select */

static bool select_attempt(asx_cx *cx, asx_select_case *which)
{
    notify *self;
    const asx_err err = find(cx, (asx_notify){ which->_handle }, &self);
    which->outcome = err ? asx_fail(err) : asx_ok(0);
    if (!err && self->stored == 0) {
        return false;
    }
    if (!err) {
        self->stored--;
    }
    return true;
}

static asxi_line *select_line(asx_cx *cx, asx_select_case *which, asxi_baton *baton)
{
    notify *self = NULL;
    const asx_err found = find(cx, (asx_notify){ which->_handle }, &self);
    asx_assert_eq(found, ASX_OK);
    *baton = (asxi_baton){ .object = &self->object, .leave = waiter_leave, .tag = ONE };
    return &self->waiting;
}

static void select_granted(asx_cx *cx, asx_select_case *which, asxi_object *object)
{
    (void)cx;
    (void)object;
    which->outcome = asx_ok(0);
}

const asxi_select_ops asxi_select_notify = {
    .attempt = select_attempt,
    .line = select_line,
    .granted = select_granted,
};
