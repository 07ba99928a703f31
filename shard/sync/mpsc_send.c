/* The senders of a channel, at home or not: a slot is taken, then filled or given back; a permit is
 * a slot that was taken, as an obligation. */
#include <asx/shard/sync/mpsc.h>

#include "mpsc_internal.h"
#include "select_internal.h"

/* The channel, or the far object that stands for it here. */
ASX_INLINE asx_err find_sender(asx_cx *cx, asx_mpsc_sender sender, asxi_object **object)
{
    asxi_end *end;
    *object = NULL;
    asx_err err = asxi_end_find(cx, sender._end, &asxi_mpsc_type, ASXI_MPSC_SENDER, &end);
    if (asx_unlikely(err == ASX_E(TYPE_MISMATCH))) {
        err = asxi_end_find(cx, sender._end, &asxi_mpsc_far_type, ASXI_MPSC_SENDER, &end);
    }
    if (asx_likely(!err)) {
        *object = end->object;
    }
    return err;
}

ASX_INLINE bool is_home(const asxi_object *object)
{
    return asx_likely(object->type == &asxi_mpsc_type);
}

asxi_mpsc *asxi_mpsc_of_sender(asx_cx *cx, asx_mpsc_sender sender)
{
    asxi_object *object = NULL;
    const asx_err found = find_sender(cx, sender, &object);
    asx_assert(!found && is_home(object));
    return asxi_mpsc_of(object);
}

asx_err asx_mpsc_sender_clone(asx_cx *cx, asx_mpsc_sender sender, asx_mpsc_sender *clone)
{
    asxi_object *object;
    *clone = (asx_mpsc_sender){ 0 };
    asx_err err = find_sender(cx, sender, &object);
    if (err) {
        return err;
    }
    if (!is_home(object)) {
        return asxi_mpsc_far_clone(object, &clone->_end);
    }
    err = asxi_end_open(object, ASXI_MPSC_SENDER, &clone->_end, NULL);
    asxi_mpsc_of(object)->senders += !err;
    return err;
}

static void reserver_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        asxi_mpsc_slots_return(asxi_mpsc_of(baton->object), 1);
    }
}

asx_err asxi_mpsc_slot_try(asxi_mpsc *self)
{
    if (asx_unlikely(self->stopped || self->receiver_gone)) {
        return ASX_E(DISCONNECTED);
    }
    if (asx_unlikely(!asxi_mpsc_has_room(self) || !asxi_line_empty(&self->reservers))) {
        return ASX_E(FULL);
    }
    self->reserved++;
    return ASX_OK;
}

ASX_INLINE asx_err slot_try(asxi_object *object)
{
    return is_home(object) ? asxi_mpsc_slot_try(asxi_mpsc_of(object))
                           : asxi_mpsc_far_slot_try(object);
}

static asx_outcome slot_wait_here(asx_cx *cx, asxi_mpsc *self, asx_instant deadline_ns)
{
    asxi_baton baton = { .object = &self->object, .leave = reserver_leave, .amount = 1 };
    if (asx_unlikely(self->links != NULL)) {
        asxi_mpsc_recall(self);
    }
    return asxi_line_wait(cx, &self->reservers, &baton, self->what, deadline_ns,
                          ASX_E(DISCONNECTED));
}

/* Ok: a slot of an open channel is reserved. */
static asx_outcome slot_wait(asx_cx *cx, asxi_object *object, asx_instant deadline_ns)
{
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    const asx_err err = slot_try(object);
    if (asx_likely(!err)) {
        return asx_ok(0);
    }
    if (err != ASX_E(FULL)) {
        return asx_fail(err);
    }
    return is_home(object) ? slot_wait_here(cx, asxi_mpsc_of(object), deadline_ns)
                           : asxi_mpsc_far_slot_wait(cx, object, deadline_ns);
}

void asxi_mpsc_slot_fill(asxi_mpsc *self, const void *item)
{
    self->reserved--;
    asxi_mpsc_item_push(self, item);
}

