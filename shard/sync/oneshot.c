/*   EMPTY ──reserve──> RESERVED ──send──> SENT ──recv──> TAKEN
 *     └──close, abort, loss──> SHUT <──────┘(receiver gone: dropped)
 *
 *   EMPTY, RESERVED  the receiver waits; RESERVED holds a permit, or is the moment inside a send
 *   SENT             `item` holds the value
 *   SHUT, TAKEN      for good: CLOSED, ALREADY_TAKEN */
#include <asx/shard/sync/oneshot.h>

#include "item_internal.h"
#include "oneshot_internal.h"
#include "select_internal.h"

#include <string.h>

enum { SENDER = ASXI_ONESHOT_SENDER, RECEIVER = ASXI_ONESHOT_RECEIVER };

typedef enum oneshot_state { EMPTY, RESERVED, SENT, SHUT, TAKEN } oneshot_state;

typedef struct oneshot {
    asxi_object object;
    asx_drop_fn *drop;
    const char *what;
    uint32_t item_size;
    uint8_t state;    /* oneshot_state */
    bool sender_gone; /* or moved */
    bool exported;    /* the sender is a value, or on another shard */
    asxi_line receiver;
    asxi_line watchers; /* of the receiver's end */
    uint64_t item[ASX_ONESHOT_ITEM_MAX / sizeof(uint64_t)];
} oneshot;

_Static_assert(sizeof(oneshot) <= ASXI_OBJECT_BYTES, "a oneshot fits a record");

static oneshot *oneshot_of(asxi_object *object)
{
    return asx_container_of(object, oneshot, object);
}

ASX_INLINE void receiver_wake(oneshot *self)
{
    if (!asxi_line_empty(&self->receiver)) {
        asxi_line_tell(asxi_line_head(&self->receiver), ASXI_LINE_GRANTED);
    }
}

static void shut(oneshot *self)
{
    self->state = SHUT;
    receiver_wake(self);
}

static void item_drop(oneshot *self)
{
    if (self->drop) {
        asxi_region_drop(self->object.shard, self->object.region, self->drop, self->item);
    }
    self->state = SHUT;
}

static void oneshot_close(asxi_object *object)
{
    oneshot *const self = oneshot_of(object);
    if (asx_unlikely(self->state == SENT)) {
        item_drop(self);
    }
    asxi_line_close(&self->receiver);
    asxi_line_close(&self->watchers);
}

static void oneshot_side_close(asxi_object *object, uint32_t side)
{
    oneshot *const self = oneshot_of(object);
    if (side == RECEIVER) {
        asxi_object_close(object);
    } else if (side == ASXI_ONESHOT_EXPORTED ? self->exported : !self->sender_gone) {
        self->exported = false;
        self->sender_gone = true;
        if (self->state == EMPTY) {
            shut(self);
        }
    }
}

static const asxi_far_ops far_ops;
const asxi_object_type asxi_oneshot_type = {
    .name = "oneshot",
    .close = oneshot_close,
    .side_close = oneshot_side_close,
    .far = &far_ops,
};

