/* A copy on another shard is a watch like any other, whose sender is a link (link_internal.h):
 *
 *   copy                     home
 *           <──SEEN──        the first value is one that the receiver has seen
 *           <──ITEM──        a value; until it is taken, no other
 *   TAKEN  ──>               the next, if there is one: only the latest counts */
#include <asx/shard/sync/watch.h>

#include "item_internal.h"
#include "link_internal.h"
#include "select_internal.h"

#include <string.h>

enum { SENDER = 1, RECEIVER, LINK };
enum { TO_HOME_TAKEN = ASXI_LINK_OPS, TO_COPY_SEEN };

typedef struct watch {
    asxi_object object;
    void *value; /* in the region's heap */
    const char *what;
    uint64_t version; /* a receiver's end->mark is the version it has seen */
    uint32_t value_size;
    uint32_t receivers; /* links as well */
    bool sender_gone;
    bool filled;     /* a copy: it has a value */
    asx_handle home; /* of a copy; else null */
    asxi_link *links;
    asxi_line waiting;
} watch;

typedef struct feed {
    asxi_link link; /* in the line of those that wait, unless a value is under way */
    uint64_t seen;  /* the version sent last */
    bool started;
} feed;

_Static_assert(sizeof(watch) <= ASXI_OBJECT_BYTES, "a watch fits a record");

static watch *watch_of(asxi_object *object)
{
    return asx_container_of(object, watch, object);
}

static void wake_all(watch *self)
{
    /* Those that enter meanwhile have seen it. */
    for (uint32_t n = self->waiting.count; n > 0 && !asxi_line_empty(&self->waiting); n--) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
}

static bool is_copy(const watch *self)
{
    return !asx_handle_is_null(self->home);
}

static void watch_close(asxi_object *object)
{
    watch *const self = watch_of(object);
    asxi_line_close(&self->waiting);
    asxi_links_gone(self->links);
    if (is_copy(self)) {
        asxi_link_send_home(object, self->home, ASXI_LINK_DETACH, 0);
    }
    asx_heap_free(&object->region->heap, self->value, self->value_size);
}

static void watch_end_close(asxi_object *object, const asxi_end *end)
{
    watch *const self = watch_of(object);
    if (end->role == SENDER) {
        self->sender_gone = true;
    } else {
        self->receivers--;
    }
    if (end->role == LINK) {
        asxi_link_close(asxi_link_of(end), sizeof(feed));
    }
    wake_all(self); /* who waits through this end finds it stale */
    if (self->receivers == 0 && (self->sender_gone || is_copy(self))) {
        asxi_object_close(object);
    }
}

/* Home's side of a copy */

static void feed_told(asxi_baton *baton, uintptr_t value);

static void feed_next(watch *self, feed *to)
{
    if (!to->started || to->seen != self->version) {
        to->started = true;
        to->seen = self->version;
        asxi_link_send_item(&to->link, self->value, self->value_size);
    } else if (self->sender_gone) {
        asxi_link_send(&to->link, ASXI_LINK_GONE, 0);
    } else {
        asxi_link_wait(&to->link, &self->waiting, feed_told);
    }
}

static void feed_told(asxi_baton *baton, uintptr_t value)
{
    asxi_link *const link = asxi_link_told(baton);
    if (value == ASXI_LINE_GRANTED) {
        feed_next(watch_of(baton->object), asx_container_of(link, feed, link));
    }
}

static void feed_start(watch *self, feed *to, const asx_msg *msg)
{
    asxi_link_attached(&to->link, msg);
    if (to->seen == self->version) {
        asxi_link_send(&to->link, TO_COPY_SEEN, 0);
    }
    feed_next(self, to);
}

/* The copy's side */

static void copy_update(watch *self, const asx_msg *msg)
{
    asx_assert_eq(msg->arg32, self->value_size);
    memcpy(self->value, asxi_item_of(msg), self->value_size);
    asxi_item_taken(msg);
    self->filled = true;
    self->version++;
    asxi_link_send_home(&self->object, self->home, TO_HOME_TAKEN, 0);
    wake_all(self);
}

static void watch_message(asxi_end *end, const asx_msg *msg)
{
    watch *const self = watch_of(end->object);
    switch (msg->flags) {
    case ASXI_LINK_ATTACH:
        feed_start(self, asx_container_of(asxi_link_of(end), feed, link), msg);
        return;
    case TO_HOME_TAKEN:
        feed_next(self, asx_container_of(asxi_link_of(end), feed, link));
        return;
    case ASXI_LINK_DETACH:
        asxi_end_close(end);
        return;
    case ASXI_LINK_ITEM:
        copy_update(self, msg);
        return;
    case TO_COPY_SEEN:
        self->version = UINT64_MAX; /* the first item makes it what the receiver has seen: 0 */
        return;
    case ASXI_LINK_GONE:
        self->sender_gone = true;
        wake_all(self);
        return;
    }
    asx_unreachable();
}

