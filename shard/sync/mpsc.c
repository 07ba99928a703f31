#include <asx/shard/sync/mpsc.h>

#include "line_internal.h"

#include <string.h>

enum { SENDER = 1, RECEIVER };

typedef struct mpsc {
    asxi_object object;
    char *items; /* a ring of `capacity`, in the region's heap */
    asx_drop_fn *drop;
    const char *what;
    uint32_t capacity, item_size;
    uint32_t head, queued;
    uint32_t reserved; /* permits out, and slots granted to waiters that have not run yet */
    uint32_t senders;
    bool stopped; /* no more reserves */
    bool receiver_gone;
    asxi_line reservers;
    asxi_line receiver; /* the task that receives, when it waits */
} mpsc;

_Static_assert(sizeof(mpsc) <= ASXI_OBJECT_BYTES, "an mpsc fits a record");

static mpsc *mpsc_of(asxi_object *object)
{
    return asx_container_of(object, mpsc, object);
}

static char *slot_at(const mpsc *self, uint32_t nth)
{
    uint32_t at = self->head + nth;
    at -= at >= self->capacity ? self->capacity : 0;
    return self->items + (size_t)at * self->item_size;
}

static void item_copy(const mpsc *self, void *target, const void *source)
{
    if (asx_likely(self->item_size == sizeof(uint64_t))) {
        memcpy(target, source, sizeof(uint64_t));
    } else {
        memcpy(target, source, self->item_size);
    }
}

static void item_push(mpsc *self, const void *item)
{
    asx_assert(self->queued + self->reserved < self->capacity);
    item_copy(self, slot_at(self, self->queued), item);
    self->queued++;
    if (!asxi_line_empty(&self->receiver)) {
        asxi_line_tell(asxi_line_head(&self->receiver), ASXI_LINE_GRANTED);
    }
}

static void item_pop(mpsc *self, void *item)
{
    asx_assert(self->queued > 0);
    item_copy(self, item, slot_at(self, 0));
    self->head = self->head + 1 == self->capacity ? 0 : self->head + 1;
    self->queued--;
}

/* Nothing can arrive any more (CH-4). */
static bool is_over(const mpsc *self)
{
    return self->queued == 0 && self->reserved == 0 && (self->senders == 0 || self->stopped);
}

static void receiver_wake_if_over(mpsc *self)
{
    if (is_over(self) && !asxi_line_empty(&self->receiver)) {
        asxi_line_tell(asxi_line_head(&self->receiver), ASXI_LINE_GRANTED);
    }
}

static bool has_room(const mpsc *self)
{
    return self->queued + self->reserved < self->capacity;
}

/* Grants each free slot to one that waits for it. */
static void slots_grant(mpsc *self)
{
    while (has_room(self) && !asxi_line_empty(&self->reservers)) {
        self->reserved++;
        asxi_line_tell(asxi_line_head(&self->reservers), ASXI_LINE_GRANTED);
    }
}

/* A reserved slot comes back unused. */
static void slot_return(mpsc *self)
{
    asx_assert(self->reserved > 0);
    self->reserved--;
    if (!self->stopped && !self->receiver_gone) {
        slots_grant(self);
    }
    receiver_wake_if_over(self);
}

static void items_drop(mpsc *self)
{
    for (; self->queued > 0; self->queued--) {
        if (self->drop) {
            self->drop(slot_at(self, 0));
        }
        self->head = self->head + 1 == self->capacity ? 0 : self->head + 1;
    }
}

static void mpsc_close(asxi_object *object)
{
    mpsc *const self = mpsc_of(object);
    self->receiver_gone = true;
    asxi_line_close(&self->reservers);
    asxi_line_close(&self->receiver);
    items_drop(self);
    asx_heap_free(&object->region->heap, self->items, (size_t)self->capacity * self->item_size);
}

static void mpsc_end_close(asxi_object *object, const asxi_end *end)
{
    mpsc *const self = mpsc_of(object);
    if (!asxi_object_is_open(object)) {
        return;
    }
    if (end->role == SENDER) {
        self->senders--;
        receiver_wake_if_over(self);
    } else {
        self->receiver_gone = true;
        asxi_line_close(&self->reservers);
        asxi_line_close(&self->receiver);
        items_drop(self);
    }
    if (self->receiver_gone && self->senders == 0) {
        asxi_object_close(object);
    }
}

