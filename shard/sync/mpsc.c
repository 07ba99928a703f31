#include <asx/shard/sync/mpsc.h>

#include "far_internal.h"
#include "mpsc_internal.h"
#include "select_internal.h"

static asxi_mpsc *mpsc_of(asxi_object *object)
{
    return asx_container_of(object, asxi_mpsc, object);
}

static char *slot_at(const asxi_mpsc *self, uint32_t nth)
{
    return self->items + (size_t)asxi_mpsc_index(self, nth) * self->item_size;
}

static void item_copy(const asxi_mpsc *self, void *target, const void *source)
{
    if (asx_likely(self->item_size == sizeof(uint64_t))) {
        memcpy(target, source, sizeof(uint64_t));
    } else {
        memcpy(target, source, self->item_size);
    }
}

void asxi_mpsc_item_push(asxi_mpsc *self, const void *item)
{
    asx_assert(self->queued + self->reserved < self->capacity);
    item_copy(self, slot_at(self, self->queued), item);
    self->queued++;
    if (!asxi_line_empty(&self->receiver)) {
        asxi_mpsc_serve(self);
    }
}

/* The first of those queued is no longer in the queue. */
static void head_advance(asxi_mpsc *self)
{
    self->head = self->head + 1 == self->capacity ? 0 : self->head + 1;
    self->queued--;
    if (asx_unlikely(self->book != NULL) && self->book->returned > 0) {
        self->book->returned--;
    }
}

static void item_pop(asxi_mpsc *self, void *item)
{
    asx_assert(self->queued > 0);
    item_copy(self, item, slot_at(self, 0));
    head_advance(self);
}

void asxi_mpsc_item_pop(asxi_mpsc *self, void *item)
{
    item_pop(self, item);
}

void asxi_mpsc_item_set(asxi_mpsc *self, uint32_t nth, const void *item)
{
    item_copy(self, slot_at(self, nth), item);
}

void asxi_mpsc_item_move(asxi_mpsc *self, uint32_t from, uint32_t to)
{
    item_copy(self, slot_at(self, to), slot_at(self, from));
    if (self->book) {
        self->book->marks[asxi_mpsc_index(self, to)] =
            self->book->marks[asxi_mpsc_index(self, from)];
    }
}

void asxi_mpsc_serve(asxi_mpsc *self)
{
    while (self->queued > 0 && !asxi_line_empty(&self->receiver)) {
        asxi_baton *const head = asxi_line_head(&self->receiver);
        if (head->tag != ASXI_MPSC_DELIVERY) {
            asxi_line_tell(head, ASXI_LINE_GRANTED);
            return;
        }
        asxi_mpsc_deliver(self, head);
    }
}

bool asxi_mpsc_is_over(const asxi_mpsc *self)
{
    return self->queued == 0 && self->reserved == 0 && (self->senders == 0 || self->stopped);
}

static void receiver_wake_if_over(asxi_mpsc *self)
{
    while (asxi_mpsc_is_over(self) && !asxi_line_empty(&self->receiver)) {
        asxi_baton *const head = asxi_line_head(&self->receiver);
        const bool delivery = head->tag == ASXI_MPSC_DELIVERY;
        asxi_line_tell(head, delivery ? ASX_E(DISCONNECTED) : ASXI_LINE_GRANTED);
    }
}

static bool has_room(const asxi_mpsc *self)
{
    return self->queued + self->reserved < self->capacity;
}

static uint32_t room_of(const asxi_mpsc *self)
{
    return self->capacity - self->queued - self->reserved;
}

static void slots_give(asxi_mpsc *self, asxi_baton *baton, uint32_t limit)
{
    asx_assert(limit > 0 && limit <= room_of(self));
    baton->amount = baton->amount < limit ? baton->amount : limit;
    self->reserved += (uint32_t)baton->amount;
    asxi_line_tell(baton, ASXI_LINE_GRANTED);
}

/* Grants free slots to those that wait for them. Another shard, and who is behind it, waits until
 * the turn is over: a message for each slot would be a round trip for each. */
static void slots_grant(asxi_mpsc *self)
{
    while (asx_unlikely(!asxi_line_empty(&self->reservers)) && has_room(self)) {
        asxi_baton *const head = asxi_line_head(&self->reservers);
        if (head->tell) {
            asx_shard_turn_end_link(self->object.shard, &self->turn_end);
            return;
        }
        slots_give(self, head, 1);
    }
}