asx_err asx_oneshot_open(asx_cx *cx, const asx_oneshot_options *options, asx_oneshot_sender *sender,
                         asx_oneshot_receiver *receiver)
{
    asxi_object *object;
    *sender = (asx_oneshot_sender){ 0 };
    *receiver = (asx_oneshot_receiver){ 0 };
    if (options->item_size > ASX_ONESHOT_ITEM_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const asx_err err = asxi_object_open(cx, &asxi_oneshot_type, offsetof(oneshot, item), &object);
    if (asx_unlikely(err)) {
        return err;
    }
    oneshot *const self = oneshot_of(object);
    self->item_size = options->item_size;
    self->drop = options->drop;
    self->what = options->what ? options->what : "oneshot";
    asxi_line_init(&self->receiver);
    asxi_line_init(&self->watchers);
    sender->_end = asxi_object_side(object, SENDER);
    receiver->_end = asxi_object_side(object, RECEIVER);
    return ASX_OK;
}

/* errors  STALE, TYPE_MISMATCH */
ASX_INLINE asx_err find(asx_cx *cx, asx_handle handle, uint32_t side, oneshot **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find(cx, handle, &asxi_oneshot_type, &object);
    if (asx_unlikely(err)) {
        return err;
    }
    if (asx_unlikely(asxi_handle_side(handle) != side)) {
        return ASX_E(TYPE_MISMATCH);
    }
    *self = oneshot_of(object);
    const bool gone = !asxi_object_is_open(object) || (side == SENDER && (*self)->sender_gone);
    return asx_unlikely(gone) ? ASX_E(STALE) : ASX_OK;
}

/* Sending */

static asx_err claim(oneshot *self)
{
    if (self->state != EMPTY) {
        return ASX_E(ALREADY_RESERVED);
    }
    self->state = RESERVED;
    return ASX_OK;
}

/* Most values are one word. */
ASX_INLINE void item_copy(const oneshot *self, void *target, const void *source)
{
    if (asx_likely(self->item_size == sizeof(uint64_t))) {
        memcpy(target, source, sizeof(uint64_t));
    } else {
        memcpy(target, source, self->item_size);
    }
}

ASX_INLINE void fill(oneshot *self, const void *item)
{
    asx_assert_eq(self->state, RESERVED);
    item_copy(self, self->item, item);
    self->state = SENT;
    receiver_wake(self);
}

static void permit_lost(void *object, uint64_t amount, asx_settlement how)
{
    oneshot *const self = oneshot_of(object);
    (void)amount;
    (void)how;
    if (asxi_object_is_open(&self->object)) {
        shut(self);
    }
    asxi_object_unref(&self->object);
}

asx_err asxi_oneshot_permit_make(asx_cx *cx, asxi_object *object, const char *what,
                                 asx_obligation_fn *settle, asx_oneshot_permit *permit)
{
    const asx_obligation_options options = {
        .kind = ASX_OBLIGATION_SEND_PERMIT, .what = what, .settle = settle, .object = object
    };
    const asx_err err = asx_obligation_reserve(cx, &options, &permit->_obligation);
    if (!err) {
        permit->_channel = asx_handle_of(object);
        asxi_object_ref(object);
    }
    return err;
}

asx_outcome asx_oneshot_reserve(asx_cx *cx, asx_oneshot_sender sender, asx_oneshot_permit *permit)
{
    oneshot *self;
    asx_err err = find(cx, sender._end, SENDER, &self);
    if (err == ASX_E(TYPE_MISMATCH)) {
        return asxi_oneshot_far_reserve(cx, sender._end, permit);
    }
    if (err) {
        return asx_fail(err == ASX_E(STALE) ? ASX_E(DISCONNECTED) : err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    err = claim(self);
    if (err) {
        return asx_fail(err);
    }
    err = asxi_oneshot_permit_make(cx, &self->object, self->what, permit_lost, permit);
    if (err) {
        self->state = EMPTY;
        return asx_fail(err);
    }
    return asx_ok(0);
}

asx_err asx_oneshot_permit_send(asx_cx *cx, asx_oneshot_permit permit, const void *item)
{
    asxi_object *object;
    asx_err err = asxi_object_find(cx, permit._channel, &asxi_oneshot_type, &object);
    if (err) {
        return err == ASX_E(TYPE_MISMATCH) ? asxi_oneshot_far_permit_send(cx, permit, item) : err;
    }
    const bool listens = asxi_object_is_open(object);
    err = listens ? asx_obligation_commit(cx, permit._obligation)
                  : asx_obligation_abort(cx, permit._obligation);
    if (err) {
        return err;
    }
    if (listens) {
        fill(oneshot_of(object), item);
    }
    asxi_object_unref(object);
    return listens ? ASX_OK : ASX_E(DISCONNECTED);
}

void asx_oneshot_permit_abort(asx_cx *cx, asx_oneshot_permit permit)
{
    asxi_object *object;
    const asx_err err = asxi_object_find(cx, permit._channel, &asxi_oneshot_type, &object);
    if (err == ASX_E(TYPE_MISMATCH)) {
        asxi_oneshot_far_permit_abort(cx, permit);
    } else if (!err && !asx_obligation_abort(cx, permit._obligation)) {
        permit_lost(object, 0, ASX_SETTLED_CANCEL);
    }
}

asx_err asx_oneshot_send(asx_cx *cx, asx_oneshot_sender sender, const void *item)
{
    oneshot *self;
    asx_err err = find(cx, sender._end, SENDER, &self);
    if (asx_likely(!err)) {
        err = claim(self);
    }
    if (asx_unlikely(err == ASX_E(TYPE_MISMATCH))) {
        return asxi_oneshot_far_send(cx, sender._end, item);
    }
    if (asx_unlikely(err)) {
        return err == ASX_E(STALE) ? ASX_E(DISCONNECTED) : err;
    }
    fill(self, item);
    self->sender_gone = true;
    return ASX_OK;
}

asx_outcome asx_oneshot_closed_until(asx_cx *cx, asx_oneshot_sender sender, asx_instant deadline_ns)
{
    oneshot *self;
    const asx_err err = find(cx, sender._end, SENDER, &self);
    if (err == ASX_E(TYPE_MISMATCH)) {
        return asxi_oneshot_far_closed(cx, sender._end, deadline_ns);
    }
    if (err) {
        return err == ASX_E(STALE) ? asx_ok(0) : asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
    const asx_outcome outcome =
        asxi_line_wait(cx, &self->watchers, &baton, self->what, deadline_ns, ASX_E(CLOSED));
    return asx_is_err(outcome, ASX_E(CLOSED)) ? asx_ok(0) : outcome;
}

/* For other shards */

/* One that waits until the receiver has gone. */
static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    baton->leave = asxi_line_hold_nothing;
    *line = &oneshot_of(object)->watchers;
    return ASX_OK;
}

static void far_item(asxi_object *object, const asx_msg *msg)
{
    oneshot *const self = oneshot_of(object);
    if (!self->exported) {
        asxi_item_drop(msg);
        return;
    }
    self->exported = false;
    asx_assert_eq(self->state, EMPTY);
    asx_assert_eq(self->item_size, msg->arg32);
    self->state = RESERVED;
    fill(self, asxi_item_of(msg));
    asxi_item_taken(msg);
}

static const asxi_far_ops far_ops = { .ask = far_ask, .item = far_item };

asx_err asx_oneshot_export(asx_cx *cx, asx_oneshot_sender sender, asx_oneshot_far *far)
{
    oneshot *self;
    *far = (asx_oneshot_far){ 0 };
    const asx_err err = find(cx, sender._end, SENDER, &self);
    if (err) {
        return err;
    }
    if (self->state != EMPTY) {
        return ASX_E(ALREADY_RESERVED);
    }
    self->sender_gone = true;
    self->exported = true;
    far->_sender = asxi_object_side(&self->object, ASXI_ONESHOT_EXPORTED);
    far->_drop = self->drop;
    far->_what = self->what;
    far->_item_size = self->item_size;
    return ASX_OK;
}

asx_err asx_oneshot_import(asx_cx *cx, const asx_oneshot_far *far, asx_oneshot_sender *sender)
{
    oneshot *self;
    *sender = (asx_oneshot_sender){ 0 };
    const asx_err err = find(cx, far->_sender, ASXI_ONESHOT_EXPORTED, &self);
    if (err == ASX_E(WRONG_SHARD)) {
        return asxi_oneshot_far_open(cx, far, &sender->_end);
    }
    if (!err && self->exported) {
        self->exported = false;
        self->sender_gone = false;
        sender->_end = asxi_object_side(&self->object, SENDER);
        return ASX_OK;
    }
    return err ? err : ASX_E(STALE);
}

/* Receiving */

ASX_INLINE asx_err take(oneshot *self, void *item)
{
    if (asx_likely(self->state == SENT)) {
        item_copy(self, item, self->item);
        self->state = TAKEN;
        return ASX_OK;
    }
    return self->state == SHUT    ? ASX_E(CLOSED)
           : self->state == TAKEN ? ASX_E(ALREADY_TAKEN)
                                  : ASX_E(EMPTY);
}

static ASX_NOINLINE asx_outcome recv_wait(asx_cx *cx, oneshot *self, void *item,
                                          asx_instant deadline_ns)
{
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    asx_assert(asxi_line_empty(&self->receiver)); /* one task at a time receives */
    asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
    asxi_object_ref(&self->object);
    const asx_outcome outcome =
        asxi_line_wait(cx, &self->receiver, &baton, self->what, deadline_ns, ASX_E(CLOSED));
    const bool open = asxi_object_is_open(&self->object);
    const asx_err err = open ? take(self, item) : ASX_E(CLOSED);
    asxi_object_unref(&self->object);
    if (err == ASX_E(EMPTY) || (!open && !asx_is_ok(outcome))) {
        return outcome;
    }
    return err ? asx_fail(err) : asx_ok(0);
}

asx_outcome asx_oneshot_recv_until(asx_cx *cx, asx_oneshot_receiver receiver, void *item,
                                   asx_instant deadline_ns)
{
    oneshot *self;
    asx_err err = find(cx, receiver._end, RECEIVER, &self);
    if (asx_likely(!err)) {
        err = take(self, item);
        if (err == ASX_E(EMPTY)) {
            return recv_wait(cx, self, item, deadline_ns);
        }
    }
    return asx_unlikely(err) ? asx_fail(err) : asx_ok(0);
}

asx_err asx_oneshot_try_recv(asx_cx *cx, asx_oneshot_receiver receiver, void *item)
{
    oneshot *self;
    const asx_err err = find(cx, receiver._end, RECEIVER, &self);
    return err ? err : take(self, item);
}

/* In a select */

static bool select_attempt(asx_cx *cx, asx_select_case *which)
{
    const asx_err err =
        asx_oneshot_try_recv(cx, (asx_oneshot_receiver){ which->_handle }, which->_item);
    which->outcome = err ? asx_fail(err) : asx_ok(0);
    return err != ASX_E(EMPTY);
}

static asxi_line *select_line(asx_cx *cx, asx_select_case *which, asxi_baton *baton)
{
    oneshot *self = NULL;
    const asx_err found = find(cx, which->_handle, RECEIVER, &self);
    asx_assert_eq(found, ASX_OK);
    *baton = (asxi_baton){ .object = &self->object, .leave = asxi_line_hold_nothing };
    return &self->receiver;
}

const asxi_select_ops asxi_select_oneshot = { .attempt = select_attempt, .line = select_line };