static const asxi_object_type mpsc_type = {
    .name = "mpsc",
    .close = mpsc_close,
    .end_close = mpsc_end_close,
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
    asx_err err = asxi_object_open(cx, &mpsc_type, sizeof(mpsc), &object);
    if (err) {
        return err;
    }
    mpsc *const self = mpsc_of(object);
    self->capacity = options->capacity;
    self->item_size = options->item_size;
    self->drop = options->drop;
    self->what = options->what ? options->what : "mpsc";
    asxi_line_init(&self->reservers);
    asxi_line_init(&self->receiver);
    self->senders = 1;
    self->items = asx_heap_alloc(&object->region->heap, (size_t)self->capacity * self->item_size);
    err = self->items ? asxi_end_open(object, SENDER, &sender->_end, NULL) : ASX_E(NO_MEMORY);
    if (!err) {
        err = asxi_end_open(object, RECEIVER, &receiver->_end, NULL);
    }
    if (err) {
        asxi_object_close(object);
    }
    return err;
}

static asx_err find_sender(asx_cx *cx, asx_mpsc_sender sender, mpsc **self)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, sender._end, &mpsc_type, SENDER, &end);
    if (asx_likely(!err)) {
        *self = mpsc_of(end->object);
    }
    return err;
}

static asx_err find_receiver(asx_cx *cx, asx_mpsc_receiver receiver, mpsc **self)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, receiver._end, &mpsc_type, RECEIVER, &end);
    if (asx_likely(!err)) {
        *self = mpsc_of(end->object);
    }
    return err;
}

asx_err asx_mpsc_sender_clone(asx_cx *cx, asx_mpsc_sender sender, asx_mpsc_sender *clone)
{
    mpsc *self;
    *clone = (asx_mpsc_sender){ 0 };
    asx_err err = find_sender(cx, sender, &self);
    if (!err) {
        err = asxi_end_open(&self->object, SENDER, &clone->_end, NULL);
    }
    if (!err) {
        self->senders++;
    }
    return err;
}

/* Sending */

static void reserver_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        slot_return(mpsc_of(baton->object));
    }
}

/* Without waiting. errors: FULL, DISCONNECTED */
static asx_err slot_try(mpsc *self)
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

/* Ok: a slot of an open channel is reserved. */
static asx_outcome slot_wait(asx_cx *cx, mpsc *self, asx_instant deadline_ns)
{
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    const asx_err err = slot_try(self);
    if (asx_likely(!err)) {
        return asx_ok(0);
    }
    if (err != ASX_E(FULL)) {
        return asx_fail(err);
    }
    asxi_baton baton = { .object = &self->object, .leave = reserver_leave };
    return asxi_line_wait(cx, &self->reservers, &baton, self->what, deadline_ns,
                          ASX_E(DISCONNECTED));
}

/* The holder ended without resolving its permit. */
static void permit_lost(void *object, asx_obligation_state state)
{
    mpsc *const self = object;
    (void)state;
    if (asxi_object_is_open(&self->object)) {
        slot_return(self);
    }
    asxi_object_unref(&self->object);
}

static asx_err permit_make(asx_cx *cx, mpsc *self, asx_mpsc_permit *permit)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_SEND_PERMIT,
                                             .what = self->what,
                                             .settle = permit_lost,
                                             .object = self };
    const asx_err err = asx_obligation_reserve(cx, &options, &permit->_obligation);
    if (err) {
        slot_return(self);
        return err;
    }
    permit->_channel = asx_handle_of(self);
    asxi_object_ref(&self->object);
    return ASX_OK;
}

asx_outcome asx_mpsc_reserve_until(asx_cx *cx, asx_mpsc_sender sender, asx_instant deadline_ns,
                                   asx_mpsc_permit *permit)
{
    mpsc *self;
    asx_err err = find_sender(cx, sender, &self);
    if (err) {
        return asx_fail(err);
    }
    const asx_outcome outcome = slot_wait(cx, self, deadline_ns);
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    err = permit_make(cx, self, permit);
    return err ? asx_fail(err) : asx_ok(0);
}

asx_err asx_mpsc_try_reserve(asx_cx *cx, asx_mpsc_sender sender, asx_mpsc_permit *permit)
{
    mpsc *self;
    asx_err err = find_sender(cx, sender, &self);
    if (!err) {
        err = slot_try(self);
    }
    return err ? err : permit_make(cx, self, permit);
}

asx_err asx_mpsc_permit_send(asx_cx *cx, asx_mpsc_permit permit, const void *item)
{
    asxi_object *object;
    asx_err err = asxi_object_find(cx, permit._channel, &mpsc_type, &object);
    if (err) {
        return err;
    }
    mpsc *const self = mpsc_of(object);
    const bool listens = asxi_object_is_open(object) && !self->receiver_gone;
    err = listens ? asx_obligation_commit(cx, permit._obligation)
                  : asx_obligation_abort(cx, permit._obligation);
    if (err) {
        return err;
    }
    if (listens) {
        self->reserved--;
        item_push(self, item);
    } else if (asxi_object_is_open(object)) {
        slot_return(self);
    }
    asxi_object_unref(object);
    return listens ? ASX_OK : ASX_E(DISCONNECTED);
}