/* To each of those that wait, its share of what the turn left free. */
static void slots_share(asx_turn_end *hook)
{
    asxi_mpsc *const self = asx_container_of(hook, asxi_mpsc, turn_end);
    while (has_room(self) && !asxi_line_empty(&self->reservers)) {
        const uint32_t share = room_of(self) / self->reservers.count;
        slots_give(self, asxi_line_head(&self->reservers), share > 1 ? share : 1);
    }
    if (!asxi_line_empty(&self->reservers)) {
        asxi_mpsc_recall(self);
    }
}

void asxi_mpsc_slots_return(asxi_mpsc *self, uint32_t count)
{
    asx_assert(self->reserved >= count);
    self->reserved -= count;
    if (!self->stopped && !self->receiver_gone) {
        slots_grant(self);
    }
    receiver_wake_if_over(self);
}

bool asxi_mpsc_slots_take(asxi_mpsc *self, uint32_t count)
{
    const bool free = asxi_line_empty(&self->reservers) && count <= room_of(self);
    self->reserved += free ? count : 0;
    return free;
}

void asxi_mpsc_sender_gone(asxi_mpsc *self)
{
    asx_assert(self->senders > 0);
    self->senders--;
    receiver_wake_if_over(self);
    if (self->receiver_gone && self->senders == 0) {
        asxi_object_close(&self->object);
    }
}

static void items_drop(asxi_mpsc *self)
{
    while (self->queued > 0) {
        if (self->drop) {
            asxi_region_drop(self->object.shard, self->object.region, self->drop, slot_at(self, 0));
        }
        head_advance(self);
    }
}

static void mpsc_close(asxi_object *object)
{
    asxi_mpsc *const self = mpsc_of(object);
    self->receiver_gone = true;
    asxi_line_close(&self->reservers);
    asxi_line_close(&self->receiver);
    asxi_mpsc_peers_tell(self);
    asx_list_unlink(&self->turn_end._link);
    items_drop(self);
    asx_heap_free(&object->region->heap, self->items, (size_t)self->capacity * self->item_size);
    asxi_mpsc_book_close(self);
}

static void receiver_close(asxi_mpsc *self)
{
    self->receiver_gone = true;
    asxi_line_close(&self->reservers);
    asxi_line_close(&self->receiver);
    asxi_mpsc_peers_tell(self);
    items_drop(self);
    if (self->senders == 0) {
        asxi_object_close(&self->object);
    }
}

static void mpsc_end_close(asxi_object *object, const asxi_end *end)
{
    asxi_mpsc *const self = mpsc_of(object);
    if (end->role == ASXI_MPSC_RECEIVER) {
        receiver_close(self);
    } else {
        if (end->role == ASXI_MPSC_LINK) {
            asxi_mpsc_link_close(self, end);
        }
        asxi_mpsc_sender_gone(self);
    }
}

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    const asxi_far_ops *const calls = mpsc_of(object)->calls;
    if (baton->tag == ASXI_MPSC_DELIVERY) {
        return asxi_mpsc_far_deliver(mpsc_of(object), baton, line);
    }
    baton->leave = asxi_line_hold_nothing;
    return calls ? calls->ask(object, baton, line) : ASX_E(TYPE_MISMATCH);
}

/* An item that was delivered was received. */
static void far_release(asxi_object *object, uint64_t amount, uint32_t tag, asx_settlement how)
{
    (void)tag;
    (void)how;
    asxi_mpsc_slots_return(mpsc_of(object), (uint32_t)amount);
}

static void far_item(asxi_object *object, const asx_msg *msg)
{
    asxi_mpsc_far_undelivered(mpsc_of(object), msg);
}

static const asxi_far_ops far_ops = {
    .ask = far_ask, .release = far_release, .item = far_item, .lost = asxi_mpsc_far_lost
};

const asxi_object_type asxi_mpsc_type = {
    .name = "mpsc",
    .close = mpsc_close,
    .end_close = mpsc_end_close,
    .message = asxi_mpsc_message,
    .message_discard = asxi_link_discard,
    .message_refuse = asxi_link_refuse,
    .far = &far_ops,
};

