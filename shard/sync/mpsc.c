/* The queue, its life, and who receives. Who sends: mpsc_send.c. */
#include <asx/shard/sync/mpsc.h>

#include "far_internal.h"
#include "mpsc_internal.h"
#include "select_internal.h"

void asxi_mpsc_item_push(asxi_mpsc *self, const void *item)
{
    asx_assert(self->queued + self->reserved < self->capacity);
    asxi_mpsc_item_copy(self, asxi_mpsc_slot_at(self, self->queued), item);
    self->queued++;
    if (!asxi_line_empty(&self->receiver)) {
        asxi_mpsc_serve(self);
    }
}

/* The first of those queued is no longer in the queue. */
ASX_INLINE void head_advance(asxi_mpsc *self)
{
    self->head = self->head + 1 == self->capacity ? 0 : self->head + 1;
    self->queued--;
    if (asx_unlikely(self->book != NULL) && self->book->returned > 0) {
        self->book->returned--;
    }
}

ASX_INLINE void item_pop(asxi_mpsc *self, void *item)
{
    asx_assert(self->queued > 0);
    asxi_mpsc_item_copy(self, item, asxi_mpsc_slot_at(self, 0));
    head_advance(self);
}

void asxi_mpsc_item_pop(asxi_mpsc *self, void *item)
{
    item_pop(self, item);
}

void asxi_mpsc_item_set(asxi_mpsc *self, uint32_t nth, const void *item)
{
    asxi_mpsc_item_copy(self, asxi_mpsc_slot_at(self, nth), item);
}

void asxi_mpsc_item_move(asxi_mpsc *self, uint32_t from, uint32_t to)
{
    asxi_mpsc_item_copy(self, asxi_mpsc_slot_at(self, to), asxi_mpsc_slot_at(self, from));
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
static ASX_NOINLINE void slots_grant_all(asxi_mpsc *self)
{
    while (!asxi_line_empty(&self->reservers) && asxi_mpsc_has_room(self)) {
        asxi_baton *const head = asxi_line_head(&self->reservers);
        if (head->tell) {
            asx_shard_turn_end_link(self->object.shard, &self->turn_end);
            return;
        }
        slots_give(self, head, 1);
    }
}

ASX_INLINE void slots_grant(asxi_mpsc *self)
{
    if (asx_unlikely(!asxi_line_empty(&self->reservers))) {
        slots_grant_all(self);
    }
}

/* To each of those that wait, its share of what the turn left free. */
static void slots_share(asx_turn_end *hook)
{
    asxi_mpsc *const self = asx_container_of(hook, asxi_mpsc, turn_end);
    while (asxi_mpsc_has_room(self) && !asxi_line_empty(&self->reservers)) {
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
            asxi_region_drop(self->object.shard, self->object.region, self->drop,
                             asxi_mpsc_slot_at(self, 0));
        }
        head_advance(self);
    }
}

static void mpsc_close(asxi_object *object)
{
    asxi_mpsc *const self = asxi_mpsc_of(object);
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
    asxi_mpsc *const self = asxi_mpsc_of(object);
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
    const asxi_far_ops *const calls = asxi_mpsc_of(object)->calls;
    if (baton->tag == ASXI_MPSC_DELIVERY) {
        return asxi_mpsc_far_deliver(asxi_mpsc_of(object), baton, line);
    }
    baton->leave = asxi_line_hold_nothing;
    return calls ? calls->ask(object, baton, line) : ASX_E(TYPE_MISMATCH);
}

/* An item that was delivered was received. */
static void far_release(asxi_object *object, uint64_t amount, uint32_t tag, asx_settlement how)
{
    (void)tag;
    (void)how;
    asxi_mpsc_slots_return(asxi_mpsc_of(object), (uint32_t)amount);
}

static void far_item(asxi_object *object, const asx_msg *msg)
{
    asxi_mpsc_far_undelivered(asxi_mpsc_of(object), msg);
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
    asxi_mpsc *const self = asxi_mpsc_of(object);
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
ASX_INLINE asx_err find_receiver(asx_cx *cx, asx_mpsc_receiver receiver, asxi_mpsc **self)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, receiver._end, &asxi_mpsc_type, ASXI_MPSC_RECEIVER, &end);
    if (asx_likely(!err)) {
        *self = asxi_mpsc_of(end->object);
    }
    return err;
}

/* Receiving */

ASX_INLINE asx_err take(asxi_mpsc *self, void *item)
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
    asxi_mpsc *self;
    asx_err err = find_receiver(cx, (asx_mpsc_receiver){ which->_handle }, &self);
    if (asx_likely(!err)) {
        err = take(self, which->_item);
    }
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