void asx_mpsc_permit_abort(asx_cx *cx, asx_mpsc_permit permit)
{
    asxi_object *object;
    if (!asxi_object_find(cx, permit._channel, &mpsc_type, &object) &&
        !asx_obligation_abort(cx, permit._obligation)) {
        permit_lost(mpsc_of(object), ASX_OBLIGATION_ABORTED);
    }
}

asx_outcome asx_mpsc_send_until(asx_cx *cx, asx_mpsc_sender sender, const void *item,
                                asx_instant deadline_ns)
{
    mpsc *self;
    const asx_err err = find_sender(cx, sender, &self);
    if (asx_unlikely(err)) {
        return asx_fail(err);
    }
    const asx_outcome outcome = slot_wait(cx, self, deadline_ns);
    if (asx_likely(asx_is_ok(outcome))) {
        self->reserved--;
        item_push(self, item);
    }
    return outcome;
}

asx_err asx_mpsc_try_send(asx_cx *cx, asx_mpsc_sender sender, const void *item)
{
    mpsc *self;
    asx_err err = find_sender(cx, sender, &self);
    if (asx_likely(!err)) {
        err = slot_try(self);
    }
    if (asx_likely(!err)) {
        self->reserved--;
        item_push(self, item);
    }
    return err;
}

/* Takes the nth queued item out and closes the gap. */
static void item_remove(mpsc *self, uint32_t nth, void *item)
{
    item_copy(self, item, slot_at(self, nth));
    for (uint32_t i = nth; i + 1 < self->queued; i++) {
        item_copy(self, slot_at(self, i), slot_at(self, i + 1));
    }
    self->queued--;
}

asx_outcome asx_mpsc_send_evict(asx_cx *cx, asx_mpsc_sender sender, const void *item,
                                asx_mpsc_match_fn *match, void *arg, void *evicted)
{
    mpsc *self;
    asx_err err = find_sender(cx, sender, &self);
    if (!err) {
        err = slot_try(self);
    }
    if (!err) {
        self->reserved--;
        item_push(self, item);
        return asx_ok(0);
    }
    if (err != ASX_E(FULL) || !asxi_line_empty(&self->reservers)) {
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
    item_push(self, item);
    return asx_ok(1);
}

/* Receiving */

static void receiver_leave(asxi_baton *baton, bool granted)
{
    (void)baton; /* what it was woken for is still queued */
    (void)granted;
}

static asx_err take(mpsc *self, void *item)
{
    if (asx_likely(self->queued > 0)) {
        item_pop(self, item);
        slots_grant(self);
        return ASX_OK;
    }
    return is_over(self) ? ASX_E(DISCONNECTED) : ASX_E(EMPTY);
}

asx_outcome asx_mpsc_recv_until(asx_cx *cx, asx_mpsc_receiver receiver, void *item,
                                asx_instant deadline_ns)
{
    mpsc *self;
    asx_err err = find_receiver(cx, receiver, &self);
    if (asx_unlikely(err)) {
        return asx_fail(err);
    }
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    while ((err = take(self, item)) == ASX_E(EMPTY)) {
        asx_assert(asxi_line_empty(&self->receiver)); /* one task at a time receives */
        asxi_baton baton = { .object = &self->object, .leave = receiver_leave };
        const asx_outcome outcome = asxi_line_wait(cx, &self->receiver, &baton, self->what,
                                                   deadline_ns, ASX_E(DISCONNECTED));
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
    }
    return err ? asx_fail(err) : asx_ok(0);
}

asx_err asx_mpsc_try_recv(asx_cx *cx, asx_mpsc_receiver receiver, void *item)
{
    mpsc *self;
    const asx_err err = find_receiver(cx, receiver, &self);
    return err ? err : take(self, item);
}

asx_outcome asx_mpsc_recv_many(asx_cx *cx, asx_mpsc_receiver receiver, void *items, uint32_t limit)
{
    mpsc *self;
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
    mpsc *self;
    if (!find_receiver(cx, receiver, &self)) {
        self->stopped = true;
        asxi_line_close(&self->reservers);
        receiver_wake_if_over(self);
    }
}

uint32_t asx_mpsc_used(asx_cx *cx, asx_mpsc_receiver receiver)
{
    mpsc *self;
    return find_receiver(cx, receiver, &self) ? 0 : self->queued + self->reserved;
}