ASX_INLINE void slot_fill(asxi_object *object, const void *item)
{
    if (is_home(object)) {
        asxi_mpsc_slot_fill(asxi_mpsc_of(object), item);
    } else {
        asxi_mpsc_far_item_push(object, item);
    }
}

static void slot_return(asxi_object *object)
{
    if (!is_home(object)) {
        asxi_mpsc_far_slot_return(object);
    } else if (asxi_object_is_open(object)) {
        asxi_mpsc_slots_return(asxi_mpsc_of(object), 1);
    }
}

ASX_INLINE bool listens(asxi_object *object)
{
    if (!is_home(object)) {
        return asxi_mpsc_far_listens(object);
    }
    return asxi_object_is_open(object) && !asxi_mpsc_of(object)->receiver_gone;
}

/* The holder ended without resolving its permit. */
static void permit_lost(void *object, uint64_t amount, asx_settlement how)
{
    (void)amount;
    (void)how;
    slot_return(object);
    asxi_object_unref(object);
}

static asx_err permit_make(asx_cx *cx, asxi_object *object, asx_mpsc_permit *permit)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_SEND_PERMIT,
                                             .what = is_home(object) ? asxi_mpsc_of(object)->what
                                                                     : asxi_mpsc_far_what(object),
                                             .settle = permit_lost,
                                             .object = object };
    const asx_err err = asx_obligation_reserve(cx, &options, &permit->_obligation);
    if (err) {
        slot_return(object);
        return err;
    }
    permit->_channel = asx_handle_of(object);
    asxi_object_ref(object);
    return ASX_OK;
}

asx_outcome asx_mpsc_reserve_until(asx_cx *cx, asx_mpsc_sender sender, asx_instant deadline_ns,
                                   asx_mpsc_permit *permit)
{
    asxi_object *object;
    asx_err err = find_sender(cx, sender, &object);
    if (err) {
        return asx_fail(err);
    }
    const asx_outcome outcome = slot_wait(cx, object, deadline_ns);
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    err = permit_make(cx, object, permit);
    return err ? asx_fail(err) : asx_ok(0);
}

asx_err asx_mpsc_try_reserve(asx_cx *cx, asx_mpsc_sender sender, asx_mpsc_permit *permit)
{
    asxi_object *object;
    asx_err err = find_sender(cx, sender, &object);
    if (!err) {
        err = slot_try(object);
    }
    return err ? err : permit_make(cx, object, permit);
}

static asx_err permit_find(asx_cx *cx, asx_mpsc_permit permit, asxi_object **object)
{
    const asx_err err = asxi_object_find(cx, permit._channel, &asxi_mpsc_type, object);
    return err == ASX_E(TYPE_MISMATCH)
               ? asxi_object_find(cx, permit._channel, &asxi_mpsc_far_type, object)
               : err;
}

asx_err asx_mpsc_permit_send(asx_cx *cx, asx_mpsc_permit permit, const void *item)
{
    asxi_object *object;
    asx_err err = permit_find(cx, permit, &object);
    if (err) {
        return err;
    }
    const bool delivers = listens(object);
    err = delivers ? asx_obligation_commit(cx, permit._obligation)
                   : asx_obligation_abort(cx, permit._obligation);
    if (err) {
        return err;
    }
    if (delivers && !(ASXI_PLANTED(CANCEL_IN_COMMIT) && asxi_task_is_cancelling(cx->_task))) {
        slot_fill(object, item);
    } else {
        slot_return(object);
    }
    asxi_object_unref(object);
    return delivers ? ASX_OK : ASX_E(DISCONNECTED);
}

void asx_mpsc_permit_abort(asx_cx *cx, asx_mpsc_permit permit)
{
    asxi_object *object;
    if (!permit_find(cx, permit, &object) && !asx_obligation_abort(cx, permit._obligation)) {
        permit_lost(object, 0, ASX_SETTLED_CANCEL);
    }
}