asx_err asx_mpsc_open(asx_cx *cx, const asx_mpsc_options *options, asx_mpsc_sender *sender,
                      asx_mpsc_receiver *receiver)
{
    asxi_object *object;
    *sender = (asx_mpsc_sender){ 0 };
    *receiver = (asx_mpsc_receiver){ 0 };
    if (options->capacity == 0 || options->capacity > ASX_MPSC_CAPACITY_MAX ||
        options->item_size == 0 || options->item_size > ASX_MPSC_ITEM_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_err err = asxi_object_open(cx, &asxi_mpsc_type, sizeof(asxi_mpsc), &object);
    if (err) {
        return err;
    }
    asxi_mpsc *const self = mpsc_of(object);
    self->capacity = options->capacity;
    self->item_size = options->item_size;
    self->drop = options->drop;
    self->what = options->what ? options->what : "mpsc";
    asxi_line_init(&self->reservers);
    asxi_line_init(&self->receiver);
    self->senders = 1;
    self->turn_end.fn = slots_share;
    self->items = asx_heap_alloc(&object->region->heap, (size_t)self->capacity * self->item_size);
    err = self->items ? asxi_end_open(object, ASXI_MPSC_SENDER, &sender->_end, NULL)
                      : ASX_E(NO_MEMORY);
    if (!err) {
        err = asxi_end_open(object, ASXI_MPSC_RECEIVER, &receiver->_end, NULL);
    }
    if (err) {
        asxi_object_close(object);
    }
    return err;
}

/* The channel, or the far object that stands for it here. */
static asx_err find_sender(asx_cx *cx, asx_mpsc_sender sender, asxi_object **object)
{
    asxi_end *end;
    asx_err err = asxi_end_find(cx, sender._end, &asxi_mpsc_type, ASXI_MPSC_SENDER, &end);
    if (asx_unlikely(err == ASX_E(TYPE_MISMATCH))) {
        err = asxi_end_find(cx, sender._end, &asxi_mpsc_far_type, ASXI_MPSC_SENDER, &end);
    }
    if (asx_likely(!err)) {
        *object = end->object;
    }
    return err;
}

static bool is_home(const asxi_object *object)
{
    return asx_likely(object->type == &asxi_mpsc_type);
}

static asx_err find_receiver(asx_cx *cx, asx_mpsc_receiver receiver, asxi_mpsc **self)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, receiver._end, &asxi_mpsc_type, ASXI_MPSC_RECEIVER, &end);
    if (asx_likely(!err)) {
        *self = mpsc_of(end->object);
    }
    return err;
}

asxi_mpsc *asxi_mpsc_of_sender(asx_cx *cx, asx_mpsc_sender sender)
{
    asxi_object *object = NULL;
    const asx_err found = find_sender(cx, sender, &object);
    asx_assert(!found && is_home(object));
    return mpsc_of(object);
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
    mpsc_of(object)->senders += !err;
    return err;
}

/* Sending: take a slot, then fill it or give it back. */

static void reserver_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        asxi_mpsc_slots_return(mpsc_of(baton->object), 1);
    }
}

asx_err asxi_mpsc_slot_try(asxi_mpsc *self)
{
    if (asx_unlikely(self->stopped || self->receiver_gone)) {
        return ASX_E(DISCONNECTED);
    }
    if (asx_unlikely(!has_room(self) || !asxi_line_empty(&self->reservers))) {
        return ASX_E(FULL);
    }
    self->reserved++;
    return ASX_OK;
}

static asx_err slot_try(asxi_object *object)
{
    return is_home(object) ? asxi_mpsc_slot_try(mpsc_of(object)) : asxi_mpsc_far_slot_try(object);
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
    return is_home(object) ? slot_wait_here(cx, mpsc_of(object), deadline_ns)
                           : asxi_mpsc_far_slot_wait(cx, object, deadline_ns);
}

void asxi_mpsc_slot_fill(asxi_mpsc *self, const void *item)
{
    self->reserved--;
    asxi_mpsc_item_push(self, item);
}

static void slot_fill(asxi_object *object, const void *item)
{
    if (is_home(object)) {
        asxi_mpsc_slot_fill(mpsc_of(object), item);
    } else {
        asxi_mpsc_far_item_push(object, item);
    }
}

static void slot_return(asxi_object *object)
{
    if (!is_home(object)) {
        asxi_mpsc_far_slot_return(object);
    } else if (asxi_object_is_open(object)) {
        asxi_mpsc_slots_return(mpsc_of(object), 1);
    }
}

