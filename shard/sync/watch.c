#include <asx/shard/sync/watch.h>

#include "select_internal.h"

#include <string.h>

enum { SENDER = 1, RECEIVER };

typedef struct watch {
    asxi_object object;
    void *value; /* in the region's heap */
    const char *what;
    uint64_t version; /* a receiver's end->mark is the version it has seen */
    uint32_t value_size;
    uint32_t receivers;
    bool sender_gone;
    asxi_line waiting;
} watch;

_Static_assert(sizeof(watch) <= ASXI_OBJECT_BYTES, "a watch fits a record");

static watch *watch_of(asxi_object *object)
{
    return asx_container_of(object, watch, object);
}

static void wake_all(watch *self)
{
    while (!asxi_line_empty(&self->waiting)) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
}

static void watch_close(asxi_object *object)
{
    watch *const self = watch_of(object);
    asxi_line_close(&self->waiting);
    asx_heap_free(&object->region->heap, self->value, self->value_size);
}

static void watch_end_close(asxi_object *object, const asxi_end *end)
{
    watch *const self = watch_of(object);
    if (end->role == SENDER) {
        self->sender_gone = true;
        wake_all(self);
    } else {
        self->receivers--;
        wake_all(self); /* who waits through this end finds it stale */
    }
    if (self->sender_gone && self->receivers == 0) {
        asxi_object_close(object);
    }
}

static const asxi_object_type watch_type = {
    .name = "watch",
    .close = watch_close,
    .end_close = watch_end_close,
};

static asx_err receiver_open(asxi_object *object, uint64_t mark, asx_watch_receiver *receiver)
{
    asxi_end *opened;
    const asx_err err = asxi_end_open(object, RECEIVER, &receiver->_end, &opened);
    if (!err) {
        opened->mark = mark;
        watch_of(object)->receivers++;
    }
    return err;
}

asx_err asx_watch_open(asx_cx *cx, uint32_t value_size, const void *initial, const char *what,
                       asx_watch_sender *sender, asx_watch_receiver *receiver)
{
    asxi_object *object;
    *sender = (asx_watch_sender){ 0 };
    *receiver = (asx_watch_receiver){ 0 };
    if (value_size == 0 || value_size > ASX_WATCH_VALUE_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_err err = asxi_object_open(cx, &watch_type, sizeof(watch), &object);
    if (err) {
        return err;
    }
    watch *const self = watch_of(object);
    self->value_size = value_size;
    self->what = what ? what : "watch";
    asxi_line_init(&self->waiting);
    self->value = asx_heap_alloc(&object->region->heap, value_size);
    err = self->value ? asxi_end_open(object, SENDER, &sender->_end, NULL) : ASX_E(NO_MEMORY);
    if (!err) {
        memcpy(self->value, initial, value_size);
        err = receiver_open(object, 0, receiver);
    }
    if (err) {
        asxi_object_close(object);
    }
    return err;
}

asx_err asx_watch_modify(asx_cx *cx, asx_watch_sender sender, asx_watch_modify_fn *fn, void *arg)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, sender._end, &watch_type, SENDER, &end);
    if (asx_likely(!err)) {
        watch *const self = watch_of(end->object);
        fn(self->value, arg);
        self->version++;
        wake_all(self);
    }
    return err;
}

asx_err asx_watch_set(asx_cx *cx, asx_watch_sender sender, const void *value)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, sender._end, &watch_type, SENDER, &end);
    if (asx_likely(!err)) {
        watch *const self = watch_of(end->object);
        memcpy(self->value, value, self->value_size);
        self->version++;
        wake_all(self);
    }
    return err;
}

asx_err asx_watch_subscribe(asx_cx *cx, asx_watch_sender sender, asx_watch_receiver *receiver)
{
    asxi_end *end;
    *receiver = (asx_watch_receiver){ 0 };
    const asx_err err = asxi_end_find(cx, sender._end, &watch_type, SENDER, &end);
    return err ? err : receiver_open(end->object, watch_of(end->object)->version, receiver);
}

asx_err asx_watch_receiver_clone(asx_cx *cx, asx_watch_receiver receiver, asx_watch_receiver *clone)
{
    asxi_end *end;
    *clone = (asx_watch_receiver){ 0 };
    const asx_err err = asxi_end_find(cx, receiver._end, &watch_type, RECEIVER, &end);
    return err ? err : receiver_open(end->object, end->mark, clone);
}

asx_outcome asx_watch_changed_until(asx_cx *cx, asx_watch_receiver receiver,
                                    asx_instant deadline_ns)
{
    for (;;) {
        asxi_end *end;
        const asx_err err = asxi_end_find(cx, receiver._end, &watch_type, RECEIVER, &end);
        if (asx_unlikely(err)) {
            return asx_fail(err);
        }
        if (asx_unlikely(asxi_observe_cancel(cx))) {
            return asxi_cancelled(cx);
        }
        watch *const self = watch_of(end->object);
        if (end->mark != self->version) {
            end->mark = self->version;
            return asx_ok(0);
        }
        if (self->sender_gone) {
            return asx_fail(ASX_E(CLOSED));
        }
        asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
        const asx_outcome outcome =
            asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
    }
}

static asxi_end *find_receiver(asx_cx *cx, asx_watch_receiver receiver)
{
    asxi_end *end;
    return asxi_end_find(cx, receiver._end, &watch_type, RECEIVER, &end) ? NULL : end;
}

const void *asx_watch_borrow(asx_cx *cx, asx_watch_receiver receiver)
{
    asxi_end *const end = find_receiver(cx, receiver);
    return end ? watch_of(end->object)->value : NULL;
}

const void *asx_watch_borrow_and_mark(asx_cx *cx, asx_watch_receiver receiver)
{
    asxi_end *const end = find_receiver(cx, receiver);
    if (!end) {
        return NULL;
    }
    end->mark = watch_of(end->object)->version;
    return watch_of(end->object)->value;
}

bool asx_watch_has_changed(asx_cx *cx, asx_watch_receiver receiver)
{
    asxi_end *const end = find_receiver(cx, receiver);
    return end && end->mark != watch_of(end->object)->version;
}

/* In a select */

static bool select_attempt(asx_cx *cx, asx_select_case *which)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, which->_handle, &watch_type, RECEIVER, &end);
    if (err) {
        which->outcome = asx_fail(err);
        return true;
    }
    const watch *const self = watch_of(end->object);
    const bool changed = end->mark != self->version;
    end->mark = self->version;
    which->outcome = changed ? asx_ok(0) : asx_fail(ASX_E(CLOSED));
    return changed || self->sender_gone;
}

static asxi_line *select_line(asx_cx *cx, asx_select_case *which, asxi_baton *baton)
{
    asxi_end *end = NULL;
    const asx_err found = asxi_end_find(cx, which->_handle, &watch_type, RECEIVER, &end);
    asx_assert_eq(found, ASX_OK);
    *baton = (asxi_baton){ .object = end->object, .leave = asxi_line_hold_nothing };
    return &watch_of(end->object)->waiting;
}

const asxi_select_ops asxi_select_watch = { .attempt = select_attempt, .line = select_line };