asx_outcome asx_mpsc_send_until(asx_cx *cx, asx_mpsc_sender sender, const void *item,
                                asx_instant deadline_ns)
{
    asxi_object *object;
    const asx_err err = find_sender(cx, sender, &object);
    if (asx_unlikely(err)) {
        return asx_fail(err);
    }
    const asx_outcome outcome = slot_wait(cx, object, deadline_ns);
    if (asx_unlikely(!asx_is_ok(outcome))) {
        return outcome;
    }
    if (asx_unlikely(!listens(object))) { /* the receiver went after the grant */
        slot_return(object);
        return asx_fail(ASX_E(DISCONNECTED));
    }
    slot_fill(object, item);
    return outcome;
}

asx_err asx_mpsc_try_send(asx_cx *cx, asx_mpsc_sender sender, const void *item)
{
    asxi_object *object;
    asx_err err = find_sender(cx, sender, &object);
    if (asx_likely(!err)) {
        err = slot_try(object);
    }
    if (asx_likely(!err)) {
        slot_fill(object, item);
    }
    return err;
}

/* Takes the nth queued item out and closes the gap. */
static void item_remove(asxi_mpsc *self, uint32_t nth, void *item)
{
    asxi_mpsc_item_copy(self, item, asxi_mpsc_slot_at(self, nth));
    for (uint32_t i = nth; i + 1 < self->queued; i++) {
        asxi_mpsc_item_move(self, i + 1, i);
    }
    self->queued--;
    if (self->book && nth < self->book->returned) {
        self->book->returned--;
    }
}

asx_outcome asx_mpsc_send_evict(asx_cx *cx, asx_mpsc_sender sender, const void *item,
                                asx_mpsc_match_fn *match, void *arg, void *evicted)
{
    asxi_object *object;
    asx_err err = find_sender(cx, sender, &object);
    if (!err) {
        err = slot_try(object);
    }
    if (!err) {
        slot_fill(object, item);
        return asx_ok(0);
    }
    if (err != ASX_E(FULL)) {
        return asx_fail(err);
    }
    if (!is_home(object)) {
        return asx_fail(ASX_E(WRONG_SHARD));
    }
    asxi_mpsc *const self = asxi_mpsc_of(object);
    if (!asxi_line_empty(&self->reservers)) {
        return asx_fail(err);
    }
    uint32_t nth = 0;
    while (nth < self->queued && match && !match(asxi_mpsc_slot_at(self, nth), arg)) {
        nth++;
    }
    if (nth == self->queued) {
        return asx_fail(ASX_E(FULL));
    }
    item_remove(self, nth, evicted);
    asxi_mpsc_item_push(self, item);
    return asx_ok(1);
}

/* In a select */

static bool send_attempt(asx_cx *cx, asx_select_case *which)
{
    asxi_object *object;
    asx_err err = find_sender(cx, (asx_mpsc_sender){ which->_handle }, &object);
    if (!err && !is_home(object)) {
        err = ASX_E(INVALID_ARGUMENT);
    }
    if (!err) {
        err = slot_try(object);
    }
    if (!err) {
        slot_fill(object, which->_sent);
    }
    which->outcome = err ? asx_fail(err) : asx_ok(0);
    return err != ASX_E(FULL);
}

static asxi_line *send_line(asx_cx *cx, asx_select_case *which, asxi_baton *baton)
{
    asxi_object *object = NULL;
    const asx_err found = find_sender(cx, (asx_mpsc_sender){ which->_handle }, &object);
    asx_assert_eq(found, ASX_OK);
    *baton = (asxi_baton){ .object = object, .leave = reserver_leave, .amount = 1 };
    return &asxi_mpsc_of(object)->reservers;
}

static void send_granted(asx_cx *cx, asx_select_case *which, asxi_object *object)
{
    (void)cx;
    if (listens(object)) {
        slot_fill(object, which->_sent);
        which->outcome = asx_ok(0);
    } else {
        slot_return(object);
        which->outcome = asx_fail(ASX_E(DISCONNECTED));
    }
}

const asxi_select_ops asxi_select_send = {
    .attempt = send_attempt,
    .line = send_line,
    .granted = send_granted,
};