static const asxi_object_type watch_type = {
    .name = "watch",
    .close = watch_close,
    .end_close = watch_end_close,
    .message = watch_message,
    .message_discard = asxi_link_discard,
    .message_refuse = asxi_link_refuse,
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

/* One with its first receiver, and no value. */
static asx_err create(asx_cx *cx, uint32_t value_size, const char *what,
                      asx_watch_receiver *receiver, watch **created)
{
    asxi_object *object;
    *receiver = (asx_watch_receiver){ 0 };
    asx_err err = asxi_object_open(cx, &watch_type, sizeof(watch), &object);
    if (err) {
        return err;
    }
    watch *const self = watch_of(object);
    self->value_size = value_size;
    self->what = what ? what : "watch";
    asxi_line_init(&self->waiting);
    self->value = asx_heap_alloc(&object->region->heap, value_size);
    err = self->value ? receiver_open(object, 0, receiver) : ASX_E(NO_MEMORY);
    if (err) {
        asxi_object_close(object);
    }
    *created = self;
    return err;
}

asx_err asx_watch_open(asx_cx *cx, uint32_t value_size, const void *initial, const char *what,
                       asx_watch_sender *sender, asx_watch_receiver *receiver)
{
    watch *self;
    *sender = (asx_watch_sender){ 0 };
    if (value_size == 0 || value_size > ASX_WATCH_VALUE_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_err err = create(cx, value_size, what, receiver, &self);
    if (err) {
        return err;
    }
    memcpy(self->value, initial, value_size);
    err = asxi_end_open(&self->object, SENDER, &sender->_end, NULL);
    if (err) {
        asxi_object_close(&self->object);
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

asx_err asx_watch_export(asx_cx *cx, asx_watch_receiver receiver, asx_watch_far *far)
{
    asxi_end *end;
    asxi_link *link;
    *far = (asx_watch_far){ 0 };
    asx_err err = asxi_end_find(cx, receiver._end, &watch_type, RECEIVER, &end);
    if (err) {
        return err;
    }
    watch *const self = watch_of(end->object);
    if (is_copy(self)) {
        return ASX_E(WRONG_SHARD);
    }
    err = asxi_link_open(end->object, &self->links, sizeof(feed), LINK, &far->_link, &link);
    if (!err) {
        asx_container_of(link, feed, link)->seen = end->mark;
        self->receivers++;
        far->_what = self->what;
        far->_value_size = self->value_size;
    }
    return err;
}

static asx_err import_here(asx_cx *cx, const asx_watch_far *far, asx_watch_receiver *receiver)
{
    asxi_end *end;
    asx_err err = asxi_end_find(cx, far->_link, &watch_type, LINK, &end);
    if (!err) {
        const feed *const from = asx_container_of(asxi_link_of(end), feed, link);
        err = receiver_open(end->object, from->seen, receiver);
    }
    if (!err) {
        asxi_end_close(end);
    }
    return err;
}

static asx_err copy_open(asx_cx *cx, const asx_watch_far *far, asx_watch_receiver *receiver)
{
    watch *self;
    asx_err err = asxi_mail_require(cx, far->_link.shard);
    if (!err) {
        err = create(cx, far->_value_size, far->_what, receiver, &self);
    }
    if (err) {
        return err;
    }
    err = asxi_link_attach(&self->object, LINK, far->_link, 0);
    if (err) {
        asxi_object_close(&self->object);
    } else {
        self->home = far->_link;
    }
    return err;
}

/* Until the copy has a value. */
static asx_outcome copy_wait(asx_cx *cx, asx_watch_receiver receiver, asx_instant deadline_ns)
{
    for (;;) {
        asxi_end *end;
        if (asxi_end_find(cx, receiver._end, &watch_type, RECEIVER, &end)) {
            return asx_fail(ASX_E(CLOSED));
        }
        watch *const self = watch_of(end->object);
        if (self->filled) {
            return asx_ok(0);
        }
        if (self->sender_gone) {
            return asx_fail(ASX_E(CLOSED));
        }
        asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
        ASX_TRY(asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED)));
    }
}

asx_outcome asx_watch_import(asx_cx *cx, const asx_watch_far *far, asx_instant deadline_ns,
                             asx_watch_receiver *receiver)
{
    const bool here = far->_link.shard == cx->_shard->index;
    *receiver = (asx_watch_receiver){ 0 };
    const asx_err err = here ? import_here(cx, far, receiver) : copy_open(cx, far, receiver);
    if (err) {
        return asx_fail(err);
    }
    const asx_outcome outcome = here ? asx_ok(0) : copy_wait(cx, *receiver, deadline_ns);
    if (!asx_is_ok(outcome)) {
        asx_watch_receiver_close(cx, *receiver);
    }
    return outcome;
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