static bool listens(asxi_object *object)
{
    if (!is_home(object)) {
        return asxi_mpsc_far_listens(object);
    }
    return asxi_object_is_open(object) && !mpsc_of(object)->receiver_gone;
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
                                             .what = is_home(object) ? mpsc_of(object)->what
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
    item_copy(self, item, slot_at(self, nth));
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
    asxi_mpsc *const self = mpsc_of(object);
    if (!asxi_line_empty(&self->reservers)) {
        return asx_fail(err);
    }
    uint32_t nth = 0;
    while (nth < self->queued && match && !match(slot_at(self, nth), arg)) {
        nth++;
    }
    if (nth == self->queued) {
        return asx_fail(ASX_E(FULL));
    }
    item_remove(self, nth, evicted);
    asxi_mpsc_item_push(self, item);
    return asx_ok(1);
}

/* Receiving */

static asx_err take(asxi_mpsc *self, void *item)
{
    if (asx_likely(self->queued > 0)) {
        item_pop(self, item);
        slots_grant(self);
        return ASX_OK;
    }
    return asxi_mpsc_is_over(self) ? ASX_E(DISCONNECTED) : ASX_E(EMPTY);
}

/* One task at a time receives; deliveries may be waited for beside it. */
static bool receives_alone(const asxi_mpsc *self)
{
    const asxi_baton *const head = asxi_line_head(&self->receiver);
    return !head || head->tag == ASXI_MPSC_DELIVERY;
}

asx_outcome asx_mpsc_recv_until(asx_cx *cx, asx_mpsc_receiver receiver, void *item,
                                asx_instant deadline_ns)
{
    asxi_mpsc *self;
    asx_err err = find_receiver(cx, receiver, &self);
    if (asx_unlikely(err)) {
        return asx_fail(err);
    }
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    while ((err = take(self, item)) == ASX_E(EMPTY)) {
        asx_assert(receives_alone(self));
        asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
        const asx_outcome outcome = asxi_line_wait(cx, &self->receiver, &baton, self->what,
                                                   deadline_ns, ASX_E(DISCONNECTED));
        if (!asx_is_ok(outcome) && ASXI_PLANTED(ITEM_LOST)) {
            (void)take(self, item);
        }
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
    }
    return err ? asx_fail(err) : asx_ok(0);
}

asx_err asx_mpsc_try_recv(asx_cx *cx, asx_mpsc_receiver receiver, void *item)
{
    asxi_mpsc *self;
    const asx_err err = find_receiver(cx, receiver, &self);
    return err ? err : take(self, item);
}

asx_outcome asx_mpsc_recv_many(asx_cx *cx, asx_mpsc_receiver receiver, void *items, uint32_t limit)
{
    asxi_mpsc *self;
    char *const target = items;
    if (limit == 0) {
        return asx_ok(0);
    }
    asx_outcome outcome = asx_mpsc_recv_until(cx, receiver, target, ASX_TIME_NEVER);
    if (asx_is_err(outcome, ASX_E(DISCONNECTED))) {
        return asx_ok(0);
    }
    if (!asx_is_ok(outcome) || find_receiver(cx, receiver, &self)) {
        return outcome;
    }
    uint32_t count = 1;
    while (count < limit && self->queued > 0) {
        item_pop(self, target + (size_t)count * self->item_size);
        count++;
    }
    slots_grant(self);
    return asx_ok(count);
}

void asx_mpsc_stop(asx_cx *cx, asx_mpsc_receiver receiver)
{
    asxi_mpsc *self;
    if (!find_receiver(cx, receiver, &self)) {
        self->stopped = true;
        asxi_line_close(&self->reservers);
        asxi_mpsc_peers_tell(self);
        receiver_wake_if_over(self);
    }
}

uint32_t asx_mpsc_used(asx_cx *cx, asx_mpsc_receiver receiver)
{
    asxi_mpsc *self;
    return find_receiver(cx, receiver, &self) ? 0 : self->queued + self->reserved;
}

/* In a select */

static bool recv_attempt(asx_cx *cx, asx_select_case *which)
{
    const asx_err err = asx_mpsc_try_recv(cx, (asx_mpsc_receiver){ which->_handle }, which->_item);
    which->outcome = err ? asx_fail(err) : asx_ok(0);
    return err != ASX_E(EMPTY);
}

static asxi_line *recv_line(asx_cx *cx, asx_select_case *which, asxi_baton *baton)
{
    asxi_mpsc *self = NULL;
    const asx_err found = find_receiver(cx, (asx_mpsc_receiver){ which->_handle }, &self);
    asx_assert_eq(found, ASX_OK);
    *baton = (asxi_baton){ .object = &self->object, .leave = asxi_line_hold_nothing };
    return &self->receiver;
}

const asxi_select_ops asxi_select_recv = { .attempt = recv_attempt, .line = recv_line };

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
    return &mpsc_of(object)->reservers;
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
